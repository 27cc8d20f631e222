"""Where golden inputs come from, and what is said when they cannot be made."""

from __future__ import annotations

import hashlib
import io
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import MANIFEST, Project
from pytest_tfparity.check.inputs import load_input
from pytest_tfparity.errors import InputError
from pytest_tfparity.goldens.archive import write_archive
from pytest_tfparity.settings.spec import (
    BytesSource,
    CallSource,
    ImageSource,
    InputSource,
    NpzSource,
    RandomSource,
)

IMAGE = np.arange(6, dtype=np.float32).reshape(2, 3)


def load(source: InputSource, root: Path = Path(), name: str = "image:0") -> Any:
    return load_input(source, root, name=name)


def refused(source: InputSource, root: Path = Path()) -> str:
    with pytest.raises(InputError) as caught:
        load(source, root)
    return str(caught.value)


def random(distribution: Any, *shape: int, **facts: Any) -> RandomSource:
    return RandomSource(distribution=distribution, shape=shape, **facts)


@pytest.mark.parametrize(
    ("source", "digest"),
    [
        (random("normal", 1000), "d454da7a5c7b60ac"),
        (random("normal", 3, 5, dtype="float16", mean=0.3, stddev=7.7, seed=9), "7c6883667c3c5f4b"),
        (random("uniform", 100000), "f4244db2ec30bc66"),
        (random("uniform", 1000, low=-3.3, high=0.7, dtype="bfloat16"), "b9b942f55f91ede8"),
        (random("integers", 1000, dtype="uint8"), "d22471ba34f98cda"),
        (random("integers", 1000, dtype="int64", low=-(2.0**63), high=2.0**63), "1ec09f15112f8789"),
        (random("integers", 9, dtype="bool"), "14ba80008e9a3195"),
        (random("integers", 9, dtype="float32", low=-8, high=8), "04de47dbc70edbf0"),
    ],
)
def test_random_numbers_are_the_same_everywhere(source: RandomSource, digest: str) -> None:
    array = load(source)
    assert array.shape == source.shape
    assert array.dtype.name == source.dtype
    assert hashlib.sha256(array.tobytes()).hexdigest()[:16] == digest
    assert not array.flags.writeable


def test_more_random_numbers_than_a_check_can_hold_are_refused_before_one_is_drawn() -> None:
    with pytest.raises(InputError, match=r"1,000,000,000,000 random numbers are more than fit into a check"):
        load(random("normal", 100_000, 100_000, 100))


def test_random_numbers_depend_on_the_seed_and_on_the_name() -> None:
    source, reseeded = random("normal", 4), random("normal", 4, seed=1)
    assert not np.array_equal(load(source), load(reseeded))
    assert not np.array_equal(load(source, name="a:0"), load(source, name="b:0"))
    np.testing.assert_array_equal(load(source), load(source))


def test_normal_numbers_have_the_mean_and_deviation_asked_for() -> None:
    values = load(random("normal", 200_000, dtype="float64", mean=3.0, stddev=2.0))
    assert values.mean() == pytest.approx(3.0, abs=0.02)
    assert values.std() == pytest.approx(2.0, abs=0.02)


@settings(deadline=None)
@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e6),
    st.sampled_from(["float16", "bfloat16", "float32", "float64"]),
    st.integers(0, 2**40),
)
def test_uniform_numbers_stay_below_high(low: float, width: float, dtype: str, seed: int) -> None:
    source = random("uniform", 300, low=low, high=low + width, dtype=dtype, seed=seed)
    try:
        values = load(source).astype(np.float64)
    except InputError as error:
        assert "beyond float16" in str(error)  # noqa: PT017
        return
    assert (values < low + width).all()
    smallest = {"float16": 2**-24, "bfloat16": 2**-133, "float32": 2**-149}.get(dtype, 0.0)  # subnormals
    assert (values >= low - max(abs(low) * 2**-7, smallest)).all()  # rounding to the dtype


@settings(deadline=None)
@given(st.sampled_from(["int8", "uint8", "int16", "int32", "int64", "uint64", "bool"]), st.data())
def test_integers_stay_within_their_bounds(dtype: str, data: st.DataObject) -> None:
    least, most = (0, 1) if dtype == "bool" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    bounds = st.integers(max(least, -(2**53)), min(most, 2**53))
    low = data.draw(bounds)
    high = data.draw(st.integers(low, min(most, 2**53))) + 1
    values = load(random("integers", 50, dtype=dtype, low=low, high=high))
    assert all(low <= value < high for value in values.astype(object).tolist())


def test_small_integers_are_all_drawn() -> None:
    assert set(load(random("integers", 2000, dtype="int32", low=-3, high=3)).tolist()) == set(range(-3, 3))
    assert set(load(random("integers", 9000, dtype="int8")).tolist()) == set(range(128))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (random("uniform", 3, dtype="int32"), "cannot have dtype int32. Use the distribution integers."),
        (random("normal", 3, dtype="complex64"), "cannot have dtype complex64."),
        (random("normal", 3, dtype="float33"), "there are no random numbers of dtype float33"),
        (random("integers", 3, dtype="object"), "cannot have dtype object"),
        (random("integers", 3, dtype="uint8", high=257), "from 0 to below 257 do not fit uint8"),
        (random("integers", 3, dtype="uint8", low=-1), "do not fit uint8, which goes from 0 to 255"),
        (random("integers", 3, dtype="int8", high=2.5), "must be whole numbers, not 2.5"),
        (random("uniform", 3, low=2.0), "low must be below high, but low is 2 and high is 1"),
        (random("normal", 3, 0), "sizes of a shape are at least 1, but it is [3, 0]"),
        (random("normal", 300, dtype="float16", stddev=1e6), "are beyond float16"),
    ],
)
def test_random_numbers_that_do_not_exist_are_refused(source: RandomSource, message: str) -> None:
    said = refused(source)
    assert said.startswith("Input image:0: ")
    assert message in said


def test_an_array_of_an_npz_file_is_found_by_tensor_name_or_key(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    np.savez_compressed(path, **{"image:0": IMAGE, "net/other": IMAGE + 1})
    np.testing.assert_array_equal(load(NpzSource(path=path)), IMAGE, strict=True)
    other = load(NpzSource(path=path, key="net/other"))
    np.testing.assert_array_equal(other, IMAGE + 1)
    assert not other.flags.writeable


def test_a_key_that_is_missing_names_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    np.savez(path, images=IMAGE, labels=IMAGE)
    assert refused(NpzSource(path=path, key="image")) == (
        f"Input image:0: {path} holds no array 'image' (it holds images and labels)."
        " Did you mean 'images'? State the array's name as `key`."
    )


def test_a_whole_npy_file_is_an_input(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    np.save(path, IMAGE)
    np.testing.assert_array_equal(load(NpzSource(path=path)), IMAGE)
    assert "is a single array, so it has no key 'a'" in refused(NpzSource(path=path, key="a"))


def test_goldens_can_be_inputs_of_another_check(tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    strings = np.array([b"one\0", b""], object)
    path.write_bytes(write_archive({"image:0": strings, "x:0": IMAGE}))
    assert load(NpzSource(path=path)).tolist() == [b"one\0", b""]
    np.testing.assert_array_equal(load(NpzSource(path=path, key="x:0")), IMAGE)


def test_numpy_strings_become_bytes(tmp_path: Path) -> None:
    path = tmp_path / "text.npz"
    np.savez(path, a=np.array(["é", "b"]), b=np.array([b"one"]))
    assert load(NpzSource(path=path, key="a")).tolist() == ["é".encode(), b"b"]
    assert load(NpzSource(path=path, key="b")).dtype == object


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory."),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "is a Git LFS pointer"),
        (b"", "is empty"),
        (b"a,b\n1,2\n", "is not an npz file"),
        (b"PK\x03\x04 and then nothing", "is damaged (BadZipFile"),
        (b"\x93NUMPY\x01\x00", "is damaged (ValueError"),
    ],
)
def test_a_file_that_is_no_array_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "images.npz"
    if content is not None:
        path.write_bytes(content)
    said = refused(NpzSource(path=path))
    assert said.startswith(f"Input image:0: {path} ")
    assert message in said


def test_a_damaged_entry_is_named(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    np.savez(path, **{"image:0": IMAGE})
    content = path.read_bytes()
    path.write_bytes(content.replace(IMAGE.tobytes(), IMAGE.tobytes()[::-1]))
    assert "is damaged (BadZipFile: Bad CRC-32" in refused(NpzSource(path=path))


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    for path in (tmp_path / "images.npz", tmp_path / "images.npy"):
        objects = np.array([{"a": 1}], object)
        if path.suffix == ".npz":
            np.savez(path, **{"image:0": objects})
        else:
            np.save(path, objects)
        assert "holds pickled Python objects, which are never loaded" in refused(NpzSource(path=path))


def test_files_are_strings_byte_for_byte(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jpg", tmp_path / "b.jpg"
    first.write_bytes(b"\xff\xd8\x00")
    second.write_bytes(b"")
    array = load(BytesSource(paths=(first, second)))
    assert (array.shape, array.dtype, array.tolist()) == ((2,), object, [b"\xff\xd8\x00", b""])
    assert not array.flags.writeable
    assert "c.jpg cannot be read" in refused(BytesSource(paths=(tmp_path / "c.jpg",)))
    assert "is empty (shape [0])" in refused(BytesSource(paths=()))
    second.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert "b.jpg is a Git LFS pointer" in refused(BytesSource(paths=(first, second)))


def test_images_keep_their_numbers_in_another_dtype(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"stands for an image")
    pixels = np.full((1, 2, 2, 3), 255, np.uint8)
    decoder = types.ModuleType("pytest_tfparity.runtime.images")
    decoder.decode_images = lambda paths, channels: pixels[..., :channels]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pytest_tfparity.runtime.images", decoder)
    assert load(ImageSource(paths=(path,))).dtype == np.uint8
    array = load(ImageSource(paths=(path,), channels=1, dtype="float32"))
    assert (array.shape, array.dtype, array.max()) == ((1, 2, 2, 1), np.float32, 255.0)
    assert pixels.flags.writeable
    assert "missing.png cannot be read" in refused(ImageSource(paths=(tmp_path / "missing.png",)))


def write_module(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    folder.joinpath(f"{name}.py").write_text(text, encoding="utf-8")


@pytest.fixture(autouse=True)
def _forget_modules() -> Any:
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        if name.startswith("golden_"):
            del sys.modules[name]


def test_a_function_of_the_project_gives_the_array(tmp_path: Path) -> None:
    write_module(tmp_path, "golden_more", "SIZE = 3\n")
    write_module(
        tmp_path,
        "golden_source",
        "import numpy as np\nKEPT = np.ones(3)\n"
        "def images():\n    from golden_more import SIZE\n    return KEPT[:SIZE]\n"
        "class Source:\n    @staticmethod\n    def texts():\n        return ['a', b'b']\n",
    )
    before = list(sys.path)
    array = load(CallSource(function="golden_source:images"), tmp_path)
    assert sys.path == before
    np.testing.assert_array_equal(array, np.ones(3))
    assert not array.flags.writeable
    assert sys.modules["golden_source"].KEPT.flags.writeable
    texts = load(CallSource(function="golden_source:Source.texts"), tmp_path)
    assert texts.tolist() == [b"a", b"b"]


def test_modules_of_one_name_in_two_projects_are_told_apart(tmp_path: Path) -> None:
    for number in (1, 2, 1):
        folder = tmp_path / f"project{number}"
        write_module(folder, "golden_twin", f"def array():\n    return [{number}]\n")
        assert load(CallSource(function="golden_twin:array"), folder).tolist() == [number]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "def f():\n    raise KeyError('x')\n",
            "golden_bad:f raised KeyError: 'x', in golden_bad.py:2: raise",
        ),
        ("1 / 0\n", "golden_bad cannot be imported: ZeroDivisionError: division by zero, in golden_bad.py:1"),
        ("def f(:\n", "golden_bad cannot be imported: SyntaxError"),
        (
            "import golden_nowhere\n",
            "ModuleNotFoundError: No module named 'golden_nowhere', in golden_bad.py:1",
        ),
        ("def ff():\n    return 1\n", "golden_bad.py has no function 'f'."),
        ("f = 3\n", "is a int, not a function."),
        ("def f():\n    pass\n", "returned nothing. It must return the array."),
        ("def f():\n    return [[1], [2, 3]]\n", "returned a list that is no array"),
        ("def f():\n    return [{}]\n", "holds a Python dict, where only strings can be stored"),
        ("def f():\n    return []\n", "is empty (shape [0]), so it proves nothing"),
        ("import datetime\ndef f():\n    return datetime.date\n", "holds a Python"),
    ],
)
def test_what_is_wrong_with_a_function_is_said_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    write_module(tmp_path, "golden_bad", text)
    said = refused(CallSource(function="golden_bad:f"), tmp_path)
    assert said.startswith("Input image:0: ")
    assert message in said
    assert str(tmp_path) not in sys.path


def test_a_function_must_be_named_with_its_module(tmp_path: Path) -> None:
    assert "must name a function as module:function" in refused(CallSource(function="images"), tmp_path)


def test_a_large_array_of_a_wrong_shape_is_refused_before_it_is_read(project: Project) -> None:
    """Its values are not even there: a file of a hundred bytes says that it holds four gigabytes."""
    header = io.BytesIO()
    stated = {"descr": "<f4", "fortran_order": False, "shape": (1 << 30,)}
    np.lib.format.write_array_header_1_0(header, stated)
    with zipfile.ZipFile(project.path / "bomb.npz", "w") as archive:
        archive.writestr("image.npy", header.getvalue())
    project.write("tfparity.yaml", MANIFEST.replace("images.npz", "bomb.npz"))
    result = project.run("-v")
    result.assert_outcomes(failed=1)
    said = "takes float32 [[]?,6,6,2[]]; the array given for it is float32 [[]1073741824[]]."
    result.stdout.fnmatch_lines([f"net: image:0 {said}", "  It comes from bomb.npz."])
