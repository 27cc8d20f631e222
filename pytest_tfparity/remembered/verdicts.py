"""Proven verdicts of earlier runs: what was proven of these very files is not proven again.

A verdict is remembered under the hash of the content of every file, of everything that is stated and of this
program. It is given again only where each file was hashed and has not been written to since.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..result import Health, ParityResult
from ..settings.spec import ParitySpec
from .hashes import FREE, FileHashes, Stamp, stamp_of
from .identity import content_files, key_of
from .record_file import RecordFile

_FOLDER = "\0folder\0"
"""Stands for the manifest's folder in remembered texts: another machine has it elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A check that a verdict may be remembered of: its files as they are before it is made."""

    spec: ParitySpec
    stamps: Mapping[Path, Stamp]
    key: str | None


class Verdicts:
    """Proven verdicts in the file ``verdicts``, hashes of files in ``hashes``."""

    def __init__(self, *, verdicts: Path, hashes: Path | None) -> None:
        self._file = RecordFile(verdicts, "verdicts")
        self._hashes = FileHashes(hashes)
        self._new: dict[str, Any] = {}
        self._told = False

    def subject(self, spec: ParitySpec) -> Subject | None:
        """The check as it can be remembered; None where it cannot.

        Its key is known where the hashes of its files are, or cost nothing to speak of.
        """
        if spec.run != "unproven" or spec.compare != "outputs":
            return None
        files = content_files(spec)
        if files is None:
            return None
        stamps = {path: stamp for path in files if (stamp := stamp_of(path)) is not None}
        if len(stamps) < len(files):
            return None
        return Subject(spec=spec, stamps=stamps, key=self._key(spec, stamps, most=FREE))

    def recall(self, subject: Subject, draft: ParityResult) -> ParityResult | None:
        """The verdict that was proven of the same content, with its warnings; None where there is none."""
        record = self._new.get(subject.key or "") or self._file.records.get(subject.key or "")
        if record is None:
            return None
        try:
            here = _folder(subject.spec)
            health = [
                Health(
                    cause=each["cause"],
                    scopes=tuple(each["scopes"]),
                    message=each["message"].replace(_FOLDER, here),
                )
                for each in record["health"]
            ]
            notes = tuple(note.replace(_FOLDER, here) for note in record["notes"])
            return replace(draft, verdict="proven", health=tuple(health), notes=notes, remembered=True)
        except (KeyError, TypeError, AttributeError):
            return None

    def keep(self, subject: Subject, draft: ParityResult, result: ParityResult) -> None:
        """Remember a proven verdict, if the files are those that were looked at and hashing them is the shorter way."""
        plain = replace(
            draft, verdict="proven", health=result.health, notes=result.notes, seconds=result.seconds
        )
        if result != plain:
            return
        spent = result.seconds.load + result.seconds.proof
        key = subject.key or self._key(subject.spec, subject.stamps, most=int(spent * self._hashes.rate))
        if key is None or any(stamp_of(path) != stamp for path, stamp in subject.stamps.items()):
            return
        here = _folder(subject.spec)
        self._new[key] = {
            "health": [
                {**asdict(each), "message": each.message.replace(here, _FOLDER)} for each in result.health
            ],
            "notes": [note.replace(here, _FOLDER) for note in result.notes],
        }

    def learn(self, hashes: Mapping[Path, str]) -> None:
        """Take over hashes of files that were made when they were fetched."""
        for path, found in hashes.items():
            self._hashes.learn(path, found)

    def note(self) -> str | None:
        """That the file of verdicts cannot be used, once."""
        if self._told or self._file.problem is None:
            return None
        self._told = True
        return (
            f"{self._file.path} {self._file.problem}: no verdict is remembered. Remove it, or name another file"
            " (tfparity_cache)."
        )

    def save(self) -> None:
        """Add what is new to the files."""
        self._hashes.save()
        if self._new:
            self._file.add(self._new)
            self._new = {}

    def _key(self, spec: ParitySpec, stamps: Mapping[Path, Stamp], *, most: int) -> str | None:
        """The key of a check; None where more than ``most`` bytes would have to be hashed for it."""
        unknown = sum(stamp.size for path, stamp in stamps.items() if self._hashes.known(path, stamp) is None)
        if unknown > most:
            return None
        try:
            hashes = [(path, self._hashes.hash(path, stamp)) for path, stamp in stamps.items()]
        except OSError:
            return None
        known = [(path, found) for path, found in hashes if found is not None]
        return key_of(spec, known) if len(known) == len(stamps) else None


def _folder(spec: ParitySpec) -> str:
    return f"{spec.root}{os.sep}"
