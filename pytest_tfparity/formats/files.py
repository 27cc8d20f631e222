"""What is said of a file that was named and is not there."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import did_you_mean


def missing_file(path: Path) -> str | None:
    """The rest of a sentence that begins with the file's name; None if the file is there."""
    if os.path.isfile(path):
        return None
    if os.path.isdir(path):
        return ", which is a folder; name a file."
    if any(char in str(path) for char in "*?["):
        return ", a pattern that no file matches."
    near = did_you_mean(path.name, neighbours(path), 2)
    return f", but there is no such file in {folder_of(path)}.{near}"


def neighbours(path: Path) -> list[str]:
    """The names of what lies in the folder of ``path``."""
    try:
        return sorted(os.listdir(path.parent))
    except (OSError, ValueError):
        return []


def folder_of(path: Path) -> str:
    """The folder of ``path``, with a word if that is not there either."""
    folder = path.parent
    return f"{folder}" if os.path.isdir(folder) else f"{folder} (the folder does not exist either)"
