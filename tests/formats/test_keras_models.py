"""Random Keras models, exported rightly: every one is proven to be its SavedModel and its frozen graph, or passes.

How many models: ``TFPARITY_KERAS_MODELS``, from the seed ``TFPARITY_KERAS_SEED`` on. With ``-s`` it says what was
proven, and of the rest why not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs.keras_models import KerasModel, random_model
from graphs.saved_models import checked, freeze, frozen_of, write_keras
from pytest_tfparity.result import ParityResult

tf = pytest.importorskip("tensorflow")

COUNT = int(os.environ.get("TFPARITY_KERAS_MODELS", "12"))
FIRST = int(os.environ.get("TFPARITY_KERAS_SEED", "0"))
IN_TRAINING = {"RandomFlip", "Resizing", "CenterCrop"}
"""Image layers that put ``model.export`` of Keras 3.15 into training mode: of these, inference is asked for."""
NOT_FROZEN = {"StringLookup", "IntegerLookup", "RandomFlip"}
"""Layers with a table or a generator's state, which TensorFlow cannot put into a frozen graph."""


@pytest.mark.slow
def test_right_exports_of_random_models_are_proven_or_pass(tmp_path: Path) -> None:
    wrong: list[str] = []
    unproven: list[str] = []
    verdicts: Counter[str] = Counter()
    for seed in range(FIRST, FIRST + COUNT):
        model = random_model(seed)
        for pair, result in chain(model, tmp_path / str(seed)):
            verdicts[f"{pair}: {result.verdict}"] += 1
            why = result.unproven or result.error or ""
            about = f"seed {seed}, {pair}: {result.verdict} {why} ({', '.join(model.layers)})"
            print(about, *(f"{each.cause}: {each.message}" for each in result.findings), flush=True)
            if not result.passed or result.findings:
                wrong.append(about)
            elif result.verdict == "pass" and "stateful op HashTableV2" not in why:
                unproven.append(
                    about
                )  # a table is the only thing that keeps a right export from being proven
        shutil.rmtree(tmp_path / str(seed))
        tf.keras.backend.clear_session()
    print(*(f"{count:5} {what}" for what, count in sorted(verdicts.items())), sep="\n")
    assert not wrong, "\n".join(wrong)
    assert not unproven, "\n".join(unproven)


PEAK = """
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
SCRIPT = (
    """
import sys
import numpy as np
import tensorflow as tf

folder, frozen, name, inputs, outputs = sys.argv[1:]
image = tf.constant(np.random.default_rng(0).normal(size=(1, 224, 224, 3)).astype("float32"))
expected = tf.saved_model.load(folder).signatures["serving_default"](**{name: image})["output_0"]
graph_def = tf.compat.v1.GraphDef.FromString(open(frozen, "rb").read())
wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph_def, name=""), [])
found = wrapped.prune(inputs, outputs)(image)
np.testing.assert_allclose(found, expected, atol=1e-5)
"""
    + PEAK
)
CHECK = (
    """
import sys
from pytest_tfparity.__main__ import main

folder, frozen, name, inputs, outputs = sys.argv[1:]
assert main(["check", folder, frozen, f"--input={name}={inputs}", f"--output=output_0={outputs}"]) == 0
assert "tensorflow" not in sys.modules
"""
    + PEAK
)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read as Linux tells it")
@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50"])
def test_a_saved_model_is_proven_in_a_fraction_of_what_running_it_takes(name: str, tmp_path: Path) -> None:
    net = getattr(tf.keras.applications, name)(weights=None)
    served = write_keras(tmp_path / "served", net)
    (inputs,), (outputs,) = freeze(served, tmp_path / "frozen.pb")
    given = [str(served), str(tmp_path / "frozen.pb"), net.inputs[0].name, inputs, outputs]
    spent = {}
    for script in (SCRIPT, CHECK):
        runs = [_spent([sys.executable, "-c", script, *given]) for _ in range(3)]
        spent[script] = [min(each) for each in zip(*runs, strict=True)]
    wall, memory = (check / script for check, script in zip(spent[CHECK], spent[SCRIPT], strict=True))
    print(f"{name}: check {spent[CHECK]}, script {spent[SCRIPT]} (s, MiB): {wall:.3f} and {memory:.3f}")
    assert wall <= 0.2
    assert memory <= 0.15


def _spent(command: list[str]) -> tuple[float, float]:
    """Seconds, and MiB at most, of a process that must succeed and that prints its peak in KiB at the end."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - start, int(done.stdout.splitlines()[-1]) / 1024


def chain(model: KerasModel, folder: Path) -> Iterator[tuple[str, ParityResult]]:
    """The model against its SavedModel, and that against its frozen graph."""
    folder.mkdir()
    np.savez(folder / "inputs.npz", **model.inputs)
    values = {name: {"npz": folder / "inputs.npz", "key": name} for name in model.inputs}
    model.net.save(folder / "net.keras")
    net = model.net
    explicit = None
    if IN_TRAINING.intersection(model.layers):
        explicit = lambda *given: net(given[0] if len(given) == 1 else list(given), training=False)  # noqa: E731
    served = write_keras(folder / "served", net, explicit)
    yield (
        "keras, saved_model",
        checked({"keras": folder / "net.keras"}, {"saved_model": served}, inputs=values),
    )
    if not NOT_FROZEN.intersection(model.layers):
        stated: dict[str, Any] = frozen_of(served, folder / "frozen.pb")
        for name, entry in stated["inputs"].items():
            entry.update(values[name])
        yield "saved_model, frozen_graph", checked(**stated)
