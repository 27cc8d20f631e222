"""Read what TensorFlow's registry says of each op's arguments, to write and to check ``graph/signatures.tsv``.

``PYTHONPATH=tests python tests/soundness/signatures.py OUT [OLDER...]`` writes the table of the installed TensorFlow to
OUT, with the ops of older tables that this TensorFlow has dropped; ``tests/graph/op_tables.py`` does all of it. It runs
on Python 3.6 and TensorFlow 1.15 too.
"""

import json
import sys

from graph.op_registry import registered_ops


def argument(arg):
    """``T`` (an attribute), ``1`` (a type), ``T*N`` (N of one type), ``[T]`` (a list), ``&T`` (a reference)."""
    if arg.type_list_attr:
        told = "[" + arg.type_list_attr + "]"
    else:
        told = arg.type_attr or str(arg.type)
        if arg.number_attr:
            told += "*" + arg.number_attr
    return ("&" if arg.is_ref else "") + told


def allowed(attr):
    values = attr.allowed_values.list
    if attr.type in ("type", "list(type)"):
        return sorted(values.type)
    return [text.decode("latin-1") for text in values.s]


def describe(op):
    entry = {
        "inputs": [argument(arg) for arg in op.input_arg],
        "outputs": [argument(arg) for arg in op.output_arg],
        "attrs": {},
    }
    for attr in op.attr:
        told = {"kind": attr.type}
        if not attr.HasField("default_value"):
            told["required"] = True
        if attr.HasField("allowed_values"):
            told["allowed"] = allowed(attr)
        if attr.has_minimum:
            told["least"] = attr.minimum
        entry["attrs"][attr.name] = told
    if op.HasField("deprecation"):
        entry["gone"] = op.deprecation.version
    return entry


def read(path):
    with open(path) as file:
        return {name: json.loads(entry) for name, _, entry in (line.partition("\t") for line in file)}


def main():
    table = {name: describe(op) for name, op in registered_ops().items()}
    for older in sys.argv[2:]:
        for name, entry in read(older).items():
            table.setdefault(name, entry)
    with open(sys.argv[1], "w") as file:
        for name in sorted(table):
            file.write(name + "\t" + json.dumps(table[name], sort_keys=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
