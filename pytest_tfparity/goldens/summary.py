"""``NAME.yaml`` beside ``NAME.npz``: what the goldens hold, for people, code review and the hash check.

Written line by line, so that equal goldens make equal files whatever the version of PyYAML::

    format: 1
    fingerprint: "5f1c..."            # of the reference, null where none could be made
    archive: "9e10..."                # sha256 of NAME.npz
    environment:
      tensorflow: "2.21.0"
    inputs:
      "image:0":
        dtype: float32
        shape: [8, 28, 28, 1]
        min: 0
        max: 1
        mean: 0.132
        sha256: "77ab..."             # of the tensor's entries in NAME.npz
    outputs:
      "logits:0":
        ...
        tolerance: {atol: 1e-05, rtol: 0}
        rounding: 3.1e-06             # where it was measured: of the reference, from the exact answer,
        exact: "c06d..."              # which NAME.npz holds as "logits:0 exact", and this is its hash
      "classes:0":
        ...
        rounding: 2.3841858e-07       # of what decides the integers,
        decided: largest              # which are where the largest of each row stands of those that
        exact: "18fe..."              # NAME.npz holds as "classes:0 exact"
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import yaml

from ..comparison.decided import KINDS, Decided
from ..comparison.deviation import CHUNK
from ..comparison.dtypes import kind
from ..comparison.rounding import rounding_of
from ..comparison.tolerance import Tolerance
from ..graph.graph import Array
from .archive import array_dtype_name, encoded_strings, quantised_integers, tensor_sha256

FORMAT = 1
NO_ARRAYS: Mapping[str, Array] = MappingProxyType({})
NO_DECISIONS: Mapping[str, Decided] = MappingProxyType({})
HEADER = (
    "# Goldens of pytest-tfparity, written by `pytest --tfparity-update`. Review them here; change nothing."
)


class SummaryProblem(ValueError):
    """Why a summary cannot be read, as a clause about the file."""


class ForeignSummary(SummaryProblem):
    """The file is a yaml file of somebody else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the yaml file says. ``tensors`` are the hashes of all tensors by the name that they are stored under.

    ``exact`` are the outputs whose exact answer is stored, too (:func:`exact_name`), ``decided`` those among them that
    are integers: the kind of decision and its rounding.
    """

    fingerprint: str | None
    archive: str
    environment: Mapping[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, str]
    tolerances: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    exact: tuple[str, ...] = ()
    decided: Mapping[str, tuple[str, float]] = field(default_factory=dict)


def write_summary(
    *,
    inputs: Mapping[str, Array],
    outputs: Mapping[str, Array],
    tolerances: Mapping[str, Tolerance],
    fingerprint: str | None,
    environment: Mapping[str, str],
    archive: str,
    exact: Mapping[str, Array] = NO_ARRAYS,
    decided: Mapping[str, Decided] = NO_DECISIONS,
) -> str:
    """The text of the yaml file; ``archive`` is the sha256 of the npz file.

    By output, ``exact`` are the exact answers of floats, and ``decided`` is what decides integers.
    """
    lines = [
        HEADER,
        f"format: {FORMAT}",
        f"fingerprint: {_text(fingerprint)}",
        f"archive: {_text(archive)}",
        "environment:" if environment else "environment: {}",
        *(f"  {name}: {_text(fact)}" for name, fact in sorted(environment.items())),
    ]
    for title, tensors in (("inputs", inputs), ("outputs", outputs)):
        lines.append(f"{title}:" if tensors else f"{title}: {{}}")
        for name, array in sorted(tensors.items()):
            lines.append(f"  {_text(name)}:")
            lines += [f"    {line}" for line in _tensor_lines(name, array)]
            if title == "outputs" and name in tolerances:
                lines.append(f"    tolerance: {_flow(tolerance_facts(tolerances[name]))}")
            if title == "outputs" and name in exact:
                lines += [f"    {line}" for line in _exact_lines(name, array, exact[name])]
            if title == "outputs" and name in decided:
                lines += [f"    {line}" for line in _decided_lines(name, decided[name])]
    return "\n".join(lines) + "\n"


def read_summary(text: str) -> Summary:
    """The inverse of :func:`write_summary`. Raises SummaryProblem, and nothing else."""
    if any(line.startswith(("<<<<<<< ", ">>>>>>> ")) for line in text.splitlines()):
        raise SummaryProblem("holds the marks of an unresolved merge")
    try:
        content = yaml.safe_load(text)
        if not isinstance(content, dict) or "format" not in content or "archive" not in content:
            raise ForeignSummary("is not a summary of goldens that pytest-tfparity wrote")
        if content["format"] != FORMAT:
            raise SummaryProblem(f"has format {content['format']!r}; this version reads format {FORMAT}")
        return _summary(content)
    except SummaryProblem:
        raise
    except Exception as error:  # whatever a damaged yaml file makes of its own content
        raise SummaryProblem(
            f"is damaged ({' '.join(str(error).split()) or type(error).__name__})"
        ) from error


def _summary(content: Mapping[str, Any]) -> Summary:
    """The content of a yaml file of this format. Raises whatever its damage makes Python raise."""
    inputs, outputs = content["inputs"], content["outputs"]
    exact = [name for name, facts in outputs.items() if "exact" in facts]
    return Summary(
        fingerprint=None if content["fingerprint"] is None else str(content["fingerprint"]),
        archive=str(content["archive"]),
        environment={str(name): str(fact) for name, fact in content["environment"].items()},
        inputs=tuple(map(str, inputs)),
        outputs=tuple(map(str, outputs)),
        tensors={
            **{str(name): str(facts["sha256"]) for name, facts in [*inputs.items(), *outputs.items()]},
            **{exact_name(str(name)): str(outputs[name]["exact"]) for name in exact},
        },
        exact=tuple(map(str, exact)),
        decided={
            str(name): (_decision(facts["decided"]), float(facts["rounding"]))
            for name, facts in outputs.items()
            if "decided" in facts
        },
        tolerances={str(name): dict(facts.get("tolerance", {})) for name, facts in outputs.items()},
    )


def tolerance_facts(tolerance: Tolerance) -> dict[str, Any]:
    """A tolerance as the yaml file states it: atol and rtol, or rounding, and of the rest what is not the default."""
    facts: dict[str, Any] = {"atol": float(tolerance.atol), "rtol": float(tolerance.rtol)}
    if tolerance.metrics and math.isinf(tolerance.atol):
        facts = {}
    if tolerance.rounding is not None:
        facts = {"rounding": float(tolerance.rounding)}
    facts.update(tolerance.metrics)
    if tolerance.equal_nan:
        facts["equal_nan"] = True
    if tolerance.statistic != "max":
        facts["statistic"] = tolerance.statistic
    if tolerance.top_k is not None:
        facts["top_k"] = {"k": int(tolerance.top_k.k), "agree": float(tolerance.top_k.agree)}
    return facts


def exact_name(output: str) -> str:
    """The name that the exact answer of ``output`` is stored under: no tensor of a graph has a space in its own."""
    return f"{output} exact"


def _exact_lines(name: str, array: Array, exact: Array) -> Iterator[str]:
    rounding = rounding_of(array, exact)
    if rounding is not None:
        yield f"rounding: {_number(rounding.unit, digits=3)}"
    yield f"exact: {_text(tensor_sha256(exact_name(name), exact))}"


def _decided_lines(name: str, decided: Decided) -> Iterator[str]:
    yield f"rounding: {_number(decided.unit, digits=17)}"
    yield f"decided: {decided.kind}"
    yield f"exact: {_text(tensor_sha256(exact_name(name), decided.exact))}"


def _decision(kind: str) -> str:
    if kind not in KINDS:
        raise SummaryProblem(f"has a decision {kind!r}, which this version does not know")
    return kind


def _tensor_lines(name: str, array: Array) -> Iterator[str]:
    yield f"dtype: {array_dtype_name(array)}"
    yield f"shape: [{', '.join(map(str, array.shape))}]"
    if array_dtype_name(array) == "string":
        yield f"bytes: {sum(map(len, encoded_strings(array).reshape(-1).tolist()))}"
    else:
        yield from _statistics(quantised_integers(array))
    yield f"sha256: {_text(tensor_sha256(name, array))}"


def _statistics(array: Array) -> Iterator[str]:
    """Minimum, maximum and mean of the finite values to 9 digits, and how many are not finite."""
    if kind(array.dtype) == "complex" or not array.size:
        return
    values = array.reshape(-1).astype(np.float64)
    finite = values[np.isfinite(values)]
    if finite.size:
        # fsum is exact, so the mean does not depend on how numpy orders a sum
        chunks = (finite[start : start + CHUNK].tolist() for start in range(0, finite.size, CHUNK))
        try:
            mean = math.fsum(value for chunk in chunks for value in chunk) / finite.size
        except OverflowError:
            mean = math.nan
        yield f"min: {_number(float(finite.min()))}"
        yield f"max: {_number(float(finite.max()))}"
        yield f"mean: {_number(mean)}"
    if finite.size < values.size:
        yield f"not_finite: {values.size - finite.size}"


def _number(value: float, digits: int = 9) -> str:
    """At most ``digits`` digits as YAML 1.1 reads them (it asks for a point before an e); 17 are exact."""
    if not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    text = repr(value) if digits >= 17 else f"{value + 0.0:.{digits}g}"
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}{'' if '.' in mantissa else '.0'}e{exponent}" if e else mantissa


def _flow(facts: Mapping[str, Any]) -> str:
    parts = []
    for name, fact in facts.items():
        if isinstance(fact, Mapping):
            parts.append(f"{name}: {_flow(fact)}")
        elif isinstance(fact, float):
            parts.append(f"{name}: {_number(fact, digits=17)}")
        else:
            parts.append(f"{name}: {json.dumps(fact)}")
    return f"{{{', '.join(parts)}}}"


def _text(value: str | None) -> str:
    return json.dumps(value)
