"""Functions of the library as TensorFlow instantiates them, and which variable nodes are one variable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format

from soundness.pairs import Written, differ, written

v1 = tf.compat.v1
X = np.float32([-2.0, 3.0])

PLACEHOLDER = """
node { name: "x" op: "Placeholder"
  attr { key: "dtype" value { type: DT_FLOAT } } attr { key: "shape" value { shape { dim { size: 2 } } } } }
"""
VERSIONS = "versions { producer: 1882 }"


def parsed(text: str) -> Written:
    definition = text_format.Parse(PLACEHOLDER + text + VERSIONS, v1.GraphDef())
    return Written(definition=definition, inputs=("x",), outputs=("y",))


def _leaky(default: float) -> Written:
    """A call that leaves the function's attribute at its default."""
    return parsed(
        f"""
        node {{ name: "y" op: "leaky" input: "x" }}
        library {{ function {{
          signature {{ name: "leaky"
            input_arg {{ name: "a" type: DT_FLOAT }} output_arg {{ name: "r" type: DT_FLOAT }}
            attr {{ name: "slope" type: "float" default_value {{ f: {default} }} }} }}
          node_def {{ name: "act" op: "LeakyRelu" input: "a"
            attr {{ key: "T" value {{ type: DT_FLOAT }} }}
            attr {{ key: "alpha" value {{ placeholder: "slope" }} }} }}
          ret {{ key: "r" value: "act:activations:0" }}
        }} }}
        """
    )


def test_the_default_of_a_functions_attribute_is_part_of_what_it_computes() -> None:
    differ(_leaky(0.5), _leaky(0.25), X)


def _listed(flat: int) -> Written:
    """A call of a function of a list of two tensors and a third one, which it returns; or what is ``flat``."""
    call = 'node { name: "y" op: "third" input: "x" input: "c" input: "d" attr { key: "N" value { i: 2 } } }'
    body = f"""
        node {{ name: "c" op: "Neg" input: "x" attr {{ key: "T" value {{ type: DT_FLOAT }} }} }}
        node {{ name: "d" op: "Abs" input: "x" attr {{ key: "T" value {{ type: DT_FLOAT }} }} }}
        {call if flat < 0 else ""}
        library {{ function {{
          signature {{ name: "third"
            input_arg {{ name: "xs" type: DT_FLOAT number_attr: "N" }} input_arg {{ name: "b" type: DT_FLOAT }}
            output_arg {{ name: "r" type: DT_FLOAT }} attr {{ name: "N" type: "int" }} }}
          node_def {{ name: "act" op: "Relu" input: "b" attr {{ key: "T" value {{ type: DT_FLOAT }} }} }}
          ret {{ key: "r" value: "act:activations:0" }}
        }} }}
    """
    if flat >= 0:
        body += f"""
        node {{ name: "y" op: "Relu" input: "{"xcd"[flat]}" attr {{ key: "T" value {{ type: DT_FLOAT }} }} }}"""
    return parsed(body)


def test_arguments_behind_a_list_are_counted_flat() -> None:
    differ(_listed(-1), _listed(1), X)


def _variables(op: str, *places: tuple[str, str], read: int) -> Written:
    """Two variables with a container and a shared name each; ``y`` is ``x`` times one of them."""

    def build() -> None:
        x = v1.placeholder(tf.float32, [2], "x")
        held = []
        for index, (container, shared) in enumerate(places):
            options: dict[str, Any] = {"dtype": tf.float32, "shape": [], "container": container}
            options |= {"shared_name": shared, "name": f"v{index}"}
            if op == "VariableV2" or (op == "both" and index == 0):
                held.append(tf.raw_ops.VariableV2(**options))
            else:
                handle = tf.raw_ops.VarHandleOp(**options)
                held.append(tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32))
        tf.multiply(x, held[read], "y")

    values = {f"v{index}": np.float32(3.0 + index) for index in range(len(places))}
    return written(build, variables=values)


def _times(factor: float) -> Written:
    def build() -> None:
        tf.multiply(v1.placeholder(tf.float32, [2], "x"), tf.constant(np.float32(factor)), "y")

    return written(build)


SHARED = {
    "two containers": ("VariableV2", ("", "s"), ("other", "s")),
    "two containers of resources": ("VarHandleOp", ("", "s"), ("other", "s")),
    "a reference and a resource": ("both", ("", "s"), ("", "s")),
    "one name": ("VariableV2", ("", "s"), ("", "s")),
    "one name of resources": ("VarHandleOp", ("", "s"), ("", "s")),
    "no name": ("VariableV2", ("", ""), ("", "")),
    "no name of resources": ("VarHandleOp", ("", ""), ("", "")),
}


@pytest.mark.parametrize("read", [0, 1])
@pytest.mark.parametrize("name", SHARED)
def test_which_variables_are_one_is_what_tensorflow_says(name: str, read: int) -> None:
    op, *places = SHARED[name]
    reference = _variables(op, *places, read=read)
    (got,) = reference.run(X)
    wrong = 4.0 if np.array_equal(got, X * np.float32(3.0)) else 3.0
    differ(reference, _times(wrong), X)
