"""``tfparity.yaml``: what it means, and that every mistake in it is told with its line."""

import math
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_tfparity import schema
from pytest_tfparity.document import parse_document, plain_value
from pytest_tfparity.errors import SettingsError
from pytest_tfparity.manifest import load_manifest, read_manifest
from pytest_tfparity.settings import ParitySpec, resolve
from pytest_tfparity.values import Marked, Wrong

FILES = (
    "artifacts/model.ckpt-400.index",
    "artifacts/model.ckpt-400.meta",
    "artifacts/digits.pb",
    "goldens/images.npz",
    "images/b.png",
    "images/a.png",
)


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
    assert spec.reference.checkpoint == folder / "artifacts/model.ckpt-400"
    assert spec.reference.meta == folder / "artifacts/model.ckpt-400.meta"
    assert spec.reference.ema == ("conv.*", "fc")
    assert spec.reference.feeds == {
        "is_training:0": False,
        "keep_prob:0": 1,
        "mean:0": ((0.5, 0.001), (2, 3)),
    }
    assert spec.reference.optional
    assert spec.export.frozen_graph == folder / "artifacts/digits.pb"
    assert spec.export.feeds == {"phase:0": False}
    assert [(entry.reference, entry.export) for entry in spec.inputs][:2] == [
        ("image:0", "input:0"),
        ("noise:0", "noise:0"),
    ]
    npz, noise, images, files, made, given_later = (entry.source for entry in spec.inputs)
    assert (npz.path, npz.key) == (folder / "goldens/images.npz", "image")
    assert (noise.distribution, noise.shape, noise.dtype) == ("uniform", (8, 4), "float32")
    assert (noise.low, noise.high, noise.seed) == (-1.0, 1.0, 3)
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
    assert spec.reference.checkpoint == folder / "artifacts"


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

MISTAKES = {
    "misspelt keys": (
        """\
        default: {atol: 1}
        models:
          digits:
            refernce: {checkpoint: artifacts/model.ckpt-400}
            exports: {frozen_graph: artifacts/digits.pb}
            tolerance: 1
        """,
        [
            "1: unknown key 'default' in the manifest. Did you mean 'defaults'?",
            "4: unknown key 'refernce' in model 'digits'. Did you mean 'reference'?",
            "5: unknown key 'exports' in model 'digits'. Did you mean 'export'?",
            "6: unknown key 'tolerance' in model 'digits'. Its keys are reference, export, inputs, outputs, "
            "golden, atol, rtol, equal_nan, statistic, top_k, compare, run, session, isolate, health.",
        ],
    ),
    "keys in the wrong place": (
        """\
        models:
          digits:
            checkpoint: artifacts/model.ckpt-400
            frozen_graph: artifacts/digits.pb
            feeds: {a: 1}
            golden: goldens/digits.npz
        """,
        [
            "2: model 'digits' has no export; state the frozen graph under test as export: {frozen_graph: ...}.",
            "3: unknown key 'checkpoint' in model 'digits'. It is a key of 'reference'.",
            "4: unknown key 'frozen_graph' in model 'digits'. It is a key of 'export'.",
            "5: unknown key 'feeds' in model 'digits'. It is a key of 'reference' or 'export'.",
            "6: 'golden' of model 'digits' names 'goldens/digits.npz', which does not exist, "
            "and without a reference nothing can write it.",
        ],
    ),
    "wrong numbers": (
        BASE
        + """\
        atol: yes
        rtol: -0.1
        equal_nan: 1
        statistic: quantile(2)
        top_k: {k: 0, agree: 1.5}
        isolate: "true"
        outputs:
          - {reference: a, atol: .nan}
          - {reference: b, atol: .inf}
        """,
        [
            "5: 'atol' of model 'digits' must be a number that is not negative, "
            "not true, which is how YAML reads 'yes'.",
            "6: 'rtol' of model 'digits' must be a finite number that is not negative, not the number -0.1.",
            "7: 'equal_nan' of model 'digits' must be true or false, not the number 1.",
            "8: 'statistic' of model 'digits' must be max, mean, median or quantile(q) with q above 0 "
            "and at most 1, not the text 'quantile(2)'.",
            "9: 'k' of 'top_k' of model 'digits' must be a whole number of at least 1, not the number 0.",
            "9: 'agree' of 'top_k' of model 'digits' must be a number above 0 and at most 1, not the number 1.5.",
            "10: 'isolate' of model 'digits' must be true or false, not the text 'true'.",
            "12: 'atol' of output 'a' of model 'digits' must be a number that is not negative, not the number .nan.",
        ],
    ),
    "files that are not there": (
        """\
        models:
          digits:
            reference: {checkpoint: artifacts/model.ckpt-40, meta: artifacts/model.meta}
            export: {frozen_graph: artifacts/digit.pb}
            inputs:
              a: {npz: golden/images.npz}
              b: {images: "images/*.jpg"}
          other:
            reference: {checkpoint: artifacts/model.ckpt-400.index}
            export: {frozen_graph: artifacts}
        """,
        [
            "3: 'checkpoint' of the reference of model 'digits' names 'artifacts/model.ckpt-40', but there is "
            "neither a file model.ckpt-40.index nor a folder of that name in FOLDER/artifacts. "
            "Did you mean 'model.ckpt-400'?",
            "3: 'meta' of the reference of model 'digits' names 'artifacts/model.meta', but there is no such file "
            "in FOLDER/artifacts. Did you mean 'model.ckpt-400.meta'?",
            "4: 'frozen_graph' of the export of model 'digits' names 'artifacts/digit.pb', but there is no such "
            "file in FOLDER/artifacts. Did you mean 'digits.pb'?",
            "6: input 'a' of model 'digits' names 'golden/images.npz', but there is no such file in FOLDER/golden "
            "(the folder does not exist either).",
            "7: input 'b' of model 'digits' names 'images/*.jpg', a pattern that no file matches.",
            "9: 'checkpoint' of the reference of model 'other' names 'artifacts/model.ckpt-400.index', which is "
            "one file of a checkpoint; name its prefix, 'artifacts/model.ckpt-400'.",
            "10: 'frozen_graph' of the export of model 'other' names 'artifacts', which is a folder; name a file.",
        ],
    ),
    "a rebuilt network mixed with an imported one": (
        """\
        models:
          digits:
            reference:
              checkpoint: artifacts/model.ckpt-400
              builder: digits.model:build
              meta: artifacts/model.ckpt-400.meta
            export: {frozen_graph: artifacts/digits.pb}
        """,
        [
            "6: 'builder' of the reference of model 'digits' and 'meta' exclude each other: a rebuilt network "
            "mixed with an imported one holds two copies of the variables, of which only one is restored. "
            "Keep one of the two."
        ],
    ),
    "a reference that is not one": (
        """\
        models:
          digits:
            reference: {checkpoint: artifacts/model.ckpt-400, builder: digits/model.py, ema: trainables}
            export: {frozen_graph: artifacts/digits.pb, feeds: {"a:x": 1}}
          plain:
            reference: artifacts/model.ckpt-400
            export: {}
          unsure:
            reference: {checkpoint: 400, ema: false, feeds: [1]}
            export: {frozen_graph: artifacts/digits.pb, feeds: {a: [[1, 2], [3]]}}
        """,
        [
            "3: 'builder' of the reference of model 'digits' must be of the form module:function, "
            "such as 'digits.model:build', not 'digits/model.py'.",
            "3: 'ema' of the reference of model 'digits' must be none, trainable, all or a list of name patterns, "
            "not the text 'trainables'. Did you mean 'trainable'? "
            "A single pattern is written as a list: ['trainables'].",
            "4: 'feeds' of the export of model 'digits' has a bad name: it must be a tensor name such as "
            "'logits:0', but what follows the colon of 'a:x' is not the number of an output.",
            "6: 'reference' of model 'plain' must be a mapping with some of the keys "
            "checkpoint, meta, builder, ema, feeds, optional, not the text 'artifacts/model.ckpt-400'.",
            "7: the export of model 'plain' needs 'frozen_graph'.",
            "9: 'checkpoint' of the reference of model 'unsure' must be a path, not the number 400. "
            "Put it in quotes if it is meant.",
            "9: 'ema' of the reference of model 'unsure' must be none, trainable, all or a list of name patterns, "
            "not false. To use no moving averages, write ema: none.",
            "9: 'feeds' of the reference of model 'unsure' must be a mapping of tensor names to constants, "
            "such as {'is_training:0': false}, not a list.",
            "10: 'feeds' of the export of model 'unsure' has a bad value for 'a': "
            "it must have rows of one length throughout; its lists are ragged.",
        ],
    ),
    "inputs": (
        BASE.replace("ckpt-400}", "ckpt-400, feeds: {g: 1}}")
        + """\
        inputs:
          a: {npz: goldens/images.npz, random: {shape: [1]}}
          b: {npz: goldens/images.txt}
          c: goldens/images.npz
          ^d: {call: a:b}
          e: {call: a.b, key: x}
          "e:0": {export: f}
          f: {}
          g: {call: a:b}
        """,
        [
            "6: input 'a' of model 'digits' has 2 sources, npz and random; keep one of them.",
            "7: 'npz' of input 'b' of model 'digits' must be a path that ends in .npz or .npy, "
            "not the text 'goldens/images.txt'.",
            "8: input 'c' of model 'digits' must be a mapping with some of the keys "
            "npz, random, images, bytes, call, key, export, not the text 'goldens/images.npz'.",
            "9: input '^d' of model 'digits' names a control input, '^d'; a tensor's name is 'node:0', without '^'.",
            "10: 'call' of input 'e' of model 'digits' must be of the form module:function, "
            "such as 'digits.model:build', not 'a.b'.",
            "10: input 'e' of model 'digits' has 'key', which names an array of an .npz file, but no 'npz'.",
            "12: input 'f' of model 'digits' is a second source for 'f:0' of the export.",
            "13: input 'g' of model 'digits' has two sources: it is also a constant in the feeds of the reference. "
            "Keep one of them.",
        ],
    ),
    "random inputs": (
        BASE
        + """\
        inputs:
          a: {random: {seed: 1}}
          b: {random: {kind: normal, shape: [0], dtype: float31, seed: -1}}
          c: {random: {distribution: normal, shape: [1], low: 0}}
          d: {random: {distribution: integers, shape: [1]}}
          e: {random: {distribution: uniform, shape: [1], low: 1}}
          f: {random: {shape: [1], dtype: int32}}
          g: {random: {shape: 3, distribution: norml}}
        """,
        [
            "6: 'random' of input 'a' of model 'digits' needs 'shape', such as [8, 28, 28, 1].",
            "7: unknown key 'kind' in 'random' of input 'b' of model 'digits'. "
            "Its keys are distribution, shape, dtype, seed, low, high, mean, stddev.",
            "7: 'shape' of 'random' of input 'b' of model 'digits' must be a list of whole numbers of at least 1, "
            "but one of them is the number 0.",
            "7: 'dtype' of 'random' of input 'b' of model 'digits' must be one of float16, float32, float64, int8, "
            "int16, int32, int64, uint8, uint16, uint32, uint64, bool, not the text 'float31'. "
            "Did you mean 'float32' or 'float16' or 'float64'?",
            "7: 'seed' of 'random' of input 'b' of model 'digits' must be a whole number that is not negative, "
            "not the number -1.",
            "8: 'random' of input 'c' of model 'digits' has 'low', which means nothing for the distribution normal.",
            "9: 'random' of input 'd' of model 'digits' needs 'high', the number that all integers are below.",
            "10: 'random' of input 'e' of model 'digits' must have low below high, but low is 1 and high is 1.",
            "11: 'random' of input 'f' of model 'digits' cannot have dtype int32 with the distribution normal; "
            "use distribution: integers.",
            "12: 'shape' of 'random' of input 'g' of model 'digits' must be a list of whole numbers "
            "such as [8, 28, 28, 1], not the number 3.",
            "12: 'distribution' of 'random' of input 'g' of model 'digits' must be normal, uniform or integers, "
            "not 'norml'. Did you mean 'normal'?",
        ],
    ),
    "outputs": (
        BASE
        + """\
        outputs:
          - logits
          - "logits:0"
          - "^train"
          - {export: a}
          - {reference: b, export: "c d"}
          - 7
          - {reference: d, run: always}
      other:
        reference: {checkpoint: artifacts/model.ckpt-400}
        export: {frozen_graph: artifacts/digits.pb}
        outputs: []
      third:
        reference: {checkpoint: artifacts/model.ckpt-400}
        export: {frozen_graph: artifacts/digits.pb}
        outputs: logits
        atol: .inf
        """,
        [
            "7: output 'logits:0' of model 'digits' is listed twice.",
            "8: an output of model 'digits' names a control input, '^train'; "
            "a tensor's name is 'node:0', without '^'.",
            "9: an output of model 'digits' needs 'reference', its name in the reference.",
            "10: 'export' of output 'b' of model 'digits' must be a tensor name such as 'logits:0', not 'c d'.",
            "11: an output of model 'digits' must be a tensor name or a mapping such as {reference: 'logits:0'}, "
            "not the number 7. Put it in quotes if it is meant.",
            "12: unknown key 'run' in output 'd' of model 'digits'. It is a key of 'defaults' or a model.",
            "16: 'outputs' of model 'other' is an empty list. "
            "Leave it out to compare what both graphs have in common.",
            "20: 'outputs' of model 'third' must be a list of tensor names or of mappings, not the text 'logits'.",
            "21: 'atol' of model 'third' is infinite and passes anything; state a top_k beside it, or a number.",
        ],
    ),
    "goldens": (
        """\
        models:
          a:
            reference: {checkpoint: artifacts/model.ckpt-400}
            export: {frozen_graph: artifacts/digits.pb}
            golden: goldens/digits.npz
          b:
            reference: {checkpoint: artifacts/model.ckpt-400}
            export: {frozen_graph: artifacts/digits.pb}
            golden: artifacts/../goldens/digits.npz
          c:
            reference: {checkpoint: artifacts/model.ckpt-400}
            export: {frozen_graph: artifacts/digits.pb}
            inputs: {x: {npz: goldens/images.npz}}
            golden: goldens/images.npz
          d:
            export: {frozen_graph: artifacts/digits.pb}
          e:
            reference: {checkpoint: gone, optional: true}
            export: {frozen_graph: artifacts/digits.pb}
            golden: goldens/e.npz
          f:
            export: {frozen_graph: artifacts/digits.pb}
            golden: goldens/f.json
            compare: weights
        """,
        [
            "9: model 'b' and model 'a' (line 2) write one golden, 'goldens/digits.npz'; give each its own.",
            "13: input 'x' of model 'c' is read from 'goldens/images.npz', which is the golden of model 'c': "
            "an update would overwrite it. Give the golden another name.",
            "15: model 'd' has neither a reference nor a golden; state the checkpoint that the export must match, "
            "or a golden that was made from it.",
            "20: 'golden' of model 'e' names 'goldens/e.npz', which does not exist, and neither does the optional "
            "checkpoint 'gone': there is nothing to compare the export with.",
            "23: 'golden' of model 'f' must be a path that ends in .npz, not the text 'goldens/f.json'.",
            "24: 'compare' of model 'f' is weights, which needs a checkpoint to compare them with.",
        ],
    ),
    "no models": ("models: {}\n", ["1: 'models' of the manifest is empty; state at least one model."]),
    "models as a list": (
        "models:\n  - digits\n",
        ["1: 'models' of the manifest must be a mapping of names to models, not a list."],
    ),
    "nothing but defaults": (
        "defaults: {run: sometimes}\n",
        [
            "1: 'run' of 'defaults' must be unproven or always, not 'sometimes'.",
            "1: the manifest has no 'models'; state each model under its name there.",
        ],
    ),
    "an empty file": ("# nothing\n", ["None: the manifest is empty; state your models under 'models'."]),
    "text": (
        "digits\n",
        ["1: the manifest must be a mapping with the keys defaults and models, not the text 'digits'."],
    ),
    "bad names": (
        'models: {"a::b": {}, "": {}}\n',
        [
            "1: a model cannot be named 'a::b': it becomes part of a test's name.",
            "1: a model cannot be named '': it becomes part of a test's name.",
        ],
    ),
    "a key twice": (
        "models:\n  digits:\n    atol: 1\n    atol: 2\n",
        ["4: the key 'atol' stands here twice; the first is on line 3."],
    ),
    "a tab": (
        "models:\n\tdigits: {}\n",
        [
            "2: this is not YAML: found character '\\t' that cannot start any token (column 1); "
            "a tab cannot indent YAML; use spaces."
        ],
    ),
    "a bracket that is not closed": (
        "models:\n  digits: {reference: {checkpoint: a}\n  other: {}\n",
        ["3: this is not YAML: expected ',' or '}', but got '<scalar>' (column 3)."],
    ),
    "an indentation that does not fit": (
        "models:\n    digits: {}\n  other: {}\n",
        [
            "3: this is not YAML: expected <block end>, but found '<block mapping start>' (column 3); "
            "the indentation does not fit the lines above."
        ],
    ),
    "two documents": (
        "models: {}\n---\nmodels: {}\n",
        ["2: a second YAML document begins here ('---'); a manifest is one document."],
    ),
    "a tag": ("models: !!python/object:os.system {}\n", ["1: the tag !!python/object:os.system means nothing here; leave it out."]),
    "an alias of itself": ("models: &a {b: *a}\n", ["1: the alias *a stands inside what it refers to."]),
    "an alias of nothing": ("models: *a\n", ["1: the alias *a has no anchor &a above it."]),
    "a merge of text": ("models: {<<: a}\n", ["1: '<<' must name a mapping or a list of mappings, not the text 'a'."]),
    "a list as key": ("models: {[a]: b}\n", ["1: a key must be text, not a list."]),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_all_mistakes_are_told_at_once_with_their_lines(mistake: str, folder: Path) -> None:
    text, expected = MISTAKES[mistake]
    assert messages(folder, text) == expected


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
    assert manifest.problems_of("right") == ()
    assert [problem.line for problem in manifest.problems_of("wrong")] == [5]
    assert [problem.line for problem in manifest.problems_of(None)] == [6]
    with pytest.raises(SettingsError, match="Model 'wrong' has wrong settings"):
        resolve(manifest.models["wrong"], marker={}, ini={}, options={}, root=folder, name="wrong")


def test_a_mistake_that_merge_keys_repeat_is_told_once(folder: Path) -> None:
    text = """\
        models:
          a: &a {export: {frozen_graph: artifacts/digits.pb}, reference: &r {checkpoint: artifacts/model.ckpt-400}}
          b: {<<: *a, reference: {<<: *r, checkpoint: 1}}
          c: {<<: *a}
        defaults: {atol: no}
        """
    assert [message.split(":")[0] for message in messages(folder, text)] == ["3", "5"]


@pytest.mark.parametrize("text", ["1e-5", "'1e-5'", "1.e-5", "1.0e-5", "0.00001", "+1E-05"])
def test_a_number_is_one_however_it_is_written(text: str, folder: Path) -> None:
    assert spec_of(folder, BASE + f"        atol: {text}\n").tolerance.atol == 1e-5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True), ("Off", False), ("~", None), ("", None), ("12", 12), ("-3", -3), ("0x1F", 31), ("5e-3", 0.005),
        (".5", 0.5), ("-.inf", -math.inf), ("12:30", "12:30"), ("010", "010"), ("1_000", "1_000"), ("2024-01-01", "2024-01-01"),
        ("nan", "nan"), ("e5", "e5"), ("1.2.3", "1.2.3"), ("y", "y"),
    ],
)  # fmt: skip
def test_scalars_without_quotes_mean_what_people_expect(text: str, value: object) -> None:
    assert plain_value(text) == value
    assert type(plain_value(text)) is type(value)


def test_depth_and_size_of_a_document_are_bounded() -> None:
    with pytest.raises(Wrong, match="nested more than 60 levels"):
        parse_document("[" * 100_000)
    doubled = "\n".join(f"- &a{n + 1} [*a{n}, *a{n}]" for n in range(30))
    with pytest.raises(Wrong, match="unfold to more than a million values"):
        parse_document(f"- &a0 [x, x]\n{doubled}")


words = st.sampled_from(
    [key.name for section in schema.SECTIONS for key in section.keys]
    + [choice for section in schema.SECTIONS for key in section.keys for choice in key.choices]
    + ["a:0", "^a", "a.npz", "artifacts/digits.pb", "*", "1e-5", "m:f", "<<", "quantile(0.5)", "::", "\0"]
)
leaves = st.one_of(words, st.booleans(), st.none(), st.integers(), st.floats(), st.text(max_size=8))
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=4)),
    max_leaves=20,
)
models = st.fixed_dictionaries(
    {},
    optional={
        key.name: st.one_of(trees, st.dictionaries(words, trees, max_size=4)) for key in schema.MODEL.keys
    },
)
manifests = st.one_of(
    trees,
    st.fixed_dictionaries(
        {"models": st.dictionaries(words, models, max_size=2)}, optional={"defaults": trees}
    ),
)


def as_marked(tree: object) -> Marked:
    if isinstance(tree, dict):
        return Marked(value={key: as_marked(value) for key, value in tree.items()}, line=1)
    if isinstance(tree, list):
        return Marked(value=[as_marked(value) for value in tree], line=1)
    return Marked(value=tree, line=1, written=str(tree))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=manifests)
def test_whatever_a_manifest_holds_it_loads_or_says_what_is_wrong(
    tree: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_tfparity.manifest.read_document", lambda path: as_marked(tree))
    manifest = read_manifest(tmp_path / "tfparity.yaml")
    for problem in manifest.problems:
        assert problem.message.endswith((".", "?"))
    if not manifest.problems:
        for name, entry in manifest.models.items():
            assert resolve(entry, marker={}, ini={}, options={}, root=tmp_path, name=name).name == name


yaml_text = st.lists(
    st.one_of(
        st.sampled_from(
            ["models", "defaults", ": ", ":", "- ", "\n", "\n  ", "\n    ", "{", "}", "[", "]", ", ", "&a ", "*a", "<<",
             "'", '"', "#", "|", ">", "!", "!!", "?", "%", "---\n", "...\n", "\t", "1e-5", "reference", "atol", "\u2028", "\ufeff"]
        ),
        st.text(max_size=3),
    ),
    max_size=20,
).map("".join)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=yaml_text)
def test_whatever_text_a_manifest_is_it_loads_or_says_what_is_wrong(text: str, tmp_path: Path) -> None:
    path = tmp_path / "tfparity.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(SettingsError) as caught:
        load_manifest(path)
    assert all(problem.message.endswith((".", "?")) for problem in caught.value.problems)
