"""A SavedModel: the folder that TensorFlow 1 and 2 write for servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .format import Format, SideSpec, WrongFile
from .section import Key, Section

if TYPE_CHECKING:
    from ..remote.fetch import Fetch
    from .saved_signature import SavedModel

# What reads and runs one is imported when it is needed: this module is loaded with all formats.


class SavedModelFormat(Format):
    """A folder with ``saved_model.pb``, of TensorFlow 1 or 2."""

    section = Section(
        name="saved_model",
        description="a SavedModel",
        keys=(
            Key("saved_model", "path", "The SavedModel: the folder that holds saved_model.pb."),
            Key("signature", "text", "The signature that is compared.", default="serving_default"),
            Key("tags", "texts", "The tags of the graph that is loaded.", default="[serve]"),
        ),
    )
    noun = "SavedModel"
    usually = "export"
    is_folder = True

    def open(self, spec: SideSpec, root: Path) -> SavedModel:
        """See :meth:`.format.Format.open`."""
        from .saved_signature import SavedModel

        return SavedModel(spec.path, feeds=spec.feeds, **spec.options)

    def recognises(self, path: Path) -> bool:
        """Whether this is a folder with a ``saved_model.pb``."""
        from ..graph.read.saved_model import saved_model_file

        return path.is_dir() and saved_model_file(path) is not None

    def resembles(self, path: Path) -> bool:
        """Whether this is its file in place of the folder, or a folder with a part of one, or with several."""
        from ..graph.read.saved_model import is_part_of_saved_model

        return is_part_of_saved_model(path)

    def files(self, spec: SideSpec) -> Sequence[Path]:
        """The graphs and the index of the variables."""
        from ..graph.read.saved_model import saved_model_file

        found = saved_model_file(spec.path) or spec.path / "saved_model.pb"
        return [found, spec.path / "variables" / "variables.index"]

    def fetched(
        self, spec: SideSpec, fetch: Fetch, *, allow_offline: bool, index_only: bool = False
    ) -> SideSpec:
        """See :meth:`.format.Format.fetched`: all that lies in the folder.

        Where the server lists no folders, the graph and the variables, which are known by their names.
        """
        from ..url import url_of
        from .checkpoint import shards_of

        url = url_of(spec.path)
        if url is None:
            return spec
        names = fetch.names(url, allow_offline=allow_offline)
        if not names:
            index = "variables/variables.index"
            folder = fetch.within(
                url, ["saved_model.pb", index], optional=[index], allow_offline=allow_offline
            )
            shards = shards_of(folder / index) if (folder / index).is_file() else []
            names = [
                "saved_model.pb",
                *([index] if shards else []),
                *(f"variables/{name}" for name in shards),
            ]
        return replace(spec, path=fetch.within(url, names, allow_offline=allow_offline))

    def content(self, spec: SideSpec) -> Sequence[Path] | None:
        """All that lies in the folder."""
        return sorted(path for path in spec.path.rglob("*") if path.is_file())

    def wrong_files(self, spec: SideSpec, shown: Callable[[Path], str]) -> Iterator[WrongFile]:
        """A folder that is not there, or that holds no SavedModel."""
        from ..graph.read.saved_model import not_a_saved_model, saved_model_file

        if saved_model_file(spec.path) is None:
            missing = not spec.path.exists()
            clause = f", which is no SavedModel{not_a_saved_model(spec.path)}"
            yield WrongFile("saved_model", clause, missing=missing)
