"""Checkpoints of the V2 format (tensor bundles), read without TensorFlow.

``PREFIX.index`` is a sorted-string table of BundleEntryProto, one an entry; the values lie in
``PREFIX.data-00000-of-00001`` and its fellows, which are mapped and never copied. The checksums of
the index are verified when it is read, that of a tensor when its values are. Format:
tensorflow/core/util/tensor_bundle/tensor_bundle.h, tensorflow/core/protobuf/tensor_bundle.proto.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import DecodeError

from ...errors import ModelError, TensorNotFound, UnreadableFile, did_you_mean
from ...wording import enumerated
from ..graph import Array, DType, Tensor
from . import messages
from .checkpoints import checkpoint_file, checkpoint_text, v1_error
from .checkpoints import find_checkpoint as find_checkpoint
from .checkpoints import other_checkpoints as other_checkpoints
from .mapped import mapped
from .table import crc32c, masked, masked_crc32c, read_table
from .tensors import STRING, dtype_name, from_bytes, numpy_dtype, packed_strings, shape_of, string_array
from .wire import Malformed

if TYPE_CHECKING:
    from .slices import Slice

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
"""The tensor by which an object-based checkpoint (``tf.train.Checkpoint``) is known: how its objects hang together."""
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A tensor of a checkpoint: what it is and where its bytes lie.

    A partitioned variable has its parts' places in ``slices`` and no bytes of its own.
    """

    dtype: DType
    shape: tuple[int, ...]
    slices: tuple[Slice, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    checksum: int = 0


class Bundle:
    """An open checkpoint. ``tensors`` are all its tensors by name, read when asked for, read-only.

    Raises ModelError if a file of it is missing, damaged or too small, UnreadableFile if it is in a
    form that only TensorFlow may know (the V1 format, big-endian, compressed).
    """

    def __init__(self, prefix: Path, contents: Callable[[str, Entry], Array] | None = None) -> None:
        """Open the checkpoint ``prefix``; ``contents`` gives the values in the place of its data files."""
        self.prefix = prefix
        self._contents = contents
        index = checkpoint_file(prefix, ".index")
        if not index.exists():
            raise v1_error(prefix) or ModelError(
                f"The checkpoint {checkpoint_text(prefix)} has no {index.name}."
            )
        self._entries, self._shard_count = _read_index(mapped(index, "checkpoint index"), str(index))
        self._shards: dict[int, memoryview] = {}
        self._verified: set[bytes] = set()
        if contents is None:
            self._check_files()
        self.tensors: Mapping[str, Tensor] = {
            _text(key): Tensor(entry.dtype, entry.shape, partial(self._whole, key))
            for key, entry in self._entries.items()
            if not key.startswith(b"\0")
        }

    def __enter__(self) -> Bundle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the data files; arrays in use keep theirs. What is asked for again is verified again."""
        self._shards.clear()
        self._verified.clear()

    def entry(self, name: str) -> Entry:
        """What the checkpoint says of a tensor. Raises TensorNotFound with the nearest names."""
        entry = self._entries.get(_key(name))
        if entry is None or name not in self.tensors:
            raise TensorNotFound(
                f"The checkpoint {checkpoint_text(self.prefix)} holds no tensor {name!r}."
                f"{did_you_mean(name, self.tensors)}"
            )
        return entry

    def read_slice(self, name: str, spec: str) -> Array:
        """A part of a tensor, spelt as RestoreV2 spells it (``"10 4 0,5:0,4"``; empty: the whole).

        Raises ModelError if the checkpoint holds the tensor with another shape or not all of the part.
        """
        from .slices import slice_spec  # late, like all of it: most checkpoints hold no part of a tensor

        entry = self.entry(name)
        wanted = slice_spec(spec)
        if wanted is None:
            return self._whole(_key(name))
        if wanted.shape != entry.shape:
            raise ModelError(
                f"The graph wants a part of {name!r} with shape {list(wanted.shape)}, and the checkpoint"
                f" {checkpoint_text(self.prefix)} holds it with shape {list(entry.shape)}."
            )
        return self._region(_key(name), entry, self._resolved(name, wanted.place, entry))

    def _whole(self, key: bytes) -> Array:
        entry = self._entries[key]
        if not entry.slices:
            return self._stored(key, entry)
        return self._region(key, entry, tuple(slice(0, dim) for dim in entry.shape))

    def _region(self, key: bytes, entry: Entry, wanted: tuple[slice, ...]) -> Array:
        if not entry.slices:
            return self._stored(key, entry)[wanted]
        kind = numpy_dtype(entry.dtype)
        if kind is None:
            raise self._unreadable(key, entry)
        from .slices import assembled, slice_key, slice_shape

        parts = []
        for place in entry.slices:
            part_key = slice_key(key, place)
            where = self._resolved(_text(key), place, entry)
            part = self._entries.get(part_key)
            if part is None or part.shape != slice_shape(where):
                raise ModelError(f"Parts of {_text(key)!r} are missing in {self._name}.")
            parts.append((where, partial(self._stored, part_key, part)))
        region = assembled(wanted, parts, kind)
        if region is None:
            raise ModelError(f"The parts of {_text(key)!r} in {self._name} do not make up the whole.")
        return region

    def _resolved(self, name: str, place: Slice, entry: Entry) -> tuple[slice, ...]:
        """Where a part lies in its tensor. Raises ModelError if it reaches beyond it."""
        from .slices import resolved

        try:
            return resolved(place, entry.shape)
        except ModelError as error:
            raise ModelError(f"{name!r} in {self._name} cannot be read in parts. {error}") from None

    def _stored(self, key: bytes, entry: Entry) -> Array:
        if self._contents is not None:
            return self._contents(_text(key), entry)
        view = self._shard(entry.shard)[entry.offset : entry.offset + entry.size]
        if numpy_dtype(entry.dtype) is None:
            raise self._unreadable(key, entry)
        if entry.dtype.number != STRING:
            array = from_bytes(view, entry.dtype, entry.shape, self._name)
            self._verify(key, entry, partial(masked_crc32c, view))
            return array
        try:
            # All lengths, their checksum (4 bytes), all contents: `WriteStringTensor`.
            strings = packed_strings(view, prod(entry.shape), skipped=4)
        except Malformed as error:
            raise ModelError(f"The strings {_text(key)!r} in {self._name} are damaged: {error}.") from None
        self._verify(key, entry, partial(_checksum_of_strings, strings))
        return string_array(strings, entry.shape)

    def _verify(self, key: bytes, entry: Entry, checksum: Callable[[], int]) -> None:
        """Once for each tensor. Raises ModelError if its bytes are not those that the index speaks of."""
        if key in self._verified:
            return
        if checksum() != entry.checksum:
            raise ModelError(
                f"{self._shard_path(entry.shard)} is damaged, or belongs to another index: the checksum of"
                f" {_text(key)!r} is not that in {checkpoint_file(self.prefix, '.index').name}. TensorFlow does not"
                " restore it. Copy all files of the checkpoint again, together."
            )
        self._verified.add(key)

    def _unreadable(self, key: bytes, entry: Entry) -> UnreadableFile:
        return UnreadableFile(
            f"{_text(key)!r} in {self._name} is of type {dtype_name(entry.dtype)};"
            " only TensorFlow can read that."
        )

    @cached_property
    def _name(self) -> str:
        return f"the checkpoint {checkpoint_text(self.prefix)}"

    def _shard(self, number: int) -> memoryview:
        view = self._shards.get(number)
        if view is None:
            path = self._shard_path(number)
            empty = path.stat().st_size == 0
            view = memoryview(b"") if empty else mapped(path, "checkpoint data file")
            self._shards[number] = view
        return view

    def _shard_path(self, number: int) -> Path:
        return checkpoint_file(self.prefix, f".data-{number:05d}-of-{self._shard_count:05d}")

    def _check_files(self) -> None:
        """Map every shard that is needed. Raises ModelError if one is missing or too small."""
        needed: dict[int, int] = {}
        for entry in self._entries.values():
            if not entry.slices:
                needed[entry.shard] = max(needed.get(entry.shard, 0), entry.offset + entry.size)
        missing = [
            self._shard_path(number) for number in sorted(needed) if not self._shard_path(number).is_file()
        ]
        if missing:
            count = f"{len(missing)} of {self._shard_count} data files"
            raise ModelError(
                f"The checkpoint {checkpoint_text(self.prefix)} lacks {count}:"
                f" {enumerated(path.name for path in missing)}. Copy all files of a checkpoint together."
            )
        for number, size in needed.items():
            actual = len(self._shard(number))
            if actual < size:
                raise ModelError(
                    f"{self._shard_path(number)} is {'truncated' if actual else 'empty'}: it has {actual:,}"
                    f" bytes and its index speaks of {size:,}. Copy it again."
                )


def shard_count(index: Path) -> int:
    """How many data files an index speaks of. Raises ModelError."""
    return _read_index(mapped(index, "checkpoint index"), str(index))[1]


def _read_index(view: memoryview, source: str) -> tuple[dict[bytes, Entry], int]:
    """All entries by key, and the number of data files."""
    entries: dict[bytes, Entry] = {}
    shards = None
    try:
        for key, value in read_table(view, source):
            if key:
                entries[key] = _entry(key, messages.BundleEntryProto.FromString(value), source)
            else:
                shards = _shards(messages.BundleHeaderProto.FromString(value), source)
    except DecodeError:
        raise ModelError(f"{source} is not the index of a checkpoint, or it is damaged.") from None
    if shards is None:
        raise ModelError(f"{source} is not the index of a checkpoint: it has no header.")
    for key, entry in entries.items():
        if not entry.slices and not 0 <= entry.shard < shards:
            raise ModelError(f"{source} is damaged: {_text(key)!r} lies in a data file that does not exist.")
    return entries, shards


def _shards(header: Any, source: str) -> int:
    if header.endianness:
        raise UnreadableFile(f"{source} is big-endian; only a big-endian machine's TensorFlow reads it.")
    if header.version.min_consumer > _VERSION:
        raise UnreadableFile(f"{source} is of a newer format; only a newer TensorFlow knows it.")
    return int(header.num_shards)


def _entry(key: bytes, raw: Any, source: str) -> Entry:
    dtype, shape = DType(raw.dtype), shape_of(raw.shape).dims
    if shape is None or min(shape, default=0) < 0 or raw.offset < 0 or raw.size < 0:
        raise ModelError(f"{source} is damaged: the shape or place of {_text(key)!r} makes no sense.")
    kind = numpy_dtype(dtype)
    if not raw.slices and kind is not None and dtype.number != STRING:
        needed = prod(shape) * kind.itemsize
        if needed != raw.size:
            raise ModelError(
                f"{source} is damaged: {_text(key)!r} ({dtype_name(dtype)} {list(shape)}) needs {needed:,}"
                f" bytes and has {raw.size:,}."
            )
    return Entry(
        dtype=dtype,
        shape=shape,
        slices=tuple(_slices(raw)) if raw.slices else (),
        shard=raw.shard_id,
        offset=raw.offset,
        size=raw.size,
        checksum=raw.crc32c,
    )


def _slices(raw: Any) -> Iterator[Slice]:
    from .slices import FULL, Extent

    for part in raw.slices:
        yield tuple(Extent(e.start, e.length if e.WhichOneof("value") else FULL) for e in part.extent)


def checksum_of(array: Array) -> int:
    """The checksum that an index has for a tensor of these values (masked crc32c)."""
    if array.dtype == object:
        return _checksum_of_strings(array.reshape(-1).tolist())
    return masked_crc32c(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _checksum_of_strings(values: Sequence[bytes]) -> int:
    """The checksum of all lengths, of what that makes, and of the contents: ``WriteStringTensor``."""
    lengths = b"".join(len(each).to_bytes(4 if len(each) < 1 << 32 else 8, "little") for each in values)
    crc = crc32c(lengths)
    return masked(crc32c(masked(crc).to_bytes(4, "little") + b"".join(values), crc))


def _key(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _text(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape")
