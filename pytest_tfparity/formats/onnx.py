"""An ONNX file: what converters write for other runtimes; run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError
from .format import Format, SideSpec
from .section import Key, Section

if TYPE_CHECKING:
    from .onnx_model import OnnxFile


class OnnxFormat(Format):
    """A file of ONNX, with its external data if it has such."""

    section = Section(
        name="onnx",
        description="an ONNX file",
        keys=(Key("onnx", "path", "The ONNX file; its external data lies beside it."),),
    )
    noun = "ONNX file"
    usually = "export"
    suffixes = (".onnx",)

    def open(self, spec: SideSpec, root: Path) -> OnnxFile:
        """See :meth:`.format.Format.open`."""
        from .onnx_model import OnnxFile

        return OnnxFile(spec.path, feeds=spec.feeds)

    def recognises(self, path: Path) -> bool:
        """Whether the file is an ONNX model by its messages."""
        from ..graph.read.mapped import mapped
        from ..graph.read.onnx import is_onnx

        try:
            return is_onnx(mapped(path, self.noun))
        except ModelError:
            return False
