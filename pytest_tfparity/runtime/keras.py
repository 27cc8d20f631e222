"""A Keras model traced in inference mode and saved for servers: from there on it is a SavedModel."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..graph.read.keras_file import is_zipped, keras_config, keras_version, mappings
from ..wording import enumerated, verb
from .importing import first_line
from .project import call_project
from .tensorflow import tensorflow


def trace(
    path: Path, label: str, folder: Path, *, root: Path, custom_objects: str | None, trusted: bool
) -> None:
    """Write what the model in ``path`` computes in inference mode as a SavedModel into ``folder``.

    Its signature ``serving_default`` has the model's inputs by their names and its outputs as ``output_0``,
    ``output_1``, or under the keys of a dict, as ``model.export`` writes them. ``custom_objects``
    (``"module:function"``, imported with ``root`` on the path) returns the classes and functions of the project by
    name. Python code that lies in the file is run only if it is ``trusted``. Raises ModelError.
    """
    zipped = is_zipped(path, label)
    tensorflow()  # which brings the package that reads HDF5 files
    if not trusted and _holds_code(keras_config(path, label)):
        raise ModelError(
            f"{label} holds a Lambda layer with Python code of its own, which loading it would run. State"
            " `trusted: true` beside the file if you know where it comes from, or make the lambda a layer class."
        )
    with without_deprecations():
        model = _loaded(path, label, folder, root, custom_objects, trusted=trusted, zipped=zipped)
        save_for_servers(tensorflow(), model, serving(tensorflow(), model, label), label, folder)


@contextmanager
def without_deprecations() -> Iterator[None]:
    """What Keras and TensorFlow say of each other's and numpy's old ways is nothing that the user did."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def save_for_servers(tf: Any, trackable: Any, serve: Any, label: str, folder: Path) -> None:
    """Write what the ``tf.function`` ``serve`` computes as a SavedModel into ``folder``. Raises ModelError."""
    module = tf.Module()
    module.model = trackable
    # What is saved is what a module of TensorFlow knows: of Keras 3 the variable that a Keras variable wraps.
    module.weights = [each if isinstance(each, tf.Variable) else each.value for each in variables(trackable)]
    try:
        tf.saved_model.save(module, str(folder / "model"), signatures={"serving_default": serve})
    except Exception as error:  # whatever a layer of the user's raises while it is traced
        raise ModelError(f"{label} cannot be traced in inference mode: {first_line(error)}.") from error


def _holds_code(config: Any) -> bool:
    """Whether a configuration holds Python bytecode, as Keras 2 and 3 write lambdas."""
    return any(
        each.get("class_name") == "__lambda__" or each.get("function_type") == "lambda"
        for each in mappings(config)
    )


def _loaded(
    path: Path,
    label: str,
    folder: Path,
    root: Path,
    custom_objects: str | None,
    *,
    trusted: bool,
    zipped: bool,
) -> Any:
    """The model, loaded by the Keras that TensorFlow brings. Raises ModelError."""
    keras = tensorflow().keras
    if (
        hasattr(keras, "backend")
        and getattr(keras.backend, "backend", lambda: "tensorflow")() != "tensorflow"
    ):
        raise ModelError(
            f"{label} cannot be traced: Keras runs on {keras.backend.backend()}. Set KERAS_BACKEND=tensorflow."
        )
    known = None
    if custom_objects is not None:
        known = call_project(
            custom_objects, root, subject=f"custom_objects {custom_objects}", error=ModelError
        )
    suffixes = (".keras",) if zipped else (".h5", ".hdf5")
    file = path
    if path.suffix not in suffixes:  # Keras tells its formats by the name of the file
        file = folder / f"model{suffixes[0]}"
        shutil.copyfile(path, file)
    try:
        return keras.models.load_model(str(file), custom_objects=known, compile=False, safe_mode=not trusted)
    except Exception as error:  # TypeError, ValueError, KeyError, OSError, as Keras pleases
        own = sorted(_not_of_keras(keras, keras_config(path, label)) - set(known or ()))
        if own:
            raise ModelError(
                f"{label} holds {enumerated(own)}, no {verb(own, 'class', 'classes')} of Keras {keras.__version__}."
                f" Name a function that returns {verb(own, 'it', 'them')} by name under `custom_objects`."
            ) from error
        newer = _newer(path, label, keras.__version__) if zipped else None
        made, advice = (
            (f", which Keras {newer} wrote", "Install that one") if newer else ("", "Save or copy it again")
        )
        raise ModelError(
            f"Keras {keras.__version__} does not load {label}{made}: {first_line(error)}. {advice}."
        ) from error


def _not_of_keras(keras: Any, config: Any) -> set[str]:
    """The classes in an architecture that Keras does not have itself."""
    homes = [getattr(keras, home, None) for home in _HOMES]
    found = set()
    for each in mappings(config):
        name, module = each.get("class_name"), each.get("module")
        if isinstance(name, str) and name[:2] != "__" and isinstance(each.get("config"), Mapping):
            ours = (
                str(module).partition(".")[0] == "keras" or name == "Functional"
            )  # of Keras 2, which has it nowhere
            if not ours and not any(hasattr(home, name) for home in homes):
                found.add(name)
    return found


_HOMES = ("layers", "models", "initializers", "regularizers", "constraints", "activations", "mixed_precision")


def _newer(path: Path, label: str, installed: str) -> str | None:
    """Which Keras wrote an archive, where it is a newer one."""
    version = keras_version(path, label)
    return version if _numbers(version) > _numbers(installed) else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def serving(tf: Any, model: Any, label: str) -> Any:
    """The ``tf.function`` that a server calls, of a Keras model. Raises ModelError if its inputs are not known."""
    structure = getattr(model, "_inputs_struct", None)
    tensors = tf.nest.flatten(structure) if structure is not None else getattr(model, "inputs", None)
    if not tensors:
        raise ModelError(
            f"{label} does not say what its inputs are: it is a subclassed model, or one that was saved before it was"
            " built. Export it with model.export(...) and name that as a saved_model."
        )
    names = _names(tensors)
    specs = [
        tf.TensorSpec(each.shape, each.dtype, name=name) for each, name in zip(tensors, names, strict=True)
    ]

    def serve(*values: Any) -> dict[str, Any]:
        given = tf.nest.pack_sequence_as(structure, list(values)) if structure is not None else list(values)
        return _outputs(
            tf, model(given if structure is not None or len(values) > 1 else given[0], training=False)
        )

    return tf.function(serve, input_signature=specs)


def variables(model: Any) -> list[Any]:
    """Every variable of a Keras model or a ``tf.Module``, states of random generators included."""
    return list(getattr(model, "_all_variables", None) or getattr(model, "variables", None) or ())


def _names(tensors: Any) -> list[str]:
    """The names of the inputs, each once, without what stands after a colon."""
    found: list[str] = []
    for each in tensors:
        name = free = str(each.name).partition(":")[0]
        number = 0
        while free in found:
            number += 1
            free = f"{name}_{number}"
        found.append(free)
    return found


def _outputs(tf: Any, answer: Any) -> dict[str, Any]:
    if isinstance(answer, Mapping) and not any(
        isinstance(each, list | tuple | dict) for each in answer.values()
    ):
        return {str(key): value for key, value in answer.items()}
    return {f"output_{number}": value for number, value in enumerate(tf.nest.flatten(answer))}
