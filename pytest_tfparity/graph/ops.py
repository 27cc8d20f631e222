"""The one table of op facts: what TensorFlow registers of an op, and what kind of op it is.

Outputs, defaults and state come from ``ops.json``: TensorFlow's registry as plain data (1.15, 2.12 and 2.21
merged), written by ``tests/graph/op_tables.py``; a test compares it with the TensorFlow that is installed.
Kinds are told by name, for the ops of TensorFlow 1.0 to 2.21, so that a graph can be judged without
TensorFlow, also where it holds ops that the installed one no longer knows.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from .graph import Attr, DType, Shape, listed

# --- what TensorFlow registers


@dataclass(frozen=True, slots=True)
class Op:
    """A registered op.

    ``outputs`` are pairs of an output's name and the attribute that says how many tensors it is
    (empty: one). ``pure`` means that the outputs depend on inputs and attributes alone. ``refers``
    means that an input is a reference to a variable or another resource, so that the op may change it.
    ``commutes`` means that its inputs may change places, but for rounding.
    """

    outputs: tuple[tuple[str, str], ...]
    defaults: Mapping[str, Attr] = field(default_factory=dict)
    pure: bool = True
    stateful: bool = False
    refers: bool = False
    commutes: bool = False


@cache
def registered(name: str) -> Op | None:
    """The op that TensorFlow registers under ``name``; None for an op that is not TensorFlow's own."""
    entry = _table().get(name)
    if entry is None:
        return None
    outputs = entry["outputs"] if "outputs" in entry else [[entry["output"], ""]]
    return Op(
        outputs=tuple((output, count) for output, count in outputs),
        defaults={attr: _value(*default) for attr, default in entry.get("defaults", {}).items()},
        pure=not entry.get("stateful") and not entry.get("impure"),
        stateful=bool(entry.get("stateful")),
        refers=bool(entry.get("refers")),
        commutes=bool(entry.get("commutes")),
    )


def gives_tensors(name: str) -> bool:
    """Whether an op has outputs; of one that is not TensorFlow's own it is not known, so it may."""
    op = registered(name)
    return op is None or bool(op.outputs)


def ports(name: str, output: str, attrs: Mapping[str, Attr]) -> range | None:
    """The numbers of the tensors of output ``output`` of an op; None where they are not known."""
    known = registered(name)
    if known is None:
        return None
    port = 0
    for candidate, count_attr in known.outputs:
        count = size(attrs.get(count_attr, known.defaults.get(count_attr))) if count_attr else 1
        if candidate == output:
            return None if count is None else range(port, port + count)
        if count is None:
            return None
        port += count
    return None


def size(count: Attr) -> int | None:
    """How many tensors an attribute means: a number, or one for each element of a list; None if neither."""
    several = listed(count)
    if several is not None:
        return len(several)
    return count if isinstance(count, int) and not isinstance(count, bool) else None


@cache
def _table() -> dict[str, dict[str, Any]]:
    text = resources.files(__package__).joinpath("ops.json").read_text(encoding="utf-8")
    table: dict[str, dict[str, Any]] = json.loads(text)
    return table


def _value(kind: str, value: Any) -> Attr:
    if kind.endswith("s"):
        return tuple(_value(kind[:-1], each) for each in value)
    if kind == "type":
        return DType(value)
    if kind == "string":
        return str(value).encode("latin-1")
    if kind == "shape":
        return Shape(None if value is None else tuple(value))
    plain: bool | int | float = value
    return plain


# --- kinds of ops

VARIABLES = frozenset({"Variable", "VariableV2", "VarHandleOp", "AutoReloadVariable"})
ASSIGNS = frozenset({"Assign", "AssignVariableOp"})
"""Ops that give a variable (their first input) the value that is their second."""
SUBTRACTING_ASSIGNS = frozenset({"AssignSub", "AssignSubVariableOp"})
"""Ops that take their second input from a variable, their first."""
REFERENCE_VARIABLES = frozenset({"Variable", "VariableV2"})
"""Variables of which a reference is given, not a resource; the two are one kind of storage."""
READS = frozenset({"ReadVariableOp", "ResourceGather", "ResourceGatherNd"})
"""Ops that take the value of a variable from its resource."""
RESTORES = frozenset({"Restore", "RestoreSlice", "RestoreV2"})
"""Ops that read a checkpoint: its prefix, the names of tensors, and, but for ``Restore``, which slices of them."""
PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2"})
"""Ops that must be fed."""
INPUTS = PLACEHOLDERS | {"PlaceholderWithDefault"}
"""Ops that are there to be fed, with a default or without."""
TABLES = frozenset({"HashTable", "HashTableV2", "MutableHashTable", "MutableHashTableV2"})
ARRAYS = frozenset(
    {
        "TensorArrayV3", "TensorArrayReadV3", "TensorArrayWriteV3", "TensorArrayGatherV3",
        "TensorArrayScatterV3",
        "TensorArraySizeV3", "TensorArrayConcatV3", "TensorArraySplitV3",
    }
)  # fmt: skip
"""Ops on an array that lives for one run, in the order of their flow inputs."""

ARRAY_WRITES = frozenset({"TensorArrayScatterV3", "TensorArraySplitV3", "TensorArrayWriteV3"})
"""Those of them that change the array."""

SWITCHES = frozenset({"Switch", "RefSwitch"})
MERGES = frozenset({"Merge", "RefMerge"})
ENTERS = frozenset({"Enter", "RefEnter"})
EXITS = frozenset({"Exit", "RefExit"})
NEXT_ITERATIONS = frozenset({"NextIteration", "RefNextIteration"})

IDENTITIES = frozenset({"Identity", "RefIdentity"})
PASS_THROUGH = IDENTITIES | {
    "StopGradient", "PreventGradient", "CheckNumerics", "CheckNumericsV2", "Snapshot", "ReadVariableOp",
    "DebugGradientIdentity", "Print",
}  # fmt: skip
"""Ops whose output 0 is their input 0, whatever else they do."""
CARRIERS = IDENTITIES | SWITCHES | MERGES | ENTERS | EXITS | NEXT_ITERATIONS
"""Ops that hand on whatever they are given: a reference, a resource, an array."""

GIVE_VALUES = frozenset(
    {
        "Const", "Identity", "Placeholder", "PlaceholderWithDefault", "Switch", "Merge", "Enter", "ReadVariableOp",
    }
)  # fmt: skip
"""Ops that stand where a variable or a reference to one did, and give a value."""

ARGUMENT = "_Arg"
"""The op that stands for an argument of a function; the position of its first tensor is the attribute ``index``."""
CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
"""Ops that run the function ``f``."""
IFS = frozenset({"If", "StatelessIf"})
WHILES = frozenset({"While", "StatelessWhile"})
CASES = frozenset({"Case", "StatelessCase"})
FUNCTIONAL = IFS | WHILES | CASES
"""Ops that run functions as a conditional or a loop."""
_FUNCTIONS = {
    **dict.fromkeys(CALLS, ("f",)),
    **dict.fromkeys(IFS, ("then_branch", "else_branch")),
    **dict.fromkeys(WHILES, ("cond", "body")),
    **dict.fromkeys(CASES, ("branches",)),
}

FUSED_BATCH_NORMS = frozenset({"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "_FusedBatchNormEx"})
LINEAR = frozenset(
    {
        "Conv2D", "Conv3D", "DepthwiseConv2dNative", "MatMul", "BatchMatMul", "BatchMatMulV2",
        "Conv2DBackpropInput",
    }
)  # fmt: skip
"""Convolutions and products; their second input is the kernel."""
FUSED_PADS = frozenset({"FusedPadConv2D", "FusedResizeAndPadConv2D"})
"""Convolutions that TensorFlow's passes make; their kernel is the last input."""
ADDITIONS = frozenset({"Add", "AddV2", "BiasAdd"})
"""Sums of two tensors; the second of ``BiasAdd`` is a vector of channels."""
DIVISIONS = frozenset({"Div", "RealDiv"})
"""Quotients, of floats and complex numbers the same."""
RANKS = {
    "Conv2D": 4, "DepthwiseConv2dNative": 4, "MaxPool": 4, "AvgPool": 4, "Conv2DBackpropInput": 4,
    "MatMul": 2, "Conv3D": 5, "MaxPool3D": 5, "AvgPool3D": 5,
}  # fmt: skip
"""The rank of what ops with a rank of their own give."""
KEEP_RANK = frozenset(
    {
        "Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Tanh", "Sigmoid", "BiasAdd", "Pad", "Cast",
        "SquaredDifference", "Square", "Sub", "Mul",
    }
)  # fmt: skip
"""Ops whose result has the rank of their first input, but for what broadcasting makes of that."""
DECODERS = frozenset(
    {"DecodeJpeg", "DecodePng", "DecodeBmp", "DecodeGif", "DecodeImage", "DecodeAndCropJpeg", "DecodeWebP"}
)
"""Ops that read the bytes of an image file."""
OF_SHAPE = frozenset({"Shape", "ShapeN", "Size", "Rank"})
"""What reads of a tensor how large it is, none of its numbers."""

IN_PLACE = frozenset({"InplaceUpdate", "InplaceAdd", "InplaceSub"})
"""Ops that change the memory of the tensor that they are given, whoever else reads it (inplace_ops.cc)."""

NO_ANSWER = (
    VARIABLES | ASSIGNS | INPUTS
    | {
        "NoOp", "Assert", "Const", "SaveV2", "SaveSlices", "Save",
        "MergeV2Checkpoints", "RestoreV2", "Restore", "RestoreSlice", "ScalarSummary", "HistogramSummary",
        "ImageSummary", "MergeSummary", "TensorSummaryV2", "IsVariableInitialized", "VarIsInitializedOp",
        "AssignAdd", "AssignSub", "AssignAddVariableOp", "AssignSubVariableOp", "WriteFile", "Print", "PrintV2",
        "ShardedFilename",
    }
)  # fmt: skip
"""Ops that end a graph without being an answer of the model."""

_REFERENCE_READERS = frozenset(
    {
        "ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp",
        "IsVariableInitialized", "RefIdentity", "RefSwitch", "RefMerge", "RefEnter", "RefExit",
        "RefNextIteration", "RefSelect", "_ReadVariablesOp",
    }
)  # fmt: skip
_WRITES_FIRST = ("Assign", "Scatter", "ResourceScatter", "StridedSlice", "ResourceStridedSlice", "CountUpTo")
_WANTS_REFERENCE = re.compile(
    r"Ref(Switch|Merge|Enter|Exit|NextIteration|Identity)$|Assign(Add|Sub)?$|CountUpTo$|StridedSliceAssign$"
    r"|Scatter(Nd)?(Add|Sub|Mul|Div|Min|Max|Update)$|(Sparse)?Apply[A-Z]\w*$|IsVariableInitialized$"
)
_WRITES = re.compile(
    r"Assign|CountUpTo$|StridedSliceAssign|TemporaryVariable|DestroyTemporaryVariable|DestroyResourceOp"
    r"|(Sparse)?Apply[A-Z]|Scatter(Nd)?(Add|Sub|Mul|Div|Min|Max|Update)$"
    r"|Resource(CountUpTo|StridedSliceAssign|(Sparse)?Apply|Scatter|Accumulator)"
    r"|(Sparse|Resource)?(Conditional)?Accumulator|BoostedTrees(Update|Deserialize|Create|Flush|Training)"
    r"|LookupTable(Insert|Import|Remove)|InitializeTable|MakeIterator|Queue(Enqueue|Close)|BarrierInsert"
    r"|(OrderedMap|Map)?(Stage|Clear)$|RngSkip|RngReadAndSkip"
    r"|Save($|V2|Slices)|MergeV2Checkpoints|WriteFile|Write.*Summary|SummaryWriter|SaveDataset|DatasetToTFRecord"
    r"|ImportEvent|PrintV2$|NegTrain|XlaSend|Send$|Rpc|Outfeed|Infeed|ConfigureDistributedTPU|ShutdownDistributedTPU"
)
_PYTHON = re.compile(r"PyFunc|PyFuncStateless|EagerPyFunc|PythonFunction")
_DATA = re.compile(
    r"IteratorGetNext|QueueDequeue|Reader(Read|Serialize|Num)|BarrierTakeMany|(OrderedMap|Map)?(Unstage|Peek)"
    r"|RecordInput$|FakeQueue$|DatasetToSingleElement$|ReduceDataset$"
)
_INITIALISERS = re.compile(r"InitializeTable(V2|FromTextFile|FromTextFileV2)?$|LookupTableImport(V2)?$")

_ORIGIN = (
    (re.compile(r"Experimental"), "the experimental part of tf.data in TensorFlow 1.x"),
    (re.compile(r"TRTEngineOp|TRTCalibOp"), "TensorRT"),
    (re.compile(r"Horovod"), "Horovod"),
    (re.compile(r"Descrpt|Prod(Force|Virial)|TabInter"), "DeePMD-kit"),
    (re.compile(r"TFLite_"), "TensorFlow Lite, which alone can run it"),
    (re.compile(r"Resampler|ImageProjectiveTransform$|EuclideanDistanceTransform"), "tf.contrib.image"),
    (re.compile(r"GatherTree$|BeamSearch"), "tf.contrib.seq2seq (now TensorFlow Addons)"),
    (re.compile(r"AddonsX?|Addons>"), "TensorFlow Addons"),
    (re.compile(r"Sentencepiece|Wordpiece|Unicode|Whitespace|Regex.*Split"), "TensorFlow Text"),
    (re.compile(r"TreeEnsemble|GradientTrees|DecisionTree|HardRoutingFunction"), "a tf.contrib library"),
    (re.compile(r"IO>|DecodeArrow|Kafka"), "TensorFlow I/O"),
    (re.compile(r"_(Fused|Mkl|Nccl|Xla|TPU)"), "TensorFlow's own optimiser, for one machine only"),
)  # fmt: skip


def function_attributes(op: str) -> tuple[str, ...]:
    """The attributes of ``op`` that name the functions that it runs; none of an op that is not known to."""
    return _FUNCTIONS.get(op, ())


def is_random(op: str) -> bool:
    """Whether ``op`` draws other numbers in each run; no for an unknown op, whose doubt is another."""
    known = registered(op)
    if known is None or not known.stateful or op in CALLS:
        return False
    return "seed" in known.defaults or "Random" in op or op.startswith("Stateful")


def writes(op: str) -> bool:
    """Whether ``op`` changes a variable, a table, a queue or a file; no for an op that is not known to."""
    return _WRITES.match(op) is not None


def may_write(op: str) -> bool:
    """Whether ``op`` is given a reference and does more than read through it; no for an unknown op."""
    known = registered(op)
    return known is not None and known.refers and op not in _REFERENCE_READERS


def writes_first_input(op: str) -> bool:
    """Whether an op that may write changes what its first input refers to, and that alone."""
    return op.startswith(_WRITES_FIRST)


def wants_reference(op: str) -> bool:
    """Whether ``op`` refuses a value where it wants a reference to a variable; no for an unknown op."""
    return _WANTS_REFERENCE.match(op) is not None


def calls_python(op: str) -> bool:
    """Whether ``op`` calls a Python function of the process that built the graph; no for an unknown op."""
    return _PYTHON.match(op) is not None


def has_effect(op: str) -> bool:
    """Whether ``op`` does more than compute: it is never run. No for an unknown op, which is not run either."""
    return writes(op) or calls_python(op)


def reads_data(op: str) -> bool:
    """Whether ``op`` takes its values from a data pipeline, queue or reader; no for an unknown op."""
    return _DATA.match(op) is not None


def initialises_table(op: str) -> bool:
    """Whether ``op`` fills a lookup table; no for an unknown op."""
    return _INITIALISERS.match(op) is not None


def library_of(op: str) -> str | None:
    """The library that an op unknown to TensorFlow is known from; None if none is."""
    return next((library for pattern, library in _ORIGIN if pattern.match(op)), None)


def is_foreign(op: str) -> bool:
    """Whether an op is one of another runtime that stands untranslated in a graph of TensorFlow ops.

    No op of TensorFlow has a dot in its name (``OpDefBuilder``: ``[A-Z][A-Za-z0-9>_]*``).
    """
    return "." in op


# --- what ops compute, for what is told of the places where both sides part

SUMS = frozenset({"Add", "AddV2", "Sub"})
PRODUCTS = frozenset({"Mul", "Div", "RealDiv"})
INEQUALITIES = frozenset({"Less", "LessEqual", "Greater", "GreaterEqual"})
SELECTS = frozenset({"Select", "SelectV2"})
PADS = frozenset({"Pad", "PadV2", "MirrorPad"})
JOINS = frozenset({"Concat", "ConcatV2", "Pack"})
SPLITS = frozenset({"Split", "SplitV", "Unpack"})
REVERSES = frozenset({"Reverse", "ReverseV2"})
GATHERS = frozenset({"Gather", "GatherV2"})
RESHAPES = frozenset({"Reshape", "ExpandDims", "Squeeze"})
"""What gives a tensor another shape, with the same numbers in the same order."""
LAYOUTS = RESHAPES | {"BroadcastTo", "Cast"}
"""What changes how a vector of channels lies, or its type, not what it holds."""
RECIPROCALS = frozenset({"Reciprocal", "Inv"})
MOMENTS = frozenset({"Mean", "Sum"})
"""The reductions that the mean and the variance of a batch are made of."""
REDUCTIONS = frozenset(
    {"Mean", "Sum", "Max", "Min", "Prod", "All", "Any", "EuclideanNorm", "ArgMax", "ArgMin", "Cumsum"}
)
"""What reduces over the axes that the second input tells, or runs along them."""

DRAWN_BETWEEN = {
    **dict.fromkeys(("RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2"), (0.0, 1.0)),
    **dict.fromkeys(
        ("TruncatedNormal", "StatelessTruncatedNormal", "StatelessTruncatedNormalV2"), (-2.0, 2.0)
    ),
    **dict.fromkeys(
        ("RandomStandardNormal", "StatelessRandomNormal", "StatelessRandomNormalV2"), (-math.inf, math.inf)
    ),
}
"""Bounds of the random numbers that an op draws."""
_DRAWING = ("Random", "Multinomial", "SampleDistortedBoundingBox", "TruncatedNormal", "Stateful")


def draws(op: str) -> bool:
    """Whether ``op`` gives random numbers, other ones in each run or not; no for a call, whatever it runs."""
    return any(word in op for word in _DRAWING) and op not in CALLS
