"""Random Keras models of layers that people export, with weights that no initialiser gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

BATCH = 4
WORDS = ["red", "green", "blue", "dark", "light"]

Values = dict[str, np.ndarray]
Numbers = np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class KerasModel:
    """A model, values for its inputs by their names, and the classes of its layers."""

    net: Any
    inputs: Values
    layers: tuple[str, ...]


def random_model(seed: int, *, images_only: bool = False) -> KerasModel:
    """One or two branches (images, series, words, tables), joined, with one or two heads, nested or not."""
    import tensorflow as tf

    keras = tf.keras
    keras.utils.set_random_seed(seed)
    numbers = np.random.default_rng(seed)
    maker = _Maker(keras, numbers)
    families = (
        [maker.image] if images_only else [maker.image, maker.image, maker.series, maker.words, maker.table]
    )
    count = 1 if images_only else int(numbers.integers(1, 3))
    made = [families[numbers.integers(len(families))](number) for number in range(count)]
    joined = made[0] if count == 1 else maker.joined(made)
    outputs = [maker.head(joined, number) for number in range(1 if images_only else numbers.integers(1, 3))]
    inputs = maker.tensors[0] if len(maker.tensors) == 1 else maker.tensors
    net = keras.Model(inputs, outputs[0] if len(outputs) == 1 else outputs)
    for weight in net.weights:
        _train(weight, numbers)
    return KerasModel(net=net, inputs=maker.values, layers=tuple(sorted(_classes(net))))


def _classes(net: Any) -> set[str]:
    found: set[str] = set()
    for layer in net.layers:
        found.add(type(layer).__name__)
        found |= _classes(layer) if hasattr(layer, "layers") else set()
    return found


def _train(weight: Any, numbers: Numbers) -> None:
    """Move a weight away from where its initialiser put it, as training would."""
    name = str(getattr(weight, "path", weight.name)).partition(":")[0].rpartition("/")[2]
    shape = tuple(weight.shape)
    if "seed" in name or "float" not in str(weight.dtype) or name in ("mean", "variance"):
        return  # states of generators, tables, and what a Normalization was given
    if "variance" in name or "gamma" in name:
        weight.assign(numbers.uniform(0.5, 1.5, shape).astype("float32"))
    else:
        weight.assign(np.asarray(weight) + 0.1 * numbers.normal(size=shape).astype("float32"))


class _Maker:
    """Draws layers, and notes the inputs that it made with values for them."""

    def __init__(self, keras: Any, numbers: Numbers) -> None:
        self.keras = keras
        self.layers = keras.layers
        self.numbers = numbers
        self.tensors: list[Any] = []
        self.values: Values = {}

    def chance(self, share: float) -> bool:
        return bool(self.numbers.random() < share)

    def one(self, *choices: Any) -> Any:
        return choices[self.numbers.integers(len(choices))]

    def input(self, name: str, values: np.ndarray, shape: tuple[int | None, ...] | None = None) -> Any:
        dtype = "string" if values.dtype == object else str(values.dtype)
        tensor = self.keras.Input(values.shape[1:] if shape is None else shape, name=name, dtype=dtype)
        self.tensors.append(tensor)
        self.values[name] = values.astype(np.str_) if dtype == "string" else values
        return tensor

    # --- images

    def image(self, number: int) -> Any:
        layers, size, channels = self.layers, self.one(8, 9, 12), self.one(1, 3)
        values = self.numbers.uniform(0, 255, (BATCH, size, size, channels)).astype("float32")
        x = self.input(f"image_{number}", values)
        x = self.one(
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Rescaling(1 / 255),
            layers.Normalization(mean=[100.0] * channels, variance=[70.0**2] * channels),
        )(x)
        if self.chance(0.2):
            x = layers.RandomFlip()(x)
        if self.chance(0.2):
            x = self.one(layers.Resizing(8, 8), layers.CenterCrop(8, 8))(x)
        if self.chance(0.2):
            x = layers.GaussianNoise(0.1)(x)
        for _ in range(self.numbers.integers(1, 4)):
            x = self.nested(self.block, x) if self.chance(0.2) else self.block(x)
        return self.flat(x)

    def block(self, x: Any) -> Any:
        """Convolution, norm, activation, and perhaps pooling or a residual."""
        layers, filters = self.layers, self.one(4, 6)
        start, bias, pad = x, self.chance(0.5), self.one("same", "valid")
        if min(x.shape[1:3]) < 5:
            pad = "same"
        x = self.one(
            layers.Conv2D(filters, 3, padding=pad, use_bias=bias, strides=self.one(1, 2)),
            layers.Conv2D(filters, 3, padding="same", use_bias=bias, dilation_rate=2),
            layers.Conv2D(x.shape[-1], 1, use_bias=bias),
            layers.DepthwiseConv2D(3, padding=pad, use_bias=bias, depth_multiplier=self.one(1, 2)),
            layers.SeparableConv2D(filters, 3, padding=pad, use_bias=bias),
            layers.Conv2DTranspose(filters, 3, strides=2, padding="same", use_bias=bias),
        )(x)
        if self.chance(0.7):
            x = self.norm()(x)
        x = self.activation(image=True)(x)
        if self.chance(0.4) and min(x.shape[1:3]) >= 4:
            x = self.one(
                layers.MaxPooling2D(),
                layers.AveragePooling2D(3, padding="same", strides=2),
                layers.ZeroPadding2D(1),
                layers.Cropping2D(1),
                layers.UpSampling2D(interpolation=self.one("nearest", "bilinear")),
                layers.SpatialDropout2D(0.2),
            )(x)
        if self.chance(0.2):
            gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
            x = layers.Multiply()([x, layers.Conv2D(x.shape[-1], 1, activation="sigmoid")(gate)])
        return layers.Add()([start, x]) if tuple(start.shape) == tuple(x.shape) else x

    def norm(self) -> Any:
        layers = self.layers
        batch = layers.BatchNormalization(
            epsilon=self.one(1e-3, 1e-5), scale=self.chance(0.8), center=self.chance(0.8)
        )
        return self.one(batch, batch, batch, layers.LayerNormalization())

    def activation(self, *, image: bool = False) -> Any:
        layers = self.layers
        names = ("relu", "tanh", "sigmoid", "swish", "elu", "gelu", "selu", "softplus")
        drawn = [layers.ReLU(), layers.ReLU(6.0), layers.LeakyReLU(), layers.Activation(self.one(*names))]
        return self.one(*drawn, *([layers.PReLU(shared_axes=[1, 2])] if image else []))

    def flat(self, x: Any) -> Any:
        layers = self.layers
        x = self.one(
            layers.Flatten(),
            layers.GlobalAveragePooling2D(),
            layers.GlobalMaxPooling2D(),
            layers.Reshape((-1,)),
        )(x)
        return layers.Dropout(0.3)(x) if self.chance(0.5) else x

    def nested(self, made: Callable[[Any], Any], x: Any) -> Any:
        """What ``made`` adds, as a model of its own within the model."""
        inner = self.keras.Input(tuple(x.shape[1:]))
        return self.keras.Model(inner, made(inner))(x)

    # --- series and words

    def series(self, number: int) -> Any:
        length, size = self.one(6, 8), self.one(3, 4)
        values = self.numbers.normal(size=(BATCH, length, size)).astype("float32")
        free = None if self.chance(0.3) else length
        return self.steps(self.input(f"series_{number}", values, (free, size)))

    def words(self, number: int) -> Any:
        layers, length = self.layers, 6
        if self.chance(0.4):
            values = self.numbers.choice([*WORDS, "unheard"], (BATCH, length)).astype(object)
            x = layers.StringLookup(vocabulary=WORDS)(self.input(f"words_{number}", values))
        else:
            values = self.numbers.integers(0, 6, (BATCH, length)).astype("int32")
            x = self.input(f"tokens_{number}", values)
        mask = self.chance(0.3)
        return self.steps(layers.Embedding(6, 4, mask_zero=mask)(x), masked=mask)

    def steps(self, x: Any, *, masked: bool = False) -> Any:
        """One or two layers over the steps of a sequence, and then one vector."""
        layers = self.layers
        for _ in range(self.numbers.integers(1, 3)):
            recurrent = [
                layers.LSTM(4, return_sequences=True),
                layers.GRU(4, return_sequences=True, reset_after=self.chance(0.7)),
                layers.SimpleRNN(4, return_sequences=True),
                layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
                layers.TimeDistributed(layers.Dense(4)),
            ]
            other = (
                []
                if masked
                else [
                    layers.Conv1D(4, 3, padding="causal", activation="relu"),
                    layers.SeparableConv1D(4, 3, padding="same"),
                ]
            )
            drawn = self.one(*recurrent, *other, "attention")
            x = self.attention(x) if drawn == "attention" else drawn(x)
            if self.chance(0.3):
                x = self.layers.LayerNormalization()(x)
        last = [layers.GRU(5), layers.LSTM(5, go_backwards=self.chance(0.5)), layers.GlobalAveragePooling1D()]
        return self.one(*last, *([] if masked else [layers.GlobalMaxPooling1D()]))(x)

    def attention(self, x: Any) -> Any:
        layers = self.layers
        kind = self.one("heads", "dot", "additive")
        if kind == "heads":
            x = layers.Add()([x, layers.MultiHeadAttention(num_heads=2, key_dim=3, dropout=0.1)(x, x)])
            y = layers.Dense(8, activation="gelu")(layers.LayerNormalization()(x))
            return layers.Dense(4)(y)
        return (layers.Attention(use_scale=True) if kind == "dot" else layers.AdditiveAttention())([x, x])

    # --- tables

    def table(self, number: int) -> Any:
        layers, numbers = self.layers, self.numbers
        real = numbers.normal(3, 2, (BATCH, 3)).astype("float32")
        parts = [layers.Normalization(mean=[3.0] * 3, variance=[4.0] * 3)(self.input(f"real_{number}", real))]
        if self.chance(0.5):
            kinds = numbers.integers(0, 4, (BATCH, 1)).astype("int32")
            mode = self.one("one_hot", "multi_hot")
            encoded = layers.CategoryEncoding(num_tokens=4, output_mode=mode)
            parts.append(encoded(self.input(f"kind_{number}", kinds)))
        if self.chance(0.4):
            ages = numbers.uniform(0, 90, (BATCH, 1)).astype("float32")
            buckets = layers.Discretization(bin_boundaries=[18.0, 40.0, 65.0])(
                self.input(f"age_{number}", ages)
            )
            parts.append(layers.Flatten()(layers.Embedding(4, 2)(buckets)))
        if self.chance(0.4):
            names = numbers.choice([*WORDS, "unheard"], (BATCH, 1)).astype(object)
            drawn = self.one(
                layers.Hashing(num_bins=5), layers.StringLookup(vocabulary=WORDS, num_oov_indices=1)
            )
            ids = drawn(self.input(f"name_{number}", names))
            parts.append(layers.Flatten()(layers.Embedding(6, 2)(ids)))
        if self.chance(0.3):
            codes = numbers.choice([7, 11, 13, 99], (BATCH, 1)).astype("int64")
            ids = layers.IntegerLookup(vocabulary=[7, 11, 13])(self.input(f"code_{number}", codes))
            parts.append(layers.Flatten()(layers.Embedding(4, 2)(ids)))
        return self.dense(parts[0] if len(parts) == 1 else layers.Concatenate()(parts))

    def dense(self, x: Any) -> Any:
        layers = self.layers
        x = layers.Dense(self.one(5, 6), use_bias=self.chance(0.7))(x)
        if self.chance(0.5):
            x = self.norm()(x)
        return layers.Dropout(0.2)(self.activation()(x))

    # --- what joins them and what they answer

    def joined(self, parts: list[Any]) -> Any:
        layers = self.layers
        if self.chance(0.3):
            return layers.Concatenate()(parts)
        equal = [layers.Dense(6)(part) for part in parts]
        kinds = (layers.Add, layers.Multiply, layers.Average, layers.Maximum, layers.Subtract)
        return self.one(*kinds)()(equal)

    def head(self, x: Any, number: int) -> Any:
        if self.chance(0.4):
            x = self.nested(self.dense, x) if self.chance(0.3) else self.dense(x)
        answers = self.one(None, "softmax", "sigmoid")
        return self.layers.Dense(3, activation=answers, name=f"head_{number}")(x)
