"""Kinds of ops: what changes state, what reads data by itself, what holds variables.

Ops are told apart by name, as registered by TensorFlow 1.0 to 2.21: a graph can then be judged
without TensorFlow, also where it holds ops that the installed one no longer knows.
"""

from __future__ import annotations

import re

VARIABLES = frozenset({"Variable", "VariableV2", "VarHandleOp", "AutoReloadVariable"})
PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2"})
TABLES = frozenset({"HashTable", "HashTableV2", "MutableHashTable", "MutableHashTableV2"})
SWITCHES = frozenset({"Switch", "RefSwitch"})
MERGES = frozenset({"Merge", "RefMerge"})
ENTERS = frozenset({"Enter", "RefEnter"})
EXITS = frozenset({"Exit", "RefExit"})
NEXT_ITERATIONS = frozenset({"NextIteration", "RefNextIteration"})
IDENTITIES = frozenset({"Identity", "RefIdentity"})

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
_HOST = re.compile(r"PyFunc|PyFuncStateless|EagerPyFunc|PythonFunction")
_SOURCES = re.compile(
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


def writes(op: str) -> bool:
    """Whether ``op`` changes a variable, a table, a queue or a file."""
    return _WRITES.match(op) is not None


def calls_python(op: str) -> bool:
    """Whether ``op`` calls a Python function of the process that built the graph."""
    return _HOST.match(op) is not None


def reads_data(op: str) -> bool:
    """Whether ``op`` takes its values from a data pipeline, queue or reader."""
    return _SOURCES.match(op) is not None


def initialises_table(op: str) -> bool:
    """Whether ``op`` fills a lookup table."""
    return _INITIALISERS.match(op) is not None


def origin(op: str) -> str | None:
    """The library that an op unknown to TensorFlow is known from."""
    return next((library for pattern, library in _ORIGIN if pattern.match(op)), None)
