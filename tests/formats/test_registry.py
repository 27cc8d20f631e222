"""What follows from the list of formats: how files are told apart, what is said of wrong ones, what it costs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graphs.networks import Network
from pytest_tfparity.__main__ import main
from pytest_tfparity.errors import SettingsError
from pytest_tfparity.formats.checkpoint import CheckpointFormat
from pytest_tfparity.formats.format import Format, SideSpec
from pytest_tfparity.formats.frozen_graph import FrozenGraphFormat
from pytest_tfparity.formats.registry import FORMATS, format_of, formats_for, recognised

pytest.importorskip("tensorflow")

LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


@pytest.fixture
def files(tmp_path: Path, networks: Callable[..., Network]) -> Path:
    """A checkpoint, its meta graph, and a frozen graph in binary and in text form."""
    from tensorflow.compat.v1 import GraphDef

    network = networks()
    shutil.copytree(network.folder, tmp_path / "files")
    text = str(GraphDef.FromString(network.frozen_graph.read_bytes()))
    (tmp_path / "files" / "model.pbtxt").write_text("# a comment\n" + text)
    (tmp_path / "files" / "notes.txt").write_text("node of a story {")
    (tmp_path / "files" / "empty").touch()
    return tmp_path / "files"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("model.ckpt-7", CheckpointFormat),
        ("", CheckpointFormat),
        ("checkpoint", CheckpointFormat),
        ("model.pb", FrozenGraphFormat),
        ("model.pbtxt", FrozenGraphFormat),
    ],
)
def test_a_file_is_told_by_what_is_in_it(files: Path, name: str, known: type[Format]) -> None:
    path = files / name
    assert [type(each) for each in FORMATS if each.recognises(path)] == [known]
    assert type(recognised(path, "reference")) is type(recognised(path, "export")) is known


@pytest.mark.parametrize("name", ["notes.txt", "empty", "gone"])
def test_what_no_format_knows_is_taken_for_what_usually_stands_there(files: Path, name: str) -> None:
    assert not [each for each in FORMATS if each.recognises(files / name)]
    assert isinstance(recognised(files / name, "reference"), CheckpointFormat)
    assert isinstance(recognised(files / name, "export"), FrozenGraphFormat)


def test_a_meta_graph_is_no_frozen_graph(files: Path) -> None:
    assert not FrozenGraphFormat().recognises(files / "model.ckpt-7.meta")


def test_what_usually_stands_on_a_side_comes_first_there() -> None:
    assert [each.word for each in formats_for("reference")] == [
        "checkpoint",
        "keras",
        "frozen_graph",
        "saved_model",
        "tflite",
        "onnx",
    ]
    assert [each.word for each in formats_for("export")] == [
        "frozen_graph",
        "saved_model",
        "tflite",
        "onnx",
        "checkpoint",
        "keras",
    ]


def test_a_word_that_is_no_format_is_told_with_those_that_there_are() -> None:
    with pytest.raises(SettingsError, match=r"There is no format 'frozen'. Did you mean 'frozen_graph'"):
        format_of("frozen")


def test_the_first_key_of_a_format_names_its_file() -> None:
    for each in FORMATS:
        assert each.section.keys[0].name == each.section.name == each.word
        assert each.noun


def test_a_spec_is_equal_and_hashable_and_says_which_model_it_means() -> None:
    one, same = (
        SideSpec(format="checkpoint", path=Path("a"), options={"ema": ("x",)}, feeds={"t:0": 1})
        for _ in range(2)
    )
    assert one == same
    assert hash(one) == hash(same)
    others = [
        SideSpec(format="frozen_graph", path=Path("a"), options={"ema": ("x",)}, feeds={"t:0": 1}),
        SideSpec(format="checkpoint", path=Path("b"), options={"ema": ("x",)}, feeds={"t:0": 1}),
        SideSpec(format="checkpoint", path=Path("a"), options={"ema": "x"}, feeds={"t:0": 1}),
        SideSpec(format="checkpoint", path=Path("a"), options={"ema": ("x",)}, feeds={"t:0": True}),
        SideSpec(format="checkpoint", path=Path("a"), options={"ema": ("x",)}, feeds={"t:0": 1.0}),
    ]
    assert len({identity(each) for each in (one, *others)}) == 6
    optional = SideSpec(
        format="checkpoint", path=Path("a"), options={"ema": ("x",)}, feeds={"t:0": 1}, optional=True
    )
    assert identity(optional) == identity(one)
    assert optional != one


def test_the_folder_of_the_project_makes_another_model_where_a_function_is_named() -> None:
    plain = SideSpec(format="checkpoint", path=Path("a"))
    built = SideSpec(format="checkpoint", path=Path("a"), options={"builder": "m:f"})
    assert identity(plain, "one") == identity(plain, "other")
    assert identity(built, "one") != identity(built, "other")


def identity(spec: SideSpec, root: str = "root") -> str:
    return format_of(spec.format).identity(spec, Path(root))


def test_a_checkpoint_can_be_read_with_every_kind_of_average_unless_one_is_stated() -> None:
    form = CheckpointFormat()
    stated = SideSpec(format="checkpoint", path=Path("a"), options={"meta": Path("m")})
    assert [each.options for each in form.readings(stated)] == [
        {"meta": Path("m"), "ema": ema} for ema in ("trainable", "all", "none")
    ]
    assert list(form.readings(SideSpec(format="checkpoint", path=Path("a"), options={"ema": "all"}))) == []


def test_the_files_of_a_folder_are_those_that_its_latest_checkpoint_depends_on(files: Path) -> None:
    found = CheckpointFormat().files(SideSpec(format="checkpoint", path=files))
    assert {path.name for path in found} == {"checkpoint", "model.ckpt-7.index", "model.ckpt-7.meta"}


def loaded(*command: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after ``command``."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    lines = done.stderr.splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}


def test_loading_the_plugin_loads_no_format() -> None:
    names = loaded("-c", "import pytest_tfparity.plugin.hooks, pytest_tfparity.plugin.fixtures")
    assert "pytest_tfparity.settings.schema" in names
    assert {name for name in names if name.startswith("pytest_tfparity.formats.")} == {
        "pytest_tfparity.formats.section"
    }


def test_help_of_the_command_line_loads_no_format() -> None:
    names = loaded("-m", "pytest_tfparity", "--help")
    assert "pytest_tfparity.cli.parser" in names
    assert not {"numpy", "yaml", "pytest_tfparity.formats.registry"} & names


def test_the_keys_of_the_formats_are_options_of_what_opens_models() -> None:
    for command in ("check", "init"):
        done = subprocess.run(
            [sys.executable, "-m", "pytest_tfparity", command, "--help"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "COLUMNS": "200"},
        )
        assert "REFERENCE EXPORT" in done.stdout
        for form in FORMATS:
            for key in form.section.keys[1:]:
                assert f"--{key.name.replace('_', '-')} " in done.stdout


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("net.keras", LFS_POINTER, "The Keras model net.keras is a Git LFS pointer"),
        ("net.h5", "text", "net.h5 is no Keras model: neither a .keras archive nor an HDF5 file."),
        ("net.tflite", LFS_POINTER, "net.tflite is a Git LFS pointer"),
        ("net.onnx", LFS_POINTER, "net.onnx is a Git LFS pointer"),
        ("served/fingerprint.pb", "", "'served', which is no SavedModel: of one it has only fingerprint.pb"),
        (
            "served/1/saved_model.pb",
            "",
            "which is no SavedModel: it has no saved_model.pb, but 1 in it has one",
        ),
    ],
)
def test_what_no_format_recognises_is_told_in_the_words_of_the_one_it_was_meant_as(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str,
    said: str,
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["check", name.partition("/")[0], name.partition("/")[0]]) == 2
    assert said in capsys.readouterr().err


def test_a_name_that_is_not_there_is_looked_for_among_files_of_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "network.keras").touch()
    monkeypatch.chdir(tmp_path)
    assert main(["check", "netwrok.keras", "netwrok.keras"]) == 2
    assert "'keras' of the command line names 'netwrok.keras', but there is no such file" in (
        said := capsys.readouterr().err
    )
    assert "Did you mean 'network.keras'?" in said
