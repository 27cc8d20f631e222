"""What the files tell of an export that cannot be run beside its reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphs import networks
from pytest_tfparity.check.check import check
from pytest_tfparity.formats.store import ModelStore
from pytest_tfparity.result import ParityResult
from pytest_tfparity.runtime.tensorflow import _imported

tf = pytest.importorskip("tensorflow")
v1 = tf.compat.v1
Values = dict[str, np.ndarray]


def build(size: int = 8, *, averages: bool = False) -> None:
    """A convolution over an image of ``size`` by ``size``, and a dense layer over all of it."""
    x = v1.placeholder(tf.float32, [None, size, size, 2], "x")
    with v1.variable_scope("conv"):
        kernel = v1.get_variable("kernel", (3, 3, 2, 4), use_resource=False)
    flat = tf.reshape(tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME")), [-1, size * size * 4])
    with v1.variable_scope("fc"):
        dense = v1.get_variable("kernel", (size * size * 4, 3), use_resource=False)
        bias = v1.get_variable("bias", (3,), use_resource=False)
    tf.identity(tf.matmul(flat, dense) + bias, "y")
    if averages:
        v1.train.ExponentialMovingAverage(0.9).apply(v1.trainable_variables())


def trained(seed: int, size: int = 8, *, averages: bool = False) -> Values:
    with tf.Graph().as_default():
        build(size, averages=averages)
        return networks.weights(v1.global_variables(), seed)


def saved(prefix: Path, values: Values, *, averages: bool = False) -> None:
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        build(averages=averages)
        networks.load(session, values)
        v1.train.Saver().save(session, str(prefix))


def exported(path: Path, values: Values, size: int = 8) -> None:
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        build(size)
        networks.load(session, values)
        networks.freeze(session, path, ("y",))


@pytest.fixture
def checked(tmp_path: Path) -> Callable[..., ParityResult]:
    """Check the export of a folder against its checkpoint ``model-200``."""

    def judged(
        images: tuple[int, ...] = (4, 8, 8, 2), *, details: bool = False, **options: Any
    ) -> ParityResult:
        np.savez(tmp_path / "inputs.npz", **{"x:0": np.zeros(images, np.float32)})
        spec = networks.stated_check(
            tmp_path / "model-200",
            tmp_path / "model.pb",
            inputs={"x:0": {"npz": str(tmp_path / "inputs.npz")}},
            outputs=["y:0"],
            **options,
        )
        models = ModelStore()
        try:
            return check(spec, models, details=details)
        finally:
            models.close()

    return judged


@pytest.fixture
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calling this takes TensorFlow away, as if it had never been installed."""

    def away() -> None:
        _imported.cache_clear()
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    yield away
    _imported.cache_clear()


@pytest.mark.parametrize("images", [(4, 8, 8, 2), (4, 6, 6, 2), (4, 7, 7, 2)])
def test_sides_that_take_images_of_other_sizes_are_compared_by_their_weights(
    images: tuple[int, ...], tmp_path: Path, checked: Callable[..., ParityResult]
) -> None:
    saved(tmp_path / "model-200", trained(0))
    exported(tmp_path / "model.pb", trained(0, 6), 6)
    result = checked(images)
    assert result.verdict == "error"
    assert f"the array given for it is float32 {list(images)}".replace(" ", "") in (
        result.error or ""
    ).replace(" ", "")
    (finding,) = result.findings
    assert (finding.cause, finding.certainty, finding.scopes) == ("shapes-differ", "decisive", ("fc",))
    assert "fc/kernel has shape [144, 3] in" in finding.message


def test_a_right_export_that_is_fed_what_it_does_not_take_has_no_finding(
    tmp_path: Path, checked: Callable[..., ParityResult]
) -> None:
    saved(tmp_path / "model-200", trained(0))
    exported(tmp_path / "model.pb", trained(0))
    result = checked((4, 7, 7, 2))
    assert (result.verdict, result.findings) == ("error", ())


STALE, OTHER_RUN, HALF, NAN = "stale-export", "other-run", "weights-fp16", "non-finite"


def wrong(what: str) -> Values:
    if what == STALE:
        return trained(1)
    if what == OTHER_RUN:
        return trained(9)
    if what == HALF:
        return {name: value.astype(np.float16).astype(np.float32) for name, value in trained(2).items()}
    return {name: np.full_like(value, np.nan) for name, value in trained(2).items()}


@pytest.mark.parametrize("lacking", ["tensorflow", "graph"])
@pytest.mark.parametrize("cause", [STALE, OTHER_RUN, HALF, NAN])
def test_what_the_weights_alone_show_is_told_with_the_error(
    cause: str, lacking: str, tmp_path: Path, checked: Callable[..., ParityResult], without_tensorflow: Any
) -> None:
    saved(tmp_path / "model-100", trained(1))
    saved(tmp_path / "model-200", trained(2))
    exported(tmp_path / "model.pb", wrong(cause))
    if lacking == "graph":
        (tmp_path / "model-200.meta").unlink()
    else:
        without_tensorflow()
    result = checked(details=True)
    assert result.verdict == "error"
    assert ("there is no model-200.meta" if lacking == "graph" else "needs TensorFlow") in (
        result.error or ""
    )
    (finding,) = result.findings
    assert finding.cause == cause
    assert (finding.certainty == "suggestive") == (cause == OTHER_RUN)
    assert set(finding.scopes) == {"conv", "fc"}


def test_weights_of_a_checkpoint_without_a_graph_that_are_right_are_said_to_be(
    tmp_path: Path, checked: Callable[..., ParityResult]
) -> None:
    saved(tmp_path / "model-200", trained(2))
    exported(tmp_path / "model.pb", trained(2))
    (tmp_path / "model-200.meta").unlink()
    result = checked()
    assert (result.verdict, result.findings, result.health) == ("error", (), ())
    assert any("of 3 constants of" in note and "3 hold that tensor" in note for note in result.notes)


@pytest.mark.parametrize(
    ("stated", "held", "cause"),
    [
        ({"ema": "trainable"}, "raw", "ema-not-applied"),
        ({"ema": "none"}, "averages", "ema-applied-unexpectedly"),
        ({"ema": "trainable"}, "averages", None),
        ({}, "raw", None),
        ({}, "averages", None),
    ],
)
def test_raw_weights_and_averages_are_told_apart_without_a_graph(
    stated: dict[str, str], held: str, cause: str | None, tmp_path: Path, checked: Callable[..., ParityResult]
) -> None:
    values = trained(2, averages=True)
    saved(tmp_path / "model-200", values, averages=True)
    end = "/ExponentialMovingAverage"
    raw = {name: value for name, value in values.items() if not name.endswith(end)}
    exported(tmp_path / "model.pb", raw if held == "raw" else {name: values[name + end] for name in raw})
    (tmp_path / "model-200.meta").unlink()
    result = checked(**stated)
    assert [(each.cause, each.certainty) for each in result.findings] == (
        [(cause, "decisive")] if cause else []
    )


def test_a_checkpoint_of_nan_without_a_graph_is_unsound(
    tmp_path: Path, checked: Callable[..., ParityResult]
) -> None:
    saved(tmp_path / "model-200", wrong(NAN))
    exported(tmp_path / "model.pb", wrong(NAN))
    (tmp_path / "model-200.meta").unlink()
    result = checked()
    assert result.verdict == "error"
    assert {each.cause for each in result.health} == {"non-finite"}
