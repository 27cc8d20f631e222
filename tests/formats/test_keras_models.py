"""Random Keras models, exported rightly: every one is proven to be its SavedModel and its frozen graph, or passes.

How many models: ``TFPARITY_KERAS_MODELS``, from the seed ``TFPARITY_KERAS_SEED`` on. With ``-s`` it says what was
proven, and of the rest why not.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs.keras_models import KerasModel, random_model
from graphs.saved_models import checked, frozen_of, write_keras
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
    verdicts: Counter[str] = Counter()
    unproven: list[str] = []
    wrong: list[str] = []
    for seed in range(FIRST, FIRST + COUNT):
        model = random_model(seed)
        for pair, result in chain(model, tmp_path / str(seed)):
            verdicts[f"{pair}: {result.verdict}"] += 1
            about = f"seed {seed}, {pair}, {', '.join(model.layers)}"
            if result.verdict == "pass":
                unproven.append(f"{about}: {result.unproven}")
            if not result.passed or result.findings:
                said = [f"{each.cause}: {each.message}" for each in result.findings]
                wrong.append(f"{about}: {result.verdict} {result.error or ''} {said}")
        shutil.rmtree(tmp_path / str(seed))
        tf.keras.backend.clear_session()
    print(*(f"{count:5} {what}" for what, count in sorted(verdicts.items())), *unproven, sep="\n")
    assert not wrong, "\n".join(wrong)
    assert len(unproven) <= 0.1 * verdicts.total(), "\n".join(unproven)


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
