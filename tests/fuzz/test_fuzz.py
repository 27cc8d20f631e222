"""Files with something changed at random: what comes of a check is one of few things, whatever stands in them.

Each mutant follows from its kind and number. ``TFPARITY_FUZZ`` sets how many the slow test makes of each kind of file
(500 if it is not set).
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from fuzz.changes import CHANGES, SECONDS, checked, fate
from graphs.networks import Network, small_network
from pytest_tfparity.check.worker import Worker

v1 = tf.compat.v1

MANIFEST = """\
models:
  net:
    reference: {checkpoint: FOLDER}
    export: {frozen_graph: model.pb}
    inputs: {"image:0": {npz: images.npz, key: image}}
    outputs: ["logits:0"]
    golden: goldens/net.npz
    timeout: SECONDS
"""
FILES = {
    "graph": "model.pb",
    "meta graph": "model.ckpt-7.meta",
    "index": "model.ckpt-7.index",
    "data": "model.ckpt-7.data-00000-of-00001",
    "inputs": "images.npz",
    "golden": "goldens/net.npz",
    "summary": "goldens/net.yaml",
    "state": "checkpoint",
    "manifest": "tfparity.yaml",
}
"""Each kind of file that a check reads, and which is one."""


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> tuple[Network, Path]:
    """A right network with goldens, which a check proves or passes."""
    folder = tmp_path_factory.mktemp("right")
    network = small_network(folder)
    np.savez(folder / "images.npz", image=network.images)
    text = MANIFEST.replace("FOLDER", ".").replace("SECONDS", str(SECONDS))
    (folder / "tfparity.yaml").write_text(text)
    (folder / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-7"\n')
    worker = Worker()
    assert checked(worker, folder, update=True).verdict == "proven"
    worker.close()
    return network, folder


def agreement(folder: Path, network: Network) -> str:
    """Whether TensorFlow answers as the right network does, with the part of the files that the outputs need."""
    feeds = {"image:0": network.images}
    try:
        meta = v1.MetaGraphDef.FromString((folder / FILES["meta graph"]).read_bytes())
        export = v1.GraphDef.FromString((folder / FILES["graph"]).read_bytes())
        reader = v1.train.NewCheckpointReader(str(folder / "model.ckpt-7"))
        values = {f"{name}:0": reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
        answers = [run(meta.graph_def, {**feeds, **values}), run(export, feeds)]
    except Exception as error:
        return f"PASSED, AND REFUSED: {type(error).__name__}: {str(error)[:200]}"
    wanted = network.expected["logits:0"]
    equal = all(np.allclose(answer, wanted, rtol=0, atol=1e-5) for answer in answers)
    return "passed, and equal" if equal else "PASSED, AND DIFFERENT"


def run(definition: Any, feeds: dict[str, Any]) -> Any:
    for node in definition.node:
        for name in (
            "_class",
            "_output_shapes",
        ):  # where nodes stand and what is said of them changes no answer
            node.attr.pop(name, None)
    part = v1.graph_util.extract_sub_graph(definition, ["logits"])
    for node in part.node:
        node.device = ""
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(part, name="")
        known = {f"{node.name}:0" for node in part.node}
        with v1.Session(graph=graph) as session:
            return session.run("logits:0", {name: value for name, value in feeds.items() if name in known})


def fuzzed(folder: Path, right: tuple[Network, Path], kind: str, count: int) -> Counter[str]:
    """The fates of ``count`` mutants of one kind of file; those that are defects are printed."""
    network, origin = right
    fates: Counter[str] = Counter()
    worker = Worker()
    for number in range(count):
        dice = random.Random(f"{kind} {number}")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(origin, folder)
        file = folder / FILES[kind]
        change = dice.choice(list(CHANGES))
        file.write_bytes(CHANGES[change](dice, file.read_bytes()))
        passed = (
            partial(agreement, folder, network) if kind in ("graph", "meta graph", "index", "data") else None
        )
        found, text = fate(worker, folder, passed)
        fates[found] += 1
        if found.isupper() or found.startswith("PASSED"):
            print(f"{kind} {number} ({change}): {found}\n{text}")
    with suppress(OSError):
        worker.close()
    return fates


@pytest.mark.parametrize("kind", FILES)
def test_a_mutated_file_is_refused_or_judged_and_breaks_nothing(
    tmp_path: Path, right: tuple[Network, Path], kind: str
) -> None:
    fates = fuzzed(tmp_path / "mutant", right, kind, 12)
    assert fates.total() == 12
    assert not [each for each in fates if each[:2].isupper()]


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_many_mutated_files_are_refused_or_judged_and_break_nothing(
    tmp_path: Path, right: tuple[Network, Path], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    count = int(os.environ.get("TFPARITY_FUZZ", "500"))
    fates = fuzzed(tmp_path / "mutant", right, kind, count)
    with capsys.disabled():
        print(f"\n{kind}: {dict(fates)}")
    assert fates.total() == count
    assert not [each for each in fates if each[:2].isupper()]
