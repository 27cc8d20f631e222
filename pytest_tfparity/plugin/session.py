"""What one run of the tests shares: open models, manifests already read, the settings that hold for all."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from ..check.at_hand import at_hand, lies_elsewhere, named_by_origin
from ..check.check import Update, check, decided_without_running, draft_result
from ..check.run import under_way_now
from ..errors import SettingsError, TfparityError, did_you_mean, shown_path
from ..formats.format import is_elsewhere
from ..formats.store import ModelStore
from ..result import ParityResult
from ..settings.manifest import Manifest, load_manifest, manifest_in
from ..settings.resolve import ModelEntry, resolve
from ..settings.roles import stated_file
from ..settings.schema import MANIFEST_FILE, MANIFEST_FILES
from ..settings.spec import ParitySpec
from .marker import marked_models, marked_settings
from .options import (
    cache_setting,
    downloads_setting,
    ini_settings,
    manifest_setting,
    option_settings,
    verbosity,
)

if TYPE_CHECKING:
    from ..check.surroundings import Conftest
    from ..check.worker import Worker
    from ..remembered.verdicts import Verdicts
    from ..remote.fetch import Fetch
    from ..settings.models import Origin
    from .sides import Bench


_HAS_MODES = os.name == "posix"
"""Whether the mode of a folder says who may write there; on Windows it always says all."""


class ManifestCheck:
    """The check of one model of a manifest; of a group's, the settings are read when they are asked for."""

    def __init__(self, session: ParitySession, path: Path, name: str, origin: Origin) -> None:
        self.name = name
        self.group = origin.key
        self.line = origin.place.line
        self.of_group = origin.key != name
        self._session = session
        self._path = path

    @cached_property
    def spec(self) -> ParitySpec:
        """The check as the manifest states it. Raises SettingsError."""
        return self._session.manifest_spec(self._path, self.name)


class ParitySession:
    """Opens every model once and knows how each check is stated. Close it at the end.

    ``options`` and ``ini`` are the settings of the command line and the ini file by name;
    ``manifest`` replaces the search for ``tfparity.yaml``; ``top`` is where that search ends, None where nothing says.
    ``details`` says that a report will want pictures. ``verdicts`` are those that earlier runs have proven,
    ``downloads`` the folder for copies of files in buckets and its limit in bytes. ``conftests`` are those that pytest
    has imported.
    """

    def __init__(
        self,
        *,
        options: Mapping[str, Any],
        ini: Mapping[str, Any],
        top: Path | None,
        manifest: Path | None = None,
        update: Update | None = None,
        details: bool = False,
        verdicts: Verdicts | None = None,
        downloads: tuple[Path | None, int | None] = (None, None),
        conftests: Callable[[], Iterable[Conftest]] = tuple,
    ) -> None:
        self._downloads = downloads
        self._conftests = conftests
        self.models = ModelStore()
        self.verdicts = verdicts
        self.update = update
        self.details = details
        self._options = options
        self._ini = ini
        self._top = top
        self._manifest = manifest
        self._read: dict[Path, Manifest | SettingsError] = {}

    @cached_property
    def worker(self) -> Worker:
        """The process for what checks of manifests run."""
        from ..check.worker import Worker

        return Worker()

    def close(self) -> None:
        """Close every session that was opened."""
        self.models.close()
        if "worker" in self.__dict__:
            self.worker.close()
        if self.verdicts is not None:
            self.verdicts.save()

    def manifest(self, path: Path) -> Manifest:
        """The manifest at ``path``, read and validated once. One that was found by its name is the only one there."""
        if path not in self._read:
            try:
                if path != self._manifest and path.name in MANIFEST_FILES:
                    manifest_in(path.parent)
                self._read[path] = load_manifest(path)
            except SettingsError as error:
                self._read[path] = error
        found = self._read[path]
        if isinstance(found, SettingsError):
            raise found
        return found

    def find_manifest(self, folder: Path) -> Path | None:
        """The manifest for tests in ``folder``: the one named by a setting, or the nearest above."""
        if self._manifest is not None:
            return self._manifest
        for place in (folder, *folder.parents):
            found = manifest_in(place)
            if found is not None:
                return found
            if place == self._top or self._ends(place):
                break
        return None

    def _ends(self, place: Path) -> bool:
        """Whether the search for a manifest ends in ``place`` though no ini file says where the project does.

        It does at the root of a repository, and where everybody may write: a manifest names functions that are called.
        """
        if self._top is not None:
            return False
        open_to_all = _HAS_MODES and bool(place.stat().st_mode & stat.S_IWOTH)  # elsewhere no mode says it
        return open_to_all or (place / ".git").exists()

    def model_names(self, folder: Path) -> list[str]:
        """The models of the manifest that holds for ``folder``, in file order; empty without one."""
        path = self.find_manifest(folder)
        return list(self.manifest(path).models) if path else []

    def files(self, test: Path, names: Iterable[str]) -> set[Path]:
        """The files that the manifest for ``test`` states of the models ``names``. Raises SettingsError."""
        path = test if test in self._read else self.find_manifest(test.parent)
        models = self.manifest(path).models if path else {}
        entries = (models[name] for name in names if name in models)
        stated = (setting.value for entry in entries for setting in entry.own.values())
        return {value for value in stated if isinstance(value, Path)}

    def spec(
        self, name: str | None, marker: Mapping[str, Any], file: Path, line: int | None = None
    ) -> ParitySpec:
        """The check that a marked test in ``file`` states: model ``name`` of the manifest, or the marker's files."""
        if name is None:
            export = stated_file(marker, "export")
            if export is None:
                raise SettingsError(
                    f"{_place(file, line)}: this test names no model, and no {MANIFEST_FILE} was found in"
                    f" {shown_path(file.parent)} or above. Write one (`tfparity init REFERENCE"
                    " EXPORT`), name the files in the marker (@parity(checkpoint=..., frozen_graph=...)) or override"
                    " parity_model."
                )
            name = Path(export).stem
            return self._resolve(None, marker, file.parent, name, file, line)
        path = self.find_manifest(file.parent)
        if path is None:
            raise SettingsError(
                f"{_place(file, line)}: the test is about model {name!r}, but there is no {MANIFEST_FILE} in"
                f" {shown_path(file.parent)} or above."
            )
        models = self.manifest(path).models
        if name not in models:
            raise SettingsError(
                f"{_place(file, line)}: {shown_path(path)} has no model {name!r}.{did_you_mean(name, models)}"
                f" It has {', '.join(models)}."
            )
        return self._resolve(models[name], marker, path.parent, name, file, line)

    def manifest_checks(self, path: Path) -> Iterator[ManifestCheck]:
        """The checks that a manifest states, in file order.

        Raises SettingsError where the manifest is wrong, or the settings that hold for all of it.
        """
        models = self.manifest(path).models
        for number, name in enumerate(models):
            check = ManifestCheck(self, path, name, models.origin(name))
            if not number or not check.of_group:
                _ = check.spec
            yield check

    def manifest_spec(self, path: Path, name: str) -> ParitySpec:
        """The check that the manifest itself states for model ``name``."""
        return self._resolve(self.manifest(path).models[name], {}, path.parent, name, None, None)

    def overridden(
        self, model: ParitySpec | Mapping[str, Any], marker: Mapping[str, Any], file: Path
    ) -> ParitySpec:
        """The check that an overridden ``parity_model`` states: a spec, or the marker's keywords."""
        if isinstance(model, ParitySpec):
            atol = self._options.get("atol", marker.get("atol"))
            rtol = self._options.get("rtol", marker.get("rtol"))
            return model.with_tolerance(atol=atol, rtol=rtol)
        settings = {**model, **marker}
        name = Path(stated_file(settings, "export") or file).stem
        return self._resolve(None, settings, file.parent, name, file, None)

    def check(self, spec: ParitySpec, nodeid: str) -> ParityResult:
        """Decide one check, or remember that it was proven of the same content; what must be run, a worker runs."""
        if spec.trust == "checksums" and self.update is None and lies_elsewhere(spec):
            from ..check.checksums import may_decide, passed_by_checksums

            indexed = self.at_hand(spec, index_only=True) if may_decide(spec) else None
            if indexed is not None:
                found = passed_by_checksums(indexed, self.models, draft_result(indexed, nodeid))
                if found.passed:
                    return self._of_copies(found, indexed)
        stated, spec = spec, self.at_hand(spec)
        if spec is not stated:
            return self._of_copies(self._remembered_or_decided(spec, nodeid), spec)
        return self._remembered_or_decided(spec, nodeid)

    def _of_copies(self, result: ParityResult, spec: ParitySpec) -> ParityResult:
        """A result about fetched files, in which URLs stand in the place of copies, and where a copy stood in."""
        notes = (*result.notes, *(note for folder in spec.origins for note in self._fetch.notes[folder]))
        return named_by_origin(replace(result, notes=notes), spec)

    def at_hand(self, spec: ParitySpec, *, index_only: bool = False) -> ParitySpec:
        """``spec`` with files of this machine in the place of URLs; see :func:`.at_hand`. Raises RemoteError."""
        if not lies_elsewhere(spec):
            return spec
        if self.update is not None and spec.golden is not None and is_elsewhere(spec.golden):
            raise SettingsError(
                f"{spec.name}: the goldens {spec.shown(spec.golden)} lie elsewhere, where nothing is written. Name a"
                " file of this machine under `golden`, update it and copy it there."
            )
        with under_way_now("fetch"):
            found = at_hand(spec, self._fetch, index_only=index_only)
        if self.verdicts is not None:
            self.verdicts.learn(self._fetch.hashes)
        return found

    @cached_property
    def _fetch(self) -> Fetch:
        from ..remote.cache import DEFAULT_LIMIT, Cache, default_folder
        from ..remote.fetch import Fetch

        folder, limit = self._downloads
        return Fetch(Cache(folder or default_folder(), DEFAULT_LIMIT if limit is None else limit))

    def progress(self) -> str:
        """What has been fetched so far, for a word on the terminal."""
        return self._fetch.progress() if "_fetch" in self.__dict__ else ""

    def _remembered_or_decided(self, spec: ParitySpec, nodeid: str) -> ParityResult:
        verdicts = self.verdicts if self.update is None else None
        subject = verdicts.subject(spec) if verdicts is not None else None
        if verdicts is None or subject is None:
            return self._decided(spec, nodeid)
        draft = draft_result(spec, nodeid)
        found = verdicts.recall(subject, draft)
        if found is None:
            found = self._decided(spec, nodeid)
            verdicts.keep(subject, draft, found)
        note = verdicts.note()
        return found if note is None else replace(found, notes=(*found.notes, note))

    def _decided(self, spec: ParitySpec, nodeid: str) -> ParityResult:
        if not spec.apart:
            return check(spec, self.models, nodeid=nodeid, update=self.update, details=self.details)
        since = time.monotonic()
        found = decided_without_running(
            spec, self.models, nodeid=nodeid, update=self.update, details=self.details
        )
        if found is not None:
            return found
        return self.worker.check(
            spec,
            nodeid=nodeid,
            update=self.update,
            details=self.details,
            conftests=self._conftests_for(spec),
            since=since,
        )

    def _conftests_for(self, spec: ParitySpec) -> tuple[Conftest, ...]:
        """The ``conftest.py`` files of the check's folder and above, the outermost first."""
        folders = (spec.root, *spec.root.parents)
        found = [conftest for conftest in self._conftests() if conftest.path.parent in folders]
        return tuple(sorted(found, key=lambda conftest: len(conftest.path.parts)))

    def bench(
        self,
        spec: ParitySpec,
        nodeid: str,
        *,
        record: Callable[[ParityResult], None],
        written: Callable[[ParityResult], None],
    ) -> Bench:
        """What both fixtures of one test share; ``record`` takes verdicts, ``written`` what became of goldens."""
        from .sides import Bench

        spec = self.at_hand(spec)
        stated = spec
        if spec.manifest is not None and spec.name in self.manifest(spec.manifest).models:
            stated = self.at_hand(self.manifest_spec(spec.manifest, spec.name))
        return Bench(
            spec=spec,
            stated=stated,
            models=self.models,
            nodeid=nodeid,
            record=record,
            written=written,
            details=self.details,
        )

    def _resolve(
        self,
        entry: ModelEntry | None,
        marker: Mapping[str, Any],
        root: Path,
        name: str,
        file: Path | None,
        line: int | None,
    ) -> ParitySpec:
        return resolve(
            entry,
            marker=marker,
            ini=self._ini,
            options=self._options,
            root=root,
            name=name,
            file=file,
            line=line,
        )


_SESSION: pytest.StashKey[ParitySession] = pytest.StashKey()


def parity_session(config: pytest.Config) -> ParitySession:
    """What all parity checks of this run share: made when the first one needs it, closed with ``config``."""
    if _SESSION not in config.stash:
        if verbosity(config) > 1:
            from ..runtime.quiet import show_all

            show_all()
        session = config.stash[_SESSION] = ParitySession(
            options=option_settings(config),
            ini=ini_settings(config),
            top=config.rootpath if config.inipath is not None else None,
            manifest=manifest_setting(config),
            update=_update_mode(config.getoption("--tfparity-update")),
            details=bool(config.getoption("--tfparity-report")) or verbosity(config) > 0,
            verdicts=_verdicts(config),
            downloads=downloads_setting(config),
            conftests=lambda: _conftests(config),
        )
        config.add_cleanup(session.close)
    return config.stash[_SESSION]


def _conftests(config: pytest.Config) -> Iterator[Conftest]:
    """The ``conftest.py`` files that pytest has imported, which are plugins of their own."""
    from ..check.surroundings import Conftest

    for plugin in config.pluginmanager.get_plugins():
        file = getattr(plugin, "__file__", None)
        if isinstance(plugin, ModuleType) and file is not None and Path(file).name == "conftest.py":
            yield Conftest(plugin.__name__, Path(file))


def models_to_run(item: pytest.Item) -> Sequence[str]:
    """The models that a test is to be run for, where it must be run for each of several.

    A manifest with problems gives none here: the fixture reports them.
    """
    try:
        names = marked_models(item)
        if len(names) > 1:
            return names
        if names or stated_file(marked_settings(item), "export") is not None:
            return ()
        return parity_session(item.config).model_names(item.path.parent)
    except TfparityError:
        return ()


def _verdicts(config: pytest.Config) -> Verdicts | None:
    """What is remembered of earlier runs: in the file that a setting names, else in pytest's cache."""
    named = cache_setting(config)
    folder = None
    if named is not False and config.pluginmanager.hasplugin("cacheprovider"):
        folder = config.cache.mkdir("tfparity") if config.cache is not None else None
    if named is False or (named is None and folder is None):
        return None
    from ..remembered.verdicts import Verdicts

    return Verdicts(
        verdicts=named or Path(str(folder), "verdicts.json"), hashes=folder and Path(folder, "hashes.json")
    )


def _update_mode(option: str | None) -> Update | None:
    """What ``--tfparity-update[=MODE]`` asks for."""
    if option is None:
        return None
    return "new" if option == "new" else "all"


def _place(file: Path, line: int | None) -> str:
    return f"{shown_path(file)}:{line}" if line else shown_path(file)
