"""``tfparity.yaml``: what it means, and that every mistake in it is told with its line."""

import textwrap
from pathlib import Path

import pytest

from pytest_tfparity.errors import SettingsError
from pytest_tfparity.settings.manifest import load_manifest, read_manifest
from pytest_tfparity.settings.resolve import resolve
from pytest_tfparity.settings.spec import ParitySpec

FILES = (
    "artifacts/model.ckpt-400.index",
    "artifacts/model.ckpt-400.meta",
    "artifacts/digits.pb",
    "goldens/images.npz",
    "images/b.png",
    "images/a.png",
)

WRONG = sorted(Path(__file__).parent.glob("wrong_manifests/*.yaml"))
"""Manifests with mistakes, and below each what it says: the line, then the message."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "tfparity.yaml"
    path.write_text(textwrap.dedent(text), "utf-8")
    return path


def messages(folder: Path, text: str) -> list[str]:
    """The problems of a manifest as ``LINE: message``, the folder written as FOLDER."""
    path = write(folder, text)
    with pytest.raises(SettingsError) as caught:
        load_manifest(path)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [
        f"{problem.line}: {problem.message}".replace(str(folder), "FOLDER")
        for problem in caught.value.problems
    ]


def spec_of(folder: Path, text: str, model: str = "digits") -> ParitySpec:
    entry = load_manifest(write(folder, text)).models[model]
    return resolve(entry, marker={}, ini={}, options={}, root=folder, name=model)


WHOLE = """\
    defaults: {atol: 1.0e-4, health: error}
    models:
      digits:
        reference:
          checkpoint: artifacts/model.ckpt-400
          meta: artifacts/model.ckpt-400.meta
          ema: [conv.*, fc]
          feeds: {"is_training:0": false, keep_prob: 1, "mean:0": [[0.5, 1e-3], [2, 3]]}
          optional: true
        export:
          frozen_graph: artifacts/digits.pb
          feeds: {"phase:0": no}
        inputs:
          "image:0": {npz: goldens/images.npz, key: image, export: input}
          noise: {random: {distribution: uniform, shape: [8, 4], low: -1, seed: 3}}
          picture:0: {images: images/*.png}
          file:0: {bytes: [images/a.png]}
          made:0: {call: "digits.inputs:made"}
          given:0:
        outputs:
          - "probabilities:0"
          - logits
          - {reference: "scores:0", export: "net/scores:0", atol: 1e-3, top_k: {k: 5}}
        golden: goldens/digits.npz
        rtol: 1e-5
        statistic: quantile( 0.99 )
        isolate: true
        session: default
    """


def test_every_key_arrives_in_the_specification(folder: Path) -> None:
    spec = spec_of(folder, WHOLE)
    assert spec.name == "digits"
    assert spec.root == folder
    assert (spec.manifest, spec.line) == (folder / "tfparity.yaml", 3)
    assert spec.reference is not None
    assert spec.reference.path == folder / "artifacts/model.ckpt-400"
    assert spec.reference.options["meta"] == folder / "artifacts/model.ckpt-400.meta"
    assert spec.reference.options["ema"] == ("conv.*", "fc")
    assert spec.reference.feeds == {
        "is_training:0": False,
        "keep_prob:0": 1,
        "mean:0": ((0.5, 0.001), (2, 3)),
    }
    assert spec.reference.optional
    assert spec.export.path == folder / "artifacts/digits.pb"
    assert spec.export.feeds == {"phase:0": False}
    assert [(entry.reference, entry.export) for entry in spec.inputs][:2] == [
        ("image:0", "input:0"),
        ("noise:0", "noise:0"),
    ]
    npz, noise, images, files, made, given_later = (entry.source for entry in spec.inputs)
    assert (npz.path, npz.key) == (folder / "goldens/images.npz", "image")
    assert (noise.distribution, noise.shape, noise.dtype) == ("uniform", (8, 4), "float32")
    assert (noise.low, noise.high, noise.seed) == (-1, None, 3)
    assert images.paths == (folder / "images/a.png", folder / "images/b.png")
    assert images.channels == 3
    assert files.paths == (folder / "images/a.png",)
    assert made.function == "digits.inputs:made"
    assert given_later is None
    assert [(output.reference, output.export) for output in spec.outputs] == [
        ("probabilities:0", "probabilities:0"),
        ("logits:0", "logits:0"),
        ("scores:0", "net/scores:0"),
    ]
    assert [output.tolerance.atol for output in spec.outputs] == [1e-4, 1e-4, 1e-3]
    assert [output.tolerance.rtol for output in spec.outputs] == [1e-5, 1e-5, 1e-5]
    assert spec.outputs[2].tolerance.top_k is not None
    assert (spec.outputs[2].tolerance.top_k.k, spec.outputs[2].tolerance.top_k.agree) == (5, 1.0)
    assert spec.tolerance.statistic == "quantile(0.99)"
    assert spec.golden == folder / "goldens/digits.npz"
    assert (spec.isolate, spec.session, spec.health) == (True, "default", "error")
    assert (spec.run, spec.compare) == ("unproven", "outputs")


def test_models_come_in_file_order_with_their_lines(folder: Path) -> None:
    model = "{reference: {checkpoint: artifacts/model.ckpt-400}, export: {frozen_graph: artifacts/digits.pb}}"
    manifest = load_manifest(write(folder, f"models:\n  z: {model}\n\n  a: {model}\n  2024: {model}\n"))
    assert [(name, entry.line) for name, entry in manifest.models.items()] == [
        ("z", 2),
        ("a", 4),
        ("2024", 5),
    ]
    assert manifest.path == folder / "tfparity.yaml"


def test_a_checkpoint_may_be_a_folder(folder: Path) -> None:
    spec = spec_of(
        folder,
        "models: {digits: {reference: {checkpoint: artifacts}, export: {frozen_graph: artifacts/digits.pb}}}",
    )
    assert spec.reference is not None
    assert spec.reference.path == folder / "artifacts"


def test_goldens_stand_in_for_an_optional_checkpoint_and_for_inputs_that_are_not_there(folder: Path) -> None:
    (folder / "goldens/digits.npz").touch()
    spec = spec_of(
        folder,
        """\
        models:
          digits:
            reference: {checkpoint: elsewhere/model.ckpt, meta: elsewhere/model.meta, optional: true}
            export: {frozen_graph: artifacts/digits.pb}
            inputs: {"image:0": {npz: elsewhere/images.npz}, "more:0": {images: "elsewhere/*.png"}}
            golden: goldens/digits.npz
        """,
    )
    assert spec.reference is not None
    assert spec.reference.optional


def test_merge_keys_bring_in_what_a_model_does_not_state_itself(folder: Path) -> None:
    text = """\
        models:
          first: &first
            reference: &side {checkpoint: artifacts/model.ckpt-400}
            export: {frozen_graph: artifacts/digits.pb}
            atol: 1e-3
          second:
            <<: *first
            atol: 1e-2
          third:
            <<: [{rtol: 0.5, atol: 1}, *first]
            reference: *side
        """
    assert spec_of(folder, text, "second").tolerance.atol == 1e-2
    third = spec_of(folder, text, "third")
    assert (third.tolerance.atol, third.tolerance.rtol) == (1, 0.5)
    assert third.reference == spec_of(folder, text, "first").reference


BASE = """\
    models:
      digits:
        reference: {checkpoint: artifacts/model.ckpt-400}
        export: {frozen_graph: artifacts/digits.pb}
"""


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).parent.glob("wrong_manifests/*.yaml")), ids=lambda path: path.stem
)
def test_all_mistakes_are_told_at_once_with_their_lines(path: Path, folder: Path) -> None:
    text = path.read_text("utf-8")
    expected = text.split("# Says:\n")[1].splitlines()
    assert [f"# {message}" for message in messages(folder, text)] == expected


def test_a_manifest_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert [str(problem) for problem in read_manifest(tmp_path / "no.yaml").problems] == [
        f"{tmp_path / 'no.yaml'}: the file cannot be read: No such file or directory."
    ]


def test_a_manifest_that_is_not_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "tfparity.yaml").write_bytes(b"models: \xff")
    (problem,) = read_manifest(tmp_path / "tfparity.yaml").problems
    assert problem.message == "the file is not UTF-8 text (byte 8)."


def test_problems_are_known_by_model(folder: Path) -> None:
    manifest = read_manifest(
        write(
            folder,
            """\
            models:
              right: &right
                reference: {checkpoint: artifacts/model.ckpt-400}
                export: {frozen_graph: artifacts/digits.pb}
              wrong: {<<: *right, atol: -1}
            more: 1
            """,
        )
    )
    assert list(manifest.models) == ["right", "wrong"]
    assert {(name, problem.line) for name, problem in manifest.found} == {("wrong", 5), (None, 6)}
    with pytest.raises(SettingsError, match="Model 'wrong' has wrong settings"):
        resolve(manifest.models["wrong"], marker={}, ini={}, options={}, root=folder, name="wrong")


def test_a_mistake_that_merge_keys_repeat_is_told_once(folder: Path) -> None:
    text = """\
        models:
          a: &a
            export: {frozen_graph: artifacts/digits.pb}
            reference: &r {checkpoint: artifacts/model.ckpt-400}
          b: {<<: *a, reference: {<<: *r, checkpoint: 1}}
          c: {<<: *a}
        defaults: {atol: no}
        """
    assert [message.split(":")[0] for message in messages(folder, text)] == ["5", "7"]


@pytest.mark.parametrize("text", ["1e-5", "'1e-5'", "1.e-5", "1.0e-5", "0.00001", "+1E-05"])
def test_a_number_is_one_however_it_is_written(text: str, folder: Path) -> None:
    assert spec_of(folder, BASE + f"        atol: {text}\n").tolerance.atol == 1e-5
