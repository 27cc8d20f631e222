"""What a saver's graph puts into a variable, against what TensorFlow holds once it was run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pytest_tfparity.graph.read.bundle import Bundle
from pytest_tfparity.graph.read.graphdef import read_meta
from pytest_tfparity.graph.read.restore import restored, restored_keys

v1 = tf.compat.v1


def _restored(prefix: str, key: str) -> Any:
    return tf.raw_ops.RestoreV2(
        prefix=prefix, tensor_names=[key], shape_and_slices=[""], dtypes=[tf.float32]
    )[0]


def _first_the_restore(then: Callable[[Any, Any], Any]) -> Callable[[Any, Any, str], Any]:
    def wire(v: Any, w: Any, prefix: str) -> Any:
        first = v.assign(_restored(prefix, "v"), read_value=False)
        with tf.control_dependencies([first]):
            return then(v, w)

    return wire


def _two_keys(v: Any, w: Any, prefix: str) -> Any:
    with tf.control_dependencies([v.assign(_restored(prefix, "v"), read_value=False)]):
        return v.assign(_restored(prefix, "w"), read_value=False)


def _in_a_conditional(v: Any, w: Any, prefix: str) -> Any:
    flag = tf.constant(False)
    return tf.cond(flag, lambda: v.assign(_restored(prefix, "v")), lambda: v.assign(5.0))


def _handed_on(v: Any, w: Any) -> Any:
    packed = tf.stack([v.handle, w.handle])
    return tf.raw_ops.AssignAddVariableOp(resource=packed[0], value=np.float32(1.0))


WIRES: dict[str, Callable[[Any, Any, str], Any]] = {
    "an addition afterwards": _first_the_restore(lambda v, w: v.assign_add(1.0, read_value=False)),
    "an assignment of another value afterwards": _first_the_restore(
        lambda v, w: v.assign(5.0, read_value=False)
    ),
    "an assignment of another variable afterwards": _first_the_restore(
        lambda v, w: v.assign(w.read_value(), read_value=False)
    ),
    "an addition through a packed handle": _first_the_restore(_handed_on),
    "two values of the checkpoint": _two_keys,
    "a conditional": _in_a_conditional,
}


@pytest.mark.parametrize("resource", [True, False])
@pytest.mark.parametrize("functional", [True, False])
@pytest.mark.parametrize("name", WIRES)
def test_a_variable_that_more_than_its_restore_writes_has_no_known_value(
    name: str, resource: bool, functional: bool, tmp_path: Path
) -> None:
    if not resource and name in ("an addition through a packed handle", "a conditional"):
        pytest.skip("TensorFlow hands no reference of a variable on there")
    prefix = str(tmp_path / "model")
    with tf.Graph().as_default() as graph, v1.Session() as session:
        (v1.enable_control_flow_v2 if functional else v1.disable_control_flow_v2)()
        held = [
            v1.get_variable(each, initializer=np.float32(value), use_resource=resource)
            for each, value in (("v", 3.0), ("w", 4.0))
        ]
        saver = v1.train.Saver(held)
        session.run([each.initializer for each in held])
        saver.save(session, prefix, write_meta_graph=False)
        done = WIRES[name](*held, prefix)
        with tf.control_dependencies([done]):
            last = tf.no_op("restore_otherwise")
        session.run(last)
        holds = session.run(held[0])
        definition = saver.as_saver_def()
        definition.restore_op_name = last.name
        v1.train.export_meta_graph(f"{prefix}.meta", graph=graph, saver_def=definition)
    bundle = Bundle(Path(prefix))
    found = restored_keys(read_meta(Path(f"{prefix}.meta")), None, bundle)
    assert holds != 3.0
    assert "v" not in found or restored(found["v"], bundle).array == holds
