"""``each``: one model for every match, with names that say which."""

import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_tfparity.errors import SettingsError
from pytest_tfparity.settings.manifest import load_manifest, read_manifest
from pytest_tfparity.settings.pattern import Match, filled_text, matches
from pytest_tfparity.settings.resolve import resolve
from pytest_tfparity.settings.spec import ParitySpec
from pytest_tfparity.settings.stated import Wrong

GROUP = """\
    defaults: {rtol: 1.0e-3}
    models:
      zoo:
        each: exports/*/model.pb
        reference:
          checkpoint: checkpoints/{name}/model.ckpt-1
          meta: checkpoints/shared.meta
        export:
          frozen_graph: "{path}"
        inputs:
          "{name}/image:0": {npz: "images/{name}.npz"}
        outputs: ["{name}/logits:0"]
        golden: goldens/{name}.npz
        atol: 1.0e-2
    """


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def write(folder: Path, text: str) -> Path:
    path = folder / "tfparity.yaml"
    path.write_text(textwrap.dedent(text), "utf-8")
    return path


def problems(folder: Path, text: str) -> list[str]:
    return [
        f"{each.line}: {each.message}".replace(str(folder), "FOLDER")
        for each in read_manifest(write(folder, text)).problems
    ]


def spec_of(folder: Path, text: str, name: str) -> ParitySpec:
    entry = load_manifest(write(folder, text)).models[name]
    return resolve(entry, marker={}, ini={}, options={}, root=folder, name=name)


def test_a_name_is_what_the_wildcards_stand_for(tmp_path: Path) -> None:
    touch(tmp_path, "exports/b/model.pb", "exports/a/model.pb", "exports/a/other.pb", "exports/a/x/model.pb")
    assert matches(tmp_path, "exports/*/model.pb") == [
        Match("a", "exports/a/model.pb"),
        Match("b", "exports/b/model.pb"),
    ]
    assert [match.name for match in matches(tmp_path, "exports/*/*.pb")] == ["a/model", "a/other", "b/model"]
    assert [match.name for match in matches(tmp_path, "./exports/**/model.pb")] == ["a", "a/x", "b"]
    assert [match.name for match in matches(tmp_path, "exports//?/m[no]del.pb")] == ["a/o", "b/o"]
    assert [match.name for match in matches(tmp_path, "exp*/")] == ["orts"]


@pytest.mark.parametrize("pattern", ["exports/*/model.tflite", "nowhere/*", "[/*"])
def test_a_pattern_that_nothing_matches_is_refused(tmp_path: Path, pattern: str) -> None:
    touch(tmp_path, "exports/a/model.pb")
    with pytest.raises(Wrong, match=r"which nothing in .* matches"):
        matches(tmp_path, pattern)


@given(st.lists(st.text("abxy-_.", min_size=1, max_size=6), min_size=1, max_size=4, unique=True))
def test_the_name_put_in_the_place_of_one_wildcard_is_the_path(names: list[str]) -> None:
    import tempfile

    named = [name for name in names if not name.startswith(".")]
    with tempfile.TemporaryDirectory() as folder:
        touch(Path(folder), "exports/m-x-1.pb", *(f"exports/m-{name}-1.pb" for name in named))
        found = matches(Path(folder), "exports/m-*-1.pb")
    assert {match.name for match in found} == {"x", *named}
    assert all(match.path == filled_text("exports/m-{name}-1.pb", match) for match in found)


def test_a_match_is_a_model_with_its_name_in_every_text(tmp_path: Path) -> None:
    touch(tmp_path, "exports/a/model.pb", "exports/b/model.pb")
    for name in "ab":
        touch(tmp_path, f"checkpoints/{name}/model.ckpt-1.index", f"images/{name}.npz")
    touch(tmp_path, "checkpoints/shared.meta")
    assert list(load_manifest(write(tmp_path, GROUP)).models) == ["a", "b"]
    spec = spec_of(tmp_path, GROUP, "b")
    assert spec.name == "b"
    assert spec.line == 3
    assert spec.reference is not None
    assert spec.reference.path == tmp_path / "checkpoints/b/model.ckpt-1"
    assert spec.reference.options["meta"] == tmp_path / "checkpoints/shared.meta"
    assert spec.export.path == tmp_path / "exports/b/model.pb"
    assert [entry.reference for entry in spec.inputs] == ["b/image:0"]
    assert [output.export for output in spec.outputs] == ["b/logits:0"]
    assert spec.golden == tmp_path / "goldens/b.npz"
    assert (spec.tolerance.atol, spec.tolerance.rtol) == (1e-2, 1e-3)


def test_a_file_that_one_match_lacks_is_told_when_that_match_is_asked_for(tmp_path: Path) -> None:
    touch(tmp_path, "exports/a/model.pb", "exports/b/model.pb")
    touch(tmp_path, "checkpoints/a/model.ckpt-1.index", "images/a.npz", "checkpoints/shared.meta")
    assert spec_of(tmp_path, GROUP, "a").name == "a"
    with pytest.raises(SettingsError, match=r"checkpoints/b/model.ckpt-1"):
        spec_of(tmp_path, GROUP, "b")


def test_a_key_with_a_name_in_it_names_the_models(tmp_path: Path) -> None:
    touch(tmp_path, "exports/a/float.pb", "exports/a/half.pb")
    text = """\
        models:
          "{name}-float":
            each: exports/*/float.pb
            reference: {frozen_graph: "{path}"}
            export: {frozen_graph: "{path}"}
          "{name}-half":
            each: exports/*/half.pb
            reference: {frozen_graph: "{path}"}
            export: {frozen_graph: "{path}"}
        """
    assert list(load_manifest(write(tmp_path, text)).models) == ["a-float", "a-half"]
    assert spec_of(tmp_path, text, "a-half").export.path == tmp_path / "exports/a/half.pb"


def test_two_models_of_one_name_are_a_mistake(tmp_path: Path) -> None:
    touch(tmp_path, "exports/a/model.pb", "exports/b/model.pb")
    text = """\
        models:
          a:
            reference: {frozen_graph: exports/a/model.pb}
            export: {frozen_graph: exports/a/model.pb}
          zoo:
            each: exports/*/model.pb
            reference: {frozen_graph: "{path}"}
            export: {frozen_graph: "{path}"}
        """
    assert problems(tmp_path, text) == [
        "5: group 'zoo' makes a model 'a', and so does model 'a' (line 2); call a group by a name with {name} in it,"
        " such as '{name}-b', for other names."
    ]
    joined = text.replace("exports/*/model.pb", "exports/**/x-*.pb").replace(
        "exports/a/model.pb", "exports/a/x-b.pb"
    )
    touch(tmp_path, "exports/a/x-b.pb", "exports/x-a/x-b.pb", "exports/a/b/x-b.pb")
    assert list(read_manifest(write(tmp_path, joined)).models) == ["a", "a/b", "a/b/b", "x-a/b"]


def test_a_group_has_its_mistakes_told_once(tmp_path: Path) -> None:
    touch(tmp_path, "exports/a/model.pb", "exports/b/model.pb")
    assert problems(tmp_path, GROUP.replace("atol:", "atoll:")) == [
        "14: unknown key 'atoll' in model 'a'. Did you mean 'atol'?"
    ]
    assert problems(tmp_path, GROUP.replace("goldens/{name}.npz", "goldens/all.npz")) == [
        "13: the golden of group 'zoo' is one file for 2 models; write {name} in its name."
    ]
    assert problems(tmp_path, GROUP.replace("exports/*/model.pb", "exports/*/gone.pb")) == [
        "4: 'each' of model 'zoo' is 'exports/*/gone.pb', which nothing in FOLDER matches: there would be no test."
    ]
    assert problems(tmp_path, GROUP.replace("exports/*/model.pb", "exports/a/model.pb")) == [
        "4: 'each' of model 'zoo' must be a pattern with a wildcard (exports/*/model.pb), not the text"
        " 'exports/a/model.pb': the name of each model is what the wildcards stand for."
    ]
    assert problems(tmp_path, GROUP.replace("exports/*/model.pb", "[exports]")) == [
        "4: 'each' of model 'zoo' must be a pattern such as exports/*/model.pb."
    ]
    assert problems(tmp_path, GROUP.replace("exports/*/model.pb", "/exports/*")) == [
        "4: 'each' of model 'zoo' must be relative to FOLDER, not '/exports/*'."
    ]
