"""Read TensorFlow's own op registry, to write and to check ``pytest_tfparity/graph/ops.json``.

``python tests/graph/op_registry.py OUT [OTHER...]`` writes the table of the installed TensorFlow to OUT,
merged with tables written elsewhere by another TensorFlow (an older one knows ops that the newest
has dropped; what one of them says against a proof holds). ``op_tables.py`` does all of it. It runs on Python 3.6
and TensorFlow 1.15 too.
"""

import json
import sys

# Not flagged as stateful, and yet more than a function of their inputs: they read files, draw random
# numbers when no seed is set, write into their input, or run code that is not in the graph.
IMPURE = {
    "Abort", "Batch", "CustomAggregator", "FractionalAvgPool", "FractionalMaxPool", "GenerateVocabRemapping",
    "ImmutableConst", "InplaceAdd", "InplaceSub", "InplaceUpdate", "KMC2ChainInitialization",
    "KmeansPlusPlusInitialization", "MatchingFiles", "MlirPassthroughOp", "PyFuncStateless", "ReadFile",
    "SdcaOptimizer", "SdcaOptimizerV2", "Unbatch",
}  # fmt: skip
IMPURE_FAMILIES = (
    "_",
    "Xla",
    "TPU",
    "Tpu",
    "DTensor",
    "Debug",
    "CopyToMesh",
    "Infeed",
    "Outfeed",
    "Collective",
)

AGAINST = ("stateful", "impure", "refers")
"""What is true of an op if one TensorFlow says so."""


def registered_ops():
    from tensorflow.python.framework import op_def_registry

    if hasattr(op_def_registry, "get_registered_ops"):
        return dict(op_def_registry.get_registered_ops())
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    ops = op_def_pb2.OpList()
    ops.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return {op.name: op for op in ops.op}


def plain_default(attr):
    """The default of an attribute as JSON: [kind, value], or None where there is none."""
    if not attr.HasField("default_value"):
        return None
    value = attr.default_value
    kind = attr.type
    if kind.startswith("list("):
        inner = kind[5:-1]
        fields = {"int": "i", "float": "f", "bool": "b", "type": "type", "string": "s", "shape": "shape"}
        if inner not in fields:
            return None
        values = list(getattr(value.list, fields[inner]))
        if inner == "string":
            values = [text.decode("latin-1") for text in values]
        if inner == "shape":
            if values:
                return None
            values = []
        return [inner + "s", values]
    if kind == "int":
        return ["int", value.i]
    if kind == "float":
        return ["float", value.f]
    if kind == "bool":
        return ["bool", value.b]
    if kind == "string":
        return ["string", value.s.decode("latin-1")]
    if kind == "type":
        return ["type", value.type]
    if kind == "shape":
        shape = value.shape
        return ["shape", None if shape.unknown_rank else [dim.size for dim in shape.dim]]
    return None


def plain_outputs(op):
    """Names of the outputs; with how many tensors each is: the attribute that says so, if not one."""
    return [[out.name, out.number_attr or out.type_list_attr] for out in op.output_arg]


def describe(op):
    entry = {}
    outputs = plain_outputs(op)
    if len(outputs) != 1 or outputs[0][1]:
        entry["outputs"] = outputs
    else:
        entry["output"] = outputs[0][0]
    defaults = {attr.name: plain_default(attr) for attr in op.attr}
    defaults = {name: default for name, default in sorted(defaults.items()) if default is not None}
    if defaults:
        entry["defaults"] = defaults
    if op.is_stateful:
        entry["stateful"] = True
    elif is_impure(op):
        entry["impure"] = True
    if refers(op):
        entry["refers"] = True
    if op.is_commutative:
        entry["commutes"] = True
    return entry


def refers(op):
    """Whether an argument is a reference to a variable or another resource (DT_RESOURCE is 20)."""
    return any(argument.is_ref or argument.type == 20 for argument in op.input_arg)


def is_impure(op):
    return (
        op.name in IMPURE
        or op.name.startswith(IMPURE_FAMILIES)
        or "Dataset" in op.name
        or any(attr.type in ("func", "list(func)") for attr in op.attr)
        or refers(op)
        or any(output.is_ref or output.type == 20 for output in op.output_arg)
    )


def main():
    import tensorflow

    table = {name: describe(op) for name, op in registered_ops().items() if hasattr(tensorflow.raw_ops, name)}
    for other in sys.argv[2:]:
        with open(other) as file:
            older = json.load(file)
        for name, entry in older.items():
            mine = table.setdefault(name, entry)
            if mine is entry:
                continue
            if mine.get("output") != entry.get("output") or mine.get("outputs") != entry.get("outputs"):
                print("outputs differ", name, mine, entry)
            for attr, default in entry.get("defaults", {}).items():
                if mine.get("defaults", {}).get(attr) != default:
                    print("default differs", name, attr, mine.get("defaults", {}).get(attr), default)
                    mine.get("defaults", {}).pop(attr, None)
            for flag in AGAINST:
                if entry.get(flag) and not mine.get(flag):
                    print(flag, "only in the other", name)
                    mine[flag] = True
            if mine.get("commutes") and not entry.get("commutes"):
                print("commutes only in this", name)
                del mine["commutes"]
    with open(sys.argv[1], "w") as file:
        file.write(
            "{\n"
            + ",\n".join(
                json.dumps(k) + ": " + json.dumps(table[k], sort_keys=True, separators=(",", ":"))
                for k in sorted(table)
            )
            + "\n}\n"
        )


if __name__ == "__main__":
    main()
