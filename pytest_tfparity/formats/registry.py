"""The formats that a side of a check can have. A new one is a file beside this one and an entry here."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from ..errors import SettingsError, did_you_mean, irregular
from .checkpoint import CheckpointFormat
from .format import Format, Role
from .frozen_graph import FrozenGraphFormat
from .keras import KerasFormat
from .onnx import OnnxFormat
from .saved_model import SavedModelFormat
from .tflite import TFLiteFormat

FORMATS: list[Format] = [
    CheckpointFormat(),
    FrozenGraphFormat(),
    SavedModelFormat(),
    KerasFormat(),
    TFLiteFormat(),
    OnnxFormat(),
]
"""In the order in which messages and pages list them."""


def format_of(word: str) -> Format:
    """The format that the manifest calls ``word``. Raises SettingsError if there is none."""
    for each in FORMATS:
        if each.word == word:
            return each
    known = [each.word for each in FORMATS]
    raise SettingsError(
        f"There is no format {word!r}.{did_you_mean(word, known)} There are {', '.join(known)}."
    )


def formats_for(role: Role) -> list[Format]:
    """The formats in the order in which they are likely on one side: those that usually stand there first."""
    return list(_likely(role, tuple(FORMATS)))


@lru_cache(maxsize=16)
def _likely(role: Role, formats: tuple[Format, ...]) -> tuple[Format, ...]:
    # Asked for some hundred times for each model of a manifest; formats may be added at any time.
    return tuple(sorted(formats, key=lambda each: each.usually != role))


def recognised(path: Path, role: Role) -> Format:
    """The format of ``path`` by what is in it; where no format knows it the one it :func:`resembles <resembled>`."""
    likely = formats_for(role)
    return next((each for each in likely if _recognises(each, path)), None) or resembled(path, role)


def resembled(path: Path, role: Role) -> Format:
    """The format that ``path`` was meant as, by its name; the likeliest of that side where that says nothing."""
    likely = formats_for(role)
    return next((each for each in likely if each.resembles(path)), likely[0])


def meant_format(path: Path, stated: Format, role: Role) -> Format | None:
    """The format that ``path`` has by what is in it, where that is not the ``stated`` one; None where none knows it.

    A folder in which there are files of models does not say which of them is meant.
    """
    if _recognises(stated, path):
        return None
    known = (each for each in formats_for(role) if each is not stated and _recognises(each, path))
    return next((each for each in known if each.is_folder or not path.is_dir()), None)


def _recognises(form: Format, path: Path) -> bool:
    """Whether ``form`` knows what lies at ``path``; of what cannot be read no format knows anything."""
    try:
        return not irregular(path) and form.recognises(path)
    except (OSError, ValueError):  # a name too long or with NUL in it, a file of /proc
        return False
