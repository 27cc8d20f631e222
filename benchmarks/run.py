"""Measure a plain TensorFlow script against pytest with this plugin: ``python benchmarks/run.py``.

Whole processes, from start to exit: wall time and the largest resident set of each, as the
operating system counts them. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = 1
"""Raise it when networks.py changes: folders built by another number are built anew."""
PLUGIN = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "pytest_tfparity.plugin")
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"
}
"""Bytecode is cached, as it is once installed; other plugins of this environment stay out."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Networks of one kind, checked in one process."""

    name: str
    kind: str
    models: int = 1
    nodes: int = 0
    plain_rounds: int | None = None
    """At most so many rounds of the plain script, where it takes minutes; None for all."""

    def folders(self, networks: Path) -> list[Path]:
        return [networks / self.name / f"model{index:03}" for index in range(self.models)]


CASES = (
    Case(name="resnet50", kind="resnet50"),
    Case(name="inception", kind="inception"),
    Case(name="small", kind="small"),
    Case(name="manifest-100", kind="small", models=100),
    Case(name="chain-1000", kind="chain", nodes=1_000),
    Case(name="chain-10000", kind="chain", nodes=10_000),
    Case(name="chain-100000", kind="chain", nodes=100_000, plain_rounds=1),
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One process: seconds from start to exit, peak resident set in MiB."""

    seconds: float
    mebibytes: float


@dataclass(kw_only=True)
class Measurement:
    """All counted runs of one case and what the plugin's report said of it."""

    case: str
    plain: list[Run] = field(default_factory=list)
    plugin: list[Run] = field(default_factory=list)
    verdicts: dict[str, int] = field(default_factory=dict)


def build(case: Case, networks: Path) -> None:
    """Make the case's networks and manifest once; TensorFlow stays in another process."""
    home = networks / case.name
    done = home / "built.json"
    recipe = {"build": BUILD, "kind": case.kind, "models": case.models, "nodes": case.nodes}
    if done.is_file() and json.loads(done.read_text()) == recipe:
        return
    print(f"building {case.name} in {home}", file=sys.stderr, flush=True)
    command = [sys.executable, str(HERE / "networks.py"), case.kind, *map(str, case.folders(networks))]
    if case.nodes:
        command += ["--nodes", str(case.nodes)]
    home.mkdir(parents=True, exist_ok=True)
    with (home / "build.log").open("w") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log)
    (home / "pytest.ini").write_text("[pytest]\n")
    (home / "tfparity.yaml").write_text(manifest(case, networks))
    done.write_text(json.dumps(recipe))


def manifest(case: Case, networks: Path) -> str:
    """State the checks that plain.py makes: same files, same batch, same tolerance."""
    lines = ["defaults: {atol: 1.0e-4, rtol: 1.0e-4}", "models:"]
    for folder in case.folders(networks):
        lines += [
            f"  {folder.name}:",
            f"    reference: {{checkpoint: {folder.name}/model.ckpt}}",
            f"    export: {{frozen_graph: {folder.name}/model.pb}}",
            f'    inputs: {{"image:0": {{npz: {folder.name}/inputs.npz}}}}',
            '    outputs: ["logits:0"]',
        ]
    return "\n".join(lines) + "\n"


def measure(command: Sequence[str], folder: Path) -> Run:
    """Run a command to its end and ask the kernel for what it took.

    ``wait4`` reports the peak of this child alone (and of children it waited for itself), unlike
    ``RUSAGE_CHILDREN``, which is the maximum over all children so far.
    """
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            sys.exit(
                f"{' '.join(command)}\n{output.read().decode(errors='replace')}\nexit {process.returncode}"
            )
    per_mebibyte = 2**20 if sys.platform == "darwin" else 2**10
    return Run(seconds=seconds, mebibytes=usage.ru_maxrss / per_mebibyte)


def verdicts(case: Case, home: Path, plugin: Sequence[str]) -> dict[str, int]:
    """Run the plugin once with a report and count its verdicts; this run is also the warm-up."""
    with tempfile.TemporaryDirectory() as folder:
        measure([*plugin, f"--tfparity-report={folder}"], home)
        checks = json.loads((Path(folder) / "report.json").read_text())["checks"]
    counts: dict[str, int] = {}
    for check in checks:
        counts[check["verdict"]] = counts.get(check["verdict"], 0) + 1
    if sum(counts.values()) != case.models:
        sys.exit(f"{case.name}: {case.models} checks expected, report.json has {counts}")
    return counts


def measure_case(
    case: Case, networks: Path, *, rounds: int, sides: Sequence[str], pytest_args: str
) -> Measurement:
    """Warm up, then alternate plain script and plugin."""
    home = networks / case.name
    plain = [sys.executable, str(HERE / "plain.py"), *map(str, case.folders(networks))]
    plugin = [sys.executable, *PLUGIN, *pytest_args.split(), "tfparity.yaml"]
    result = Measurement(case=case.name)
    plain_rounds = min(rounds, case.plain_rounds or rounds) if "plain" in sides else 0
    plugin_rounds = rounds if "plugin" in sides else 0
    if plain_rounds and case.plain_rounds is None:
        measure(plain, home)
    if plugin_rounds:
        result.verdicts = verdicts(case, home, plugin)
    for index in range(rounds):
        if index < plain_rounds:
            result.plain.append(measure(plain, home))
        if index < plugin_rounds:
            result.plugin.append(measure(plugin, home))
    return result


def median(runs: Sequence[Run], what: str) -> float | None:
    return statistics.median(getattr(run, what) for run in runs) if runs else None


def summary(result: Measurement) -> dict[str, float | None]:
    """Medians and the ratios of medians, plugin to plain."""
    numbers: dict[str, float | None] = {}
    for what in ("seconds", "mebibytes"):
        plain, plugin = median(result.plain, what), median(result.plugin, what)
        numbers |= {f"plain_{what}": plain, f"plugin_{what}": plugin}
        numbers[f"{what}_ratio"] = plugin / plain if plain and plugin else None
    return numbers


COLUMNS = (
    ("plain s", "plain_seconds", 2),
    ("plugin s", "plugin_seconds", 2),
    ("ratio", "seconds_ratio", 2),
    ("plain MiB", "plain_mebibytes", 0),
    ("plugin MiB", "plugin_mebibytes", 0),
    ("ratio", "mebibytes_ratio", 2),
)


def header() -> str:
    titles = "".join(title.rjust(12) for title, _, _ in COLUMNS)
    return f"{'case':<14}{titles}  verdicts"


def row(result: Measurement) -> str:
    numbers = summary(result)
    cells = ""
    for _, key, digits in COLUMNS:
        value = numbers[key]
        cells += ("-" if value is None else f"{value:.{digits}f}").rjust(12)
    said = ", ".join(f"{count} {verdict}" for verdict, count in sorted(result.verdicts.items()))
    return f"{result.case:<14}{cells}  {said}".rstrip()


def environment() -> dict[str, str | int | None]:
    """Name what the figures depend on, without importing it."""

    def version(package: str) -> str | None:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return None

    packages = ("tensorflow", "numpy", "protobuf", "pytest", "pytest-tfparity")
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
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"default: all of {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=5, help="counted runs of each side (default 5)")
    parser.add_argument(
        "--side", choices=["plain", "plugin"], action="append", help="measure this side only (default: both)"
    )
    parser.add_argument(
        "--networks",
        type=Path,
        default=Path(tempfile.gettempdir()) / "tfparity-benchmarks",
        help="where networks are built once and kept, about 0.7 GB (default: %(default)s)",
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
    chosen = [case for case in CASES if not options.cases or case.name in options.cases]
    sides = options.side or ["plain", "plugin"]
    for case in chosen:
        build(case, networks)
    print(header(), flush=True)
    results = []
    for case in chosen:
        result = measure_case(
            case, networks, rounds=options.rounds, sides=sides, pytest_args=options.pytest_args
        )
        print(row(result), flush=True)
        results.append(result)
    if options.json:
        content = {
            "environment": environment(),
            "cases": [asdict(r) | {"median": summary(r)} for r in results],
        }
        options.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
