"""A manifest that is written means what it was written from."""

import dataclasses
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_tfparity.comparison.tolerance import Tolerance, TopK
from pytest_tfparity.errors import SettingsError
from pytest_tfparity.formats.format import SideSpec
from pytest_tfparity.settings.draft import manifest_text, write_manifest
from pytest_tfparity.settings.manifest import load_manifest
from pytest_tfparity.settings.resolve import resolve
from pytest_tfparity.settings.spec import (
    BytesSource,
    CallSource,
    ImageSource,
    InputSpec,
    NpzSource,
    OutputSpec,
    ParitySpec,
    RandomSource,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("art/m.ckpt-4.index", "art/m.meta", "art/digits.pb", "g/images.npz", "i/[1].png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def small(folder: Path) -> ParitySpec:
    return ParitySpec(
        name="digits",
        root=folder,
        reference=SideSpec(format="checkpoint", path=folder / "art/m.ckpt-4", feeds={"is_training:0": False}),
        export=SideSpec(format="frozen_graph", path=folder / "art/digits.pb"),
        inputs=(
            InputSpec(
                reference="image:0",
                export="image:0",
                source=RandomSource(distribution="normal", shape=(8, 28, 28, 1)),
            ),
        ),
        outputs=(OutputSpec(reference="logits:0", export="logits:0", tolerance=Tolerance()),),
        golden=folder / "goldens/digits.npz",
    )


def whole(folder: Path) -> ParitySpec:
    base = Tolerance(atol=1e-4, rtol=1e-6, statistic="quantile(0.99)")
    sources = {
        "a:0": NpzSource(path=folder / "g/images.npz", key="the key"),
        "b:0": RandomSource(distribution="integers", shape=(2, 3), dtype="int32", seed=7, low=-3, high=9),
        "c:0": RandomSource(distribution="uniform", shape=(1,), dtype="float64", low=0.5, high=1e20),
        "d:0": RandomSource(distribution="normal", shape=(1,), mean=1e-7, stddev=2.0),
        "e:0": ImageSource(paths=(folder / "i/[1].png",), channels=1, dtype="float32"),
        "f:0": BytesSource(paths=(folder / "i/[1].png", folder / "art/digits.pb")),
        "g:0": CallSource(function="digits.inputs:made"),
        "h:0": None,
    }
    return ParitySpec(
        name="it's: odd",
        root=folder,
        reference=SideSpec(
            format="checkpoint",
            path=folder / "art/m.ckpt-4",
            options={"meta": folder / "art/m.meta", "ema": ("conv.*", "yes")},
            feeds={"x:0": ((1, 2.5), (3, 1e-9)), "y:0": "1e-5", "z:0": True},
            optional=True,
        ),
        export=SideSpec(format="frozen_graph", path=folder / "art/digits.pb", feeds={"phase:0": 0}),
        inputs=tuple(
            InputSpec(
                reference=name,
                export=name if name < "c" else f"net/{name}",
                source=source,
                transpose=(0, 3, 1, 2) if name == "b:0" else None,
            )
            for name, source in sources.items()
        ),
        outputs=(
            OutputSpec(reference="logits:0", export="logits:0", tolerance=base),
            OutputSpec(reference="n/logits:1", export="m:0", tolerance=base),
            OutputSpec(
                reference="p:0",
                export="p:0",
                tolerance=dataclasses.replace(base, atol=0.5, top_k=TopK(k=5, agree=0.9), equal_nan=True),
            ),
            OutputSpec(
                reference="q:0",
                export="q:0",
                tolerance=dataclasses.replace(base, atol=math.inf, rtol=0.0, sqnr=30.5, steps=2.0),
                transpose=(1, 0),
            ),
        ),
        tolerance=base,
        golden=folder.parent / "elsewhere.npz",
        compare="weights",
        session="default",
        run="always",
        isolate=True,
        health="error",
    )


def read_back(path: Path, name: str) -> ParitySpec:
    entry = load_manifest(path).models[name]
    spec = resolve(entry, marker={}, ini={}, options={}, root=path.parent, name=name)
    return dataclasses.replace(spec, manifest=None, line=None)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("tfparity.yaml", "pytest tfparity.yaml"),
        ("my models.yaml", "pytest 'my models.yaml' --tfparity-manifest='my models.yaml'"),
    ],
)
def test_a_written_manifest_says_how_to_check_it(folder: Path, name: str, command: str) -> None:
    assert f"# Check them: {command}\n" in manifest_text([small(folder)], folder / name)


def test_a_written_manifest_is_tidy(folder: Path) -> None:
    assert manifest_text([small(folder)], folder / "tfparity.yaml") == (
        """\
# Each export must match its reference within the tolerance.
# Check them: pytest tfparity.yaml
models:
  digits:
    # The side that is right: a checkpoint and the graph to run it in.
    reference:
      checkpoint: art/m.ckpt-4
      feeds: {"is_training:0": false}
    # The side under test: a frozen graph.
    export:
      frozen_graph: art/digits.pb
    # The inputs by their names in the reference, and where their values come from.
    inputs:
      "image:0": {random: {distribution: normal, shape: [8, 28, 28, 1], dtype: float32, seed: 0}}
    # The tensors that are compared.
    outputs:
      - "logits:0"
    # The file that keeps inputs and reference outputs.
    golden: goldens/digits.npz
    # What a value may differ by, whatever its size; .inf leaves the verdict to top_k.
    atol: 1.0e-05
    # tolerance: rounding  # in place of atol: as exact as the reference's own arithmetic, measured
"""
    )


def test_a_written_manifest_means_what_it_was_written_from(folder: Path) -> None:
    specs = [
        whole(folder),
        small(folder),
        dataclasses.replace(small(folder), name="plain", inputs=(), golden=None),
    ]
    write_manifest(folder / "tfparity.yaml", specs)
    for spec in specs:
        assert read_back(folder / "tfparity.yaml", spec.name) == spec


def test_other_readers_of_yaml_see_the_same_numbers(folder: Path) -> None:
    model = yaml.safe_load(manifest_text([small(folder)], folder / "tfparity.yaml"))["models"]["digits"]
    assert model["atol"] == 1e-5
    assert model["outputs"] == ["logits:0"]


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: text.strip() and text.isprintable() and "::" not in text and text != "<<"
)
scalars = st.one_of(
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=names, feed=st.one_of(scalars, st.lists(scalars).map(tuple)))
def test_any_name_and_any_constant_survive(name: str, feed: object, folder: Path) -> None:
    spec = dataclasses.replace(
        small(folder),
        name=name,
        golden=None,
        export=SideSpec(format="frozen_graph", path=folder / "art/digits.pb", feeds={"x:0": feed}),
    )
    (folder / "tfparity.yaml").unlink(missing_ok=True)  # hypothesis comes here again and again
    write_manifest(folder / "tfparity.yaml", [spec])
    assert read_back(folder / "tfparity.yaml", name) == spec


def test_a_manifest_is_not_overwritten_unasked(folder: Path) -> None:
    path = folder / "tfparity.yaml"
    path.write_text("mine")
    with pytest.raises(SettingsError, match="exists already and is left as it is"):
        write_manifest(path, [small(folder)])
    assert path.read_text() == "mine"
    with pytest.raises(SettingsError, match=r"cannot be written: No such file or directory\.$"):
        write_manifest(folder / "no" / "tfparity.yaml", [small(folder)])
