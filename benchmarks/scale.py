"""Measure many models, unchanged ones, and files on a server: ``python benchmarks/scale.py``.

Beside each stands what one would do without the plugin. Whole processes, as in ``run.py``; see README.md beside this
file.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from cases import CASES, build
from run import Run, measure

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from remote.servers import Bucket, served  # noqa: E402

PYTEST = (
    sys.executable,
    "-m",
    "pytest",
    "-q",
    "-p",
    "pytest_tfparity.plugin.hooks",
    "-p",
    "no:cacheprovider",
)
GROUP = """\
models:
  zoo:
    each: "{folder}/*/model.pb"
    reference:
      checkpoint: "{folder}/{{name}}/model.ckpt"
    export:
      frozen_graph: "{folder}/{{name}}/model.pb"
    inputs:
      "image:0": {{npz: "{folder}/{{name}}/inputs.npz"}}
    outputs: ["logits:0"]
"""
REMOTE = """\
models:
  net:
    reference:
      checkpoint: {url}/model.ckpt
    export:
      frozen_graph: {url}/model.pb
    outputs: ["logits:0"]
    trust: {trust}
"""
DOWNLOAD = """\
import sys, urllib.request
for url in sys.argv[1:]:
    urllib.request.urlretrieve(url, url.rpartition("/")[2])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=Path, default=Path(tempfile.gettempdir(), "tfparity-benchmarks"))
    parser.add_argument("--models", type=int, nargs="*", default=[1, 100, 1000])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cases = {case.name: case for case in CASES}
    rows: list[tuple[str, str, Run, str]] = []
    for name in ("small", "resnet50"):
        build(cases[name], options.networks)
    small, large = (next(iter(cases[name].folders(options.networks))) for name in ("small", "resnet50"))
    with tempfile.TemporaryDirectory() as folder:
        for row in (*many(Path(folder), small, options.models), *on_a_server(Path(folder), large)):
            rows.append(row)
            case, side, run, note = row
            print(f"{case:<16}{side:<34}{run.seconds:>8.2f} s{run.mebibytes:>7.0f} MiB  {note}", flush=True)
    if options.json:
        found = [{"case": case, "side": side, "note": note, **vars(run)} for case, side, run, note in rows]
        options.json.write_text(json.dumps(found, indent=1))


def many(folder: Path, source: Path, counts: Sequence[int]) -> Iterator[tuple[str, str, Run, str]]:
    """One, a hundred, a thousand small pairs: collected, proven, remembered, on two workers; a script in a loop."""
    for count in counts:
        home = folder / f"models-{count}"
        names = [f"m{number:04d}" for number in range(count)]
        for name in names:
            shutil.copytree(source, home / "zoo" / name)
        (home / "tfparity.yaml").write_text(GROUP.format(folder="zoo"))
        case, pytest = f"models-{count}", [*PYTEST, "tfparity.yaml"]
        yield case, "collected", measure([*pytest, "--collect-only"], home), ""
        yield case, "proven", measure([*pytest, "--tfparity-cache=v.json"], home), ""
        cached = [*PYTEST[:-2], "tfparity.yaml"]
        measure(cached, home)
        yield case, "remembered", measure(cached, home), ""
        if count > 1:
            yield case, "proven, -n 2", measure([*pytest, "-p", "xdist.plugin", "-n", "2"], home), ""
        if count <= 100:
            plain = [sys.executable, str(HERE / "plain.py"), *(f"zoo/{name}" for name in names)]
            yield case, "plain script, a loop", measure(plain, home), ""
        shutil.rmtree(home)


def on_a_server(folder: Path, source: Path) -> Iterator[tuple[str, str, Run, str]]:
    """A pair on a web server: first run, unchanged, by checksums; a script that fetches, then compares."""
    total = sum(path.stat().st_size for path in source.glob("model*"))
    with served(Bucket(source)) as bucket:

        def measured(command: Sequence[str], home: Path) -> tuple[Run, str]:
            before = bucket.sent
            run = measure(command, home)
            sent = bucket.sent - before
            return run, f"{sent / 1e6:,.1f} MB sent, {sent / total:.1%}"

        for trust in ("contents", "checksums"):
            home = folder / trust
            home.mkdir()
            (home / "tfparity.yaml").write_text(REMOTE.format(url=bucket.url, trust=trust))
            (home / "pytest.ini").write_text("[pytest]\ntfparity_downloads = cache\n")
            command = [*PYTEST[:-2], "tfparity.yaml"]
            for side in ("cold", "warm"):
                yield "server", f"{trust}, {side}", *measured(command, home)
        home = folder / "plain"
        home.mkdir()
        shutil.copy(source / "inputs.npz", home)
        files = [f"{bucket.url}/{path.name}" for path in source.glob("model*")]
        fetch, note = measured([sys.executable, "-c", DOWNLOAD, *files], home)
        compare = measure([sys.executable, str(HERE / "plain.py"), "."], home)
        both = Run(
            seconds=fetch.seconds + compare.seconds,
            processor=fetch.processor + compare.processor,
            mebibytes=max(fetch.mebibytes, compare.mebibytes),
        )
        yield "server", "fetched, plain script, each run", both, note


if __name__ == "__main__":
    main()
