"""A checkpoint and the graph to run it in, from its ``.meta`` or from a function that builds it."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..errors import (
    ModelError,
    NotThere,
    SettingsError,
    UnreadableFile,
    did_you_mean,
    folder_of,
    missing_file,
    neighbours,
)
from ..graph import ops
from ..graph.graph import Array, Graph, Tensor, TensorName
from ..graph.read.bundle import OBJECT_GRAPH, Bundle, shard_count
from ..graph.read.checkpoints import (
    MOST_NEARBY,
    checkpoint_file,
    checkpoint_text,
    find_checkpoint,
    latest_named,
    other_checkpoints,
)
from ..graph.read.graphdef import MetaGraph, parse_meta, read_meta
from ..graph.read.restore import Averages, Ema, RestoredKey, averages_of, restored, restored_keys
from ..runtime.feeds import constant_feeds
from .format import Decision, Exclusive, FeedValue, Format, SideSpec, WrongFile
from .model import GraphModel, HasWeights, Model
from .section import Key, Section

if TYPE_CHECKING:
    from ..graph.edit.pruning import Part
    from ..remote.fetch import Fetch
    from ..runtime.session import Source
    from ..runtime.tensor_reader import TensorReader

_FILE_OF_CHECKPOINT = re.compile(r"(?P<prefix>.+)\.(index|meta|data-\d+-of-\d+)")


class Checkpoint(GraphModel, HasWeights):
    """A checkpoint. Read when first needed; run in sessions that stay open until ``close``.

    The graph comes from ``meta`` (default: ``PREFIX.meta``) or from ``builder`` (``"module:function"``, imported
    with ``root`` on the path). What a builder builds is taken as the ``.meta`` that it would have saved: no
    graph ever holds both a rebuilt and an imported network. ``ema`` says which variables take their
    moving average, as :func:`~pytest_tfparity.graph.read.restore.restored_keys` takes it. Raises SettingsError if
    both a builder and a meta are given.
    """

    noun = "checkpoint"

    def __init__(
        self,
        path: Path,
        root: Path,
        *,
        meta: Path | None = None,
        builder: str | None = None,
        ema: Ema = None,
        feeds: Mapping[str, FeedValue] = MappingProxyType({}),
    ) -> None:
        if builder is not None and meta is not None:
            raise SettingsError(
                f"The reference names both a builder ({builder}) and a meta ({meta}). One graph"
                " that is rebuilt and one that is imported are two networks, of which only one is restored:"
                " remove one of the two lines."
            )
        self.label = str(path)
        self.ema = ema
        self._stated_path = path
        self._root = root
        self._stated_meta = meta
        self._builder = builder
        self._stated_feeds = feeds

    def __repr__(self) -> str:
        return f"Checkpoint({self.label!r})"

    @property
    def path(self) -> Path:
        """The checkpoint's prefix. Raises ModelError."""
        return self.prefix

    @property
    def graph_noun(self) -> str:
        """The graph is not the checkpoint itself."""
        return "checkpoint's graph"

    @cached_property
    def prefix(self) -> Path:
        """The checkpoint's prefix; of a folder, that of its latest. Raises ModelError."""
        return find_checkpoint(self._stated_path)

    @cached_property
    def bundle(self) -> Bundle:
        """The checkpoint's tensors, read without TensorFlow. Raises UnreadableFile, ModelError."""
        return Bundle(self.prefix)

    @cached_property
    def meta(self) -> MetaGraph:
        """Graph, saver and variables; a builder is run for it. Raises ModelError if there is no graph."""
        if self._builder is not None:
            return parse_meta(self._meta_graph_def.SerializeToString(), self._graph_label)
        return read_meta(self._meta_path)

    @property
    def graph(self) -> Graph:
        """The whole graph. Raises UnreadableFile, ModelError."""
        return self.meta.graph

    @property
    def graph_file(self) -> Path | None:
        """The meta graph. Raises ModelError if there is none."""
        return None if self._builder is not None else self._meta_path

    @cached_property
    def feeds(self) -> Mapping[TensorName, Array]:
        """The constant feeds, in their placeholders' dtypes. Raises FeedError."""
        return MappingProxyType(constant_feeds(self._meta.graph, self._graph_label, self._stated_feeds))

    @cached_property
    def restored(self) -> Mapping[str, Tensor]:
        """Variable node name to the value that the restore puts there, without those that are missing."""
        known = self.bundle.tensors
        return MappingProxyType(
            {name: restored(key, self.bundle) for name, key in self._keys.items() if key.key in known}
        )

    def tensors(self) -> Mapping[str, Tensor]:
        """See :meth:`.model.HasWeights.tensors`."""
        return self.bundle.tensors

    def keys(self) -> Mapping[str, RestoredKey]:
        """See :meth:`.model.HasWeights.keys`: by ``ema``."""
        return self._keys

    def variable_names(self) -> Sequence[str]:
        """The variables in the collections of the meta graph."""
        return [variable.name for variable in self.meta.variables]

    def variables(self) -> Mapping[str, Array]:
        """See :meth:`.model.HasWeights.variables`."""
        return _Values(self.restored)

    def siblings(self) -> Mapping[Path, Mapping[str, Tensor]]:
        """The other checkpoints of the folder, and of the folders in it."""
        found = list(other_checkpoints(self.prefix))
        for folder in sorted(path for path in self.prefix.parent.iterdir() if path.is_dir()):
            found += other_checkpoints(folder / "-")
        return {prefix: Bundle(prefix).tensors for prefix in found[:MOST_NEARBY]}

    def graph_def(self) -> Any:
        """See :meth:`.model.HasSession.graph_def`."""
        return self._meta_graph_def.graph_def

    @property
    def open_bytes(self) -> int:
        """See :attr:`.model.Model.open_bytes`."""
        if not self.is_open:
            return 0
        index = checkpoint_file(self._run_prefix, ".index")
        return sum(path.stat().st_size for path in index.parent.glob(f"{glob.escape(index.stem)}.data-*"))

    def close(self) -> None:
        """Close the sessions and the checkpoint's files, and forget TensorFlow's copy of the graph."""
        super().close()
        if "bundle" in self.__dict__:
            self.bundle.close()
        if self._builder is None:
            self.__dict__.pop("_meta_graph_def", None)

    def source(self) -> Source:
        """See :meth:`.model.GraphModel.source`. Only variables that the outputs need are restored.

        A part is refused with ModelError if the checkpoint lacks one of its variables or holds it with another
        shape or dtype.
        """
        from ..runtime.session import Source

        return Source(
            label=self._graph_label,
            graph=self._meta.graph,
            graph_def=self.graph_def,
            constants=self.feeds,
            check=self._check,
            restore=self._restore,
            producer_ops=self._producer_ops,
        )

    def averages(self, outputs: Sequence[str]) -> Averages:
        """What checkpoint and meta graph say of the moving averages of what ``outputs`` need. Raises ModelError."""
        needed = [name for name, node in self.live(outputs).items() if node.op in ops.VARIABLES]
        return averages_of(self.meta, self.bundle, needed)

    @cached_property
    def _keys(self) -> Mapping[str, RestoredKey]:
        return restored_keys(self.meta, self.ema, self.bundle)

    @cached_property
    def _meta_graph_def(self) -> Any:
        from ..runtime.builder import build_meta_graph
        from ..runtime.protobuf import parse_meta_graph_def

        if self._builder is not None:
            return build_meta_graph(self._builder, self._root)
        return parse_meta_graph_def(self._meta_path)

    @property
    def _meta_path(self) -> Path:
        if self._stated_meta is not None:
            return self._stated_meta
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
        return f"the graph of builder {self._builder}" if self._builder else str(self._meta_path)

    # What only TensorFlow can read is read by TensorFlow once something is run.

    @cached_property
    def _run_prefix(self) -> Path:
        try:
            return self.prefix
        except UnreadableFile:
            return self._stated_path

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
        return restored_keys(self._meta, self.ema, self._run_bundle)  # type: ignore[arg-type]

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
        from ..runtime.restoring import restore

        known = self._run_bundle.tensors
        keys = {name: key for name, key in self._run_keys.items() if key.key in known}
        restore(session, part, keys, checkpoint_text(self._run_prefix))


class CheckpointFormat(Format):
    """A checkpoint of TensorFlow 1 with the graph to run it in."""

    section = Section(
        name="checkpoint",
        description="a checkpoint and the graph to run it in",
        keys=(
            Key(
                "checkpoint",
                "path",
                "The checkpoint: a prefix such as model.ckpt-400, or a folder for its latest one.",
            ),
            Key("meta", "path", "The meta graph to restore the checkpoint into.", default="PREFIX.meta"),
            Key(
                "builder",
                "function",
                "A function of the project that builds the graph, or the objects of an object-based checkpoint.",
            ),
            Key(
                "ema",
                "ema",
                "Which variables take the value of their moving average; undecided is an error that asks.",
                default="what the saver in the meta graph restores",
            ),
        ),
    )
    noun = Checkpoint.noun
    usually = "reference"
    suffixes = (".ckpt", ".index", ".meta")
    exclusive = (
        Exclusive(
            "builder",
            "meta",
            "a rebuilt network mixed with an imported one holds two copies of the variables, of which only one"
            " is restored",
        ),
    )

    def open(self, spec: SideSpec, root: Path) -> Model:
        """See :meth:`.format.Format.open`. Where there is a builder, the index says what it is to build."""
        builder = spec.options.get("builder")
        if builder is not None and _is_object_based(spec.path):
            from .traced import ObjectCheckpoint

            if spec.options.get("ema") is not None:
                raise SettingsError(
                    f"`ema` means nothing for {spec.path}, an object-based checkpoint: its builder says which variables"
                    " the outputs are computed from. Remove the line."
                )
            return ObjectCheckpoint(spec.path, root, builder=builder, feeds=spec.feeds)
        return Checkpoint(spec.path, root, feeds=spec.feeds, **spec.options)

    def recognises(self, path: Path) -> bool:
        """Whether this is the prefix of a checkpoint, a folder with one, or a checkpoint of the V1 format."""
        try:
            find_checkpoint(path)
        except UnreadableFile:
            return True
        except ModelError:
            return False
        return True

    def files(self, spec: SideSpec) -> Sequence[Path]:
        """The index and the meta graph; all of them that lie in a folder, with its state file."""
        path = spec.path
        if path.is_dir():
            found = [*path.glob("*.index"), *path.glob("*.meta"), path / "checkpoint"]
        else:
            found = [checkpoint_file(path, suffix) for suffix in (".index", ".meta")]
        return sorted(found) + [meta for meta in [spec.options.get("meta")] if meta is not None]

    def fetched(
        self, spec: SideSpec, fetch: Fetch, *, allow_offline: bool, index_only: bool = False
    ) -> SideSpec:
        """See :meth:`.format.Format.fetched`: index, data and meta graph of a prefix, or of a folder's latest."""
        from ..url import beside, name_of, url_of

        url, meta = url_of(spec.path), spec.options.get("meta")
        options = dict(spec.options)
        if meta is not None and (there := url_of(meta)):
            options["meta"] = fetch.file(there, allow_offline=allow_offline)
        if url is None:
            return replace(spec, options=options)
        part = _FILE_OF_CHECKPOINT.fullmatch(url)
        prefix = part["prefix"] if part else url
        try:
            fetch.file(beside(prefix, f"{name_of(prefix)}.index"), allow_offline=allow_offline)
        except NotThere as no_index:
            prefix = _latest_of(url, fetch, allow_offline, no_index)
        return replace(spec, path=_fetched(prefix, fetch, allow_offline, index_only), options=options)

    def content(self, spec: SideSpec) -> Sequence[Path] | None:
        """Index, data and meta graph, with the state file of a folder; None where a function builds the graph."""
        if spec.options.get("builder") is not None:
            return None
        try:
            prefix = find_checkpoint(spec.path)
        except (ModelError, UnreadableFile):
            return None
        index = checkpoint_file(prefix, ".index")
        data = index.parent.glob(f"{glob.escape(index.stem)}.data-*")
        meta = spec.options.get("meta") or checkpoint_file(prefix, ".meta")
        state = [spec.path / "checkpoint"] if (spec.path / "checkpoint").is_file() else []
        return [index, *sorted(data), meta, *state]

    def at_hand(self, spec: SideSpec) -> bool:
        """Whether there is an index, or a checkpoint of the V1 format."""
        try:
            prefix = find_checkpoint(spec.path)
        except UnreadableFile:
            return True
        except ModelError:
            return False
        return checkpoint_file(prefix, ".index").exists()

    def wrong_files(self, spec: SideSpec, shown: Callable[[Path], str]) -> Iterator[WrongFile]:
        """A file of a checkpoint in place of its prefix, a prefix that is not there, a wrong meta."""
        path = spec.path
        part = _FILE_OF_CHECKPOINT.fullmatch(str(path))
        if part and path.is_file() and not _index_of(path).is_file():
            clause = f", which is one file of a checkpoint; name its prefix, {shown(Path(part['prefix']))}."
            yield WrongFile("checkpoint", clause, missing=False)
        elif not (_index_of(path).is_file() or path.exists()):
            prefixes = [name.removesuffix(".index") for name in neighbours(path) if name.endswith(".index")]
            clause = (
                f", but there is neither a file {path.name}.index nor a folder of that name in"
                f" {folder_of(path)}.{did_you_mean(path.name, prefixes, 2)}"
            )
            yield WrongFile("checkpoint", clause, missing=True)
        meta = spec.options.get("meta")
        if meta is not None and (clause := missing_file(meta) or ""):
            yield WrongFile("meta", clause, missing=True)

    def decided(self, spec: SideSpec, model: Model, outputs: Sequence[str]) -> Decision | None:
        """See :meth:`.format.Format.decided`: which averages the saver of the meta graph restores."""
        if spec.options.get("ema") is not None or not isinstance(model, Checkpoint):
            return None
        found = model.averages(outputs)
        if not found.held:
            return None
        if found.applied:
            options = {"ema": found.word} if found.word else {}
            count = f"{len(found.applied)} of {len(found.held)}" if found.applied != found.held else "all"
            because = f"The saver of the meta graph restores the moving averages of {count} variables that have one."
            return Decision("ema", options, because)
        return Decision(
            "ema",
            {"ema": "undecided"},
            "The checkpoint holds moving averages, and its meta graph does not say whether they are meant.",
            found.question,
            {"trainable": {"ema": "trainable"}, "none": {"ema": "none"}},
        )

    def readings(self, spec: SideSpec) -> Iterator[SideSpec]:
        """With the averages of the trainable variables, of all, of none, where nobody says which."""
        if spec.options.get("ema") is None:
            for ema in ("trainable", "all", "none"):
                yield replace(spec, options={**spec.options, "ema": ema})


def _fetched(prefix: str, fetch: Fetch, allow_offline: bool, index_only: bool) -> Path:
    """The prefix of a checkpoint fetched from the URL ``prefix``. Its index says how many data files there are."""
    from ..url import name_of

    name = name_of(prefix)
    index, meta = f"{name}.index", f"{name}.meta"
    folder = fetch.beside(prefix, [index, meta], optional=[meta], allow_offline=allow_offline)
    if index_only:
        return folder / name
    names = [index, *([meta] if (folder / meta).is_file() else []), *shards_of(folder / index)]
    return fetch.beside(prefix, names, allow_offline=allow_offline) / name


def _latest_of(folder: str, fetch: Fetch, allow_offline: bool, no_index: NotThere) -> str:
    """The URL of the latest checkpoint in a folder. Raises ``no_index`` where its state file names none."""
    from ..url import within

    try:
        latest = latest_named(fetch.file(within(folder, "checkpoint"), allow_offline=allow_offline))
    except NotThere:
        raise no_index from None
    if latest is None:
        raise no_index
    return within(folder, latest)


def shards_of(index: Path) -> list[str]:
    """The names of the data files that an index speaks of. Raises ModelError."""
    count = shard_count(index)
    return [f"{index.stem}.data-{number:05d}-of-{count:05d}" for number in range(count)]


def _is_object_based(path: Path) -> bool:
    """Whether ``tf.train.Checkpoint`` wrote it, as far as its index can be read."""
    try:
        return OBJECT_GRAPH in Bundle(find_checkpoint(path)).tensors
    except ModelError:
        return False


def _index_of(path: Path) -> Path:
    return Path(f"{path}.index")


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
