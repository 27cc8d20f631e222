"""A checkpoint and the graph to run it in, from its ``.meta`` or from a function that builds it."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelError, SettingsError, UnreadableFile
from ..graph import op_kinds as ops
from ..graph.graph import Array, DType, Graph, Tensor, TensorName
from ..graph.read.bundle import Bundle
from ..graph.read.checkpoints import checkpoint_file, checkpoint_text, find_checkpoint
from ..graph.read.graphdef import MetaGraph, parse_meta, read_meta
from ..graph.read.restore import RestoredKey, restored, restored_keys
from ..runtime.feeds import constants
from ..settings.resolve import ReferenceSpec
from .format import SessionKind

if TYPE_CHECKING:
    from ..graph.edit.pruning import Part
    from ..runtime.session import Sessions
    from ..runtime.tensor_reader import TensorReader


class Checkpoint:
    """The reference of a check. Read when first needed; run in sessions that stay open until ``close``.

    ``root`` is the folder that a builder is imported from. What a builder builds is taken as the
    ``.meta`` that it would have saved: from there on both are one road, and no graph ever holds both a
    rebuilt and an imported network. Raises SettingsError if the spec names both.
    """

    def __init__(self, spec: ReferenceSpec, root: Path) -> None:
        if spec.builder is not None and spec.meta is not None:
            raise SettingsError(
                f"The reference names both a builder ({spec.builder}) and a meta ({spec.meta}). One graph"
                " that is rebuilt and one that is imported are two networks, of which only one is restored:"
                " remove one of the two lines."
            )
        self.spec = spec
        self.root = root
        self.label = str(spec.checkpoint)

    def __repr__(self) -> str:
        return f"Checkpoint({self.label!r})"

    @cached_property
    def prefix(self) -> Path:
        """The checkpoint's prefix; of a folder, that of its latest. Raises ModelError."""
        return find_checkpoint(self.spec.checkpoint)

    @cached_property
    def bundle(self) -> Bundle:
        """The checkpoint's tensors, read without TensorFlow. Raises UnreadableFile, ModelError."""
        return Bundle(self.prefix)

    @cached_property
    def meta(self) -> MetaGraph:
        """Graph, saver and variables; a builder is run for it. Raises ModelError if there is no graph."""
        if self.spec.builder is not None:
            return parse_meta(self._meta_graph_def.SerializeToString(), self._graph_label)
        return read_meta(self._meta_path)

    @property
    def graph(self) -> Graph:
        """The whole graph. Raises UnreadableFile, ModelError."""
        return self.meta.graph

    @cached_property
    def feeds(self) -> Mapping[TensorName, np.ndarray[Any, Any]]:
        """The constant feeds, in their placeholders' dtypes. Raises FeedError."""
        return MappingProxyType(constants(self._meta.graph, self._graph_label, self.spec.feeds))

    @cached_property
    def keys(self) -> Mapping[str, RestoredKey]:
        """Variable node name to the tensor that it is restored from, by the ``ema`` of the spec."""
        return restored_keys(self.meta, self.spec.ema, self.bundle)

    @cached_property
    def restored(self) -> Mapping[str, Tensor]:
        """Variable node name to the value that the restore puts there, without those that are missing."""
        known = self.bundle.tensors
        return MappingProxyType(
            {name: restored(key, self.bundle) for name, key in self.keys.items() if key.key in known}
        )

    @property
    def variables(self) -> Mapping[str, Array]:
        """Variable name to restored value, read when asked for."""
        return _Values(self.restored)

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], *, session: SessionKind = "graph"
    ) -> dict[str, Array]:
        """See :meth:`.model.Model.run`; only the variables that the outputs need are restored.

        Raises ModelError if the checkpoint lacks one of them or holds it with another shape or dtype.
        """
        return self._sessions.run(inputs, outputs, session)

    def graph_def(self) -> Any:
        """The whole graph as a ``tf.compat.v1.GraphDef``; do not change it. Raises ModelError."""
        return self._meta_graph_def.graph_def

    def session(self, outputs: Sequence[str] | None = None) -> Any:
        """A ``tf.compat.v1.Session`` with the restored part that ``outputs`` need (None: all it can)."""
        return self._sessions.session(outputs)

    @property
    def open_bytes(self) -> int:
        """See :attr:`.model.Model.open_bytes`."""
        if "_sessions" not in self.__dict__:
            return 0
        index = checkpoint_file(self._run_prefix, ".index")
        return sum(path.stat().st_size for path in index.parent.glob(f"{glob.escape(index.stem)}.data-*"))

    def close(self) -> None:
        """Close the sessions and forget TensorFlow's copy of the graph."""
        if "_sessions" in self.__dict__:
            self.__dict__.pop("_sessions").close()
        if self.spec.builder is None:
            self.__dict__.pop("_meta_graph_def", None)

    @cached_property
    def _meta_graph_def(self) -> Any:
        from ..runtime.builder import build_meta_graph
        from ..runtime.protobuf import parse_meta_graph_def

        if self.spec.builder is not None:
            return build_meta_graph(self.spec.builder, self.root)
        return parse_meta_graph_def(self._meta_path)

    @property
    def _meta_path(self) -> Path:
        if self.spec.meta is not None:
            return self.spec.meta
        path = checkpoint_file(self._run_prefix, ".meta")
        if not path.is_file():
            raise ModelError(
                f"The checkpoint {checkpoint_text(self._run_prefix)} has no graph to run it in: there is no"
                f" {path.name}. Name another .meta under `meta`, a function that builds the graph under"
                " `builder`, or compare the weights alone with `compare: weights`."
            )
        return path

    @property
    def _graph_label(self) -> str:
        return f"the graph of builder {self.spec.builder}" if self.spec.builder else str(self._meta_path)

    # What only TensorFlow can read is read by TensorFlow once something is run.

    @cached_property
    def _run_prefix(self) -> Path:
        try:
            return self.prefix
        except UnreadableFile:
            return self.spec.checkpoint

    @cached_property
    def _run_bundle(self) -> Bundle | TensorReader:
        try:
            return self.bundle
        except UnreadableFile:
            from ..runtime.tensor_reader import TensorReader

            return TensorReader(self._run_prefix)

    @cached_property
    def _meta(self) -> MetaGraph:
        try:
            return self.meta
        except UnreadableFile:
            return parse_meta(self._meta_graph_def.SerializeToString(), self._graph_label)

    @cached_property
    def _run_keys(self) -> Mapping[str, RestoredKey]:
        return restored_keys(self._meta, self.spec.ema, self._run_bundle)  # type: ignore[arg-type]

    @cached_property
    def _sessions(self) -> Sessions:
        from ..runtime.session import Sessions, Source

        return Sessions(
            Source(
                label=self._graph_label,
                graph=self._meta.graph,
                graph_def=self.graph_def,
                constants=self.feeds,
                check=self._check,
                restore=self._restore,
                producer_ops=self._producer_ops,
            )
        )

    def _producer_ops(self) -> Any:
        ops_list = self._meta_graph_def.meta_info_def.stripped_op_list
        return ops_list if ops_list.op else None

    def _check(self, part: Part) -> None:
        from .restorable import require_fit

        require_fit(
            part,
            self._run_keys,
            self._run_bundle.tensors,
            checkpoint=checkpoint_text(self._run_prefix),
            graph=self._graph_label,
        )

    def _restore(self, session: Any, part: Part) -> None:
        """Restore the part's variables by ops of our own: nothing of the graph's own saver is run."""
        from ..runtime.tensorflow import tensorflow

        tf = tensorflow()
        live = {
            name: self._run_keys[name]
            for name, node in part.nodes.items()
            if node.op in ops.VARIABLES
            and name in self._run_keys
            and self._run_keys[name].key in self._run_bundle.tensors
        }
        if not live:
            return
        with session.graph.as_default():
            values = tf.raw_ops.RestoreV2(
                prefix=checkpoint_text(self._run_prefix),
                tensor_names=[key.key for key in live.values()],
                shape_and_slices=[key.slice for key in live.values()],
                dtypes=[_dtype(tf, part, name) for name in live],
            )
            assigns = [
                _assign(tf, session.graph.get_tensor_by_name(f"{name}:0"), value, key)
                for (name, key), value in zip(live.items(), values, strict=True)
            ]
        session.run(assigns)


class _Values(Mapping[str, Array]):
    """Restored values by variable name, each read when asked for."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> Array:
        return self._tensors[name].array

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        return f"<{len(self)} variables: {', '.join(list(self)[:5])}{', ...' if len(self) > 5 else ''}>"


def _dtype(tf: Any, part: Part, name: str) -> Any:
    dtype = part.nodes[name].attrs["dtype"]
    assert isinstance(dtype, DType)
    return tf.as_dtype(dtype.number)


def _assign(tf: Any, variable: Any, value: Any, key: RestoredKey) -> Any:
    if key.shape is not None:
        value = tf.reshape(value, key.shape)
    if variable.dtype == tf.resource:
        return tf.raw_ops.AssignVariableOp(resource=variable, value=value)
    return tf.raw_ops.Assign(ref=variable, value=value, validate_shape=False).op
