"""A fold is told from its kernel: right or wrong epsilon, axis, bias."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.batch_norm import Build, names
from pytest_tfparity.graph.batch_norm.find import BatchNorm, find_batch_norms
from pytest_tfparity.graph.batch_norm.fold import Fold, fold_candidates, solve_fold
from pytest_tfparity.graph.batch_norm.pairs import pair_batch_norms


class Layer:
    def __init__(self, shape: tuple[int, ...], channels: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.kernel = rng.standard_normal(shape).astype(np.float32)
        self.gamma = (rng.standard_normal(channels) + 1.5).astype(np.float32)
        self.beta = rng.standard_normal(channels).astype(np.float32)
        self.mean = rng.standard_normal(channels).astype(np.float32)
        self.variance = (rng.random(channels) * 2 + 0.01).astype(np.float32)

    def scale(self, epsilon: float) -> np.ndarray:
        return self.gamma / np.sqrt(self.variance + np.float32(epsilon))

    def solve(self, folded: np.ndarray, bias: np.ndarray | None, epsilon: float = 1e-3) -> Fold | None:
        return solve_fold(
            self.kernel, folded, self.gamma, self.beta, self.mean, self.variance, bias, epsilon=epsilon
        )


@pytest.mark.parametrize("shape", [(3, 3, 2, 6), (5, 6), (3, 3, 3, 2)])
@given(seed=st.integers(0, 2**31), epsilon=st.sampled_from([1e-2, 1e-3, 1e-5]))
def test_a_correct_fold_is_correct(shape: tuple[int, ...], seed: int, epsilon: float) -> None:
    layer = Layer(shape, 6, seed)
    scale = layer.scale(epsilon)
    folded = layer.kernel * (scale.reshape(3, 2) if shape == (3, 3, 3, 2) else scale)
    found = layer.solve(folded, layer.beta - layer.mean * scale, epsilon)
    assert found is not None
    assert found.correct
    assert found.residual < 1e-6


@pytest.mark.parametrize(("used", "own"), [(1e-5, 1e-3), (1e-3, 1e-5), (0.0, 1e-3)])
def test_another_epsilon_is_solved(used: float, own: float) -> None:
    layer = Layer((3, 3, 2, 6), 6)
    scale = layer.scale(used)
    found = layer.solve(layer.kernel * scale, layer.beta - layer.mean * scale, own)
    assert found is not None
    assert (found.epsilon, found.own_epsilon, found.correct) == (used, False, False)


def test_an_unusual_epsilon_is_solved_too() -> None:
    layer = Layer((3, 3, 8, 6), 6)
    found = layer.solve(layer.kernel * layer.scale(0.0123), None)
    assert found is not None
    assert found.epsilon == pytest.approx(0.0123, rel=1e-3)
    assert found.bias == "absent"


def test_the_wrong_axis_of_a_square_kernel_is_seen() -> None:
    layer = Layer((3, 3, 6, 6), 6)
    found = layer.solve(layer.kernel * layer.scale(1e-3)[:, None], layer.beta)
    assert found is not None
    assert (found.axis, found.correct) == ("input", False)


def test_a_bias_that_is_beta_alone_lacks_the_mean() -> None:
    layer = Layer((3, 3, 2, 6), 6)
    found = layer.solve(layer.kernel * layer.scale(1e-3), layer.beta)
    assert found is not None
    assert (found.bias, found.correct) == ("beta only", False)
    other = layer.solve(layer.kernel * layer.scale(1e-3), layer.mean)
    assert other is not None
    assert other.bias == "other"


def test_the_bias_that_the_convolution_had_of_its_own_is_folded_too() -> None:
    layer = Layer((3, 3, 2, 6), 6)
    scale, own = layer.scale(1e-3), layer.mean[::-1]
    found = solve_fold(
        layer.kernel,
        layer.kernel * scale,
        layer.gamma,
        layer.beta,
        layer.mean,
        layer.variance,
        layer.beta + (own - layer.mean) * scale,
        epsilon=1e-3,
        own_bias=own,
    )
    assert found is not None
    assert found.correct


def test_a_scale_multiplied_in_twice_is_seen() -> None:
    layer = Layer((3, 3, 2, 6), 6)
    found = layer.solve(layer.kernel * layer.scale(1e-3) ** 2, None)
    assert found is not None
    assert found.power == 2


def test_what_is_no_fold_is_not_taken_for_one() -> None:
    layer = Layer((3, 3, 2, 6), 6)
    assert layer.solve(layer.kernel, layer.beta) is None
    assert layer.solve(layer.kernel * np.float32(1.5), layer.beta) is None
    assert layer.solve(Layer((3, 3, 2, 6), 6, seed=9).kernel, layer.beta) is None
    one_off = layer.kernel * layer.scale(1e-3)
    one_off[0, 0, 0, 0] *= np.float32(1.01)
    assert layer.solve(one_off, layer.beta) is None


def test_a_common_factor_says_nothing_of_the_epsilon() -> None:
    layer = Layer((3, 3, 2, 6), 6)
    layer.gamma[:], layer.variance[:] = 1.0, 1.0
    assert layer.solve(layer.kernel * np.float32(0.97), None, epsilon=1e-3) is None
    own = layer.solve(layer.kernel * layer.scale(1e-3), None, epsilon=1e-3)
    assert own is not None
    assert own.own_epsilon


def test_candidates_are_linear_nodes_with_constant_kernels() -> None:
    build = Build()
    build.const("k", np.ones((1, 1, 3, 3)))
    build.add("Conv2D", "conv", build.image(), "k")
    build.add("BiasAdd", "biased", "conv", build.const("b", np.ones(3)))
    build.add("Conv2D", "shared", "biased", "k")
    build.add("AddV2", "out", "shared", "conv")
    first, second = fold_candidates(build.graph(), names("out"))
    assert (first.node, first.kernel, first.bias, first.output.node) == ("conv", "k", "b", "biased")
    assert first.readers == 2
    assert (second.node, second.bias) == ("shared", None)


def layers(*scopes: str) -> tuple[BatchNorm, ...]:
    build = Build()
    last = build.image(rank=2)
    for scope in scopes:
        gamma, beta, mean, variance = build.weights(scope)
        last = build.nn(scope, last, mean, variance, beta, gamma)
    return find_batch_norms(build.graph(), names(last))


def test_layers_are_paired_by_node_then_weights_then_scope() -> None:
    ours, theirs = layers("a", "b", "c"), layers("x", "y", "c")
    alignment = {"x/batchnorm/add_1": "a/batchnorm/add_1"}
    content = {"b/gamma": b"1", "y/gamma": b"1"}.get
    pairs = pair_batch_norms(ours, theirs, alignment, reference_content=content, export_content=content)
    found = [(each.reference.scope, each.export.scope, each.by) for each in pairs]
    assert found == [("a", "x", "node"), ("b", "y", "weights"), ("c", "c", "scope")]


def test_a_layer_on_one_side_alone_stays_alone() -> None:
    assert pair_batch_norms(layers("a"), layers("z")) == ()
