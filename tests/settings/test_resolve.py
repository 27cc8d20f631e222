"""Settings of several origins in one specification: who wins, and what is refused."""

import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_tfparity.comparison.tolerance import Tolerance, TopK
from pytest_tfparity.errors import SettingsError
from pytest_tfparity.formats.format import SideSpec
from pytest_tfparity.formats.section import KINDS
from pytest_tfparity.settings import schema
from pytest_tfparity.settings.manifest import load_manifest
from pytest_tfparity.settings.resolve import ModelEntry, resolve
from pytest_tfparity.settings.roles import marker_section, sections
from pytest_tfparity.settings.spec import (
    BytesSource,
    CallSource,
    ImageSource,
    NpzSource,
    ParitySpec,
    RandomSource,
)

MODEL = """\
models:
  digits:
    reference: {checkpoint: a.ckpt, meta: a.meta, feeds: {"is_training:0": false}}
    export: {frozen_graph: a.pb}
    outputs: [plain, {reference: own, atol: 0.4}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.ckpt.index", "a.meta", "a.pb", "b.ckpt.index", "b.pb", "images.npz", "a.png"):
        (tmp_path / name).touch()
    return tmp_path


def entry_of(folder: Path, text: str) -> ModelEntry:
    (folder / "tfparity.yaml").write_text(text, "utf-8")
    return load_manifest(folder / "tfparity.yaml").models["digits"]


def resolved(
    folder: Path,
    text: str | None = None,
    *,
    marker: Mapping[str, Any] | None = None,
    ini: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> ParitySpec:
    return resolve(
        entry_of(folder, text) if text is not None else None,
        marker=marker or {},
        ini=ini or {},
        options=options or {},
        root=folder,
        name="digits",
        file=folder / "test_digits.py",
        line=7,
    )


def mistakes(folder: Path, text: str | None = None, **layers: Mapping[str, Any]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        resolved(folder, text, **layers)
    return str(caught.value).replace(str(folder), "FOLDER").splitlines()


FILES = {"checkpoint": "a.ckpt", "frozen_graph": "a.pb"}


def test_an_option_wins_over_the_marker_the_manifest_and_the_ini_value_in_this_order(folder: Path) -> None:
    with_defaults = f"defaults: {{atol: 0.2}}\n{MODEL}"
    with_model = f"{with_defaults}    atol: 0.3\n"
    layers: dict[str, Any] = {}
    steps = [
        ({}, MODEL, 1e-5),
        ({"ini": {"atol": "0.1"}}, MODEL, 0.1),
        ({}, with_defaults, 0.2),
        ({}, with_model, 0.3),
        ({"marker": {"atol": 0.5}}, with_model, 0.5),
        ({"options": {"atol": "6e-1"}}, with_model, 0.6),
    ]
    for added, text, expected in steps:
        layers.update(added)
        assert resolved(folder, text, **layers).tolerance.atol == expected


def test_an_outputs_own_tolerance_gives_way_to_the_marker_and_to_an_option(folder: Path) -> None:
    def tolerances(**layers: Any) -> list[float]:
        return [output.tolerance.atol for output in resolved(folder, MODEL, **layers).outputs]

    assert tolerances() == [1e-5, 0.4]
    assert tolerances(ini={"atol": "0.1"}) == [0.1, 0.4]
    assert tolerances(marker={"atol": 0.5}) == [0.5, 0.5]
    assert tolerances(marker={"atol": 0.5}, options={"atol": 0.6}) == [0.6, 0.6]


def test_an_output_that_the_marker_lists_keeps_its_own_tolerance_unless_an_option_says_otherwise(
    folder: Path,
) -> None:
    marker = {"outputs": ["plain", {"reference": "own", "atol": 0.4}], "atol": 0.5}
    outputs = resolved(folder, MODEL, marker=marker).outputs
    assert [output.tolerance.atol for output in outputs] == [0.5, 0.4]
    outputs = resolved(folder, MODEL, marker=marker, options={"atol": 0.6}).outputs
    assert [output.tolerance.atol for output in outputs] == [0.6, 0.6]


def test_a_metric_stands_in_place_of_the_tolerance_of_a_weaker_place(folder: Path) -> None:
    def tolerance(output: str, model: str = "", **layers: Any) -> Tolerance:
        text = f"defaults: {{atol: 0.2}}\n{MODEL.replace('{reference: own, atol: 0.4}', output)}{model}"
        return resolved(folder, text, **layers).outputs[1].tolerance

    assert tolerance("{reference: own, sqnr: 30}") == Tolerance(atol=math.inf, sqnr=30)
    assert tolerance("{reference: own, steps: 2}", "    rounding: 8\n") == Tolerance(atol=math.inf, steps=2)
    assert tolerance("{reference: own, sqnr: 30, atol: 0.5}") == Tolerance(atol=0.5, sqnr=30)
    assert tolerance("{reference: own, atol: 0.5}", "    cosine: 0.99\n") == Tolerance(atol=0.5, cosine=0.99)
    assert tolerance("{reference: own, sqnr: 30}", options={"atol": "0.6"}) == Tolerance(atol=0.6, sqnr=30)
    assert tolerance("{reference: own, sqnr: 30, top_k: {k: 1}}") == Tolerance(
        atol=math.inf, sqnr=30, top_k=TopK(k=1)
    )


def test_options_and_ini_values_are_read_as_text(folder: Path) -> None:
    spec = resolved(
        folder,
        MODEL,
        ini={"isolate": "yes", "health": "ignore", "run": "", "rtol": None},
        options={"session": "default", "run": "always", "rtol": "1e-3"},
    )
    assert (spec.isolate, spec.health, spec.session, spec.run) == (True, "ignore", "default", "always")
    assert spec.tolerance.rtol == 1e-3
    assert not resolved(folder, MODEL, ini={"isolate": "true"}, options={"isolate": "false"}).isolate


def test_a_marker_can_state_a_whole_check_by_itself(folder: Path) -> None:
    spec = resolved(
        folder,
        marker={
            "checkpoint": Path("a.ckpt"),
            "builder": "digits.model:build",
            "ema": ("conv.*",),
            "feeds": {"is_training": False, "mean": np.array([1.5, 2.5], np.float32)},
            "frozen_graph": folder / "a.pb",
            "export_feeds": {"phase:0": np.bool_(False)},
            "inputs": {
                "image:0": {"npz": "images.npz", "export": "input:0", "transpose": (0, 3, 1, 2)},
                "noise:0": {"random": {"distribution": "integers", "shape": (8, 4), "high": 10}},
                "files:0": {"bytes": ["a.png"]},
                "pictures:0": {"images": {"paths": "*.png", "channels": 1}},
                "made:0": {"call": "digits.inputs:made"},
            },
            "outputs": ("logits", {"reference": "a", "export": "b"}),
            "golden": "digits.npz",
            "top_k": {"k": 5, "agree": 0.99},
            "statistic": "median",
            "equal_nan": True,
            "compare": None,
        },
    )
    assert spec.reference is not None
    assert spec.reference.path == folder / "a.ckpt"
    assert spec.reference.options == {"builder": "digits.model:build", "ema": ("conv.*",)}
    assert spec.reference.feeds == {"is_training:0": False, "mean:0": (1.5, 2.5)}
    assert spec.export.feeds == {"phase:0": False}
    assert spec.export.path == folder / "a.pb"
    assert [entry.source for entry in spec.inputs] == [
        NpzSource(path=folder / "images.npz"),
        RandomSource(distribution="integers", shape=(8, 4), dtype="int64", high=10),
        BytesSource(paths=(folder / "a.png",)),
        ImageSource(paths=(folder / "a.png",), channels=1),
        CallSource(function="digits.inputs:made"),
    ]
    assert spec.inputs[0].export == "input:0"
    assert spec.inputs[0].transpose == (0, 3, 1, 2)
    assert [output.reference for output in spec.outputs] == ["logits:0", "a:0"]
    assert [output.export for output in spec.outputs] == ["logits:0", "b:0"]
    assert spec.tolerance == Tolerance(statistic="median", equal_nan=True, top_k=TopK(k=5, agree=0.99))
    assert (spec.golden, spec.root, spec.manifest, spec.line) == (folder / "digits.npz", folder, None, None)


def test_a_marker_replaces_parts_of_the_manifests_model(folder: Path) -> None:
    spec = resolved(folder, MODEL, marker={"frozen_graph": "b.pb", "checkpoint": "b.ckpt"})
    assert spec.export.path == folder / "b.pb"
    assert spec.reference is not None
    assert (spec.reference.path, spec.reference.options["meta"]) == (folder / "b.ckpt", folder / "a.meta")
    assert spec.reference.feeds == {"is_training:0": False}
    assert (spec.manifest, spec.line) == (folder / "tfparity.yaml", 2)


def test_a_markers_builder_replaces_the_manifests_meta_graph(folder: Path) -> None:
    spec = resolved(folder, MODEL, marker={"builder": "digits.model:build"})
    assert spec.reference is not None
    assert spec.reference.options == {"builder": "digits.model:build"}


def test_a_markers_format_replaces_the_manifests_with_its_keys(folder: Path) -> None:
    spec = resolved(folder, MODEL, marker={"reference": {"frozen_graph": "b.pb"}})
    assert spec.reference == SideSpec(
        format="frozen_graph", path=folder / "b.pb", feeds={"is_training:0": False}
    )
    assert spec.export.path == folder / "a.pb"


def test_a_marker_states_one_file_for_a_side(folder: Path) -> None:
    assert mistakes(
        folder, MODEL, marker={"reference": {"frozen_graph": "b.pb"}, "checkpoint": "b.ckpt"}
    ) == [
        "FOLDER/test_digits.py:7: 'checkpoint' of the parity marker and 'frozen_graph' of the reference of"
        " the parity marker are two files for one side; keep one of them."
    ]


def test_builder_and_meta_in_one_marker_are_refused(folder: Path) -> None:
    assert mistakes(folder, marker={**FILES, "builder": "m:f", "meta": "a.meta"}) == [
        "FOLDER/test_digits.py:7: 'builder' of the parity marker and 'meta' exclude each other: a rebuilt "
        "network mixed with an imported one holds two copies of the variables, of which only one is "
        "restored. Keep one of the two."
    ]


def test_mistakes_of_every_origin_are_told_at_once(folder: Path) -> None:
    layers = {
        "marker": {"atoll": 1, "outputs": "logits", "feeds": {"a": None}, "frozen_graph": open},
        "ini": {"run": "sometimes"},
        "options": {"atol": "small", "isolate": "maybe"},
    }
    assert mistakes(folder, MODEL, **layers) == [
        "FOLDER/test_digits.py:7: unknown key 'atoll' in the parity marker. Did you mean 'atol'?",
        "FOLDER/test_digits.py:7: 'outputs' of the parity marker must be a list of tensor names "
        "or of mappings, not the text 'logits'.",
        "FOLDER/test_digits.py:7: 'feeds' of the parity marker has a bad value for 'a': "
        "it must be a bool, a number, text, or nested lists of them, not nothing.",
        "FOLDER/test_digits.py:7: 'frozen_graph' of the parity marker must be a path of a frozen graph, "
        ".pb or .pbtxt, not a builtin_function_or_method.",
        "configuration: tfparity_run must be unproven or always, not 'sometimes'.",
        "command line: --tfparity-atol must be a number that is not negative, not the text 'small'.",
        "command line: --tfparity-isolate must be true or false, not the text 'maybe'.",
    ]


def test_a_marker_without_an_export_is_refused(folder: Path) -> None:
    assert mistakes(folder, marker={"checkpoint": "a.ckpt"}) == [
        "FOLDER/test_digits.py:7: the parity marker has no export; "
        "state the frozen graph under test as frozen_graph=PATH."
    ]


def test_a_missing_file_of_a_marker_is_told(folder: Path) -> None:
    assert mistakes(folder, MODEL, marker={"frozen_graph": "c.pb"}) == [
        "FOLDER/test_digits.py:7: 'frozen_graph' of the parity marker names 'c.pb', but there is no such "
        "file in FOLDER. Did you mean 'b.pb' or 'a.pb'?"
    ]


def test_every_section_and_kind_of_the_schema_is_described() -> None:
    for section in (*sections(), marker_section()):
        assert len(section.by_name) == len(section.keys)
        for key in section.keys:
            assert key.kind in KINDS
            assert key.description.endswith(".")
            assert key.description[0].isupper()
            assert key.kind != "choice" or len(key.choices) > 1


def test_the_defaults_that_the_schema_states_are_those_in_force(folder: Path) -> None:
    stated = {key.name: key.default for key in schema.MODEL.keys if key.name in ("atol", "rtol", "statistic")}
    stated |= {key.name: key.default for key in schema.CONDUCT}
    text = MODEL + "".join(f"    {name}: {value}\n" for name, value in stated.items())
    assert resolved(folder, text) == resolved(folder, MODEL)


def test_what_ini_values_and_options_can_set_has_its_names() -> None:
    names = [(key.ini, key.flag) for key in schema.CONFIGURABLE]
    assert names == [
        (f"tfparity_{name}", f"--tfparity-{name}")
        for name in ("atol", "rtol", "run", "session", "isolate", "timeout", "memory", "offline", "health")
    ]


def test_the_schema_imports_nothing_heavy() -> None:
    code = "import sys, pytest_tfparity.settings.schema; print(*sorted({'numpy', 'yaml', 'pytest'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
