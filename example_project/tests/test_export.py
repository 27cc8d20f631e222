"""The same question asked in three ways; tfparity.yaml beside this folder asks it without any Python."""

from pytest_tfparity import assert_parity, parity


@parity("digits", atol=1e-5)
def test_the_export_answers_as_the_checkpoint_does(frozen_graph, checkpoint_session, golden_inputs):
    assert frozen_graph.run(golden_inputs) == checkpoint_session.run(golden_inputs)


@parity("digits", atol=1e-5)
def test_the_export_is_the_checkpoint(frozen_graph, checkpoint_session, golden_inputs):
    assert_parity(frozen_graph, checkpoint_session, golden_inputs)


@parity(
    checkpoint="../artifacts/model.ckpt-400",
    ema="trainable",
    frozen_graph="../artifacts/digits.pb",
    inputs={"image:0": {"npz": "../goldens/images.npz", "key": "image"}},
    outputs=["probabilities:0"],
)
def test_files_can_be_named_without_a_manifest(frozen_graph, checkpoint_session, golden_inputs):
    assert_parity(frozen_graph, checkpoint_session, golden_inputs)
