"""What a case of the corpus is, how it is built and checked, and the table of what came out.

A case is data: a network, what its checkpoint holds, what its export does otherwise, and the verdict,
causes, layers and certainty that must come out. Names of layers may be alternatives, ``"a|b"``.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from faults.graphs import Edit, hold
from faults.layers import Changes, Layers
from faults.networks import NETWORKS, Network
from faults.weights import FAST, SHADOW, Change, Weights, older, trained
from graphs.networks import stated_check
from pytest_tfparity.check.check import check
from pytest_tfparity.formats.store import ModelStore
from pytest_tfparity.result import Finding, Health, ParityResult

v1 = tf.compat.v1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A checkpoint and its graph: a network, what that graph does otherwise, what was saved.

    ``shadows``: ``"trainable"`` or ``"all"`` variables have moving averages; ``ema``: which of them are
    right (``"saver"``: the trainable ones, which the saver of the graph says and not the check).
    ``second``: the checkpoint holds another average of the same variables. ``saved`` changes the tensors
    before they are saved. ``earlier``: an older step lies beside it.
    """

    network: str
    changes: Changes = field(default_factory=dict)
    feeds: Mapping[str, Any] = field(default_factory=dict)
    shadows: str | None = None
    ema: str | None = None
    decay: float = 0.9
    second: bool = False
    saved: Callable[[Weights], Weights] | None = None
    earlier: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A finding that must be there: its cause, its layers, its certainty; each may be ``"a|b"``.

    ``also`` are layers that may be named beside them.

    With a certainty of ``"warning"`` a warning on the checkpoint will do.
    """

    cause: str
    scopes: tuple[str, ...] = ()
    certainty: str = "proven"
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One export. ``changes`` are those of its graph, on top of the reference's; then ``weights``; then ``edit``.

    ``inputs`` and ``outputs`` are other names in the export. ``findings`` are all that must be found, in
    any order; ``health`` the causes of the warnings on the checkpoint.
    """

    name: str
    reference: Reference
    findings: tuple[Found, ...] = ()
    verdict: tuple[str, ...] = ("fail",)
    changes: Changes = field(default_factory=dict)
    weights: Change | None = None
    edit: Edit | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str | tuple[str, str], ...] = ()
    health: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    feeds: Mapping[str, Any] = field(default_factory=dict)
    atol: float = 1e-5
    slow: bool = False

    @property
    def network(self) -> Network:
        return NETWORKS[self.reference.network]


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """A case on disk."""

    checkpoint: Path
    frozen_graph: Path
    inputs: Path


@cache
def _home() -> Path:
    folder = tempfile.mkdtemp(prefix="faults-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


_made: dict[str, Any] = {}


def once(kind: str, key: object, make: Callable[[], Any]) -> Any:
    """What ``make`` returns, made once a session for equal keys."""
    name = f"{kind} {key!r}"
    if name not in _made:
        _made[name] = make()
    return _made[name]


def _built(
    network: Network,
    changes: Changes,
    shadows: str | None = None,
    decay: float = 0.9,
    *,
    second: bool = False,
) -> Any:
    """The graph of a network, in training mode as far as moving averages go."""
    with tf.Graph().as_default() as graph:
        tf.compat.v1.set_random_seed(1)
        network.build(Layers(changes, **network.options))
        if shadows is not None:
            variables = v1.trainable_variables() if shadows == "trainable" else v1.global_variables()
            v1.train.ExponentialMovingAverage(decay).apply(variables)
            if second:
                v1.train.ExponentialMovingAverage(decay, name=FAST[1:]).apply(variables)
        v1.get_variable("global_step", [], tf.int64, trainable=False, initializer=v1.zeros_initializer())
    return graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A checkpoint on disk, its tensors, and the values that are right for an export of it."""

    prefix: Path
    tensors: Weights
    right: Weights


def _write_reference(reference: Reference) -> Written:
    network = NETWORKS[reference.network]
    graph = _built(network, reference.changes, reference.shadows, reference.decay, second=reference.second)
    with graph.as_default():
        variables = v1.global_variables()
        trainable = {each.op.name for each in v1.trainable_variables()}
    tensors: Weights = trained({each.op.name: tuple(each.shape.as_list()) for each in variables})
    saved = reference.saved(tensors) if reference.saved is not None else tensors
    folder = Path(tempfile.mkdtemp(prefix="reference-", dir=_home()))
    prefix = _save(graph, variables, saved, folder, 1000)
    if reference.ema == "saver":
        _let_saver_average(graph, prefix)
    if reference.earlier:
        _save(graph, variables, older(saved), folder, 600)
    averages = {
        name
        for name in saved
        if name + SHADOW in saved
        and (reference.ema == "all" or (reference.ema in ("trainable", "saver") and name in trainable))
    }
    right = {
        name: saved.get(name + SHADOW if name in averages else name, value)
        for name, value in tensors.items()
        if not name.endswith((SHADOW, FAST)) or "moments" in name
    }
    return Written(prefix=prefix, tensors=saved, right=right)


def _save(graph: Any, variables: Sequence[Any], values: Weights, folder: Path, step: int) -> Path:
    with graph.as_default(), v1.Session(graph=graph) as session:
        kept = [each for each in variables if each.op.name in values]
        initialisers = {each.op.name: each.initializer for each in kept}
        session.run(
            list(initialisers.values()),
            {initialiser.inputs[1]: values[name] for name, initialiser in initialisers.items()},
        )
        return Path(v1.train.Saver(kept, max_to_keep=9).save(session, str(folder / "model.ckpt"), step))


def _let_saver_average(graph: Any, prefix: Path) -> None:
    """Write the graph again with a saver that restores averages, as an evaluation job does."""
    with graph.as_default():
        variables = {each.op.name: each for each in v1.global_variables()}
        kept = {name: each for name, each in variables.items() if not name.endswith(SHADOW)}
        keys = {name: name + SHADOW if name + SHADOW in variables else name for name in kept}
        saver = v1.train.Saver({keys[name]: each for name, each in kept.items()})
        v1.train.export_meta_graph(f"{prefix}.meta", graph=graph, saver_def=saver.saver_def)


def _frozen(network: Network, changes: Changes, outputs: tuple[str, ...]) -> Any:
    """The frozen graph of a network; what its constants hold is put in by :func:`_exported`."""
    graph = _built(network, changes)
    with graph.as_default(), v1.Session(graph=graph) as session:
        session.run(v1.global_variables_initializer())
        names = [name.partition(":")[0] for name in outputs]
        return v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), names)


def _exported(case: Case, written: Written) -> Any:
    changes = {**case.reference.changes, **case.changes}
    outputs = tuple(export for _, export in _outputs(case))
    if case.edit is not None and case.outputs:
        outputs = tuple(name for name, _ in _outputs(case))
    template = once(
        "frozen", (case.reference.network, changes, outputs), lambda: _frozen(case.network, changes, outputs)
    )
    graph = v1.GraphDef()
    graph.CopyFrom(template)
    values = case.weights(written.tensors, written.right) if case.weights else written.right
    for node in graph.node:
        if node.op == "Const" and node.name in values:
            hold(node, np.asarray(values[node.name]))
    if case.edit is not None:
        case.edit(graph, written.tensors)
    return graph


def _outputs(case: Case) -> list[tuple[str, str]]:
    stated = case.outputs or case.network.outputs
    return [(each, each) if isinstance(each, str) else each for each in stated]


def write(case: Case) -> Files:
    """Write the files of a case; what cases share is written once."""
    written = once("reference", case.reference, lambda: _write_reference(case.reference))
    folder = Path(tempfile.mkdtemp(prefix="case-", dir=_home()))
    frozen_graph = folder / "model.pb"
    frozen_graph.write_bytes(_exported(case, written).SerializeToString())
    inputs = _home() / f"{case.reference.network}.npz"
    if not inputs.exists():
        np.savez(inputs, **case.network.inputs)
    return Files(checkpoint=written.prefix, frozen_graph=frozen_graph, inputs=inputs)


def spec_of(case: Case) -> Any:
    """The check of a case, its files written."""
    files = write(case)
    return stated_check(
        files.checkpoint,
        files.frozen_graph,
        inputs={
            name: {"npz": str(files.inputs), "export": case.inputs.get(name, name)}
            for name in case.network.inputs
        },
        outputs=[{"reference": reference, "export": export} for reference, export in _outputs(case)],
        feeds=dict(case.reference.feeds),
        export_feeds=dict(case.feeds),
        atol=case.atol,
        **({"ema": case.reference.ema} if case.reference.ema in ("trainable", "all") else {}),
    )


def examined(case: Case) -> ParityResult:
    """What a check says of a case."""
    models = ModelStore()
    try:
        return check(spec_of(case), models)
    finally:
        models.close()


def problems(case: Case, result: ParityResult) -> list[str]:
    """Where a result is not what the case expects, in sentences; empty if it is right."""
    found = [f"verdict {result.verdict}: {result.error}"] if result.verdict not in case.verdict else []
    unexpected = list(result.findings)
    for wanted in case.findings:
        same = [each for each in unexpected if each.cause in wanted.cause.split("|")]
        unexpected = [each for each in unexpected if each not in same]
        found += _of_finding(wanted, same, result.health)
    found += [f"{each.cause} at {', '.join(each.scopes)} is no cause" for each in unexpected]
    return [*found, *_of_health(case, result.health)]


def _of_finding(wanted: Found, same: Sequence[Finding], health: Sequence[Health]) -> Iterator[str]:
    """What is wrong with the findings of this cause; a warning of it does where the case says so."""
    if same:
        certainties = [each.certainty for each in same]
        if len(same) > len({each.cause for each in same}):
            yield f"{len(same)} findings of {wanted.cause}"
    else:
        warnings = [each for each in health if each.cause in wanted.cause.split("|")]
        if not warnings or "warning" not in wanted.certainty:
            yield f"{wanted.cause} not found"
            return
        certainties = ["warning"]
    if not set(certainties) <= set(wanted.certainty.split("|")):
        yield f"{wanted.cause} {certainties[0]}, not {wanted.certainty}"
    scopes = [scope for each in same or warnings for scope in each.scopes if scope not in wanted.also]
    yield from _of_scopes(wanted.cause, wanted.scopes, scopes)


def _of_health(case: Case, health: Sequence[Health]) -> Iterator[str]:
    """Warnings that are missing, or are not expected."""
    for cause, scopes in case.health.items():
        same = [each for each in health if each.cause == cause]
        if not same:
            yield f"no warning of {cause}"
        yield from _of_scopes(cause, scopes, [scope for each in same for scope in each.scopes])
    known = {*case.health, *(cause for each in case.findings for cause in each.cause.split("|"))}
    yield from (f"warning of {each.cause}" for each in health if each.cause not in known)


def _of_scopes(cause: str, wanted: Sequence[str], named: Sequence[str]) -> Iterator[str]:
    known = {choice for each in wanted for choice in each.split("|")}
    missed = [each for each in wanted if not set(each.split("|")) & set(named)]
    innocent = [each for each in named if each not in known]
    if missed:
        yield f"{cause} does not name {', '.join(missed)}"
    if innocent:
        yield f"{cause} names {', '.join(innocent)}"


def table(cases: Sequence[Case]) -> int:
    """Print a line a case: what came out, how long it took, and what is wrong with it."""
    wrong = 0
    print("| case | verdict | first cause | layers | certainty | seconds | |")
    print("|---|---|---|---|---|---|---|")
    for case in cases:
        started = time.perf_counter()
        try:
            result = examined(case)
            complaints = problems(case, result)
        except Exception as error:
            print(f"| {case.name} | crash | {error!r:.200} | | | | wrong |", flush=True)
            wrong += 1
            continue
        spent = time.perf_counter() - started
        first = next(iter([*result.findings, *result.health]), None)
        cause = first.cause if first else "none"
        scopes = [*first.scopes] if first else []
        shown = ", ".join(scopes[:3]) + (f" and {len(scopes) - 3} more" if len(scopes) > 3 else "")
        certainty = getattr(first, "certainty", "warning" if first else "")
        wrong += bool(complaints)
        print(
            f"| {case.name} | {result.verdict} | {cause} | {shown} | {certainty} | {spent:.2f} |"
            f" {'; '.join(complaints)} |",
            flush=True,
        )
    print(f"\n{len(cases) - wrong} of {len(cases)} cases are as expected.")
    return wrong
