"""What a user can get wrong, one class a kind, and what a user is warned of.

Every message is whole sentences: what is wrong, in which file and where in it, what to do.
They are shown to the user as they are, without a traceback.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from unicodedata import category


class TfparityError(Exception):
    """Base of every error that the user can mend; ``str()`` of it is the whole message.

    Paths below the current folder are shown relative to it.
    """

    def __str__(self) -> str:
        return printable(super().__str__().replace(f"{Path.cwd()}{os.sep}", ""))


class Problem(NamedTuple):
    """One thing wrong in a settings file: where it stands and what to do about it."""

    file: Path
    line: int | None
    message: str

    def __str__(self) -> str:
        file = shown_path(self.file)
        place = f"{file}:{self.line}" if self.line is not None else file
        return f"{place}: {self.message}"


class SettingsError(TfparityError):
    """The manifest, a marker, an ini value or an option is wrong. Holds every problem, not the first."""

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        self.problems: tuple[Problem, ...] = () if isinstance(problems, str) else tuple(problems)
        super().__init__(problems if isinstance(problems, str) else "\n".join(map(str, problems)))


class ModelError(TfparityError):
    """A file of a model cannot be read, is not what it should be, or cannot run."""


class RemoteError(ModelError):
    """A file that lies elsewhere cannot be had."""


class NotThere(RemoteError):
    """The server of a file says that there is no such file."""


class Unreachable(RemoteError):
    """The server of a file does not answer, or fails each time."""


class UnreadableFile(ModelError):
    """A file is in a form that our own reader does not know; TensorFlow's reader may know it."""


class TensorNotFound(ModelError):
    """A tensor or node named by the user is not in the graph. The message suggests the nearest names."""


class FeedError(TfparityError):
    """An input array does not fit the placeholder that it is fed to, or an input is missing.

    ``tensor`` is the input by the name that it was fed under, where it is about one.
    """

    tensor: str | None = None

    @classmethod
    def about(cls, tensor: str, message: str) -> FeedError:
        """The error about one input."""
        error = cls(message)
        error.tensor = tensor
        return error


class InputError(TfparityError):
    """Golden inputs cannot be made: a missing file or array, a function that raises."""


class GoldenError(TfparityError):
    """A golden file is missing, stale, truncated, foreign, or may not be written."""


class UsageError(TfparityError):
    """A fixture, marker or comparison is used in a way that would prove nothing."""


class HealthWarning(UserWarning):
    """The checkpoint itself is unsound although parity holds."""

    __module__ = "pytest_tfparity"  # where it is exported: so a filter names it


class TensorFlowMissing(TfparityError):
    """Something needs TensorFlow and it is not installed."""


class RuntimeMissing(TfparityError):
    """A file needs a runtime of its own (LiteRT, ONNX Runtime), which is not installed."""


def printable(text: str) -> str:
    """``text`` as a terminal may show it and a CI's log may read it, whatever names of files it quotes.

    Control characters but for the end of a line, marks that turn the direction of writing and separators of lines
    are spelt out (``\\x1b``). No line begins as a command of GitHub Actions does (``::error``, ``##[error]``).
    """
    if not text.isprintable():
        text = "".join(
            char if char == "\n" or category(char) not in _UNSAFE else _spelt(char) for char in text
        )
    return _COMMAND.sub(r"\1\\\2", text) if "::" in text or "##[" in text else text


_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_COMMAND = re.compile(r"^(\s*)(::|##\[)", re.MULTILINE)


def _spelt(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii") if char != "\t" else "    "


def shown_path(path: Path) -> str:
    """``path`` as a message shows it: relative to the current folder where it lies below it."""
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else str(path)


def relative_to(path: Path, folder: Path) -> Path:
    """``path`` as it is seen from ``folder``; as it is where no way leads there: on another drive of Windows."""
    try:
        return Path(os.path.relpath(path, folder))
    except ValueError:
        return path


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The ``count`` names of ``known`` that are most like ``name``, best first."""
    import difflib  # takes as long to load as the plugin's own modules, and a session without mistakes needs it not

    return difflib.get_close_matches(name, list(known), n=count, cutoff=0.5)


def did_you_mean(name: str, known: Iterable[str], count: int = 3) -> str:
    """A sentence that suggests the nearest names, with a leading space; empty if none is near."""
    names = nearest(name, known, count)
    return f" Did you mean {' or '.join(repr(near) for near in names)}?" if names else ""


def missing_file(path: Path) -> str | None:
    """The rest of a sentence that begins with the file's name; None if the file is there."""
    if os.path.isfile(path):
        return None
    if os.path.isdir(path):
        return ", which is a folder; name a file."
    if any(char in str(path) for char in "*?["):
        return ", a pattern that no file matches."
    if kind := irregular(path):
        return f", which is {kind}, not a file."
    near = did_you_mean(path.name, neighbours(path), 2)
    return f", but there is no such file in {folder_of(path)}.{near}"


def irregular(path: Path) -> str | None:
    """What stands at ``path`` where that is neither a file nor a folder ("a pipe"): reading it may never end."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return None
    return next((kind for asked, kind in _IRREGULAR if asked(mode)), None)


_IRREGULAR = (
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


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
