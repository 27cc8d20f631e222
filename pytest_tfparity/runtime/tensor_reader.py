"""A checkpoint as TensorFlow reads it, for the formats that our own reader leaves to TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..graph.graph import DType, Tensor
from ..graph.read.checkpoints import checkpoint_text
from .importing import first_line
from .tensorflow import tensorflow


class TensorReader:
    """The tensors of a checkpoint by name, as :class:`..graph.bundle.Bundle` has them. V1 format included.

    Raises ModelError if TensorFlow cannot read it either.
    """

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        tf = tensorflow()
        try:
            self._reader: Any = tf.train.load_checkpoint(checkpoint_text(prefix))
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"TensorFlow cannot read the checkpoint {prefix}: {first_line(error)}."
            ) from None
        dtypes = self._reader.get_variable_to_dtype_map()
        self.tensors: Mapping[str, Tensor] = {
            name: Tensor(
                DType(dtypes[name].as_datatype_enum), tuple(shape), partial(self._reader.get_tensor, name)
            )
            for name, shape in self._reader.get_variable_to_shape_map().items()
        }

    def close(self) -> None:
        """Let go of the reader."""
        self._reader = None
