"""A check whose files lie elsewhere, with copies of them on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NotThere
from ..formats.format import FILES, ROLES, is_elsewhere
from ..formats.registry import format_of
from ..result import ParityResult, with_texts
from ..settings.spec import BytesSource, ImageSource, InputSource, NpzSource, ParitySpec

if TYPE_CHECKING:
    from ..remote.fetch import Fetch


def lies_elsewhere(spec: ParitySpec) -> bool:
    """Whether a file of the check is named by a URL."""
    return any(map(is_elsewhere, _paths(spec)))


def at_hand(spec: ParitySpec, fetch: Fetch, *, index_only: bool = False) -> ParitySpec:
    """``spec`` with a file of this machine for every URL. Raises RemoteError, ModelError.

    With ``index_only`` the data of a reference's checkpoint stays where it is.

    An optional reference that is not there is left as it is: the goldens stand in for it.
    """
    from ..url import name_of, url_of

    allow = spec.offline == "allow"
    changed: dict[str, Any] = {}
    for role in ROLES:
        side = spec.side(role)
        if side is None:
            continue
        try:
            changed[role] = format_of(side.format).fetched(
                side, fetch, allow_offline=allow, index_only=index_only and role == "reference"
            )
        except NotThere:
            if not side.optional or spec.golden is None:
                raise
    changed["inputs"] = tuple(
        replace(entry, source=_source(entry.source, fetch, allow)) for entry in spec.inputs
    )
    if spec.golden is not None and (url := url_of(spec.golden)):
        name = name_of(url)
        summary = Path(name).with_suffix(".yaml").name
        changed["golden"] = fetch.beside(url, [name, summary], allow_offline=allow) / name
    found = replace(spec, **changed)
    folders = {folder for path in _paths(found) for folder in (path, path.parent) if folder in fetch.origins}
    return replace(found, origins={folder: fetch.origins[folder] for folder in folders})


def named_by_origin(result: ParityResult, spec: ParitySpec) -> ParityResult:
    """``result`` with the URLs in its texts that files were fetched from, in the place of the copies' paths."""
    if not spec.origins:
        return result

    def told(text: str) -> str:
        for folder, origin in spec.origins.items():
            text = text.replace(str(folder), origin)
        return text

    return with_texts(result, told)


def _source(source: InputSource | None, fetch: Fetch, allow: bool) -> InputSource | None:
    """A source of values with files of this machine."""
    if isinstance(source, NpzSource):
        return replace(source, path=_local(source.path, fetch, allow))
    if isinstance(source, ImageSource | BytesSource):
        return replace(source, paths=tuple(_local(path, fetch, allow) for path in source.paths))
    return source


def _local(path: Path, fetch: Fetch, allow: bool) -> Path:
    from ..url import url_of

    url = url_of(path)
    return fetch.file(url, allow_offline=allow) if url else path


def _paths(spec: ParitySpec) -> Iterator[Path]:
    """Every path that the check states."""
    for role in ROLES:
        side = spec.side(role)
        if side is not None:
            yield side.path
            keys = format_of(side.format).section.keys
            stated = (side.options.get(key.name) for key in keys if key.kind in FILES)
            yield from (path for path in stated if path is not None)
    for entry in spec.inputs:
        if isinstance(entry.source, NpzSource):
            yield entry.source.path
        elif isinstance(entry.source, ImageSource | BytesSource):
            yield from entry.source.paths
    if spec.golden is not None:
        yield spec.golden
