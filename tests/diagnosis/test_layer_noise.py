"""How exact each layer of an export is by itself, as its own runtime computes it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.tflite import EPSILON, convert, images, write_network
from pytest_tfparity.check.compared import compare_all
from pytest_tfparity.check.diagnosed import case_of
from pytest_tfparity.check.exact import UNKNOWN
from pytest_tfparity.check.inputs import inputs_of
from pytest_tfparity.check.pair import open_pair
from pytest_tfparity.check.run import RunOutputs
from pytest_tfparity.diagnosis.evidence import Evidence
from pytest_tfparity.diagnosis.quantised.layers import (
    LayerNoise,
    layer_noise,
    outstanding,
    sentence,
    sqnr,
)
from pytest_tfparity.formats.store import ModelStore
from pytest_tfparity.graph.graph import TensorName
from pytest_tfparity.graph.lift.lifted import Stored
from pytest_tfparity.settings.resolve import resolve

tf = pytest.importorskip("tensorflow")
pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed: pip install pytest-tfparity[tflite]")


def noise_of(reference: Path, export: Path, rows: int = 8) -> tuple[LayerNoise, ...]:
    np.savez(export.parent / "images.npz", image=images(rows))
    spec = resolve(
        None,
        marker={
            "reference": {"saved_model": reference},
            "export": {"tflite": export},
            "inputs": {"image": {"npz": export.parent / "images.npz", "key": "image"}},
            "outputs": ["logits"],
        },
        ini={},
        options={},
        root=export.parent,
        name="net",
    )
    models = ModelStore()
    try:
        pair = open_pair(spec, models)
        inputs = inputs_of(pair)
        answers = RunOutputs(
            inputs=inputs, reference=pair.run("reference", inputs), export=pair.run("export", inputs)
        )
        compared = compare_all(pair, answers, "reference", UNKNOWN)
        return Evidence.of(case_of(pair, compared, answers))[layer_noise]
    finally:
        models.close()


def test_of_a_wrong_layer_alone_the_own_noise_is_large(tmp_path: Path) -> None:
    reference = write_network(tmp_path / "reference")
    other = write_network(tmp_path / "other", epsilon=100 * EPSILON)
    wrong, *rest = noise_of(reference, convert(other, tmp_path / "model.tflite"))
    assert wrong.own < 30
    assert len(rest) >= 2
    assert all(each.own > 100 for each in rest)
    assert all(each.accumulated < 40 for each in rest)


def test_a_right_export_has_little_noise_everywhere(tmp_path: Path) -> None:
    reference = write_network(tmp_path / "reference")
    found = noise_of(reference, convert(reference, tmp_path / "model.tflite"))
    assert len(found) >= 3
    assert all(each.own > 100 for each in found)
    assert sentence(found, "LiteRT") is None


def test_an_int8_export_has_the_noise_of_its_grids(tmp_path: Path) -> None:
    reference = write_network(tmp_path / "reference")
    found = noise_of(reference, convert(reference, tmp_path / "model.tflite", "int8"))
    assert all(20 < each.own < 70 for each in found)


def noise(own: float, layer: str = "layer") -> LayerNoise:
    return LayerNoise(
        tensor=TensorName(layer, 0),
        reference=TensorName(layer, 0),
        layer=layer,
        stored=Stored(name=layer, type="int8"),
        own=own,
        accumulated=own,
        used=(0.0, 1.0),
    )


def test_what_stands_out_is_named_worst_first() -> None:
    layers = [noise(40, "a"), noise(12.25, "b"), noise(41, "c"), noise(-math.inf, "d"), noise(math.inf, "e")]
    assert [each.layer for each in outstanding(layers)] == ["d", "b"]
    said = sentence(layers, "LiteRT")
    assert said is not None
    assert "LiteRT computed before them" in said
    assert said.endswith("d (nothing left of the signal), b (12.2 dB); the median layer has 40.0 dB.")


@pytest.mark.parametrize("layers", [[], [noise(1), noise(90)], [noise(40), noise(41), noise(35)]])
def test_where_none_stands_out_nothing_is_said(layers: list[LayerNoise]) -> None:
    assert sentence(layers, "LiteRT") is None


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20), st.floats(0.001, 1))
def test_signal_to_noise_is_that_of_the_definition(values: list[float], factor: float) -> None:
    right = np.array(values)
    if np.sum(right**2) < 1e-6:
        return
    assert sqnr(right, right * (1 + factor)) == pytest.approx(-20 * math.log10(factor), abs=1e-6)


def test_what_is_not_finite_on_one_side_alone_is_all_noise() -> None:
    right = np.array([1.0, np.nan, 2.0])
    assert sqnr(right, right) == math.inf
    assert sqnr(right, np.array([1.0, 0.0, 2.0])) == -math.inf
    assert sqnr(np.zeros(3), np.ones(3)) == -math.inf
