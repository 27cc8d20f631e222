"""A TFLite file: what converters write for phones and microcontrollers; run by LiteRT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError
from .format import Format, SideSpec
from .section import Key, Section

if TYPE_CHECKING:
    from .tflite_model import TFLiteFile


class TFLiteFormat(Format):
    """A file of LiteRT, in floats or integers."""

    section = Section(
        name="tflite",
        description="a TFLite file",
        keys=(
            Key("tflite", "path", "The TFLite file."),
            Key(
                "signature",
                "text",
                "The signature that is compared.",
                default="serving_default, or the only one",
            ),
        ),
    )
    noun = "TFLite file"
    usually = "export"
    suffixes = (".tflite",)

    def open(self, spec: SideSpec, root: Path) -> TFLiteFile:
        """See :meth:`.format.Format.open`."""
        from .tflite_model import TFLiteFile

        return TFLiteFile(spec.path, feeds=spec.feeds, **spec.options)

    def recognises(self, path: Path) -> bool:
        """Whether the file says that it is one."""
        from ..graph.read.mapped import mapped
        from ..graph.read.tflite import is_tflite

        try:
            return is_tflite(mapped(path, self.noun))
        except ModelError:
            return False
