"""URLs in a manifest: models that lie on a server are checked like any other."""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")

from conftest import Project
from pytest_tfparity.__main__ import main
from pytest_tfparity.remote.server import Servers
from remote.servers import Bucket, served

REMEMBERED = "parity: 1 proven equal (1 remembered, its files being unchanged)"


def manifest(url: str) -> str:
    return f"""\
models:
  net:
    reference: {{checkpoint: "{url}/model.ckpt-7?token=secret"}}
    export: {{frozen_graph: "{url}/model.pb?token=secret"}}
    inputs:
      "image:0": {{npz: "{url}/images.npz", key: image}}
    outputs: ["logits:0", "probabilities:0"]
"""


@pytest.fixture
def bucket(empty_project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A right export and its checkpoint on a server; the project has the manifest alone."""
    monkeypatch.setattr("pytest_tfparity.remote.server.WAITS", (0.0,))
    monkeypatch.setattr(Servers.__init__, "__defaults__", ((0.0,),))
    empty_project.add()
    folder = empty_project.path / "bucket"
    folder.mkdir()
    for file in [*empty_project.path.glob("model*"), empty_project.path / "images.npz"]:
        file.rename(folder / file.name)
    empty_project.write("pytest.ini", "[pytest]\ntfparity_downloads = cache\n")
    with served(Bucket(folder)) as found:
        empty_project.write("tfparity.yaml", manifest(found.url))
        yield found


def test_a_model_on_a_server_is_proven_and_fetched_once(bucket: Bucket, empty_project: Project) -> None:
    for _ in range(2):
        result = empty_project.run(
            "--tfparity-run=always", "--tfparity-report=out", "--junit-xml=out.xml", "-rA"
        )
        result.assert_outcomes(passed=1)
        text = result.stdout.str() + "".join(
            path.read_text("utf-8")
            for path in (empty_project.path / "out.xml", empty_project.path / "out/report.json")
        )
        assert "secret" not in text
        assert f'"export": "{bucket.url}/model.pb"' in text
    names = ["model.ckpt-7.data-00000-of-00001", "model.ckpt-7.index", "model.ckpt-7.meta", "model.pb"]
    assert bucket.fetched() == ["images.npz", *names]


def test_an_unchanged_model_is_remembered_without_a_byte(bucket: Bucket, empty_project: Project) -> None:
    arguments = ("--tfparity-cache=proven.json",)
    empty_project.run(*arguments).assert_outcomes(passed=1)
    sent = bucket.sent
    time.sleep(0.2)
    assert REMEMBERED in empty_project.run(*arguments).outlines
    assert bucket.sent == sent


def test_a_wrong_export_is_explained_by_its_url(bucket: Bucket, empty_project: Project) -> None:
    empty_project.run().assert_outcomes(passed=1)
    wrong = empty_project._networks(training_bn=True)
    shutil.copy(wrong.frozen_graph, bucket.folder / "model.pb")
    result = empty_project.run("-rA")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*bn-training-mode*", f"*{bucket.url}/model.pb*"])
    for hidden in ("secret", f"{empty_project.path}/cache", "cache/folders"):
        assert hidden not in result.stdout.str()


def test_what_cannot_be_had_is_a_sentence(bucket: Bucket, empty_project: Project) -> None:
    (bucket.folder / "model.ckpt-7.data-00000-of-00001").unlink()
    result = empty_project.run()
    result.assert_outcomes(failed=1)
    assert f"There is no {bucket.url}/model.ckpt-7.data-00000-of-00001." in result.outlines
    (bucket.folder / "model.ckpt-7.index").unlink()
    assert f"There is no {bucket.url}/model.ckpt-7.index." in empty_project.run().outlines
    bucket.fails = lambda method, path: 403
    result = empty_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [f"{bucket.url}/* is refused (HTTP status 403). Its credentials are those of this*"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_offline_says_so_and_takes_copies_where_that_is_allowed(
    bucket: Bucket, empty_project: Project
) -> None:
    empty_project.run().assert_outcomes(passed=1)
    bucket.fails = lambda method, path: 503
    result = empty_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*cannot be reached: HTTP status 503. The copy of * `offline: allow`."])
    result = empty_project.run("--tfparity-offline=allow")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["net: *model.pb cannot be reached: *: the copy of * was taken (offline: allow)."]
    )


def test_workers_share_what_one_of_them_fetches(bucket: Bucket, empty_project: Project) -> None:
    pytest.importorskip("xdist")
    entry = manifest(bucket.url).split("models:\n")[1]
    empty_project.write(
        "tfparity.yaml",
        "models:\n" + "".join(entry.replace("  net:", f"  net{number}:") for number in range(4)),
    )
    empty_project.run_apart("-n", "4").assert_outcomes(passed=4)
    assert len(bucket.fetched()) == len(set(bucket.fetched())) == 5


def test_the_latest_checkpoint_of_a_folder_and_a_test_of_its_own(
    bucket: Bucket, empty_project: Project
) -> None:
    (bucket.folder / "run").mkdir()
    for file in bucket.folder.glob("model.ckpt-7*"):
        file.rename(bucket.folder / "run" / file.name)
    (bucket.folder / "run" / "checkpoint").write_text(
        'model_checkpoint_path: "/other/machine/model.ckpt-7"\n'
    )
    empty_project.write(
        "test_net.py",
        "from pytest_tfparity import assert_parity, parity\n"
        f"@parity(checkpoint='{bucket.url}/run', frozen_graph='{bucket.url}/model.pb', outputs=['logits:0'],\n"
        f"        inputs={{'image:0': {{'npz': '{bucket.url}/images.npz', 'key': 'image'}}}})\n"
        "def test_net(export_model, reference_model, golden_inputs):\n"
        "    assert_parity(export_model, reference_model, golden_inputs)\n"
        "    assert export_model.run(golden_inputs) == reference_model.run(golden_inputs)\n",
    )
    empty_project.run("test_net.py").assert_outcomes(passed=1)


@pytest.mark.parametrize("listing", [True, False])
def test_a_saved_model_is_fetched_with_or_without_a_listing(
    bucket: Bucket, empty_project: Project, listing: bool
) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.weight = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
    signature = tf.function(lambda image: {"logits": image @ module.weight})
    spec = tf.TensorSpec([None, 2], tf.float32, name="image")
    tf.saved_model.save(
        module, str(bucket.folder / "saved"), signatures=signature.get_concrete_function(spec)
    )
    bucket.listing = listing
    empty_project.write(
        "tfparity.yaml",
        f"models:\n  net:\n    reference: {{saved_model: '{bucket.url}/saved'}}\n"
        f"    export: {{saved_model: '{bucket.url}/saved'}}\n",
    )
    result = empty_project.run()
    result.assert_outcomes(passed=1)
    assert "parity: 1 proven equal" in result.outlines


def test_checksums_leave_the_data_where_it_is(bucket: Bucket, empty_project: Project) -> None:
    text = manifest(bucket.url) + "    trust: checksums\n"
    empty_project.write("tfparity.yaml", text)
    for _ in range(2):
        result = empty_project.run("--tfparity-report=out")
        result.assert_outcomes(passed=1)
        assert "parity: 1 within tolerance" in result.outlines
        result.stdout.fnmatch_lines(["net: Its weights were told by the checksums in its index*"])
    assert bucket.fetched() == ["images.npz", "model.ckpt-7.index", "model.ckpt-7.meta", "model.pb"]
    check = json.loads((empty_project.path / "out" / "report.json").read_text("utf-8"))["checks"][0]
    assert check["verdict"] == "pass"
    assert "checksums (crc32c), not bit for bit" in check["unproven"]
    # where they do not decide, all is fetched
    wrong = empty_project._networks(training_bn=True)
    shutil.copy(wrong.frozen_graph, bucket.folder / "model.pb")
    result = empty_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*bn-training-mode*"])
    assert "model.ckpt-7.data-00000-of-00001" in bucket.fetched()


def test_goldens_are_read_from_a_server_and_never_written_there(
    bucket: Bucket, empty_project: Project
) -> None:
    local = manifest(bucket.url) + "    golden: goldens/net.npz\n"
    empty_project.write("tfparity.yaml", local)
    empty_project.run("--tfparity-update").assert_outcomes(passed=1)
    shutil.copytree(empty_project.path / "goldens", bucket.folder / "goldens")
    empty_project.write("tfparity.yaml", local.replace("goldens/net.npz", f'"{bucket.url}/goldens/net.npz"'))
    empty_project.run("--tfparity-run=always").assert_outcomes(passed=1)
    result = empty_project.run("--tfparity-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["net: the goldens http*/goldens/net.npz lie elsewhere, where nothing is written.*"]
    )


def test_without_the_extra_one_sentence_says_what_to_install(
    bucket: Bucket, empty_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    result = empty_project.run()
    result.assert_outcomes(failed=1)
    hint = "Install what opens it: pip install 'pytest-tfparity[[]remote]'*"
    result.stdout.fnmatch_lines([f"{bucket.url}/* is a URL. {hint}"])


def test_a_pattern_of_models_is_one_of_files(bucket: Bucket, empty_project: Project) -> None:
    text = manifest(bucket.url).replace("  net:\n", f"  net:\n    each: {bucket.url}/*/model.pb\n")
    empty_project.write("tfparity.yaml", text)
    result = empty_project.run()
    assert result.ret == 2
    result.stdout.fnmatch_lines(
        ["tfparity.yaml:3: 'each' of model 'net' must be a pattern of files of this machine*"]
    )
    assert Path(empty_project.path / "cache").exists() is False


def test_the_command_takes_urls_and_init_does_not(
    bucket: Bucket,
    empty_project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(empty_project.path / "home"))
    files = [f"{bucket.url}/model.ckpt-7", f"{bucket.url}/model.pb"]
    assert main(["check", *files]) == 0
    assert "home/" not in capsys.readouterr().out
    assert main(["check", files[0], f"{bucket.url}/none.pb?secret"]) == 2
    assert capsys.readouterr().err == f"There is no {bucket.url}/none.pb.\n"
    assert main(["init", *files, "--manifest", "new.yaml"]) == 2
    assert capsys.readouterr().err.startswith("init reads files of this machine, no URLs.")
