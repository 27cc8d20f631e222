"""A user's function that builds the graph of a checkpoint, called where it can do no harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import ModelError
from .project import call_project
from .tensorflow import tensorflow


def build_meta_graph(builder: str, root: Path) -> Any:
    """The ``MetaGraphDef`` of the graph that ``"module:function"`` builds in a fresh ``tf.Graph``.

    The module is imported with ``root`` first on the path. If the function returns a
    ``tf.compat.v1.train.Saver``, that says what is restored. Raises ModelError, with the user's own line,
    if the function cannot be imported, raises, or builds nothing.
    """
    tf = tensorflow()
    with tf.Graph().as_default() as graph:
        returned = call_project(builder, root, subject=f"builder {builder}", error=ModelError)
        if not graph.get_operations():
            raise ModelError(
                f"builder {builder} built nothing in the graph that it was called in. It must add the network"
                " to the default graph, not to a tf.Graph of its own."
            )
        saver_def = returned.saver_def if isinstance(returned, tf.compat.v1.train.Saver) else None
        return tf.compat.v1.train.export_meta_graph(graph=graph, saver_def=saver_def, clear_devices=True)
