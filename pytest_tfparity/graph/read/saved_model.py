"""``saved_model.pb``: one of its graphs, chosen by tags, with signatures, initialisers and assets.

Read without TensorFlow; large constants are views of the mapped file. Format: ``saved_model.proto`` and
``meta_graph.proto`` of tensorflow/core/protobuf. What a loader runs after it has restored the variables is found as
``GetInitOp`` finds it (tensorflow/cc/saved_model/loader_util.cc).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from ...errors import ModelError, did_you_mean, neighbours
from ..graph import DType, Shape, TensorName, tensor_name
from . import messages
from .file_kind import FileKind, kind_of
from .graphdef import MetaGraph, guarded, meta_graph
from .mapped import foreign_format, is_text, mapped
from .tensors import shape_of
from .wire import BYTES, fields

SERVE = ("serve",)
"""The tags of the graph that servers load, where nothing else is said."""
SERVING = "serving_default"
"""The signature that servers answer with, where nothing else is said."""
_INITIALISE = "__saved_model_init_op"
_INITIALISERS = ("saved_model_main_op", "legacy_init_op")
_FILES = ("saved_model.pb", "saved_model.pbtxt")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureTensor:
    """A tensor of a signature: where it is in the graph, and what it is."""

    tensor: TensorName
    dtype: DType
    shape: Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a server can be asked: tensors by the names that it has for them.

    ``composite`` are the inputs and outputs that are several tensors (sparse ones, for example).
    """

    inputs: Mapping[str, SignatureTensor]
    outputs: Mapping[str, SignatureTensor]
    composite: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedGraph:
    """One graph of a SavedModel. ``version`` is the TensorFlow that wrote it, empty if it does not say.

    ``initialisers`` are the nodes that a loader runs once the variables are restored, ``assets`` the tensors that it
    feeds meanwhile with the path of a file.
    """

    meta: MetaGraph
    signatures: Mapping[str, Signature]
    version: str
    initialisers: tuple[str, ...]
    assets: Mapping[TensorName, str]


def saved_model_file(folder: Path) -> Path | None:
    """The file of a SavedModel that holds its graphs; None if the folder has none."""
    return next((path for name in _FILES if (path := folder / name).is_file()), None)


def read_saved_model(folder: Path, tags: Sequence[str] = SERVE) -> SavedGraph:
    """The graph that has just these ``tags``.

    Raises ModelError if ``folder`` holds no SavedModel, one that is damaged, or no such graph.
    """
    path = saved_model_file(folder)
    if path is None:
        raise ModelError(f"{folder} is no SavedModel{not_a_saved_model(folder)}")
    source = str(path)
    view = _binary(mapped(path, "SavedModel"), source)
    return guarded(view, source, lambda: _chosen(view, source, tags))


def is_part_of_saved_model(path: Path) -> bool:
    """Whether ``path`` is the file of a SavedModel, or a folder that holds several SavedModels or a part of one."""
    if not path.is_dir():
        return path.name in _FILES
    parts = ("variables", "fingerprint.pb", "keras_metadata.pb")
    return any((path / part).exists() for part in parts) or any(path.glob("*/saved_model.pb*"))


def not_a_saved_model(folder: Path) -> str:
    """Why a folder is no SavedModel, and what to do: the rest of a sentence."""
    if not folder.exists():
        return f": there is no such folder.{did_you_mean(folder.name, neighbours(folder), 2)}"
    if not folder.is_dir():
        return ": it is a file; name the folder that holds saved_model.pb."
    within = sorted(path.parent.name for name in _FILES for path in folder.glob(f"*/{name}"))
    if within:
        return (
            f": it has no saved_model.pb, but {', '.join(within[:3])} in it"
            f" {'have' if len(within) > 1 else 'has'} one; name that folder."
        )
    if (folder / "fingerprint.pb").is_file():
        return (
            ": of one it has only fingerprint.pb, which identifies a model and holds none; copy the whole folder"
            " (saved_model.pb, variables, assets)."
        )
    if (folder / "keras_metadata.pb").is_file() or (folder / "variables").is_dir():
        return ": saved_model.pb is missing in it; copy the whole folder."
    return ": it has no saved_model.pb. Write one with model.export(...) or tf.saved_model.save(...)."


def _binary(view: memoryview, source: str) -> memoryview:
    if kind_of(view) is FileKind.SAVED_MODEL:
        return view
    if foreign_format(view) is None and is_text(view):
        message = messages.SavedModel()
        try:
            text_format.Parse(bytes(view).decode("utf-8"), message, allow_unknown_field=True)
            return memoryview(message.SerializeToString())
        except (text_format.ParseError, ValueError, RecursionError):
            pass
    found = foreign_format(view) or (kind_of(view) or FileKind.SAVED_MODEL).value
    if found == FileKind.SAVED_MODEL.value:
        raise ModelError(f"{source} is no SavedModel: it is damaged or truncated. Write or copy it again.")
    raise ModelError(f"{source} is {found}, not a SavedModel.")


def _chosen(view: memoryview, source: str, tags: Sequence[str]) -> SavedGraph:
    known = []
    for field in fields(view, 0, len(view)):
        if field.number == 2 and field.wire == BYTES:
            part = view[field.start : field.end]
            raw = _without_graph(part)
            found = tuple(raw.meta_info_def.tags)
            if set(found) == set(tags):
                return _saved_graph(part, raw, source)
            known.append(found)
    if not known:
        raise ModelError(f"{source} holds no graph. Write the SavedModel again.")
    there = ", ".join(f"[{', '.join(found)}]" for found in known)
    raise ModelError(
        f"{source} has no graph with the tags [{', '.join(tags)}]. Name under `tags` those of one that it has:"
        f" {there}."
    )


def _without_graph(view: memoryview) -> Any:
    """The small fields of a MetaGraphDef; of ``meta_info_def`` tags and version alone, not the ops."""
    rest = bytearray()
    for field in fields(view, 0, len(view)):
        if field.number in (1, 3, 4, 5, 6):
            rest += view[field.begin : field.end]
    return messages.RawMetaGraphDef.FromString(bytes(rest))


def _saved_graph(view: memoryview, raw: Any, source: str) -> SavedGraph:
    signatures = {
        name: _signature(raw.signature_def[name]) for name in raw.signature_def if name != _INITIALISE
    }
    return SavedGraph(
        meta=meta_graph(view, source),
        signatures=dict(sorted(signatures.items())),
        version=raw.meta_info_def.tensorflow_version,
        initialisers=_initialisers(raw),
        assets={tensor_name(each.tensor_info.name): each.filename for each in raw.asset_file_def},
    )


def _signature(raw: Any) -> Signature:
    composite = [name for infos in (raw.inputs, raw.outputs) for name, info in infos.items() if not info.name]
    return Signature(
        inputs=_tensors(raw.inputs), outputs=_tensors(raw.outputs), composite=tuple(sorted(composite))
    )


def _tensors(infos: Any) -> dict[str, SignatureTensor]:
    return {
        name: SignatureTensor(
            tensor=tensor_name(info.name), dtype=DType(info.dtype), shape=shape_of(info.tensor_shape)
        )
        for name, info in sorted(infos.items())
        if info.name
    }


def _initialisers(raw: Any) -> tuple[str, ...]:
    if _INITIALISE in raw.signature_def:
        outputs = raw.signature_def[_INITIALISE].outputs
        return tuple(tensor_name(info.name).node for info in outputs.values() if info.name)
    for name in _INITIALISERS:
        if name in raw.collection_def:
            return tuple(tensor_name(each).node for each in raw.collection_def[name].node_list.value)
    return ()
