"""What a check looks into beside the numbers: the checkpoint's health, and why a check failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from .compare import compare
from .diagnosis.diagnose import Diagnosis, diagnose
from .diagnosis.evidence import Evidence, Setting, Tensors
from .diagnosis.health import checkpoint_health
from .discovery import Pair
from .graph.batchnorm import BatchNorm, find_batch_norms
from .graph.bundle import Bundle, other_checkpoints
from .graph.graph import Array
from .graph.proof import Side
from .models.checkpoint import Checkpoint
from .models.repaired import graph_def_of, run_repaired
from .result import Health, OutputComparison

_OTHERS = 12
"""How many other checkpoints near the reference's are looked at, the nearest by name first."""


def health_of(pair: Pair) -> tuple[Health, ...]:
    """What is wrong with the checkpoint itself, read without TensorFlow."""
    checkpoint = pair.reference
    if not isinstance(checkpoint, Checkpoint):
        return ()
    side = pair.side("reference")
    tensors = checkpoint.bundle.tensors
    return checkpoint_health(
        tensors,
        batch_norms=[
            _by_key(norm, _keys(checkpoint))
            for norm in find_batch_norms(side.graph, side.outputs, side.inputs, side.feeds, side.variables)
        ],
        named=[variable.name for variable in checkpoint.meta.variables],
        graph=side.graph,
        averages_used=any(key.key.endswith("/ExponentialMovingAverage") for key in checkpoint.keys.values()),
    )


def examine(
    pair: Pair,
    outputs: tuple[OutputComparison, ...],
    inputs: Mapping[str, Array],
    expected: Mapping[str, Array],
) -> Diagnosis:
    """Why the export differs: ``outputs`` is how, ``expected`` the reference's answer to ``inputs``."""
    return diagnose(setting_of(pair, outputs, inputs, expected))


def setting_of(
    pair: Pair,
    outputs: tuple[OutputComparison, ...],
    inputs: Mapping[str, Array],
    expected: Mapping[str, Array],
) -> Setting:
    """Both sides as the diagnosis wants them."""
    checkpoint = pair.model("reference")
    assert isinstance(checkpoint, Checkpoint)
    others: dict[str, Tensors] = {}

    def other_tensors() -> Mapping[str, Tensors]:
        if not others:
            for prefix in nearby_checkpoints(checkpoint):
                others[pair.spec.shown(prefix)] = Bundle(prefix).tensors
        return others

    def run(side: Side) -> tuple[OutputComparison, ...]:
        feeds = {
            str(name): inputs[entry.reference] for name, entry in zip(side.inputs, pair.inputs, strict=True)
        }
        found = run_repaired(side, feeds, pair.export, checkpoint, session=pair.spec.session)
        return tuple(
            compare(
                expected[output.reference],
                found[name],
                output.tolerance,
                reference_name=output.reference,
                export_name=output.export,
            )
            for output, name in zip(pair.outputs, side.outputs, strict=True)
        )

    return Setting(
        reference=pair.side("reference"),
        original=pair.side("export"),
        checkpoint=checkpoint.bundle.tensors,
        keys=_keys(checkpoint),
        parts={name: key.slice for name, key in checkpoint.keys.items() if key.slice},
        others=other_tensors,
        outputs=outputs,
        export_name=pair.spec.shown(pair.spec.export.frozen_graph),
        reference_name=pair.spec.shown(checkpoint.prefix),
        run=run,
    )


def write_repaired(pair: Pair, side: Side, path: Path) -> None:
    """Write the repaired export ``side`` as a frozen graph with the outputs' own names."""
    names = pair.side("export").outputs
    graph_def = graph_def_of(side, names, pair.export, pair.model("reference"))
    path.write_bytes(graph_def.SerializeToString())


def stale(pair: Pair, outputs: tuple[OutputComparison, ...]) -> tuple[Health, ...]:
    """A warning if the export is within tolerance, but with weights that are not the checkpoint's."""
    setting = replace(setting_of(pair, outputs, {}, {}), run=None)
    evidence = Evidence(setting)
    story = evidence.story
    if story.kind not in ("other checkpoint", "unknown"):
        return ()
    whose = f"those of {story.checkpoint}" if story.checkpoint else "those of another step or run"
    message = (
        f"The export is within tolerance, but its weights are not those of {setting.reference_name}: they are"
        f" {whose}. Export again."
    )
    return (Health(cause="stale-export", scopes=(), message=message),)


def nearby_checkpoints(checkpoint: Checkpoint) -> list[Path]:
    """The other checkpoints of the folder, and of the folders in it."""
    prefix = checkpoint.prefix
    found = list(other_checkpoints(prefix))
    for folder in sorted(path for path in prefix.parent.iterdir() if path.is_dir()):
        found += other_checkpoints(folder / "-")
    return found[:_OTHERS]


def _keys(checkpoint: Checkpoint) -> Mapping[str, str]:
    return {name: key.key for name, key in checkpoint.keys.items()}


def _by_key(norm: BatchNorm, keys: Mapping[str, str]) -> BatchNorm:
    """A batch norm of the reference with its weights named as in the checkpoint."""
    names = ("gamma", "beta", "mean", "variance")
    return replace(norm, **{name: keys.get(old, old) for name in names if (old := getattr(norm, name))})
