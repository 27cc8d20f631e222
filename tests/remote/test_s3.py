"""A bucket as people have it: S3, of moto's server on the loopback, opened by s3fs."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("s3fs")
pytest.importorskip("moto.server")

from conftest import Project

pytestmark = pytest.mark.slow
MANIFEST = """\
models:
  net:
    reference: {checkpoint: s3://models/net/model.ckpt-7}
    export: {frozen_graph: s3://models/net/model.pb}
    inputs: {"image:0": {npz: images.npz, key: image}}
    outputs: ["logits:0"]
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for name, value in {
        "FSSPEC_S3_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "hidden-key",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def test_a_bucket_is_read_cold_warm_changed_and_offline(empty_project: Project, server: str) -> None:
    import s3fs

    empty_project.add()
    wrong = empty_project._networks(training_bn=True).frozen_graph
    system = s3fs.S3FileSystem(endpoint_url=server, skip_instance_cache=True)
    system.mkdir("models")
    for file in empty_project.path.glob("model*"):
        system.put_file(str(file), f"models/net/{file.name}")
        file.unlink()
    empty_project.write("pytest.ini", "[pytest]\ntfparity_downloads = cache\n")
    empty_project.write("tfparity.yaml", MANIFEST)
    cache = "--tfparity-cache=proven.json"
    cold = empty_project.run_apart(cache)
    cold.assert_outcomes(passed=1)
    assert "parity: 1 proven equal" in cold.outlines
    warm = empty_project.run_apart(cache, "-n", "4")
    assert "parity: 1 proven equal (1 remembered, its files being unchanged)" in warm.outlines
    system.put_file(str(wrong), "models/net/model.pb")
    changed = empty_project.run_apart(cache)
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(["*bn-training-mode*", "*s3://models/net/model.pb*"])
    empty_project.write("tfparity.yaml", MANIFEST.replace("model.pb", "none.pb"))
    missing = empty_project.run_apart(cache)
    assert "There is no s3://models/net/none.pb." in missing.outlines
    empty_project.write("tfparity.yaml", MANIFEST)
    os.environ["FSSPEC_S3_ENDPOINT_URL"] = "http://127.0.0.1:9"
    offline = empty_project.run_apart(cache)
    offline.assert_outcomes(failed=1)
    offline.stdout.fnmatch_lines(["s3://models/net/* cannot be reached: *The copy of * `offline: allow`."])
    for result in (cold, warm, changed, missing, offline):
        assert "hidden-key" not in result.stdout.str() + result.stderr.str()
