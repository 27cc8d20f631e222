"""A key that a user can write, and a section of keys: what a format and the schema state theirs with.

Named tuples rather than dataclasses, which take ten times as long to define: imported when pytest starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

KINDS: Mapping[str, str] = {
    "tolerance": "a finite number that is not negative",
    "atol": "a number that is not negative",
    "limit": "a number above 0",
    "rounding": "a finite number of at least 1",
    "rule": "rounding",
    "number": "a finite number",
    "share": "a number above 0 and at most 1",
    "positive": "a whole number of at least 1",
    "seed": "a whole number that is not negative",
    "boolean": "true or false",
    "choice": "one of its choices",
    "statistic": "max, mean, median or quantile(q) with q above 0 and at most 1",
    "top_k": "a mapping such as {k: 5, agree: 0.99}",
    "path": "a path",
    "pattern": "a pattern of paths with a wildcard",
    "graph": "a path of a frozen graph, .pb or .pbtxt",
    "array": "a path that ends in .npz or .npy",
    "golden": "a path that ends in .npz",
    "paths": "a path, a glob pattern, or a list of them",
    "images": "a path, a glob pattern, a list of them, or {paths: 'images/*.png', channels: 3}",
    "function": "text of the form module:function",
    "ema": "none, trainable, all or a list of name patterns",
    "feeds": "a mapping of tensor names to constants",
    "tensor": "a tensor name such as 'logits:0'",
    "tensors": "a tensor name, or a mapping such as {reference: 'a:0', export: 'b:0'}",
    "grad_cam": "a mapping such as {image: 'image:0', activations: 'conv:0', gradients: 'grad:0'}",
    "text": "text",
    "texts": "text, or a list of texts",
    "shape": "a list of whole numbers such as [8, 28, 28, 1]",
    "permutation": "a list of each axis once, such as [0, 3, 1, 2]",
    "dtype": "a dtype such as float32",
    "random": "a mapping such as {distribution: normal, shape: [8, 28, 28, 1]}",
    "reference": "a mapping with the keys of the reference",
    "export": "a mapping with the keys of the export",
    "inputs": "a mapping of tensor names to their sources",
    "outputs": "a list of tensor names or of mappings",
    "defaults": "a mapping of settings",
    "models": "a mapping of names to models",
}
"""What a value must be, in the words of an error message and of the reference page."""


class Key(NamedTuple):
    """One key: its name, what its value is (one of :data:`KINDS`), a sentence.

    Only these three are given by position.
    ``default`` is written as a user would write it. ``sets`` is the setting that the key states, where that is not
    called like the key: ``feeds`` below ``export`` and ``export_feeds`` of a marker are both ``export.feeds``.
    ``configurable`` keys can also be set by an ini value ``tfparity_NAME`` and an option ``--tfparity-NAME``.
    """

    name: str
    kind: str
    description: str
    default: str = ""
    choices: tuple[str, ...] = ()
    sets: str = ""
    configurable: bool = False

    @property
    def setting(self) -> str:
        """The name of the setting where all settings stand side by side."""
        return self.sets or self.name

    @property
    def ini(self) -> str:
        """The ini value that sets it."""
        return f"tfparity_{self.name}"

    @property
    def flag(self) -> str:
        """The command line option that sets it."""
        return f"--tfparity-{self.name.replace('_', '-')}"


class Section(NamedTuple):
    """A mapping of the manifest: what it is called and is for, and its keys in the order to write them.

    ``home`` is how messages call the place that its keys are written in; empty for a format, whose keys are
    written among those of a side.
    """

    name: str
    description: str
    keys: tuple[Key, ...]
    home: str = ""

    @property
    def by_name(self) -> Mapping[str, Key]:
        """The keys by their names."""
        return {key.name: key for key in self.keys}
