"""ONNX Runtime, imported when it is first needed: an ONNX file opened and run on the processor."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelError, RuntimeMissing
from ..graph.graph import Array
from ..graph.read.wire import bytes_field
from . import may_run

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTALL = 'python -m pip install "pytest-tfparity[onnx]"'
_MOST_THREADS = 4
_SEVERITY = 4
"""Only what ends the process is written to the terminal: what it refuses it also raises."""
_PLACE = re.compile(
    r"^Load model from .*? failed: ?(?:/\S+\.(?:h|cc):\d+ .*?\) )?|^/\S+\.(?:h|cc):\d+ .*?\) "
)
"""The file, which is named already, and where in the code of the runtime something was refused."""
_FOLDER = "session.model_external_initializers_file_folder_path"


def onnx_runtime() -> Any:
    """The module ``onnxruntime``. Raises RuntimeMissing."""
    may_run()
    try:
        import onnxruntime
    except Exception as error:  # a broken install raises anything
        reason = "" if isinstance(error, ModuleNotFoundError) else f" ({type(error).__name__}: {error})"
        raise RuntimeMissing(
            f"Running an ONNX file needs ONNX Runtime, which cannot be imported{reason}. Install it: {INSTALL}"
        ) from None
    return onnxruntime


class OnnxSession:
    """A file in ONNX Runtime. ``also`` are tensors that it gives beside its outputs; without its optimiser then."""

    def __init__(self, path: Path, label: str, *, also: Collection[str] = ()) -> None:
        module = onnx_runtime()
        self._label = label
        options = module.SessionOptions()
        options.intra_op_num_threads = min(os.cpu_count() or 1, _MOST_THREADS)
        options.log_severity_level = _SEVERITY
        if also:
            options.graph_optimization_level = module.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.add_session_config_entry(_FOLDER, str(path.parent.resolve()))
        with self._told("open"):
            model = _with_outputs(path.read_bytes(), also) if also else str(path)
            self._session = module.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            self._types = {each.name: each.type for each in self._session.get_inputs()}

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """The values of ``outputs`` for ``feeds``, all by the file's names; 16 bits widened. Raises ModelError."""
        given = {
            name: value.astype(np.float16) if self._types.get(name) == "tensor(float16)" else value
            for name, value in feeds.items()
        }
        with self._told("run"):
            found = self._session.run(list(outputs), given)
        values = {}
        for name, value in zip(outputs, found, strict=True):
            if not isinstance(value, np.ndarray):
                raise ModelError(
                    f"{name} of {self._label} is no tensor but a {type(value).__name__}, which nothing can be"
                    " compared with."
                )
            values[name] = value.astype(np.float32) if value.dtype == np.float16 else value
        return values

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Turn what ONNX Runtime raises, which has no class in common, into a sentence."""
        try:
            yield
        except (ModelError, MemoryError):
            raise
        except Exception as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            said = lines[0].rpartition(" : ")[2].rpartition(" , Error ")[2].strip().rstrip(".")
            said = _PLACE.sub("", said, count=1)
            raise ModelError(f"ONNX Runtime does not {what} {self._label}: {said}.") from None


def _with_outputs(model: bytes, names: Collection[str]) -> bytes:
    """A serialized model whose graph has further outputs: messages that follow one another are one message."""
    graph = b"".join(bytes_field(12, bytes_field(1, name.encode())) for name in names)
    return model + bytes_field(7, graph)
