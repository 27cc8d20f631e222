"""Which ops compute and do nothing else: of TensorFlow's own, no other is ever run.

A model file comes from somebody else, and TensorFlow has ops that read and write files, open sockets, call Python, wait
for another process or hand code to another compiler. What may run is therefore listed, not what may not: the ops that
the op table says are functions of their inputs, and those below, whose state lives and dies with the session. An op
that TensorFlow itself does not have comes from a library that the project has loaded: the project answers for it.
"""

from __future__ import annotations

from . import ops
from .signatures import signature

_STATE_OF_A_SESSION = (
    ops.VARIABLES
    | ops.TABLES
    | ops.ARRAYS
    | ops.CALLS
    | ops.FUNCTIONAL
    | ops.IN_PLACE
    | {
        # variables and references to them
        "ReadVariableOp", "VariableShape", "VarIsInitializedOp", "IsVariableInitialized", "ResourceGather",
        "ResourceGatherNd", "RefIdentity", "RefSwitch", "RefMerge", "RefEnter", "RefExit", "RefNextIteration",
        "RefSelect", "_ReadVariablesOp", "_VarHandlesOp", "_SwitchN",
        # lookup tables
        "AnonymousHashTable", "AnonymousMutableHashTable", "AnonymousMutableHashTableOfTensors",
        "AnonymousMutableDenseHashTable", "MutableHashTableOfTensors", "MutableHashTableOfTensorsV2",
        "MutableDenseHashTable", "MutableDenseHashTableV2", "LookupTableFind", "LookupTableFindV2",
        "LookupTableSize", "LookupTableSizeV2", "LookupTableExport", "LookupTableExportV2",
        "LookupTableImport", "LookupTableImportV2", "InitializeTable", "InitializeTableV2",
        # arrays and stacks of loops
        "TensorArray", "TensorArrayV2", "TensorArrayGrad", "TensorArrayGradV2", "TensorArrayGradV3",
        "TensorArrayGradWithShape", "TensorArrayClose", "TensorArrayCloseV3", "TensorArrayConcat",
        "TensorArrayGather", "TensorArrayPack", "TensorArrayRead", "TensorArrayScatter", "TensorArraySize",
        "TensorArraySplit", "TensorArrayUnpack", "TensorArrayWrite", "Stack", "StackV2", "StackPush",
        "StackPushV2", "StackPop", "StackPopV2", "StackClose", "StackCloseV2", "TensorListResize",
        # functions
        "For", "MapDefun", "SymbolicGradient",
        # random numbers
        "RandomUniform", "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal", "RandomShuffle",
        "RandomCrop", "RandomGamma", "RandomPoisson", "RandomPoissonV2", "ParameterizedTruncatedNormal",
        "Multinomial", "StatefulUniform", "StatefulUniformInt", "StatefulUniformFullInt",
        "StatefulStandardNormal", "StatefulStandardNormalV2", "StatefulTruncatedNormal", "StatefulRandomBinomial",
        "NonDeterministicInts", "StatelessRandomGetAlg", "SampleDistortedBoundingBox",
        "SampleDistortedBoundingBoxV2", "FractionalAvgPool", "FractionalMaxPool", "AllCandidateSampler",
        "UniformCandidateSampler", "LogUniformCandidateSampler", "LearnedUnigramCandidateSampler",
        "ThreadUnsafeUnigramCandidateSampler", "KMC2ChainInitialization", "KmeansPlusPlusInitialization",
        "CudnnRNN", "CudnnRNNV2", "CudnnRNNV3",
        # checks, and what hands its input on
        "Assert", "CheckNumerics", "CheckNumericsV2", "Print", "GuaranteeConst", "DeepCopy", "Empty",
        "DebugGradientIdentity", "DebugGradientRefIdentity", "DeviceIndex",
        # what TensorFlow's graph optimiser and its other front ends write
        "_FusedBatchNormEx", "_FusedConv2D", "_FusedConv3D", "_FusedDepthwiseConv2dNative", "_FusedMatMul",
        "_UnaryOpsComposition", "_TensorToHashBucketFast", "MakeUnique", "TopKUnique", "TopKWithUnique",
        "KthOrderStatistic", "QuantizedConcatV2", "AudioMicrofrontend", "HostConst",
    }
)  # fmt: skip

_NAME_A_FILE = frozenset({"DecodeProtoV2", "EncodeProto", "Copy", "CopyHost"})
"""Ops that TensorFlow calls functions of their inputs, and that have an attribute for a file to read or a debugger
to ask."""


def computes(op: str) -> bool:
    """Whether ``op`` computes and does nothing else, as far as TensorFlow answers for it."""
    if op in _STATE_OF_A_SESSION:
        return True
    known = ops.registered(op)
    if known is not None:
        return known.pure and op not in _NAME_A_FILE
    return signature(op) is None
