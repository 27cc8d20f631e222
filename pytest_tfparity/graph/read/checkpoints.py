"""Which checkpoint is meant: prefixes, folders and their ``checkpoint`` files.

A prefix is not a file: ``model.ckpt-400`` stands for ``model.ckpt-400.index``, ``.meta`` and
``.data-00000-of-00001``. It can be a folder: then the base name of its files is empty
(``folder/.index``).
"""

from __future__ import annotations

import re
from pathlib import Path, PureWindowsPath

from google.protobuf import text_format

from ...errors import ModelError, UnreadableFile, nearest
from ...wording import enumerated
from . import messages
from .file_kind import TABLE_MAGIC

_SUFFIX = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
_STATE = "checkpoint"
MOST_NEARBY = 12
"""How many other checkpoints nearby are looked at, the nearest by name first: opening one reads its index."""
_LONGEST = 100
"""Characters of a name that no file can have in a message."""


def checkpoint_file(prefix: Path, suffix: str) -> Path:
    """The file of a checkpoint: of ``model.ckpt-400`` and ``".meta"`` it is ``model.ckpt-400.meta``."""
    beside = prefix.with_name(prefix.name + suffix) if prefix.name else prefix / suffix
    if prefix.is_dir() and not beside.exists():
        return prefix / suffix
    return beside


def checkpoint_text(prefix: Path) -> str:
    """The prefix as TensorFlow wants it: with a slash at its end if the base name is empty."""
    index = checkpoint_file(prefix, ".index")
    return str(index)[: -len(".index")]


def find_checkpoint(path: Path) -> Path:
    """The prefix of the checkpoint that ``path`` means.

    ``path`` is a prefix, one of its files, a folder (its latest checkpoint by its ``checkpoint``
    file; paths in there that are another machine's are looked up by name) or such a file itself.
    Raises ModelError, with the prefixes that there are, if it means no checkpoint or several;
    UnreadableFile for a checkpoint of the V1 format.
    """
    if path.is_dir():
        return _in_folder(path)
    if _has_index(path):
        return path
    stripped = _SUFFIX.sub("", path.name)
    prefix = path.parent if not stripped else path.with_name(stripped)
    if prefix != path and _has_index(prefix):
        return prefix
    if path.is_file() and not _SUFFIX.search(path.name):
        state = _state(path)
        if state is not None:
            return _latest(path, state)
    error = v1_error(prefix)
    raise error or ModelError(_not_found(prefix))


def other_checkpoints(prefix: Path) -> list[Path]:
    """The prefixes of the other checkpoints in the same folder, in the order of their numbers."""
    folder = checkpoint_file(prefix, ".index").parent
    return [other for other in _prefixes(folder) if other != prefix]


def other_files(folder: Path, suffix: str) -> list[Path]:
    """The files of ``folder`` whose names end with ``suffix``, in the order of their numbers."""
    found = [path for path in folder.iterdir() if path.name.endswith(suffix) and path.is_file()]
    return sorted(found, key=lambda path: _natural(path.name))


def v1_error(prefix: Path) -> UnreadableFile | None:
    """The error to raise if ``prefix`` is a checkpoint of the V1 format; None if it is not."""
    shards = (
        sorted(prefix.parent.glob(f"{_literal(prefix.name)}-?????-of-?????"))
        if 0 < len(prefix.name) < _LONGEST_NAME  # a pattern of a million characters takes seconds to compile
        else []
    )
    for path in (prefix, *shards[:1]):
        if path.is_file() and _is_table(path):
            return UnreadableFile(
                f"{path} is a checkpoint of the V1 format, which TensorFlow's own reader knows. To convert"
                " it, restore it with tf.compat.v1.train.Saver() and save it again in the V2 format."
            )
    return None


_LONGEST_NAME = 256
"""Characters from which on no file system has a name of a file."""


def _is_table(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - len(TABLE_MAGIC), 0))
        return file.read() == TABLE_MAGIC


def _has_index(prefix: Path) -> bool:
    try:
        return checkpoint_file(prefix, ".index").is_file()
    except OSError:  # with its ending the name may be too long
        return False


def _prefixes(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    names = [file.name[: -len(".index")] for file in folder.iterdir() if file.name.endswith(".index")]
    return [folder / name if name else folder for name in sorted(names, key=_natural)]


def _natural(name: str) -> list[tuple[int, str]]:
    """A key by which ``model-9`` comes before ``model-10``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _literal(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _in_folder(folder: Path) -> Path:
    state = folder / _STATE
    if state.is_file():
        latest = _state(state)
        if latest is None:
            raise ModelError(
                f"{state} is not the `checkpoint` file that tf.train.Saver writes (no model_checkpoint_path)."
                " Name the checkpoint by its prefix instead."
            )
        return _latest(state, latest)
    known = _prefixes(folder)
    if len(known) == 1:
        return known[0]
    # The files of the checkpoint `folder` itself may lie beside the folder of the same name.
    if not known and _has_index(folder):
        return folder
    if not known:
        raise ModelError(_not_found(folder))
    raise ModelError(
        f"{folder} holds {len(known)} checkpoints and no `checkpoint` file that says which is the latest:"
        f" {_names(known)}. Name one by its prefix."
    )


def _state(path: Path) -> str | None:
    """``model_checkpoint_path`` of a ``checkpoint`` file; None if the file is none."""
    message = messages.CheckpointState()
    try:
        lines = path.read_text("utf-8").splitlines()
        # Of others there may be thousands, and they are not asked for.
        wanted = "\n".join(line for line in lines if not line.startswith("all_model_checkpoint_"))
        text_format.Parse(wanted, message, allow_unknown_field=True)
    except (text_format.ParseError, ValueError, OSError):
        return None
    return message.model_checkpoint_path or None


def latest_named(state: Path) -> str | None:
    """The name of the latest checkpoint in a ``checkpoint`` file, without its folder; None if the file is none."""
    latest = _state(state)
    return PureWindowsPath(latest).name if latest else None


def _latest(state: Path, latest: str) -> Path:
    folder = state.parent
    given = Path(latest)
    base = PureWindowsPath(latest).name
    candidates = [folder / given, folder / base]
    if latest.endswith(("/", "\\")):
        candidates = [folder / given, folder / base, folder]
    try:
        for prefix in candidates:
            if _has_index(prefix):
                return prefix
        for prefix in candidates:
            error = v1_error(prefix)
            if error is not None:
                raise error
    except (OSError, ValueError):  # a name that no file can have
        latest = latest if len(latest) <= _LONGEST else f"{latest[:_LONGEST]}..."
    known = _prefixes(folder)
    there = f"There are: {_names(known)}." if known else "There is no other checkpoint in its folder."
    raise ModelError(
        f"{state} says that the latest checkpoint is {latest}, of which there is no .index, neither there nor"
        f" in {folder}. {there}"
    )


def _not_found(prefix: Path) -> str:
    folder = prefix if prefix.is_dir() else prefix.parent
    if not folder.is_dir():
        return f"There is no checkpoint {prefix}: there is no folder {folder}."
    start = "" if prefix.is_dir() else _literal(prefix.name)
    others = [suffix for suffix in (".meta", ".data-?????-of-?????") if any(folder.glob(start + suffix))]
    if others:
        kinds = " and ".join(suffix.partition("-")[0] for suffix in others)
        return (
            f"The checkpoint {prefix} has {kinds} but no .index, without which its values cannot be read."
            " Copy all files of a checkpoint together."
        )
    known = _prefixes(folder)
    if not known:
        return f"There is no checkpoint {prefix}: its folder holds no .index file."
    near = nearest(prefix.name, [other.name for other in known]) or [other.name for other in known]
    return f"There is no checkpoint {prefix}. In its folder there are: {enumerated(near)}."


def _names(prefixes: list[Path]) -> str:
    return enumerated((prefix.name for prefix in prefixes), 5)
