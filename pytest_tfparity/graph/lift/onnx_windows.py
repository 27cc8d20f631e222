"""ONNX's operators on images as TensorFlow ops: convolutions, pools, padding, resizing.

Semantics: https://github.com/onnx/onnx/blob/main/docs/Operators.md; what ``SAME`` means of TensorFlow is in
tensorflow/core/framework/common_shape_fns.cc.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..graph import Array, Attr, TensorName
from ..read.tensors import numpy_dtype
from .builder import FLOAT, INT32
from .onnx_op import Dims, NotLifted, Op, Value, channels_last


class _Window(NamedTuple):
    """A window that slides: per spatial axis its size, stride, dilation; how the image is padded for it."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: str
    pads: tuple[tuple[int, int], ...]
    image: Dims

    @property
    def reach(self) -> tuple[int, ...]:
        """The extent of the window with its dilation."""
        return tuple((size - 1) * by + 1 for size, by in zip(self.sizes, self.dilations, strict=True))

    @property
    def results(self) -> Dims:
        """The sizes of what it gives; None where those of the image are not known."""
        if self.image is None:
            return None
        found = []
        for size, reach, stride, pad in zip(self.image, self.reach, self.strides, self.pads, strict=True):
            if self.padding == "SAME":
                found.append(-1 if size < 0 else -(-size // stride))
            else:
                found.append(-1 if size < 0 else (size + sum(pad) - reach) // stride + 1)
        return tuple(found)


def _window(of: Op, sizes: Sequence[int]) -> _Window:
    dims, count = of.dims(0), len(sizes)
    strides, dilations = (tuple(of.ints(name) or [1] * count) for name in ("strides", "dilations"))
    if not len(strides) == len(dilations) == count or min((*strides, *dilations, *sizes)) < 1:
        raise NotLifted
    image = None if dims is None else dims[2:]
    found = _Window(tuple(sizes), strides, dilations, "VALID", ((0, 0),) * count, image)
    stated = of.text("auto_pad", "NOTSET")
    if stated == "SAME_UPPER":
        return found._replace(padding="SAME")
    if stated == "SAME_LOWER":
        same = _same(found)
        if same is None:
            raise NotLifted
        return found._replace(pads=tuple((end, begin) for begin, end in same))
    return found if stated == "VALID" else _with_pads(found, of.ints("pads") or [0] * (2 * count))


def _with_pads(window: _Window, flat: list[int]) -> _Window:
    """``window`` with pads as ONNX writes them: all before, then all after."""
    count = len(window.sizes)
    if len(flat) != 2 * count or min(flat) < 0:
        raise NotLifted
    pads = tuple(zip(flat[:count], flat[count:], strict=True))
    same = any(map(any, pads)) and pads == _same(window)
    return window._replace(padding="SAME" if same else "VALID", pads=pads)


def _same(window: _Window) -> tuple[tuple[int, int], ...] | None:
    """The zeros that ``SAME`` puts before and after each axis; None where that depends on a size that is not known."""
    found = []
    sizes = window.image or (-1,) * len(window.sizes)
    for size, reach, stride in zip(sizes, window.reach, window.strides, strict=True):
        if stride == 1:
            total = reach - 1
        elif size < 0:
            return None
        else:
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        found.append((total // 2, total - total // 2))
    return tuple(found)


def _padded(of: Op, source: TensorName, window: _Window, fill: float | None = None) -> TensorName:
    """``source`` with the zeros, or the number ``fill``, that neither ``SAME`` nor ``VALID`` put around it."""
    if window.padding == "SAME" or not any(map(any, window.pads)):
        return source
    amounts = np.asarray([(0, 0), *window.pads, (0, 0)], np.int32)
    inputs = [source, of.make.array(f"{of.name}/paddings", amounts)]
    if fill is None:
        return of.add("Pad", inputs, "Pad")
    return of.add("PadV2", [*inputs, of.real_constant(fill)], "PadV2")


def _biased(of: Op, op: str, result: Callable[[str | None], TensorName]) -> TensorName:
    """``result``, a node by its name, with the bias that input 2 is."""
    if not of.has(2):
        return result(None)
    return of.add("BiasAdd", [result(op), of.plain(2)])


# --- convolutions


def _convolution(of: Op) -> list[Value | None]:
    kernel = of.constant(1)
    if kernel is None:
        raise NotLifted
    rank = len(kernel.dims)
    window, group = _window(of, kernel.dims[2:]), of.whole("group", 1)
    filters = kernel.dims[0]
    convolve = {3: _conv1d, 4: _conv2d, 5: _conv3d}.get(rank)
    if convolve is None or group < 1 or filters % group:
        raise NotLifted
    result = convolve(of, window, group, kernel.dims)
    dims, sizes = of.dims(0), window.results
    shape = (-1 if dims is None else dims[0], filters, *(sizes or (-1,) * (rank - 2)))
    return [Value(result, channels_last(rank), shape)]


def _conv2d(of: Op, window: _Window, group: int, dims: Sequence[int]) -> TensorName:
    depthwise = group > 1 and dims[1] == 1
    if depthwise and window.strides[0] != window.strides[1]:
        raise NotLifted  # TensorFlow has no depthwise convolution of unequal strides
    op = "DepthwiseConv2dNative" if depthwise else "Conv2D"

    def layout(value: Array) -> Array:
        if depthwise:
            value = value.reshape(group, dims[0] // group, *dims[2:])
        turned: Array = value.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
        return turned

    source, kernel = _padded(of, of.last(0, 4), window), of.weights(1, layout)
    return _biased(of, op, lambda name: of.add(op, [source, kernel], name, **_attributes(window)))


def _attributes(window: _Window) -> dict[str, Attr]:
    return {
        "strides": (1, *window.strides, 1),
        "padding": window.padding.encode(),
        "dilations": (1, *window.dilations, 1),
    }


def _conv3d(of: Op, window: _Window, group: int, dims: Sequence[int]) -> TensorName:
    if group != 1:
        raise NotLifted
    source = _padded(of, of.last(0, 5), window)
    kernel = of.weights(1, lambda value: value.transpose(2, 3, 4, 1, 0))
    return _biased(of, "Conv3D", lambda name: of.add("Conv3D", [source, kernel], name, **_attributes(window)))


def _conv1d(of: Op, window: _Window, group: int, dims: Sequence[int]) -> TensorName:
    """As ``tf.nn.conv1d`` writes it: an image of one row."""
    if group != 1:
        raise NotLifted
    row = of.make.array(f"{of.name}/dim", -3)
    first = of.make.array(f"{of.name}/dim", 0)
    source = of.add("ExpandDims", [_padded(of, of.last(0, 3), window), row], "ExpandDims")
    kernel = of.weights(1, lambda value: value.transpose(2, 1, 0))
    kernel = of.add("ExpandDims", [kernel, first], "ExpandDims")
    attrs: dict[str, Attr] = {
        "strides": (1, 1, *window.strides, 1),
        "padding": window.padding.encode(),
        "dilations": (1, 1, *window.dilations, 1),
    }
    made = of.add("Conv2D", [source, kernel], "Conv2D", **attrs)
    return _biased(of, "Squeeze", lambda name: of.add("Squeeze", [made], name, squeeze_dims=(-3,)))


def _transposed(of: Op) -> list[Value | None]:
    """``ConvTranspose`` of images, where TensorFlow's ``SAME`` or ``VALID`` gives the same sizes."""
    kernel, dims = of.constant(1), of.dims(0)
    if kernel is None or dims is None or len(dims) != 4 or min(dims[2:]) < 0 or of.whole("group", 1) != 1:
        raise NotLifted
    strides = of.ints("strides") or [1, 1]
    if any(by != 1 for by in of.ints("dilations") or [1, 1]):
        raise NotLifted
    channels, sizes, padding = kernel.dims[1], *_enlarged(of, dims[2:], kernel.dims[2:], strides)
    source = of.last(0)
    start, stop, step = (of.make.array(f"{of.name}/stack", [each]) for each in (0, 1, 1))
    shape = of.add("Shape", [source], "Shape", out_type=INT32)
    batch = of.add(
        "StridedSlice", [shape, start, stop, step], "strided_slice", Index=INT32, shrink_axis_mask=1
    )
    rest = [of.make.array(f"{of.name}/size", size) for size in (*sizes, channels)]
    whole = of.add("Pack", [batch, *rest], "stack")
    weights = of.weights(1, lambda value: value.transpose(2, 3, 1, 0))
    op = "Conv2DBackpropInput"
    attrs: dict[str, Attr] = {"strides": (1, *strides, 1), "padding": padding}
    result = _biased(
        of, "conv2d_transpose", lambda name: of.add(op, [whole, weights, source], name, T=FLOAT, **attrs)
    )
    return [Value(result, channels_last(4), (dims[0], channels, *sizes))]


def _enlarged(
    of: Op, image: Sequence[int], window: Sequence[int], strides: Sequence[int]
) -> tuple[tuple[int, ...], bytes]:
    """The sizes that a ``ConvTranspose`` gives, and by which padding TensorFlow gives them."""
    more, pads = of.ints("output_padding") or [0, 0], of.ints("pads") or [0, 0, 0, 0]
    axes = range(len(image))
    same = tuple(image[axis] * strides[axis] for axis in axes)
    if _asks_for(of, same):
        return same, b"SAME"
    sizes = tuple(
        (image[axis] - 1) * strides[axis] + window[axis] + more[axis] - pads[axis] - pads[axis + 2]
        for axis in axes
    )
    least = [max(window[axis] - strides[axis], 0) for axis in axes]
    if sizes == same and all(pads[axis] == least[axis] // 2 for axis in axes):
        return sizes, b"SAME"
    if any(pads) or sizes != tuple(same[axis] + least[axis] for axis in axes):
        raise NotLifted
    return sizes, b"VALID"


def _asks_for(of: Op, same: tuple[int, ...]) -> bool:
    """Whether a ``ConvTranspose`` asks for sizes as ``SAME`` gives them, not for pads."""
    stated, auto = of.ints("output_shape"), of.text("auto_pad", "NOTSET")
    if auto == "SAME_UPPER" and (stated is None or tuple(stated[-2:]) == same):
        return True
    if stated is not None or auto not in ("NOTSET", "VALID"):
        raise NotLifted
    return False


# --- pools


def _pool(op: str) -> Callable[[Op], list[Value | None]]:
    def lift(of: Op) -> list[Value | None]:
        if of.rank(0) != 4 or len(of.node.outputs) != 1:
            raise NotLifted
        window = _window(of, of.ints("kernel_shape") or [])
        if any(by != 1 for by in window.dilations) or (of.whole("ceil_mode", 0) and not _even(window)):
            raise NotLifted
        if op == "AvgPool" and not _counts_as_tensorflow(of, window):
            raise NotLifted
        lowest = float(np.finfo(np.float32).min) if op == "MaxPool" else None
        source = _padded(of, of.last(0), window, lowest)
        made = of.add(
            op,
            [source],
            ksize=(1, *window.sizes, 1),
            strides=(1, *window.strides, 1),
            padding=window.padding.encode(),
        )
        dims, sizes = of.dims(0), window.results
        shape = None if dims is None or sizes is None else (*dims[:2], *sizes)
        return [Value(made, channels_last(4), shape)]

    return lift


def _counts_as_tensorflow(of: Op, window: _Window) -> bool:
    """Whether an average divides by as many values: TensorFlow leaves out what ``SAME`` adds, not what an op pads."""
    counts = bool(of.whole("count_include_pad", 0))
    if window.padding == "SAME":
        return not counts
    return counts or not any(map(any, window.pads))


def _even(window: _Window) -> bool:
    """Whether the windows fill the image, so that rounding up their number changes nothing."""
    parts = zip(window.image or (), window.reach, window.strides, window.pads, strict=False)
    return window.image is not None and all(
        size >= 0 and (size + sum(pad) - reach) % by == 0 for size, reach, by, pad in parts
    )


def _global_pool(op: str) -> Callable[[Op], list[Value | None]]:
    def lift(of: Op) -> list[Value | None]:
        rank, dims = of.rank(0), of.dims(0)
        if rank < 3:
            raise NotLifted
        at = of.make.array(f"{of.name}/reduction_indices", list(range(1, rank - 1)))
        made = of.add(op, [of.last(0), at], keep_dims=True)
        shape = (-1, -1) if dims is None else dims[:2]
        return [Value(made, channels_last(rank), (*shape, *(1,) * (rank - 2)))]

    return lift


# --- sizes


def _resize(of: Op) -> list[Value | None]:
    """``Resize`` and ``Upsample`` where TensorFlow has the same coordinates."""
    dims, axes = of.dims(0), of.ints("axes")
    if axes is not None and [axis % 4 for axis in axes] not in ([2, 3], [0, 1, 2, 3]):
        raise NotLifted
    if (
        of.rank(0) != 4
        or of.whole("antialias", 0)
        or of.text("keep_aspect_ratio_policy", "stretch") != "stretch"
    ):
        raise NotLifted
    op, attrs = _resize_op(of)
    sizes, factors = _scaled(of, dims)
    source = of.last(0)
    if sizes is None:
        if factors is None or any(factor != round(factor) for factor in factors):
            raise NotLifted
        sides = [of.make.array(f"{of.name}/stack", [each]) for each in (1, 3, 1)]
        shape = of.add("Shape", [source], "Shape", out_type=INT32)
        image = of.add("StridedSlice", [shape, *sides], "strided_slice", Index=INT32)
        to = of.add(
            "Mul", [image, of.make.array(f"{of.name}/Const", [round(each) for each in factors])], "mul"
        )
    else:
        to = of.make.array(f"{of.name}/size", sizes)
    result = of.add(op, [source, to], **attrs)
    shape_after = None if dims is None else (*dims[:2], *(sizes or (-1, -1)))
    return [Value(result, channels_last(4), shape_after)]


def _resize_op(of: Op) -> tuple[str, dict[str, Attr]]:
    mode = of.text("mode", "nearest")
    old = of.node.op == "Upsample" or of.opset < 11
    coordinates = of.text("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    half = coordinates in ("half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn")
    corners = coordinates == "align_corners"
    if not half and not corners and coordinates != "asymmetric":
        raise NotLifted
    attrs: dict[str, Attr] = {"align_corners": corners, "half_pixel_centers": half}
    if mode in ("linear", "bilinear"):
        return "ResizeBilinear", attrs
    if mode == "cubic":
        if (of.real("cubic_coeff_a", -0.75), of.whole("exclude_outside", 0)) != (
            (-0.5, 1) if half else (-0.75, 0)
        ):
            raise NotLifted
        return "ResizeBicubic", attrs
    rounds = of.text("nearest_mode", "floor" if old else "round_prefer_floor")
    right = {
        "asymmetric": ("floor",),
        "align_corners": ("round_prefer_ceil",),
        "tf_half_pixel_for_nn": ("floor",),
    }.get(coordinates, ("round_prefer_ceil", "round_prefer_floor"))
    if rounds not in right or (half and rounds == "round_prefer_floor" and not _enlarges(of)):
        raise NotLifted
    return "ResizeNearestNeighbor", attrs


def _enlarges(of: Op) -> bool:
    """Whether sizes grow by whole numbers: then no point lies in the middle between two, and no rounding differs."""
    _, factors = _scaled(of, of.dims(0))
    return factors is not None and all(factor >= 1 and factor == round(factor) for factor in factors)


def _scaled(of: Op, dims: Dims) -> tuple[tuple[int, ...] | None, tuple[float, ...] | None]:
    """The sizes of the image that is made, and by which factors; None where not known."""
    image = dims[2:] if dims is not None and min(dims[2:]) >= 0 else None
    recent = of.node.op == "Resize" and of.opset >= 11
    if recent and of.has(3):
        sizes = _stated_sizes(of, dims)
        return sizes, image and tuple(to / size for to, size in zip(sizes, image, strict=True))
    factors = _stated_factors(of, 2 if recent else 1)
    return image and tuple(int(size * by) for size, by in zip(image, factors, strict=True)), factors


def _stated_factors(of: Op, position: int) -> tuple[float, ...]:
    """The factors of rows and columns: an attribute, or input ``position``; batch and channels must stay."""
    given = of.node.attrs.get("scales")
    scales = given if isinstance(given, tuple) else tuple(of.array(position).reshape(-1).tolist())
    if scales[:-2] not in ((), (1.0, 1.0)):
        raise NotLifted
    return tuple(float(each) for each in scales[-2:])


def _stated_sizes(of: Op, dims: Dims) -> tuple[int, ...]:
    """The sizes of the image that a ``Resize`` states, which must leave the channels as they are."""
    stated = of.numbers(3)
    if len(stated) == 4 and dims is not None and stated[1] != dims[1]:
        raise NotLifted
    return tuple(stated[-2:])


def _pad(of: Op) -> list[Value | None]:
    rank, dims, source = of.rank(0), of.dims(0), of.value(0)
    flat = of.ints("pads") or of.ints("paddings") or of.numbers(1)
    if len(flat) != 2 * rank or min(flat) < 0 or of.has(3):
        raise NotLifted
    order: Sequence[int] = source.order or tuple(range(rank))
    amounts = np.asarray([(flat[axis], flat[axis + rank]) for axis in order], np.int32)
    inputs = [source.tensor, of.make.array(f"{of.name}/paddings", amounts)]
    mode = of.text("mode", "constant")
    fill = float(of.array(2).reshape(-1)[0]) if of.has(2) else of.real("value", 0.0)
    if mode == "reflect":
        made = of.add("MirrorPad", inputs, mode=b"REFLECT")
    elif mode != "constant":
        raise NotLifted
    elif fill == 0:
        made = of.add("Pad", inputs)
    else:
        dtype = numpy_dtype(of.make.type_of(source.tensor))
        made = of.add("PadV2", [*inputs, of.make.array(f"{of.name}/value", np.asarray(fill, dtype))])
    shape = None
    if dims is not None:
        shape = tuple(
            -1 if size < 0 else size + flat[axis] + flat[axis + rank] for axis, size in enumerate(dims)
        )
    return [Value(made, source.order, shape)]


def _blocks(op: str) -> Callable[[Op], list[Value | None]]:
    def lift(of: Op) -> list[Value | None]:
        if of.text("mode", "DCR") != "DCR":
            raise NotLifted
        size, dims = of.whole("blocksize"), of.dims(0)
        made = of.add(op, [of.last(0)], block_size=size)
        shape: Dims = None
        if dims is not None:
            image = [
                -1 if each < 0 else each * size if op == "DepthToSpace" else each // size for each in dims[2:]
            ]
            channels = dims[1] // size**2 if op == "DepthToSpace" else dims[1] * size**2
            shape = (dims[0], channels if dims[1] >= 0 else -1, *image)
        return [Value(made, channels_last(4), shape)]

    return lift


WINDOWS: Mapping[str, Callable[[Op], list[Value | None]]] = {
    "Conv": _convolution, "ConvTranspose": _transposed, "MaxPool": _pool("MaxPool"), "AveragePool": _pool("AvgPool"),
    "GlobalAveragePool": _global_pool("Mean"), "GlobalMaxPool": _global_pool("Max"), "Resize": _resize,
    "Upsample": _resize, "Pad": _pad, "DepthToSpace": _blocks("DepthToSpace"), "SpaceToDepth": _blocks("SpaceToDepth"),
}  # fmt: skip
