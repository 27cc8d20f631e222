"""Write what the package knows of ops anew, from the registries of several TensorFlows.

    python tests/graph/op_tables.py NEWEST_PYTHON [OLDER_PYTHON...]

takes interpreters that have the newest TensorFlow that is supported, the oldest, and 1.15, whose graphs are read too.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

TESTS = Path(__file__).resolve().parents[1]
TABLES = {
    TESTS / "graph" / "op_registry.py": "ops.json",
    TESTS / "soundness" / "signatures.py": "signatures.tsv",
}
GRAPH = TESTS.parent / "pytest_tfparity" / "graph"


def main(newest: str, *older: str) -> None:
    for script, table in TABLES.items():
        with TemporaryDirectory() as folder:
            others = [Path(folder, str(number)) for number in range(len(older))]
            for python, other in zip(older, others, strict=True):
                _run(python, script, [other])
            _run(newest, script, [GRAPH / table, *others])


def _run(python: str, script: Path, files: Sequence[Path]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([python, str(script), *map(str, files)], check=True, env=environment)


if __name__ == "__main__":
    main(*sys.argv[1:])
