"""The keys that a user can write, but for those of formats: validation, options and the reference page follow.

Imported when pytest starts, so it imports nothing heavy; the formats do, and :mod:`.roles` adds their keys.
"""

from __future__ import annotations

from ..formats.section import Key, Section

FLOAT_DTYPES = ("float16", "bfloat16", "float32", "float64")
DTYPES = (*FLOAT_DTYPES, "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")

TOLERANCE = (
    Key(
        "atol",
        "atol",
        "What a value may differ by, whatever its size; .inf leaves the verdict to top_k.",
        default="1.0e-5",
        configurable=True,
    ),
    Key(
        "rtol",
        "tolerance",
        "What a value may differ by beside atol, as a share of the reference's absolute value.",
        default="0.0",
        configurable=True,
    ),
    Key(
        "equal_nan",
        "boolean",
        "Whether NaN equals NaN at the same place; otherwise any NaN fails.",
        default="false",
    ),
    Key(
        "statistic",
        "statistic",
        "Which statistic of the differences must be within the tolerance; max judges every element.",
        default="max",
    ),
    Key(
        "rounding",
        "rounding",
        "How many times as far as float32 itself takes the reference floats may be from the exact answer;"
        " stands in place of atol and rtol.",
    ),
    Key("tolerance", "rule", "Only rounding, which is the same as rounding: 8.", sets="rounding"),
    Key("top_k", "top_k", "How many largest entries of a row must be the same, in which share of the rows."),
    Key("sqnr", "number", "How far the reference must stand above the difference from it, in dB."),
    Key("cosine", "share", "What the cosine of reference and export, as two vectors, must be at least."),
    Key(
        "steps",
        "tolerance",
        "How many steps of the export's quantised output a value may differ by.",
    ),
)

CONDUCT = (
    Key(
        "compare",
        "choice",
        "What must agree: the outputs, or only the weights, for a reference that has no graph.",
        choices=("outputs", "weights"),
        default="outputs",
    ),
    Key(
        "run",
        "choice",
        "Whether both sides are also run where a proof has already shown them equal.",
        choices=("unproven", "always"),
        default="unproven",
        configurable=True,
    ),
    Key(
        "session",
        "choice",
        "Run the graph as it is written, or with TensorFlow's default session options.",
        choices=("graph", "default"),
        default="graph",
        configurable=True,
    ),
    Key(
        "isolate",
        "boolean",
        "Whether what a check runs is run in a process of its own, so that a crash costs one check.",
        default="true",
        configurable=True,
    ),
    Key(
        "timeout",
        "limit",
        "Seconds after which the check is ended and is an error; any but these 300 holds whatever isolate says.",
        default="300",
        configurable=True,
    ),
    Key(
        "memory",
        "limit",
        "Gigabytes that the process of the check may hold; it is then made there as a whole.",
        default=".inf",
        configurable=True,
    ),
    Key(
        "trust",
        "choice",
        "What tells that weights are the same: contents, or the checksums of a checkpoint's index, which is no proof.",
        choices=("contents", "checksums"),
        default="contents",
    ),
    Key(
        "offline",
        "choice",
        "Whether the copy of a file in a bucket may stand in where its server cannot be reached.",
        choices=("refuse", "allow"),
        default="refuse",
        configurable=True,
    ),
    Key(
        "health",
        "choice",
        "What happens when the reference is unsound although parity holds, or a tolerance hides a difference.",
        choices=("warn", "error", "ignore"),
        default="warn",
        configurable=True,
    ),
)

TEST = (
    Key("skip", "text", "Why the test of the model is not run."),
    Key("xfail", "text", "Why the test of the model is expected to fail."),
    Key("marks", "texts", "Names of pytest's marks for the test, such as slow."),
)
"""What a model of a manifest tells pytest about its test; of a marked test pytest's own marks do."""

SOURCES = (
    Key("npz", "array", "An array of an .npz file, or a whole .npy file."),
    Key("random", "random", "Seeded random numbers, the same on every platform."),
    Key("images", "images", "Image files, decoded and stacked; all of one size."),
    Key("bytes", "paths", "Whole files as strings, for graphs that decode themselves."),
    Key("call", "function", "A function of the project that returns the array."),
)

INPUT = Section(
    name="input",
    home="an input",
    description="Where the values of an input come from: at most one source.",
    keys=(
        *SOURCES,
        Key("key", "text", "The name of the array in the .npz file.", default="the tensor's name"),
        Key(
            "export",
            "tensor",
            "The name of the input in the export, if it is another.",
            default="the reference's name",
        ),
        Key(
            "transpose",
            "permutation",
            "The axes of the reference's input in the order in which the export takes them.",
        ),
    ),
)

RANDOM = Section(
    name="random",
    home="'random'",
    description="Seeded random numbers, the same on every platform.",
    keys=(
        Key(
            "distribution",
            "choice",
            "How the numbers are distributed.",
            choices=("normal", "uniform", "integers"),
            default="normal",
        ),
        Key("shape", "shape", "The shape, batch dimension included."),
        Key("dtype", "dtype", "The dtype.", choices=DTYPES, default="float32, and int64 for integers"),
        Key("seed", "seed", "Another seed gives other numbers.", default="0"),
        Key("low", "number", "The smallest number, of uniform and integers.", default="0"),
        Key(
            "high",
            "number",
            "The number that all are below, of uniform and integers.",
            default="1 for uniform, low + 256 for integers",
        ),
        Key("mean", "number", "The mean, of normal.", default="0.0"),
        Key("stddev", "tolerance", "The standard deviation, of normal.", default="1.0"),
    ),
)

IMAGES = Section(
    name="images",
    home="'images'",
    description="Image files, decoded and stacked.",
    keys=(
        Key("paths", "paths", "The files: a path, a glob pattern, or a list of them."),
        Key("channels", "choice", "Grey, RGB or RGBA.", choices=("1", "3", "4"), default="3"),
        Key(
            "dtype",
            "dtype",
            "The dtype that the numbers from 0 to 255 are given in.",
            choices=DTYPES,
            default="uint8",
        ),
    ),
)

OUTPUT = Section(
    name="output",
    home="an output",
    description="An output by its name on both sides, and a tolerance of its own.",
    keys=(
        Key("reference", "tensor", "The name of the output in the reference."),
        Key(
            "export",
            "tensor",
            "The name of the output in the export, if it is another.",
            default="the reference's name",
        ),
        Key(
            "transpose",
            "permutation",
            "The axes of the reference's output in the order in which the export gives them.",
        ),
        *TOLERANCE,
    ),
)

TOP_K = Section(
    name="top_k",
    home="'top_k'",
    description="Rows (along the last axis) must have the same largest entries.",
    keys=(
        Key("k", "positive", "How many largest entries."),
        Key("agree", "share", "The share of rows that must agree.", default="1.0"),
    ),
)

_TENSOR = (
    Key("reference", "tensor", "The name of the tensor in the reference."),
    Key(
        "export",
        "tensor",
        "The name of the tensor in the export, if it is another.",
        default="the reference's name",
    ),
)
TENSORS = Section(
    name="tensors", home="a tensor", description="A tensor by its name on both sides.", keys=_TENSOR
)

GRAD_CAM = Section(
    name="grad_cam",
    home="'grad_cam'",
    description="The tensors of both graphs that show in a report where a network looks in an image.",
    keys=(
        Key("image", "tensors", "The images, a batch of them: an input or what a graph decodes."),
        Key("activations", "tensors", "What the last convolution answers."),
        Key("gradients", "tensors", "The gradient of the winning class with respect to the activations."),
    ),
)

EACH = Key(
    "each",
    "pattern",
    "One model for each file or folder that matches: {name} stands for what the wildcards do, {path} for the match.",
)

DEFAULTS = Section(
    name="defaults",
    home="'defaults'",
    description="Settings of every model that does not state its own.",
    keys=(*TOLERANCE, *CONDUCT),
)

MODEL = Section(
    name="model",
    home="a model",
    description="One check: an export that must match its reference.",
    keys=(
        EACH,
        Key("reference", "reference", "The side that is right."),
        Key("export", "export", "The side under test."),
        Key(
            "inputs",
            "inputs",
            "The inputs by their names in the reference, and where their values come from.",
        ),
        Key(
            "outputs",
            "outputs",
            "The tensors that are compared.",
            default="the outputs that both graphs have in common",
        ),
        Key("golden", "golden", "The file that keeps inputs and reference outputs."),
        Key("grad_cam", "grad_cam", GRAD_CAM.description),
        *TOLERANCE,
        *CONDUCT,
        *TEST,
    ),
)

MANIFEST_FILE = "tfparity.yaml"
"""The name of a manifest that is found, and collected, without being told; ``.yml`` will do, too."""
MANIFEST_FILES = (MANIFEST_FILE, "tfparity.yml")

MANIFEST = Section(
    name="manifest",
    home="the top level",
    description="A tfparity.yaml: the models whose exports are checked.",
    keys=(
        Key("defaults", "defaults", DEFAULTS.description),
        Key("models", "models", "The models by name, checked in this order."),
    ),
)

OUTER = (MANIFEST, DEFAULTS, MODEL)
INNER = (INPUT, RANDOM, IMAGES, OUTPUT, TOP_K, GRAD_CAM, TENSORS)
"""The sections around those of the two sides, and those within a model beside them."""

CONFIGURABLE = tuple(key for key in MODEL.keys if key.configurable)
"""The settings that an ini value (``key.ini``) and an option (``key.flag``) can set."""

CONFIGURATION = Section(
    name="configuration",
    home="the configuration",
    description="The settings that ini values and options can set.",
    keys=CONFIGURABLE,
)
