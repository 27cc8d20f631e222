"""TensorFlow may be missing or broken."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_tfparity.errors import TensorFlowMissing
from pytest_tfparity.runtime import tensorflow as guard

pytest.importorskip("tensorflow")


@pytest.fixture
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A process in which TensorFlow was not imported yet."""
    guard._imported.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorflow"]:
        monkeypatch.delitem(sys.modules, name)
    return monkeypatch


def test_missing_tensorflow_is_told_with_the_command_that_installs_it(
    without_tensorflow: pytest.MonkeyPatch,
) -> None:
    without_tensorflow.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TensorFlowMissing, match=r'python -m pip install "pytest-tfparity\[tensorflow\]"'):
        guard.tensorflow()


def test_a_broken_tensorflow_is_told_apart_from_a_missing_one(
    without_tensorflow: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise ImportError('libcudart.so.9: cannot open')")
    without_tensorflow.syspath_prepend(str(tmp_path))
    with pytest.raises(
        TensorFlowMissing, match=r"cannot be imported: ImportError: libcudart.so.9: cannot open"
    ):
        guard.tensorflow()
