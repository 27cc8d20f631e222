"""The protobuf messages that models are stored in, declared here and kept in a pool of their own.

Declared are the fields that are read, and those that text files may hold beside them, with the
names and numbers of TensorFlow's .proto files
(https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core/framework and
``core/protobuf``). A pool of our own lets them live beside TensorFlow's in one process and with
every protobuf from 4.21 on. Fields that are not declared are skipped in binary files.

The ``Raw...`` messages read the same bytes but leave attributes and tensors undecoded: equal
attributes of 100,000 nodes are then decoded once, and large tensors not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "pytest_tfparity"

_TYPES = """
    INVALID FLOAT DOUBLE INT32 UINT8 INT16 INT8 STRING COMPLEX64 INT64 BOOL QINT8 QUINT8 QINT32 BFLOAT16
    QINT16 QUINT16 UINT16 COMPLEX128 HALF RESOURCE VARIANT UINT32 UINT64 FLOAT8_E5M2 FLOAT8_E4M3FN
    FLOAT8_E4M3FNUZ FLOAT8_E4M3B11FNUZ FLOAT8_E5M2FNUZ INT4 UINT4 INT2 UINT2 FLOAT4_E2M1FN"""

_FULL_TYPES = """
    UNSET=0 VAR=1 ANY=2 PRODUCT=3 NAMED=4 FOR_EACH=20 CALLABLE=100 TENSOR=1000 ARRAY=1001 OPTIONAL=1002
    LITERAL=1003 ENCODED=1004 SHAPE_TENSOR=1005 BOOL=200 UINT8=201 UINT16=202 UINT32=203 UINT64=204
    INT8=205 INT16=206 INT32=207 INT64=208 HALF=209 FLOAT=210 DOUBLE=211 BFLOAT16=215 COMPLEX64=212
    COMPLEX128=213 STRING=214 DATASET=10102 RAGGED=10103 ITERATOR=10104 MUTEX_LOCK=10202
    LEGACY_VARIANT=10203"""

_ENUMS = {
    "DataType": {f"DT_{name}": number for number, name in enumerate(_TYPES.split())}
    | {f"DT_{name}_REF": number + 100 for number, name in enumerate(_TYPES.split()) if number},
    "FullTypeId": {
        f"TFT_{name}": int(number)
        for name, _, number in (item.partition("=") for item in _FULL_TYPES.split())
    },
    "CheckpointFormatVersion": {"LEGACY": 0, "V1": 1, "V2": 2},
    "Endianness": {"LITTLE": 0, "BIG": 1},
}

# One message a paragraph: its name, then `number name type`. `*` before the type: repeated;
# `|` before it: one of the message's oneof; `key>value`: a map.
_SCHEMA = """
GraphDef
  1 node *NodeDef
  2 library FunctionDefLibrary
  3 version int32
  4 versions VersionDef

NodeDef
  1 name string
  2 op string
  3 input *string
  4 device string
  5 attr string>AttrValue
  6 experimental_debug_info DebugInfo
  7 experimental_type FullTypeDef

DebugInfo
  1 original_node_names *string
  2 original_func_names *string

FullTypeDef
  1 type_id FullTypeId
  2 args *FullTypeDef
  3 s |string
  4 i |int64

AttrValue
  1 list |ListValue
  2 s |bytes
  3 i |int64
  4 f |float
  5 b |bool
  6 type |DataType
  7 shape |TensorShapeProto
  8 tensor |TensorProto
  9 placeholder |string
  10 func |NameAttrList

ListValue
  2 s *bytes
  3 i *int64
  4 f *float
  5 b *bool
  6 type *DataType
  7 shape *TensorShapeProto
  8 tensor *TensorProto
  9 func *NameAttrList

NameAttrList
  1 name string
  2 attr string>AttrValue

TensorProto
  1 dtype DataType
  2 tensor_shape TensorShapeProto
  3 version_number int32
  4 tensor_content bytes
  5 float_val *float
  6 double_val *double
  7 int_val *int32
  8 string_val *bytes
  9 scomplex_val *float
  10 int64_val *int64
  11 bool_val *bool
  12 dcomplex_val *double
  13 half_val *int32
  14 resource_handle_val *ResourceHandleProto
  15 variant_val *VariantTensorDataProto
  16 uint32_val *uint32
  17 uint64_val *uint64
  18 float8_val bytes

ResourceHandleProto
  1 device string
  2 container string
  3 name string
  4 hash_code uint64
  5 maybe_type_name string
  6 dtypes_and_shapes *DtypeAndShape

DtypeAndShape
  1 dtype DataType
  2 shape TensorShapeProto

VariantTensorDataProto
  1 type_name string
  2 metadata bytes
  3 tensors *TensorProto

TensorShapeProto
  2 dim *Dim
  3 unknown_rank bool

Dim
  1 size int64
  2 name string

VersionDef
  1 producer int32
  2 min_consumer int32
  3 bad_consumers *int32

FunctionDefLibrary
  1 function *FunctionDef
  2 gradient *GradientDef
  3 registered_gradients *RegisteredGradient

GradientDef
  1 function_name string
  2 gradient_func string

RegisteredGradient
  1 gradient_func string
  2 registered_op_type string

FunctionDef
  1 signature OpDef
  3 node_def *NodeDef
  4 ret string>string
  5 attr string>AttrValue
  6 control_ret string>string
  7 arg_attr uint32>ArgAttrs
  8 resource_arg_unique_id uint32>uint32

ArgAttrs
  1 attr string>AttrValue

OpList
  1 op *OpDef

OpDef
  1 name string
  2 input_arg *ArgDef
  3 output_arg *ArgDef
  4 attr *AttrDef
  5 summary string
  6 description string
  8 deprecation OpDeprecation
  16 is_aggregate bool
  17 is_stateful bool
  18 is_commutative bool
  19 allows_uninitialized_input bool
  20 control_output *string
  21 is_distributed_communication bool

OpDeprecation
  1 version int32
  2 explanation string

ArgDef
  1 name string
  2 description string
  3 type DataType
  4 type_attr string
  5 number_attr string
  6 type_list_attr string
  7 handle_data *DtypeAndShape
  16 is_ref bool
  17 experimental_full_type FullTypeDef

AttrDef
  1 name string
  2 type string
  3 default_value AttrValue
  4 description string
  5 has_minimum bool
  6 minimum int64
  7 allowed_values AttrValue

KernelList
  1 kernel *KernelDef

KernelDef
  1 op string
  2 device_type string
  3 constraint *AttrConstraint
  4 host_memory_arg *string
  5 label string
  6 priority int32

AttrConstraint
  1 name string
  2 allowed_values AttrValue

MetaGraphDef
  1 meta_info_def MetaInfoDef
  2 graph_def GraphDef
  3 saver_def SaverDef
  4 collection_def string>CollectionDef
  5 signature_def string>SignatureDef
  6 asset_file_def *AssetFileDef

MetaInfoDef
  1 meta_graph_version string
  2 stripped_op_list OpList
  4 tags *string
  5 tensorflow_version string
  6 tensorflow_git_version string
  7 stripped_default_attrs bool
  8 function_aliases string>string

SaverDef
  1 filename_tensor_name string
  2 save_tensor_name string
  3 restore_op_name string
  4 max_to_keep int32
  5 sharded bool
  6 keep_checkpoint_every_n_hours float
  7 version CheckpointFormatVersion

CollectionDef
  1 node_list |NodeList
  2 bytes_list |BytesList
  3 int64_list |Int64List
  4 float_list |FloatList

NodeList
  1 value *string

BytesList
  1 value *bytes

Int64List
  1 value *int64

FloatList
  1 value *float

SignatureDef
  1 inputs string>TensorInfo
  2 outputs string>TensorInfo
  3 method_name string
  4 defaults string>TensorProto

TensorInfo
  1 name |string
  2 dtype DataType
  3 tensor_shape TensorShapeProto
  4 coo_sparse |CooSparse

CooSparse
  1 values_tensor_name string
  2 indices_tensor_name string
  3 dense_shape_tensor_name string

SavedModel
  1 saved_model_schema_version int64
  2 meta_graphs *MetaGraphDef

AssetFileDef
  1 tensor_info TensorInfo
  2 filename string

VariableDef
  1 variable_name string
  2 initializer_name string
  3 snapshot_name string
  4 save_slice_info_def SaveSliceInfoDef
  5 is_resource bool
  6 initial_value_name string
  7 trainable bool

SaveSliceInfoDef
  1 full_name string
  2 full_shape *int64
  3 var_offset *int64
  4 var_shape *int64

BundleHeaderProto
  1 num_shards int32
  2 endianness Endianness
  3 version VersionDef

BundleEntryProto
  1 dtype DataType
  2 shape TensorShapeProto
  3 shard_id int32
  4 offset int64
  5 size int64
  6 crc32c fixed32
  7 slices *TensorSliceProto

TensorSliceProto
  1 extent *Extent

Extent
  1 start int64
  2 length |int64

CheckpointState
  1 model_checkpoint_path string
  2 all_model_checkpoint_paths *string
  3 all_model_checkpoint_timestamps *double
  4 last_preserved_timestamp double

RawGraphDef
  1 node *RawNodeDef

RawNodeDef
  1 name string
  2 op string
  3 input *string
  4 device string
  5 attr *bytes

RawAttrEntry
  1 key string
  2 value RawAttrValue

RawAttrValue
  1 list |RawListValue
  2 s |bytes
  3 i |int64
  4 f |float
  5 b |bool
  6 type |int32
  7 shape |TensorShapeProto
  8 tensor |bytes
  9 placeholder |string
  10 func |RawNameAttrList

RawListValue
  2 s *bytes
  3 i *int64
  4 f *float
  5 b *bool
  6 type *int32
  7 shape *TensorShapeProto
  8 tensor *bytes
  9 func *RawNameAttrList

RawNameAttrList
  1 name string
  2 attr *bytes

RawFunctionDefLibrary
  1 function *RawFunctionDef

RawFunctionDef
  1 signature OpDef
  3 node_def *RawNodeDef
  4 ret string>string

RawMetaGraphDef
  1 meta_info_def RawMetaInfoDef
  3 saver_def SaverDef
  4 collection_def string>CollectionDef
  5 signature_def string>SignatureDef
  6 asset_file_def *AssetFileDef

RawMetaInfoDef
  2 stripped_op_list RawOpList
  4 tags *string
  5 tensorflow_version string

RawOpList
  1 op *RawOpDef

RawOpDef
  1 name string

TrackableObjectGraph
  1 nodes *TrackableObject

TrackableObject
  1 children *ObjectReference
  2 attributes *SerializedTensor

ObjectReference
  1 node_id int32
  2 local_name string

SerializedTensor
  1 name string
  2 full_name string
  3 checkpoint_key string
"""

_Field = descriptor_pb2.FieldDescriptorProto


def _blocks() -> Iterator[tuple[str, list[tuple[int, str, str]]]]:
    for paragraph in _SCHEMA.strip().split("\n\n"):
        name, *lines = paragraph.splitlines()
        rows = (line.split() for line in lines)
        yield name, [(int(number), field, kind) for number, field, kind in rows]


def _set_type(field: Any, kind: str) -> None:
    scalar = getattr(_Field, f"TYPE_{kind.upper()}", None)
    if scalar is not None:
        field.type = scalar
    else:
        field.type = _Field.TYPE_ENUM if kind in _ENUMS else _Field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"


def _add_map(message: Any, field: Any, key: str, value: str) -> None:
    entry = message.nested_type.add(name=field.name.title().replace("_", "") + "Entry")
    entry.options.map_entry = True
    for number, (name, kind) in enumerate((("key", key), ("value", value)), 1):
        part = entry.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL)
        _set_type(part, kind)
    field.label = _Field.LABEL_REPEATED
    field.type = _Field.TYPE_MESSAGE
    field.type_name = f".{_PACKAGE}.{message.name}.{entry.name}"


def _add_message(file: Any, name: str, rows: list[tuple[int, str, str]]) -> None:
    message = file.message_type.add(name=name)
    for number, field_name, kind in rows:
        field = message.field.add(name=field_name, number=number, label=_Field.LABEL_OPTIONAL)
        key, is_map, value = kind.partition(">")
        if is_map:
            _add_map(message, field, key, value)
            continue
        if kind[0] == "*":
            field.label = _Field.LABEL_REPEATED
        elif kind[0] == "|":
            if not message.oneof_decl:
                message.oneof_decl.add(name="value")
            field.oneof_index = 0
        _set_type(field, kind.lstrip("*|"))


def _pool() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="pytest_tfparity/messages.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, values in _ENUMS.items():
        enum = file.enum_type.add(name=name)
        for value, number in values.items():
            enum.value.add(name=value, number=number)
    for name, rows in _blocks():
        _add_message(file, name, rows)
    pool = descriptor_pool.DescriptorPool()
    # Serialized, because a pool's Add(proto) is deprecated or gone in some of the versions served.
    pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL = _pool()


def _message_class(name: str) -> Any:
    descriptor = _POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}")
    if hasattr(message_factory, "GetMessageClass"):  # protobuf 4.22 and later
        return message_factory.GetMessageClass(descriptor)
    factory: Any = message_factory.MessageFactory(_POOL)
    return factory.GetPrototype(descriptor)


GraphDef: Any = _message_class("GraphDef")
NodeDef: Any = _message_class("NodeDef")
AttrValue: Any = _message_class("AttrValue")
TensorProto: Any = _message_class("TensorProto")
FunctionDefLibrary: Any = _message_class("FunctionDefLibrary")
KernelList: Any = _message_class("KernelList")
MetaGraphDef: Any = _message_class("MetaGraphDef")
SavedModel: Any = _message_class("SavedModel")
VariableDef: Any = _message_class("VariableDef")
BundleHeaderProto: Any = _message_class("BundleHeaderProto")
BundleEntryProto: Any = _message_class("BundleEntryProto")
CheckpointState: Any = _message_class("CheckpointState")
RawGraphDef: Any = _message_class("RawGraphDef")
RawNodeDef: Any = _message_class("RawNodeDef")
RawAttrEntry: Any = _message_class("RawAttrEntry")
RawFunctionDefLibrary: Any = _message_class("RawFunctionDefLibrary")
RawMetaGraphDef: Any = _message_class("RawMetaGraphDef")
TrackableObjectGraph: Any = _message_class("TrackableObjectGraph")


def data_types() -> dict[str, int]:
    """``tensorflow.DataType``: ``{"DT_FLOAT": 1, ...}``."""
    return dict(_ENUMS["DataType"])
