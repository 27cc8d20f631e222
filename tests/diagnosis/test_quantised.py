"""What integers do to a network that is right otherwise: each cause with its repair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs.saved_models import checked
from graphs.tflite import convert, images, weights, write_network
from pytest_tfparity.diagnosis.quantised.ranges import range_use
from pytest_tfparity.graph.graph import TensorName
from pytest_tfparity.graph.lift.lifted import Grid, Stored
from pytest_tfparity.result import ParityResult

tf = pytest.importorskip("tensorflow")
pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed: pip install pytest-tfparity[tflite]")


def against(reference: Path, export: Path, atol: float, **stated: Any) -> ParityResult:
    np.savez(export.parent / "images.npz", image=images())
    inputs = {"image": {"npz": export.parent / "images.npz", "key": "image"}}
    return checked({"saved_model": reference}, {"tflite": export}, inputs=inputs, atol=atol, **stated)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("reference") / "model")


def test_ranges_of_too_small_data_are_proven_by_wider_ones(reference: Path, tmp_path: Path) -> None:
    file = convert(reference, tmp_path / "model.tflite", "int8", images(scale=0.1))
    result = against(reference, file, 0.1)
    (finding,) = result.findings
    assert (finding.cause, finding.certainty) == ("tflite-quant-range-clipped", "proven")
    assert "image" in finding.scopes
    assert "cut off" in finding.message
    assert "With the ranges that the values have, parity returns." in finding.evidence


def test_ranges_of_too_large_data_are_proven_by_narrower_ones(reference: Path, tmp_path: Path) -> None:
    file = convert(reference, tmp_path / "model.tflite", "int8", images(scale=60.0))
    result = against(reference, file, 0.1)
    (finding,) = result.findings
    assert (finding.cause, finding.certainty) == ("tflite-quant-range-inflated", "proven")
    assert "image" in finding.scopes


def test_eight_bits_where_floats_were_meant_are_proven_by_the_weights(
    reference: Path, tmp_path: Path
) -> None:
    result = against(reference, convert(reference, tmp_path / "model.tflite", "dynamic"), 1e-5)
    assert result.verdict == "fail"
    assert [finding.cause for finding in result.findings] == ["tflite-dynamic-range"]


def test_float16_where_floats_were_meant_is_proven(reference: Path, tmp_path: Path) -> None:
    result = against(reference, convert(reference, tmp_path / "model.tflite", "float16"), 1e-6)
    assert [(finding.cause, finding.certainty) for finding in result.findings] == [("weights-fp16", "proven")]


def test_one_scale_for_channels_that_differ_is_proven(tmp_path: Path) -> None:
    held, spread = weights(), np.geomspace(0.02, 1, 40, dtype=np.float32)
    held["gamma"], held["beta"] = spread, held["beta"] * spread
    held["mean"] = np.zeros_like(spread)
    held["depthwise"] = held["depthwise"] / spread[:, None]
    reference = write_network(tmp_path / "model", held)
    file = tmp_path / "model.tflite"
    right = against(reference, convert(reference, file, "dynamic"), 0.02)
    assert right.verdict == "pass"
    assert right.findings == ()
    wrong = convert(reference, file, "dynamic", _experimental_disable_per_channel=True)
    result = against(reference, wrong, 0.02)
    assert result.verdict == "fail"
    assert [(finding.cause, finding.certainty) for finding in result.findings] == [
        ("tflite-per-tensor-quantisation", "proven")
    ]


def test_a_tolerance_below_eight_bits_blames_nothing(reference: Path, tmp_path: Path) -> None:
    result = against(reference, convert(reference, tmp_path / "model.tflite", "int8"), 1e-4)
    assert result.verdict == "fail"
    assert result.findings == ()
    assert any(note.startswith("Rounding to integers makes the difference") for note in result.notes)


def grid(scale: float, zero_point: int) -> Stored:
    made = Grid(
        scale=np.asarray([scale]), zero_point=np.asarray([zero_point], np.int64), lowest=-128, highest=127
    )
    return Stored(name="x", type="int8", grid=made)


@pytest.mark.parametrize(
    ("stored", "fault"),
    [
        (grid(2 / 255, 0), None),
        (grid(0.2 / 255, 0), "clipped"),
        (grid(30 / 255, 0), "inflated"),
        (grid(2 / 255, 100), "shifted"),
    ],
)
def test_a_range_is_held_against_the_values(stored: Stored, fault: str | None) -> None:
    values = np.random.default_rng(0).uniform(-1, 1, 5000)
    assert stored.grid is not None
    use = range_use(TensorName("x", 0), stored, stored.grid, values)
    assert use is not None
    assert use.fault == fault
    fitting = use.fitting.grid
    assert fitting is not None
    low, high = fitting.range
    assert low <= use.used[0] + 0.01
    assert high >= use.used[1] - 0.01
    again = range_use(TensorName("x", 0), use.fitting, fitting, values)
    assert again is not None
    assert again.fault is None
