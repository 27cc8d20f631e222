"""What a format is: its word and keys in the manifest, its files, and how one is opened."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias

from ..errors import missing_file
from .model import Model
from .section import Section

if TYPE_CHECKING:
    from ..remote.fetch import Fetch

FeedValue: TypeAlias = bool | int | float | str | tuple[Any, ...]
"""A constant feed as it is stated: a scalar or (nested) tuples of scalars."""
Role: TypeAlias = Literal["reference", "export"]
"""Which side of a check a model stands on."""
ROLES: tuple[Role, Role] = ("reference", "export")

FILES = frozenset({"path", "graph"})
"""The kinds of keys that name a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideSpec:
    """What is stated of one side: its format by the manifest's word, the file, the format's own keys.

    ``options`` has the format's own keys that were stated (``meta``, ``builder``, ``ema`` of a checkpoint),
    ``feeds`` maps tensor names of this side to constants. ``optional`` says that goldens may stand in where the
    file is not there.
    """

    format: str
    path: Path
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    feeds: Mapping[str, FeedValue] = field(default_factory=dict, hash=False)
    optional: bool = False


def is_elsewhere(path: Path) -> bool:
    """Whether a path of the settings stands for a URL; :mod:`~pytest_tfparity.url`, loaded where one does, has more."""
    return "\0" in str(path)


class Exclusive(NamedTuple):
    """Two keys of a format of which only one can be stated, and why."""

    first: str
    second: str
    because: str


class Decision(NamedTuple):
    """How a file is to be read, told by what is in it: options of the format, and a sentence that says why.

    ``about`` is the key that is decided, whether it is stated or left out.
    ``question`` is not empty where nothing in the file says it: then the options keep a check from being made.
    ``answers`` are words that the question can be answered with, each with the options that it stands for.
    """

    about: str
    options: Mapping[str, Any]
    because: str
    question: str = ""
    answers: Mapping[str, Mapping[str, Any]] = {}


class WrongFile(NamedTuple):
    """A key that names a wrong file: the rest of a sentence that begins with the key and the file.

    ``missing`` says that the file is only not there, which goldens may make good.
    """

    key: str
    clause: str
    missing: bool


class Format(ABC):
    """One kind of file that can stand on a side of a check. Manifest, command line and docs follow from it.

    ``section`` has the manifest's word as its name and the format's keys; the first of them has the same name
    and states the file. ``noun`` is how messages call such a model, ``suffixes`` are what the names of its files end
    with. A marker's plain keywords are about the side that the format ``usually`` stands on. ``is_folder``: a model is
    a folder of its own, not files in one.
    """

    section: ClassVar[Section]
    noun: ClassVar[str]
    usually: ClassVar[Role]
    suffixes: ClassVar[tuple[str, ...]] = ()
    exclusive: ClassVar[tuple[Exclusive, ...]] = ()
    is_folder: ClassVar[bool] = False

    @property
    def word(self) -> str:
        """The key of the manifest that names a file of this format."""
        return self.section.name

    @abstractmethod
    def open(self, spec: SideSpec, root: Path) -> Model:
        """The model that ``spec`` names. Nothing is read yet; functions are imported from ``root``."""

    def identity(self, spec: SideSpec, root: Path) -> str:
        """Equal for one and the same model; constants of other types (1, 1.0, True) make another.

        ``root`` matters where a function of the project is named.
        """
        stated = [(key, spec.options[key.name]) for key in self.section.keys if key.name in spec.options]
        folder = str(root) if any(key.kind == "function" for key, _ in stated) else ""
        options = [(key.name, str(value)) for key, value in stated]
        return repr((self.word, str(spec.path), folder, options, sorted(spec.feeds.items())))

    @abstractmethod
    def recognises(self, path: Path) -> bool:
        """Whether ``path`` is a file of this format, by what is in it."""

    def resembles(self, path: Path) -> bool:
        """Whether ``path``, which no format recognises, was meant as one of this format: messages then speak of it."""
        return path.suffix in self.suffixes

    def files(self, spec: SideSpec) -> Sequence[Path]:
        """The files that the model is read from, as far as they can be named without reading one."""
        stated = (spec.options.get(key.name) for key in self.section.keys if key.kind in FILES)
        return [spec.path, *(path for path in stated if path is not None)]

    def fetched(
        self, spec: SideSpec, fetch: Fetch, *, allow_offline: bool, index_only: bool = False
    ) -> SideSpec:
        """``spec`` with a file of this machine for each URL that it names. Raises RemoteError.

        With ``index_only`` the weights are left where they are, if they lie in files of their own.
        """
        from ..url import url_of

        paths = {
            self.word: spec.path,
            **{key.name: spec.options.get(key.name) for key in self.section.keys[1:]},
        }
        found = {
            key.name: fetch.file(url, allow_offline=allow_offline)
            for key in self.section.keys
            if key.kind in FILES and (path := paths[key.name]) is not None and (url := url_of(path))
        }
        options = {name: found.get(name, value) for name, value in spec.options.items()}
        return replace(spec, path=found.get(self.word, spec.path), options=options)

    def content(self, spec: SideSpec) -> Sequence[Path] | None:
        """Every file whose content the model is made of, and nothing else has a say; None where that is not so."""
        return None

    def at_hand(self, spec: SideSpec) -> bool:
        """Whether the file of ``spec`` is there."""
        return spec.path.exists()

    def wrong_files(self, spec: SideSpec, shown: Callable[[Path], str]) -> Iterator[WrongFile]:
        """What is wrong with the files that ``spec`` names; ``shown`` is a path as messages show it."""

        paths = {self.word: spec.path, **spec.options}
        for key in self.section.keys:
            if key.kind in FILES and key.name in paths and (clause := missing_file(paths[key.name])):
                yield WrongFile(key.name, clause, missing=True)

    def decided(self, spec: SideSpec, model: Model, outputs: Sequence[str]) -> Decision | None:
        """What of the ways to read ``model`` for ``outputs`` a first manifest should state; None: nothing.

        Told by the files of this side alone, never by what the other side holds.
        """
        return None

    def readings(self, spec: SideSpec) -> Iterator[SideSpec]:
        """Other readings of the same file that nothing in ``spec`` rules out, the likeliest first."""
        yield from ()
