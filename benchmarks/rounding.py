"""How many times the rounding of their references right exports and faults are from the exact answer.

``python benchmarks/rounding.py [--right MANIFEST]... [--fault MANIFEST]... [--corpus] [--networks] [--json FILE]
[--svg FILE]``

``--corpus`` takes the cases of ``tests/faults``, ``--networks`` those of ``rounding_networks.py``, ``--right`` and
``--fault`` the models of manifests whose exports are right or wrong. Each is run as it is written and optimised by
TensorFlow, with all processors and with one, with and without oneDNN, each setting in a process of its own; the
reference and its exact answer are those of the first. A right export counts by each of its outputs, a fault by the one
that shows it most. Each version of TensorFlow is measured by itself, with ``--json``; ``--measured FILE`` for each file
makes one table and one picture of them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "as it is": {},
    "one processor": {"BENCHMARK_ONE_PROCESSOR": "1"},
    "without oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
}
SESSIONS = ("graph", "default")
ALLOWED = 8


@dataclass(frozen=True, kw_only=True)
class Row:
    """One output of one export, run under one setting."""

    name: str
    tensorflow: str
    right: bool
    output: str
    setting: str
    session: str
    rounding: float
    scale: float
    times: float


def main() -> None:
    """Measure, and print and draw what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--right", action="append", default=[], type=Path)
    parser.add_argument("--fault", action="append", default=[], type=Path)
    parser.add_argument("--corpus", action="store_true")
    parser.add_argument("--networks", action="store_true")
    parser.add_argument(
        "--measured", action="append", default=[], type=Path, help="a file of --json, in place of runs"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--answers", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.answers:
        write_answers(options)
        return
    rows = [Row(**row) for file in options.measured for row in json.loads(file.read_text())]
    with tempfile.TemporaryDirectory() as folder:
        arguments = sys.argv[1:]
        if options.networks:
            from rounding_networks import manifests

            right, wrong = manifests(Path(folder))
            arguments += ["--right", str(right), "--fault", str(wrong)]
        if not options.measured:
            rows = list(measured(arguments))
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    if options.svg:
        options.svg.write_text(drawing(rows), encoding="utf-8")


def measured(arguments: Sequence[str]) -> Iterator[Row]:
    """Every setting in a process of its own, and what they answered, measured."""
    with tempfile.TemporaryDirectory() as folder:
        for setting, extra in SETTINGS.items():
            place = Path(folder, setting)
            place.mkdir()
            command = [sys.executable, __file__, *arguments, "--answers", str(place)]
            subprocess.run(command, check=True, env={**os.environ, **extra})
        first = Path(folder, next(iter(SETTINGS)))
        for file in sorted(first.glob("*.npz")):
            yield from of_check(file, Path(folder))


def of_check(file: Path, folder: Path) -> Iterator[Row]:
    """The rows of one check."""
    sys.path.insert(0, str(ROOT))
    from pytest_tfparity.comparison.rounding import distance, rounding_of

    told = json.loads(file.with_suffix(".json").read_text())
    with np.load(file) as stored:
        plain = dict(stored)
    for place, output in enumerate(told["outputs"]):
        if f"exact {place}" not in plain:
            continue
        exact = plain[f"exact {place}"]
        rounding = rounding_of(plain[f"reference {place}"], exact)
        if rounding is None or not rounding.unit:
            continue
        for setting in SETTINGS:
            answers = folder / setting / file.name
            if not answers.exists():
                continue
            with np.load(answers) as stored:
                for session in SESSIONS:
                    apart = (
                        distance(stored[f"{session} {place}"], exact)
                        if f"{session} {place}" in stored
                        else None
                    )
                    if apart is not None:
                        yield Row(
                            name=told["name"], tensorflow=told["tensorflow"], right=told["right"], output=output,
                            setting=setting, session=session, rounding=rounding.unit, scale=rounding.scale,
                            times=apart / rounding.unit,
                        )  # fmt: skip


# --- in a process of one setting


def write_answers(options: argparse.Namespace) -> None:
    """What both sides of every check answer, and the exact answer, as files of the folder ``options.answers``."""
    if "BENCHMARK_ONE_PROCESSOR" in os.environ:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from pytest_tfparity.errors import TfparityError
    from pytest_tfparity.formats.store import ModelStore

    for number, (name, right, spec) in enumerate(checks(options)):
        models = ModelStore()
        try:
            write_answer(options.answers / f"{number:04d}.npz", name, right, spec, models)
        except TfparityError as error:
            print(f"{name}: {str(error).splitlines()[0][:150]}", file=sys.stderr)
        finally:
            models.close()


def write_answer(file: Path, name: str, right: bool, spec: Any, models: Any) -> None:
    """What both sides of one check answer."""
    from pytest_tfparity.check.exact import exact_answers
    from pytest_tfparity.check.inputs import load_inputs
    from pytest_tfparity.check.pair import open_pair

    pair, inputs = open_pair(spec, models), load_inputs(spec)
    reference = pair.run("reference", inputs)
    exact = exact_answers(pair, inputs, reference).outputs if file.parent.name == next(iter(SETTINGS)) else {}
    found: dict[str, Any] = {}
    for place, output in enumerate(pair.outputs):
        found[f"reference {place}"] = reference[output.reference]
        if output.reference in exact:
            found[f"exact {place}"] = exact[output.reference]
    feeds = {entry.export: inputs[entry.reference] for entry in pair.inputs}
    for session in SESSIONS:
        answer = pair.export.run(feeds, [output.export for output in pair.outputs], session=session)
        for place, output in enumerate(pair.outputs):
            found[f"{session} {place}"] = answer[output.export]
    np.savez(file, **{key: value for key, value in found.items() if value.dtype != object})
    told = {
        "name": name,
        "tensorflow": version("tensorflow"),
        "right": right,
        "outputs": [output.export for output in pair.outputs],
    }
    file.with_suffix(".json").write_text(json.dumps(told))


def checks(options: argparse.Namespace) -> Iterator[tuple[str, bool, Any]]:
    """Name, whether it is right, and specification of every check."""
    from pytest_tfparity.settings.manifest import load_manifest
    from pytest_tfparity.settings.resolve import resolve

    for right, manifests in ((True, options.right), (False, options.fault)):
        for path in manifests:
            for name, model in load_manifest(path).models.items():
                yield name, right, resolve(model, marker={}, ini={}, options={}, root=path.parent, name=name)
    if options.corpus:
        yield from corpus()


def corpus() -> Iterator[tuple[str, bool, Any]]:
    """The cases of ``tests/faults`` that give numbers to compare.

    Not those that are there again under a tolerance that hides all, nor the right export of a reference that is NaN.
    """
    from faults.cases import CASES
    from faults.corpus import spec_of

    for case in CASES:
        unlike = case.atol >= 100 or any(found.cause == "nan-in-both" for found in case.findings)
        if not unlike and case.verdict in (("fail",), ("proven",), ("pass",), ("proven", "pass")):
            yield case.name, case.verdict != ("fail",), spec_of(case)


# --- what was found


def counted(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The outputs of right exports, and of each fault under each setting the output that shows it most."""
    worst: dict[tuple[str, ...], Row] = {}
    for row in rows:
        key = (row.name, row.tensorflow, row.setting, row.session)
        if not row.right and (key not in worst or row.times > worst[key].times):
            worst[key] = row
    return [row for row in rows if row.right], list(worst.values())


def nearest_to_the_limit(rows: Sequence[Row]) -> list[Row]:
    """Each export once a version: a right one under the setting that takes it furthest, a fault under the nearest."""
    found: dict[tuple[str, str], Row] = {}
    for row in sorted(rows, key=lambda each: each.times, reverse=rows[0].right if rows else False):
        found.setdefault((row.name, row.tensorflow), row)
    return list(found.values())


def versions(rows: Sequence[Row]) -> list[str]:
    """The versions of TensorFlow that were measured, the oldest first."""
    return sorted({row.tensorflow for row in rows}, key=lambda each: [int(part) for part in each.split(".")])


def table(rows: Sequence[Row]) -> str:
    """The largest multiples of right exports and the smallest of faults, by version and setting."""
    right, wrong = counted(rows)
    lines = [
        "| TensorFlow | setting | session | right exports | largest | faults | smallest |",
        "|---|---|---|---|---|---|---|",
    ]
    for tensorflow, setting, session in product(versions(rows), SETTINGS, SESSIONS):
        here = (tensorflow, setting, session)
        ok, bad = (
            [row for row in part if (row.tensorflow, row.setting, row.session) == here]
            for part in (right, wrong)
        )
        most = max((row.times for row in ok), default=math.nan)
        least = min((row.times for row in bad), default=math.nan)
        names = len({row.name for row in ok}), len({row.name for row in bad})
        lines.append(f"| {' | '.join(here)} | {names[0]} | {most:.2g} | {names[1]} | {least:.3g} |")
    for title, ordered in (
        ("right exports, the largest", sorted(right, key=lambda row: -row.times)[:8]),
        ("faults, the smallest", sorted(wrong, key=lambda row: row.times)[:12]),
    ):
        lines += ["", title]
        lines += [
            f"  {row.times:10.3g}  {row.name}, {row.output} ({row.tensorflow}, {row.setting}, {row.session})"
            for row in ordered
        ]
    return "\n".join(lines)


def drawing(rows: Sequence[Row]) -> str:
    """Both distributions over a logarithmic axis, as SVG: each export as a point, nearest to the limit."""
    right, wrong = map(nearest_to_the_limit, counted(rows))
    lanes = [
        (
            f"{title}, {tensorflow.rpartition('.')[0]}",
            [row for row in found if row.tensorflow == tensorflow],
            colour,
        )
        for title, found, colour in (("right exports", right, "#2a7"), ("faults", wrong, "#36c"))
        for tensorflow in versions(rows)
    ]
    width, left, low, high, lane = 760, 130, -2.0, 9.0, 58
    bottom = 24 + lane * len(lanes)

    def x(times: float) -> float:
        power = min(max(math.log10(max(times, 10**low)), low), high)
        return left + (width - left - 20) * (power - low) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + 50}" role="img"'
        ' font-family="sans-serif" font-size="12" fill="#555">'
        "<title>Distance from the exact answer, in roundings of the reference</title>"
    ]
    for power in range(int(low), int(high) + 1):
        place = x(10.0**power)
        label = f"1e{power}" if power not in (0, 1) else str(10**power)
        parts.append(f'<line x1="{place:.1f}" y1="20" x2="{place:.1f}" y2="{bottom}" stroke="#ccc"/>')
        parts.append(f'<text x="{place:.1f}" y="{bottom + 16}" text-anchor="middle">{label}</text>')
    parts.append(
        f'<line x1="{x(ALLOWED):.1f}" y1="12" x2="{x(ALLOWED):.1f}" y2="{bottom}" stroke="#d33" stroke-width="2"/>'
        f'<text x="{x(ALLOWED) + 5:.1f}" y="18" fill="#d33">8</text>'
    )
    for number, (title, found, colour) in enumerate(lanes):
        top = 24 + lane * number
        parts.append(f'<text x="8" y="{top + lane / 2 + 4}">{title}</text>')
        for place, row in enumerate(found):
            parts.append(
                f'<circle cx="{x(row.times):.1f}" cy="{top + 4 + place * 7 % (lane - 8)}" r="2" fill="{colour}"'
                ' fill-opacity="0.45"/>'
            )
    parts.append(
        f'<text x="{(left + width) / 2:.0f}" y="{bottom + 40}" text-anchor="middle">distance from the exact answer, in'
        " roundings of the reference</text></svg>"
    )
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
