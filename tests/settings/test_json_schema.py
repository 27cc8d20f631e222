"""The JSON schema of a manifest says what the manifest's own reader says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_tfparity.__main__ import main
from pytest_tfparity.settings.json_schema import json_schema

jsonschema = pytest.importorskip("jsonschema")
ROOT = Path(__file__).parents[2]


def problems(document: Any) -> list[str]:
    return [error.message for error in jsonschema.Draft7Validator(json_schema()).iter_errors(document)]


def manifest(**model: Any) -> dict[str, Any]:
    return {"models": {"net": {"export": {"frozen_graph": "model.pb"}, **model}}}


def test_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json_schema()
    jsonschema.Draft7Validator.check_schema(printed)


@pytest.mark.parametrize("path", ["tfparity.yaml", "gone_wrong/tfparity.yaml"])
def test_manifests_that_are_right_fit(path: str) -> None:
    assert not problems(yaml.safe_load((ROOT / "example_project" / path).read_text("utf-8")))


@pytest.mark.parametrize(
    "model",
    [
        {"atol": 1e-5, "statistic": "quantile(0.9)", "top_k": {"k": 1}},
        {"tolerance": "rounding"},
        {"reference": {"checkpoint": "a", "ema": ["*/kernel"], "feeds": {"a:0": False}, "optional": True}},
        {
            "inputs": {
                "a:0": {"images": "*.png"},
                "b:0": None,
                "c:0": {"images": {"paths": ["a"], "channels": 1}},
            }
        },
        {"outputs": ["a:0", {"reference": "b:0", "export": "c:0", "atol": 0}]},
    ],
)
def test_what_the_reader_takes_fits(model: dict[str, Any]) -> None:
    assert not problems(manifest(**model))


@pytest.mark.parametrize(
    "model",
    [
        {"atoll": 1},
        {"atol": -1},
        {"atol": "big"},
        {"tolerance": "small"},
        {"outputs": []},
        {"compare": "everything"},
        {"reference": {"checkpoint": "a", "ema": "trainables"}},
        {"inputs": {"a:0": {"random": {"shape": "big"}}}},
    ],
)
def test_what_the_reader_refuses_does_not_fit(model: dict[str, Any]) -> None:
    assert problems(manifest(**model))
