"""What is changed in the bytes of a file at random, and what may become of the check of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from pytest_tfparity.check.worker import Worker
from pytest_tfparity.errors import TfparityError, printable
from pytest_tfparity.reports.terminal import report
from pytest_tfparity.result import ParityResult
from pytest_tfparity.settings.manifest import load_manifest
from pytest_tfparity.settings.resolve import resolve

SECONDS = 120
"""What a check of a mutant may take: on a machine with other work a session of TensorFlow takes some."""
Change = Callable[[random.Random, bytes], bytes]


def _at(dice: random.Random, data: bytes, length: int, new: bytes) -> bytes:
    place = dice.randrange(len(data))
    return data[:place] + new + data[place + length :]


def _bits(dice: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.choice([1, 1, 1, 3, 30])):
        changed[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _copied(dice: random.Random, data: bytes) -> bytes:
    start, length = dice.randrange(len(data)), dice.choice([1, 8, 60])
    return _at(dice, data, dice.choice([0, length]), data[start : start + length])


CHANGES: dict[str, Change] = {
    "bits": _bits,
    "cut": lambda dice, data: data[: dice.randrange(len(data))],
    "longer": lambda dice, data: data + dice.randbytes(dice.choice([1, 7, 100])),
    "zeros": lambda dice, data: _at(dice, data, (n := dice.choice([1, 8, 64])), bytes(n)),
    "inserted": lambda dice, data: _at(dice, data, 0, dice.randbytes(dice.choice([1, 4, 33]))),
    "deleted": lambda dice, data: _at(dice, data, dice.choice([1, 4, 33, 300]), b""),
    "copied": _copied,
    "large number": lambda dice, data: _at(dice, data, 5, b"\xff\xff\xff\xff\x7f"),
    "control": lambda dice, data: _at(dice, data, 1, dice.choice([b"\x1b", b"\n::", b"\x00", b"\xff", b"<"])),
    "other": lambda dice, data: dice.choice([b"", b"PK\x05\x06", b"{}", dice.randbytes(2000)]),
}
"""What is changed in the bytes of a file."""


def checked(worker: Worker, folder: Path, *, update: bool = False) -> ParityResult:
    """The check of the manifest's first model."""
    name, entry = next(iter(load_manifest(folder / "tfparity.yaml").models.items()))
    spec = resolve(entry, marker={}, ini={}, options={}, root=folder, name=name)
    return worker.check(spec, nodeid="fuzz", update="all" if update else None)


def fate(worker: Worker, folder: Path, passed: Callable[[], str] | None = None) -> tuple[str, str]:
    """What became of a mutant, and what was said. Fates in capitals are defects.

    ``passed`` gives the fate of one that passes, by other means than the check.
    """
    try:
        result = checked(worker, folder)
    except TfparityError as error:
        return said("refused", str(error))
    except Exception as error:
        return "RAISED", f"{type(error).__name__}: {error}"
    text = "\n".join([*report(result), *result.notes])
    if "defect of pytest-tfparity" in text:
        return "DEFECT", text
    if "the process that checked it ended" in text:
        return "CRASHED", text
    if "(`timeout`)" in text:
        return "ENDLESS", text
    return said(passed() if result.passed and passed is not None else result.verdict, text)


def said(fate: str, text: str) -> tuple[str, str]:
    return ("NOT PRINTABLE" if printable(text) != text else fate), text
