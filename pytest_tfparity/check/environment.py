"""Where numbers were made: the versions and the processor that their last digits depend on."""

from __future__ import annotations

import functools
import platform
from importlib import metadata
from pathlib import Path

TENSORFLOW_BUILDS = (
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-intel",
    "tensorflow-macos",
    "tensorflow-rocm",
    "tensorflow-cpu-aws",
    "tensorflow-gpu",
    "tf-nightly",
    "tf-nightly-cpu",
    "intel-tensorflow",
)
"""The distributions that TensorFlow is installed by."""

_CPU_FLAGS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
_ARM_FLAGS = ("asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve", "sve2")


@functools.lru_cache(maxsize=1)
def _facts() -> tuple[tuple[str, str], ...]:
    return (
        ("tensorflow", _tensorflow()),
        ("numpy", _version("numpy") or ""),
        ("python", platform.python_version()),
        ("machine", f"{platform.system()} {platform.machine()}"),
        ("cpu", " ".join(_cpu_flags())),
    )


def environment() -> dict[str, str]:
    """Versions of TensorFlow (which is not imported), numpy and Python, the machine and its CPU flags."""
    return {name: fact for name, fact in _facts() if fact}


def _tensorflow() -> str:
    return next(filter(None, map(_version, TENSORFLOW_BUILDS)), "not installed")


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _cpu_flags() -> list[str]:
    """The flags that TensorFlow's kernels are chosen by; none where the system has no /proc/cpuinfo."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            known = _CPU_FLAGS if name.strip() == "flags" else _ARM_FLAGS
            present = set(value.split())
            return [flag for flag in known if flag in present]
    return []
