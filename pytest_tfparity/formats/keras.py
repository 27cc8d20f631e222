"""A Keras model: a ``.keras`` archive of Keras 3, or an HDF5 file as Keras 2 wrote it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from .format import Format, SideSpec
from .section import Key, Section

if TYPE_CHECKING:
    from .traced import KerasModel


class KerasFormat(Format):
    """A whole model as Keras saves it."""

    section = Section(
        name="keras",
        description="a Keras model",
        keys=(
            Key("keras", "path", "The Keras model: a .keras or .h5 file of a whole model."),
            Key(
                "custom_objects",
                "function",
                "A function of the project that returns the classes and functions that the model needs, by name.",
            ),
            Key(
                "trusted",
                "boolean",
                "Whether Python code that lies in the file (lambdas) may be run.",
                default="false",
            ),
        ),
    )
    noun = "Keras model"
    usually = "reference"
    suffixes = (".keras", ".h5", ".hdf5")

    def open(self, spec: SideSpec, root: Path) -> KerasModel:
        """See :meth:`.format.Format.open`."""
        from .traced import KerasModel

        return KerasModel(spec.path, root, feeds=spec.feeds, **spec.options)

    def recognises(self, path: Path) -> bool:
        """Whether this is a zip archive with a ``config.json``, or an HDF5 file."""
        from ..graph.read.keras_file import HDF5

        try:
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    return "config.json" in archive.namelist()
            with path.open("rb") as file:
                return file.read(len(HDF5)) == HDF5
        except (OSError, zipfile.BadZipFile):
            return False
