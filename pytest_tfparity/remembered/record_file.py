"""A file of records by key that several processes add to: JSON, a record a line, each with a checksum of its own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from ..locking import locked

_FORMAT = 1
MOST = 20_000
"""Records that a file keeps: four for each of 5,000 models. The oldest make room."""


class RecordFile:
    """The records of one ``kind`` in a file. A record that is damaged is none; another file is left alone.

    ``problem`` says why nothing is read or written, where that is so.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self.path = path
        self._header = f'{{"pytest-tfparity": "{kind}", "format": {_FORMAT}, "records": {{'

    @cached_property
    def _read(self) -> tuple[Mapping[str, Any], str | None]:
        return self._current()

    @property
    def records(self) -> Mapping[str, Any]:
        """The records that the file held when it was first looked at."""
        return self._read[0]

    @property
    def problem(self) -> str | None:
        """A clause about a file that cannot be used; None where it can."""
        return self._read[1]

    def add(self, records: Mapping[str, Any]) -> None:
        """Add records, those of other processes kept. What cannot be written is not: it is only a memory."""
        if self.problem is not None:
            return
        with contextlib.suppress(OSError), locked(self.path):
            kept, problem = self._current()
            if problem is not None:
                return
            together = {**{key: kept[key] for key in kept if key not in records}, **records}
            newest = dict(list(together.items())[-MOST:])
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
            draft.write_text(self._text(newest), "utf-8")
            os.replace(draft, self.path)

    def _text(self, records: Mapping[str, Any]) -> str:
        lines = [
            f"{json.dumps(key)}: {json.dumps([_checksum(key, record), record], sort_keys=True)}"
            for key, record in records.items()
        ]
        return self._header + "\n" + ",\n".join(lines) + "\n}}\n"

    def _current(self) -> tuple[Mapping[str, Any], str | None]:
        try:
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return {}, None
        except OSError as error:
            return {}, f"cannot be read ({error.strerror})"
        except UnicodeDecodeError:
            return {}, "is no such file"
        if not text.startswith(self._header):
            return {}, "is no such file, or one of another version"
        return dict(_records(text)), None


def _records(text: str) -> Iterator[tuple[str, Any]]:
    """The records whose lines are whole: a file that was cut off, or merged badly, keeps the others."""
    for line in text.splitlines()[1:]:
        try:
            ((key, (checksum, record)),) = json.loads("{" + line.strip().rstrip(",") + "}").items()
        except (ValueError, TypeError):
            continue
        if checksum == _checksum(key, record):
            yield key, record


def _checksum(key: str, record: Any) -> str:
    """The checksum of a record: against damage, not against malice, as of all that lies beside the tests."""
    return hashlib.sha256(json.dumps([key, record], sort_keys=True).encode()).hexdigest()[:16]
