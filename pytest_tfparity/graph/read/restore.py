"""Which value of the checkpoint each variable of a graph is restored from.

A ``.meta`` says it in its own graph: the saver's restore op controls Assign ops, whose values come from
``RestoreV2``. That wiring is followed, so that a saver that maps names (moving averages onto
variables, another scope's names) is understood as it is. Partitioned variables, ``sharded=True`` and
``reshape=True`` included. Values that the saver computes on the way (a fused RNN's parameters, for
one) are left out: such a variable has no known value, so nothing is proven of it.

Resource variables are saved under the name of their node in graphs of ``tf.compat.v1``, as others
are; ``shared_name`` plays no part (``op_list_to_dict`` in tensorflow/python/training/saving/
saveable_object_util.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TypeAlias

from ...errors import ModelError, did_you_mean, shown_path
from ...wording import counted, enumerated
from .. import ops
from ..graph import Array, Graph, Node, Tensor, TensorName, tensor_name
from ..references import References
from ..signatures import REFERENCE, types_of
from ..variables import Storage, storage_of
from .bundle import Bundle
from .checkpoints import checkpoint_text
from .graphdef import MetaGraph, Saver, Variable

Ema: TypeAlias = str | tuple[str, ...] | None
"""``"none"``, ``"trainable"``, ``"all"``, patterns of variable names, or None: what the saver restores.

``"undecided"``: nobody has said it yet, so nothing is restored.
"""

SHADOW = "/ExponentialMovingAverage"
"""What ``tf.train.ExponentialMovingAverage`` appends to a variable's name for its moving average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredKey:
    """A value of the checkpoint: the tensor ``key``, of it the part ``slice`` (empty: the whole).

    ``shape`` is given where the saver reshapes the value (``Saver(reshape=True)``).
    """

    key: str
    slice: str = ""
    shape: tuple[int, ...] | None = None


def restored_keys(meta: MetaGraph, ema: Ema, bundle: Bundle) -> Mapping[str, RestoredKey]:
    """Variable node name to what it is restored from, whether the checkpoint has it or not.

    ``ema`` None follows the saver; without a saver every variable is restored under its own name.
    Otherwise each variable takes its own name's value (if the checkpoint lacks that and the saver
    knows another name, that one's) or its moving average: ``"none"`` no variable, ``"trainable"``
    those of the collection ``trainable_variables``, ``"all"`` every one that has an average in the
    checkpoint, patterns those whose node name matches
    one (what hangs on a variable, as its average and optimiser slots do, is matched by its whole name alone).

    Raises ModelError if a variable that should take its average has none in the checkpoint, if a
    pattern matches no variable, if there are no averages at all, no trainable variables are known, or if it is
    undecided.
    """
    if ema == "undecided":
        raise ModelError(averages_of(meta, bundle).question)
    wired = saver_keys(meta.graph, meta.saver) if meta.saver else {}
    if ema is None and meta.saver:
        return wired
    keys = {name: _own_key(name, own, wired, bundle) for name, own in _own_keys(meta).items()}
    if ema is None or ema == "none":
        return keys
    shadows = _Shadows(bundle)
    averaged = {name: shadows.key(own) for name, own in _own_keys(meta).items()}
    for name in _chosen(meta, ema, keys, averaged, bundle):
        shadow = averaged[name]
        if shadow is not None:
            keys[name] = shadow
    return keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Averages:
    """What checkpoint and meta graph say of moving averages, by themselves.

    ``held`` are the variables that have one in the checkpoint, ``applied`` those of them that the saver gives it,
    ``word`` the value of ``ema`` that says the same as the saver, None where none does.
    """

    held: tuple[str, ...]
    applied: tuple[str, ...]
    word: str | None
    checkpoint: str

    @property
    def question(self) -> str:
        """What to write, in one line, and what is known, in another."""
        checkpoint = shown_path(Path(self.checkpoint))
        if not self.held:
            return f"Leave out `ema`, or write `ema: none`: the checkpoint {checkpoint} holds no moving averages."
        return (
            "Which weights are right? State `ema: trainable` or `ema: none`.\n"
            f"The checkpoint {checkpoint} holds moving averages of {counted(len(self.held), 'variable')}"
            f" ({enumerated(list(self.held))}) beside the raw values, and nothing in its meta graph says"
            " which of the two are meant to be exported. Write `ema: trainable` if the averages are, `ema: none` if"
            " they are not."
        )


def averages_of(meta: MetaGraph, bundle: Bundle, among: Iterable[str] | None = None) -> Averages:
    """The moving averages of the variables ``among`` (default: all), and what the saver does with them.

    A saver that maps an average onto a variable was made to do so. One that restores every variable under its own
    name says nothing: that is how training saves and resumes.
    """
    wanted = None if among is None else set(among)
    own = {name: key for name, key in _own_keys(meta).items() if wanted is None or name in wanted}
    shadows = _Shadows(bundle)
    held = [name for name, key in own.items() if key.key in bundle.tensors and shadows.key(key) is not None]
    wired = saver_keys(meta.graph, meta.saver) if meta.saver else {}
    applied = [name for name in held if wired.get(name) == shadows.key(own[name])]
    return Averages(
        held=tuple(held),
        applied=tuple(applied),
        word=_word_for({name: wired.get(name) for name in own}, meta, bundle) if applied else None,
        checkpoint=checkpoint_text(bundle.prefix),
    )


def _word_for(wired: Mapping[str, RestoredKey | None], meta: MetaGraph, bundle: Bundle) -> str | None:
    """The value of ``ema`` under which the variables get what the saver gives them."""
    for word in ("trainable", "all"):
        try:
            keys = restored_keys(meta, word, bundle)
        except ModelError:
            continue
        if all(keys.get(name) == key for name, key in wired.items()):
            return word
    return None


def restored(key: RestoredKey, bundle: Bundle) -> Tensor:
    """The value that ``key`` stands for, read when asked for."""
    whole = bundle.tensors[key.key]
    shape = _part_shape(key.slice) if key.slice else None
    if shape is None and key.shape in (None, whole.shape):
        return whole
    return Tensor(
        whole.dtype, key.shape or (whole.shape if shape is None else shape), partial(_read, key, bundle)
    )


def _part_shape(part: str) -> tuple[int, ...] | None:
    """The shape of a part of a tensor, spelt as RestoreV2 spells it; None of the whole."""
    from .slices import resolved, slice_shape, slice_spec  # late: most checkpoints hold no part of a tensor

    spec = slice_spec(part)
    return slice_shape(resolved(spec.place, spec.shape)) if spec else None


def _read(key: RestoredKey, bundle: Bundle) -> Array:
    value = bundle.read_slice(key.key, key.slice)
    if key.shape is None:
        return value
    try:
        return value.reshape(key.shape)
    except ValueError:
        raise ModelError(
            f"The saver restores {key.key!r} with shape {list(key.shape)}, and the checkpoint"
            f" {checkpoint_text(bundle.prefix)} holds it with shape {list(value.shape)}."
        ) from None


def saver_keys(graph: Graph, saver: Saver) -> dict[str, RestoredKey]:
    """Variable node name to what the saver's restore op puts there.

    A variable is left out that anything else writes, too, while the restore op runs, and every one where a
    conditional decides what runs. Raises ModelError if the restore op is not in the graph.
    """
    start = tensor_name(saver.restore_op).node
    if start not in graph.nodes:
        raise ModelError(
            f"The saver of {saver.source} restores through {start!r}, which is not in its graph."
            f"{did_you_mean(start, graph.nodes)}"
        )
    run = run_by(graph, start)
    if any(node.op in ops.SWITCHES for node in run):
        return {}
    references = References(graph.nodes.get, graph.functions)
    if any(_reads_a_variable(graph, node) for node in run):
        return {}  # a variable that may have no value yet, or another than it will have
    # One restore op reads thousands of variables: its names are taken apart once, not once for each.
    lists: dict[str, _Lists] = {}
    given: dict[str, RestoredKey] = {}
    stored: dict[Storage, set[RestoredKey | None]] = {}
    for writer in filter(None, map(references.writer, run)):
        if writer.anything:
            return {}
        variable, key = _assigned(graph, writer.node, lists)
        for storage in writer.storages:
            stored.setdefault(storage, set()).add(key)
        if variable is not None and key is not None:
            given[variable] = key
    # What two writers give one variable depends on their order, which is not looked at.
    return {name: key for name, key in given.items() if stored[storage_of(graph.nodes[name])] == {key}}


def _assigned(graph: Graph, writer: Node, lists: dict[str, _Lists]) -> tuple[str | None, RestoredKey | None]:
    """The variable that ``writer`` assigns a value of the checkpoint to, and which; None where it does otherwise."""
    if writer.op not in ops.ASSIGNS or len(writer.inputs) < 2:
        return None, None
    variable = _through(graph, writer.inputs[0])
    if variable is None or variable.op not in ops.VARIABLES:
        return None, None
    return variable.name, _restored_from(graph, writer.inputs[1], lists)


def _reads_a_variable(graph: Graph, node: Node) -> bool:
    """Whether ``node`` takes the value of a variable."""
    if node.op in ops.READS:
        return True
    types = types_of(node.op, node.attrs)
    given = types[0] if types is not None else ()
    return any(
        source.node in graph.nodes
        and graph.nodes[source.node].op in ops.REFERENCE_VARIABLES
        and number < REFERENCE
        for source, number in zip(node.inputs, given, strict=False)
    )


def run_by(graph: Graph, start: str) -> list[Node]:
    """Every node that runs with ``start``: what it and they read or wait for."""
    seen, stack = {start}, [start]
    found: list[Node] = []
    while stack:
        node = graph.nodes.get(stack.pop())
        if node is None:
            continue
        found.append(node)
        fresh = [
            name for name in (*node.controls, *(source.node for source in node.inputs)) if name not in seen
        ]
        seen.update(fresh)
        stack.extend(fresh)
    return found


def _through(graph: Graph, source: TensorName) -> Node | None:
    """The node that ``source`` comes from, identities skipped."""
    node = graph.nodes.get(source.node)
    while node is not None and node.op in ops.IDENTITIES and node.inputs:
        node = graph.nodes.get(node.inputs[0].node)
    return node


_Lists: TypeAlias = tuple[list[str], list[str]]
"""Names and slices that a restore op reads, in the order of its outputs."""


def _restored_from(graph: Graph, source: TensorName, lists: dict[str, _Lists]) -> RestoredKey | None:
    """What a value comes from, followed back through Identity and Reshape to the op that reads it."""
    shape: tuple[int, ...] | None = None
    while (node := graph.nodes.get(source.node)) is not None and node.inputs:
        if node.op == "Reshape" and len(node.inputs) == 2:
            target = _constant(graph, node.inputs[1])
            if target is None or (target.size and target.min() < 0):
                return None
            # The last reshape is the one that is met first.
            shape = tuple(int(dim) for dim in target.ravel()) if shape is None else shape
        elif node.op not in ops.IDENTITIES:
            if node.name not in lists:
                lists[node.name] = _read_by(graph, node)
            names, slices = lists[node.name]
            if source.port >= min(len(names), len(slices)):
                return None
            return RestoredKey(key=names[source.port], slice=slices[source.port], shape=shape)
        source = node.inputs[0]
    return None


def _read_by(graph: Graph, node: Node) -> _Lists:
    """What each output of a restore op is; nothing if the op is none, or its names are not constant."""
    if node.op not in ops.RESTORES or len(node.inputs) < 2:
        return [], []
    names = _strings(graph, node.inputs[1])
    return names, _strings(graph, node.inputs[2]) if len(node.inputs) > 2 else [""] * len(names)


def _constant(graph: Graph, source: TensorName) -> Array | None:
    node = _through(graph, source)
    value = node.attrs.get("value") if node is not None and node.op == "Const" else None
    return value.array if isinstance(value, Tensor) else None


def _strings(graph: Graph, source: TensorName) -> list[str]:
    value = _constant(graph, source)
    if value is None or value.dtype != object:
        return []
    return [item.decode("utf-8", "surrogateescape") for item in value.ravel().tolist()]


def _own_keys(meta: MetaGraph) -> dict[str, RestoredKey]:
    """Every variable of the graph under its own name; parts of a partitioned one under the whole's."""
    known: dict[str, Variable] = {variable.name: variable for variable in meta.variables}
    keys = {}
    for node in meta.graph.nodes.values():
        if node.op in ops.VARIABLES:
            variable = known.get(node.name)
            partitioned = variable is not None and variable.full_name
            keys[node.name] = (
                RestoredKey(key=variable.full_name, slice=variable.slice)
                if variable is not None and partitioned
                else RestoredKey(key=node.name)
            )
    return keys


def _own_key(name: str, own: RestoredKey, wired: Mapping[str, RestoredKey], bundle: Bundle) -> RestoredKey:
    """A variable's own key; the saver's if the checkpoint knows only that, unless it is an average."""
    saved = wired.get(name)
    if own.key in bundle.tensors or saved is None:
        return own
    if saved.key not in bundle.tensors or saved.key.endswith(SHADOW):
        return own
    return saved


class _Shadows:
    """The moving averages of a checkpoint, found by the name of what they average.

    An average that was made inside a variable scope carries the scope's name twice
    (``net/net/w/ExponentialMovingAverage``): it is found by the end of its name, provided that no
    variable is named so and that no other average ends the same way.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._keys = bundle.tensors
        self._orphans: dict[str, list[str]] = {}
        for key in bundle.tensors:
            stem = key[: -len(SHADOW)] if key.endswith(SHADOW) else ""
            if stem and stem not in bundle.tensors:
                parts = stem.split("/")
                for start in range(1, len(parts)):
                    self._orphans.setdefault("/".join(parts[start:]), []).append(key)

    def key(self, own: RestoredKey) -> RestoredKey | None:
        """Where the average of the variable that is saved as ``own`` lies; None if there is none."""
        direct = own.key + SHADOW
        found = [direct] if direct in self._keys else self._orphans.get(own.key, [])
        return RestoredKey(key=found[0], slice=own.slice) if len(found) == 1 else None


def _chosen(
    meta: MetaGraph,
    ema: Ema,
    keys: Mapping[str, RestoredKey],
    averaged: Mapping[str, RestoredKey | None],
    bundle: Bundle,
) -> list[str]:
    """The variables that take their average. Raises ModelError if one of them cannot."""
    where = f"the checkpoint {checkpoint_text(bundle.prefix)}"
    if ema == "all":
        chosen = [name for name in keys if averaged[name] is not None]
        if not chosen:
            raise ModelError(
                f"`ema: all` asks for moving averages, and {where} holds none"
                f" (no tensor NAME{SHADOW} for a variable NAME). Leave `ema` out or set it to none."
            )
        return chosen
    if ema == "trainable":
        chosen = _trainable(meta, keys, averaged, bundle)
    else:
        chosen = _matching((ema,) if isinstance(ema, str) else ema or (), keys, where)
    lacking = [name for name in chosen if averaged[name] is None]
    if lacking:
        raise ModelError(
            f"`ema` asks for the moving averages of {len(chosen)} variables, and {where} has none for"
            f" {len(lacking)} of them: {enumerated(lacking)}. Name those that have one with patterns, or use"
            " `ema: all` for every average that there is."
        )
    return chosen


def _trainable(
    meta: MetaGraph,
    keys: Mapping[str, RestoredKey],
    averaged: Mapping[str, RestoredKey | None],
    bundle: Bundle,
) -> list[str]:
    """The trainable variables that the checkpoint knows, raw or averaged."""
    if not meta.trainable:
        raise ModelError(
            f"For the checkpoint {checkpoint_text(bundle.prefix)}: `ema: trainable` needs the collection"
            " trainable_variables, which the meta graph does not have."
            " Name the variables with patterns instead, such as ema: ['*/kernel', '*/bias']."
        )
    known = [name for name in keys if name in meta.trainable]
    return [name for name in known if averaged[name] is not None or keys[name].key in bundle.tensors]


def _matching(patterns: Iterable[str], names: Iterable[str], where: str) -> list[str]:
    """The variables that the patterns mean, and not their averages and optimiser slots (``w/Adam``).

    ``where`` is the checkpoint, for messages.
    """
    known = dict.fromkeys(names)
    own = [name for name in known if not any(parent in known for parent in _parents(name))]
    chosen: dict[str, None] = {}
    for pattern in patterns:
        matched = [pattern] if pattern in known else [name for name in own if fnmatchcase(name, pattern)]
        if not matched:
            raise ModelError(
                f"For {where}: the `ema` pattern {pattern!r} matches no variable of the graph."
                f"{did_you_mean(pattern, known)}"
            )
        chosen.update(dict.fromkeys(matched))
    return list(chosen)


def _parents(name: str) -> Iterator[str]:
    """``"a/b/c"`` as ``"a/b"``, ``"a"``: the names that it stands under."""
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name
