"""The benchmark's cases: which networks, how they are built once, and what each side runs on them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = 2
"""Raise it when networks.py changes: folders built by another number are built anew."""
PLUGIN = (
    "-m",
    "pytest",
    "-q",
    "-p",
    "no:cacheprovider",
    "-p",
    "pytest_tfparity.plugin.hooks",
    "tfparity.yaml",
)
SCRIPTS = {"plain": "plain.py", "fetch": "fetch.py", "polygraphy": "nvidia_polygraphy.py"}
SIDES = (*SCRIPTS, "plugin")


@dataclass(frozen=True, kw_only=True)
class Case:
    """Networks of one kind, checked in one process."""

    name: str
    kind: str
    models: int = 1
    nodes: int = 0
    layers: int = 0
    """Layers of 64 MiB each."""
    fault: str | None = None
    """What is wrong with one layer of the export; every side must then fail."""
    temporary: bool = False
    """Whether its networks, gigabytes, are deleted when it was measured; then it is run only where it is named."""
    slow: Mapping[str, int] = field(default_factory=dict)
    """At most so many rounds of a side, and no warm-up, where it takes minutes."""

    @property
    def sides(self) -> tuple[str, ...]:
        """Those that apply: one looks for a layer only in an export that is wrong."""
        if self.layers:  # from 1.5 GB on TensorFlow itself takes more memory than most machines have: 21 GB
            return ("plain", "plugin") if self.layers < 12 else ("plugin",)
        return SIDES if self.fault else ("plain", "plugin")

    def folders(self, networks: Path) -> list[Path]:
        return [networks / self.name / f"model{index:03}" for index in range(self.models)]

    def command(self, side: str, networks: Path) -> list[str]:
        """What a side runs, in the case's folder."""
        if side == "plugin":
            return [sys.executable, *PLUGIN]
        return [sys.executable, str(HERE / SCRIPTS[side]), *map(str, self.folders(networks))]


CASES = (
    Case(name="resnet50", kind="resnet50"),
    Case(name="inception", kind="inception"),
    Case(name="small", kind="small"),
    Case(name="manifest-100", kind="small", models=100),
    Case(name="chain-1000", kind="chain", nodes=1_000),
    Case(name="chain-10000", kind="chain", nodes=10_000),
    Case(name="chain-100000", kind="chain", nodes=100_000, slow={"plain": 1}),
    Case(name="dense-0.4", kind="dense", layers=6, temporary=True),
    Case(name="dense-1.5", kind="dense", layers=24, temporary=True),
    Case(name="dense-4", kind="dense", layers=64, temporary=True),
    Case(name="dense-0.4-step", kind="dense", layers=6, fault="step", temporary=True),
    Case(name="dense-1.5-step", kind="dense", layers=24, fault="step", temporary=True),
    Case(name="dense-4-step", kind="dense", layers=64, fault="step", temporary=True),
    Case(name="resnet50-training", kind="resnet50", fault="training", slow={"polygraphy": 1}),
    Case(name="resnet50-initial", kind="resnet50", fault="initial", slow={"polygraphy": 1}),
)


def build(case: Case, networks: Path) -> None:
    """Make the case's networks and manifest once; TensorFlow stays in another process."""
    home = networks / case.name
    done = home / "built.json"
    recipe = {"build": BUILD, "kind": case.kind, "models": case.models, "nodes": case.nodes}
    if case.layers:
        recipe["layers"] = case.layers
    if case.fault:
        recipe["fault"] = case.fault
    if done.is_file() and json.loads(done.read_text()) == recipe:
        return
    print(f"building {case.name} in {home}", file=sys.stderr, flush=True)
    command = [sys.executable, str(HERE / "networks.py"), case.kind, *map(str, case.folders(networks))]
    if case.nodes:
        command += ["--nodes", str(case.nodes)]
    if case.layers:
        command += ["--layers", str(case.layers)]
    if case.fault:
        command += ["--fault", case.fault]
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
        file = (
            "frozen_graph: {}/model.pb" if (folder / "model.pb").is_file() else "saved_model: {}/saved_model"
        )
        lines += [
            f"  {folder.name}:",
            f"    reference: {{checkpoint: {folder.name}/model.ckpt}}",
            f"    export: {{{file.format(folder.name)}}}",
            f'    inputs: {{"image:0": {{npz: {folder.name}/inputs.npz}}}}',
            '    outputs: ["logits:0"]',
        ]
    return "\n".join(lines) + "\n"
