"""What both sides are asked: golden inputs from their sources, or from the goldens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FeedError, GoldenError, InputError, TfparityError
from ..formats.format import ROLES
from ..graph.graph import Array
from ..runtime.feeds import TensorSpec, shape_fits, shape_text
from ..settings.spec import (
    BytesSource,
    ImageSource,
    InputSource,
    InputSpec,
    NpzSource,
    ParitySpec,
    RandomSource,
)
from .pair import Pair
from .random_inputs import NoRandomNumbers, random_array, random_source

if TYPE_CHECKING:
    from ..goldens.store import Golden


def load_inputs(spec: ParitySpec) -> dict[str, Array]:
    """The golden inputs of ``spec`` from their sources, by the reference's tensor names."""
    arrays = {}
    for entry in spec.inputs:
        if entry.source is None:
            raise InputError(
                f"{spec.name}: input {entry.reference} has no values. State where they come from"
                " (npz, random, images, bytes or call) under `inputs` of the model, or with --inputs."
            )
        arrays[entry.reference] = load_input(entry.source, spec.root, name=entry.reference)
    return arrays


def inputs_of(pair: Pair) -> dict[str, Array]:
    """The golden inputs of ``pair``; random numbers for those that nobody stated, as the command line makes them up."""
    require_shapes(pair)
    stated = {entry.reference for entry in pair.spec.inputs}
    found = [entry for entry in pair.inputs if entry.reference not in stated]
    arrays = load_inputs(
        replace(pair.spec, inputs=(*pair.spec.inputs, *(_made_up(pair, each) for each in found)))
    )
    for entry in pair.inputs:
        if isinstance(entry.source, BytesSource):
            arrays[entry.reference] = _one_file(pair, entry, arrays[entry.reference])
    return arrays


_LARGE = 1 << 26
"""Bytes from which an array is asked for its shape before it is read: a small file can hold any number of zeros."""


def require_shapes(pair: Pair) -> None:
    """Raise FeedError for a large array of a file that is of a wrong shape, without reading it."""
    for entry in pair.spec.inputs:
        stated = _stated_if_large(entry)
        if stated is None or entry.transpose is not None:
            continue
        shape, dtype = stated
        for taken in _taken(pair, entry):
            if not shape_fits(shape, taken.dims):
                message = (
                    f"{entry.reference} takes {taken}; the array given for it is {dtype} {shape_text(shape)}."
                )
                raise with_origin(FeedError.about(entry.reference, message), pair.spec)


def _stated_if_large(entry: InputSpec) -> tuple[tuple[int, ...], np.dtype[Any]] | None:
    """Shape and type of the array of a file, if it is large; None if it is not, or nothing says so."""
    if not isinstance(entry.source, NpzSource):
        return None
    from .input_files import stated_array

    stated = stated_array(entry.source, entry.reference)
    return stated if stated is not None and prod(stated[0]) * stated[1].itemsize > _LARGE else None


def _made_up(pair: Pair, entry: InputSpec) -> InputSpec:
    """``entry`` with random numbers, or as it is where none can be made up: then its values are asked for."""
    try:
        return replace(entry, source=random_source(*_taken(pair, entry)))
    except NoRandomNumbers:
        return entry


def _one_file(pair: Pair, entry: InputSpec, files: Array) -> Array:
    """``files`` as a graph takes them: one alone as it is where it takes one at a time, several as a list."""
    alone = files.size == 1 and all(taken.dims == () for taken in _taken(pair, entry))
    one: Array = files.reshape(()) if alone else files
    return one


def _taken(pair: Pair, entry: InputSpec) -> list[TensorSpec]:
    """What each side takes for an input; nothing of a side that is not known without its runtime."""
    found = []
    for role in ROLES:
        model = pair.reference if role == "reference" else pair.export
        if model is not None:
            known = model.inputs([getattr(output, role) for output in pair.outputs])
            found += [known[name] for name in (getattr(entry, role),) if name in known]
    return found


def load_input(source: InputSource, root: Path, *, name: str) -> Array:
    """The values of the input ``name`` (a tensor name of the reference), read-only.

    ``root`` is the folder that functions are imported from. Random numbers depend on the seed and
    on ``name``, so that two inputs with one seed differ. Strings are object arrays of ``bytes``. Raises
    InputError if a file, an array or a function is missing or not what it should be.
    """
    if isinstance(source, RandomSource):
        array = random_array(source, name)
    else:
        from .input_files import array_of

        array = array_of(source, root, name)
    array.flags.writeable = False
    return array


def with_origin(error: TfparityError, spec: ParitySpec, golden: Golden | None = None) -> TfparityError:
    """``error`` with the file that the input comes from which it is about: one of ``golden``, if that is given."""
    if not isinstance(error, FeedError) or error.tensor is None:
        return error
    entry = next((each for each in spec.inputs if error.tensor in (each.reference, each.export)), None)
    if golden is not None and spec.golden is not None:
        origin = spec.shown(spec.golden)
    elif entry is None or entry.source is None:
        return error
    else:
        origin = _origin(entry.source, spec)
    return FeedError.about(error.tensor, f"{error} It comes from {origin}.")


def _origin(source: InputSource, spec: ParitySpec) -> str:
    if isinstance(source, NpzSource):
        return spec.shown(source.path)
    if isinstance(source, ImageSource | BytesSource):
        return ", ".join(map(spec.shown, source.paths[:1]))
    if isinstance(source, RandomSource):
        return f"`random` in {spec.shown(spec.manifest)}" if spec.manifest is not None else "random numbers"
    return source.function


def inputs_at_hand(spec: ParitySpec) -> dict[str, Array]:
    """The golden inputs that cost little to make: enough to see a wrong file though nothing is run."""
    cheap = [
        entry
        for entry in spec.inputs
        if isinstance(entry.source, NpzSource | RandomSource) and _stated_if_large(entry) is None
    ]
    return load_inputs(replace(spec, inputs=tuple(cheap)))


def golden_path(spec: ParitySpec) -> Path:
    """The file of the goldens of ``spec``; ``GoldenError`` if it names none."""
    if spec.golden is None:
        raise GoldenError(
            f"{spec.name} has no goldens. Name a file under `golden` of the model and write it with"
            " `pytest --tfparity-update`."
        )
    return spec.golden


def golden_of(spec: ParitySpec) -> Golden:
    """The goldens of ``spec``; ``GoldenError`` if there are none."""
    from ..goldens.store import read_golden

    return read_golden(golden_path(spec))


def inputs_of_golden(pair: Pair, golden: Golden) -> Mapping[str, Array]:
    """The inputs inside the goldens, which must be those that the manifest states where it states any."""
    from .outputs import digest_of

    spec = pair.spec
    if spec.inputs and all(entry.source is not None for entry in spec.inputs):
        if not all(_at_hand(entry.source) for entry in spec.inputs):
            return golden.inputs  # a CI that has only the goldens lacks the files they were made from
        if digest_of(inputs_of(pair)) != digest_of(golden.inputs):
            raise GoldenError(
                f"{spec.shown(golden.path)} was made from other inputs than the manifest states now."
                " Update it: pytest --tfparity-update"
            )
    return golden.inputs


def outputs_of_golden(pair: Pair, golden: Golden) -> Mapping[str, Array]:
    """The stored outputs, every one that the check needs; ``GoldenError`` if one is missing."""
    missing = [output.reference for output in pair.outputs if output.reference not in golden.outputs]
    if missing:
        raise GoldenError(
            f"{pair.spec.shown(golden.path)} holds no output {', '.join(missing)}"
            f" (it holds {', '.join(golden.outputs)}). Update it: pytest --tfparity-update"
        )
    return golden.outputs


def _at_hand(source: InputSource | None) -> bool:
    """Whether the files that an input is made from are there."""
    if isinstance(source, NpzSource):
        return source.path.exists()
    return not isinstance(source, ImageSource | BytesSource) or all(path.exists() for path in source.paths)
