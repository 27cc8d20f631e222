"""Measure plain TensorFlow scripts and Polygraphy against pytest with this plugin: ``python benchmarks/run.py``.

Whole processes, from start to exit: wall time and the largest resident set of each, as the
operating system counts them. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

from cases import CASES, SIDES, Case, build

ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"
}
"""Bytecode is cached, as it is once installed; other plugins of this environment stay out."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One process: seconds from start to exit, processor seconds, peak resident set in MiB."""

    seconds: float
    processor: float
    mebibytes: float


@dataclass(kw_only=True)
class Measurement:
    """All counted runs of one case by side, and what the plugin's report said of it."""

    case: str
    runs: dict[str, list[Run]] = field(default_factory=dict)
    said: dict[str, int] = field(default_factory=dict)

    def median(self, side: str, what: str) -> float:
        return float(statistics.median(getattr(run, what) for run in self.runs[side]))

    def ratio(self, side: str, what: str) -> float | None:
        """The plugin's median to that of a side."""
        if side == "plugin" or "plugin" not in self.runs:
            return None
        return self.median("plugin", what) / self.median(side, what)


def measure(command: Sequence[str], folder: Path, *, expected: int = 0) -> Run:
    """Run a command to its end and ask the kernel for what it took; it must exit with ``expected``.

    ``wait4`` reports the peak of this child alone (and of children it waited for itself), unlike
    ``RUSAGE_CHILDREN``, which is the maximum over all children so far.
    """
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != expected:
            output.seek(0)
            sys.exit(
                f"{' '.join(command)}\n{output.read().decode(errors='replace')}"
                f"\nexit {process.returncode}, not {expected}"
            )
    per_mebibyte = 2**20 if sys.platform == "darwin" else 2**10
    return Run(
        seconds=seconds,
        processor=usage.ru_utime + usage.ru_stime,
        mebibytes=usage.ru_maxrss / per_mebibyte,
    )


def said(case: Case, home: Path, plugin: Sequence[str]) -> dict[str, int]:
    """Run the plugin once with a report and count what it says; this run is also the warm-up."""
    with tempfile.TemporaryDirectory() as folder:
        measure([*plugin, f"--tfparity-report={folder}"], home, expected=exit_code(case))
        checks = json.loads((Path(folder) / "report.json").read_text())["checks"]
    if len(checks) != case.models:
        sys.exit(f"{case.name}: {case.models} checks expected, report.json has {len(checks)}")
    counts: dict[str, int] = {}
    for check in checks:
        causes = [f"{f['cause']} {f['certainty']} at {', '.join(f['scopes'])}" for f in check["findings"]]
        verdict = "; ".join([check["verdict"], *causes])
        counts[verdict] = counts.get(verdict, 0) + 1
    return counts


def exit_code(case: Case) -> int:
    """What every side exits with: pytest and a script that raises both say 1."""
    return 1 if case.fault else 0


def measure_case(
    case: Case, networks: Path, *, rounds: int, sides: Sequence[str], pytest_args: Sequence[str]
) -> Measurement:
    """Warm up, then take turns."""
    home = networks / case.name
    chosen = [side for side in case.sides if side in sides]
    commands = {side: case.command(side, networks) for side in chosen}
    result = Measurement(case=case.name)
    if "plugin" in commands:
        commands["plugin"] += pytest_args
        result.said = said(case, home, commands["plugin"])
    if "plain" in commands and "plain" not in case.slow:
        measure(commands["plain"], home, expected=exit_code(case))
    for index in range(rounds):
        for side, command in commands.items():
            if index < case.slow.get(side, rounds):
                result.runs.setdefault(side, []).append(measure(command, home, expected=exit_code(case)))
    return result


MEASURES = ("seconds", "processor", "mebibytes")
HEADER = (
    f"{'case':<19}{'side':<12}{'s':>9}{'CPU s':>9}{'MiB':>7}   plugin to side: {'s':>6}{'CPU s':>7}{'MiB':>7}"
)


def rows(result: Measurement) -> list[str]:
    """Medians of each side, and of the plugin's to them; then what the plugin said."""
    lines = []
    for side in result.runs:
        seconds, processor, mebibytes = (result.median(side, what) for what in MEASURES)
        line = f"{result.case:<19}{side:<12}{seconds:>9.2f}{processor:>9.2f}{mebibytes:>7.0f}{'':>19}"
        ratios = [result.ratio(side, what) for what in MEASURES]
        lines.append(line + "".join("" if ratio is None else f"{ratio:>7.3f}" for ratio in ratios))
    lines += [f"{'':<19}{count} {verdict}" for verdict, count in sorted(result.said.items())]
    return lines


def summary(result: Measurement) -> dict[str, dict[str, float | None]]:
    """Medians and the ratios of medians, plugin to side."""
    medians: dict[str, dict[str, float | None]] = {}
    for side in result.runs:
        medians[side] = {what: result.median(side, what) for what in MEASURES}
        medians[side] |= {f"plugin_to_{what}": result.ratio(side, what) for what in MEASURES}
    return medians


def environment() -> dict[str, str | int | None]:
    """Name what the figures depend on, without importing it."""

    def version(package: str) -> str | None:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return None

    packages = ("tensorflow", "numpy", "protobuf", "pytest", "polygraphy", "pytest-tfparity")
    versions = {package: version(package) for package in packages}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
    } | versions


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [case.name for case in CASES]
    kept = [case.name for case in CASES if not case.temporary]
    temporary = [case.name for case in CASES if case.temporary]
    parser.add_argument(
        "cases",
        nargs="*",
        metavar="CASE",
        help=f"default: {', '.join(kept)}; built and deleted if named: {', '.join(temporary)}",
    )
    parser.add_argument("--rounds", type=int, default=5, help="counted runs of each side (default 5)")
    parser.add_argument(
        "--side",
        choices=SIDES,
        action="append",
        help="measure this side only; may be repeated (default: all)",
    )
    parser.add_argument(
        "--networks",
        type=Path,
        default=Path(tempfile.gettempdir()) / "tfparity-benchmarks",
        help="where networks are built once and kept, about 1.1 GB (default: %(default)s)",
    )
    parser.add_argument(
        "--pytest-args", default="", help="further options for pytest, such as --tfparity-run=always"
    )
    parser.add_argument("--json", type=Path, help="write every run, the medians and the environment here")
    options = parser.parse_args()
    if unknown := sorted(set(options.cases) - set(names)):
        parser.error(f"no case named {', '.join(unknown)}; there are {', '.join(names)}")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def main() -> None:
    options = parse_arguments()
    networks = options.networks.resolve()
    named = options.cases or [case.name for case in CASES if not case.temporary]
    chosen = [case for case in CASES if case.name in named]
    sides = options.side or list(SIDES)
    needs_polygraphy = any("polygraphy" in case.sides for case in chosen)
    if needs_polygraphy and "polygraphy" in sides and importlib.util.find_spec("polygraphy") is None:
        print("left out polygraphy: pip install polygraphy", file=sys.stderr)
        sides.remove("polygraphy")
    for case in chosen:
        if not case.temporary:
            build(case, networks)
    print(HEADER, flush=True)
    results = []
    for case in chosen:
        if case.temporary:
            build(case, networks)
        result = measure_case(
            case, networks, rounds=options.rounds, sides=sides, pytest_args=options.pytest_args.split()
        )
        if case.temporary:
            shutil.rmtree(networks / case.name)
        print("\n".join(rows(result)), flush=True)
        results.append(result)
    if options.json:
        content = {
            "environment": environment(),
            "cases": [asdict(result) | {"median": summary(result)} for result in results],
        }
        options.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
