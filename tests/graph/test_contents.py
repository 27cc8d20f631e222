"""Names of constants: equal for the same dtype, shape and bits, and only then."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_tfparity.graph.graph import DType, Tensor
from pytest_tfparity.graph.proof.fingerprint import DIGEST_SIZE, Contents

FLOAT, INT = DType(1), DType(3)
LARGE = 3000  # values of four bytes: more than what is hashed outright


def tensor(array, dtype=FLOAT):
    return Tensor(dtype, array.shape, lambda: array)


def zeros(*, changed=(), dtype=np.float32):
    array = np.zeros(LARGE, dtype)
    array[list(changed)] = 1
    return array


def test_large_constants_with_the_same_bits_have_one_name() -> None:
    contents = Contents()
    assert contents.digest(tensor(zeros())) == contents.digest(tensor(zeros()))


def test_one_bit_anywhere_makes_another_name() -> None:
    contents = Contents()
    names = {contents.digest(tensor(zeros(changed=[place]))) for place in range(0, LARGE, 37)}
    assert len(names) == len(range(0, LARGE, 37))


def test_shape_type_and_sign_of_zero_are_part_of_the_name() -> None:
    contents = Contents()
    flat = zeros()
    of_another_shape = tensor(flat.reshape(2, -1))
    of_another_type = tensor(zeros(dtype=np.int32), INT)
    negative = tensor(-flat)
    names = {contents.digest(each) for each in (tensor(flat), of_another_shape, of_another_type, negative)}
    assert len(names) == 4


def test_what_was_numbered_apart_never_has_one_name() -> None:
    # Whoever compares names of two tables by mistake must not prove anything with them.
    one, other = Contents(), Contents()
    numbered = {contents.digest(tensor(zeros(changed=[i]))) for contents in (one, other) for i in range(3)}
    assert len(numbered) == 6


def test_lasting_names_are_those_of_every_process() -> None:
    name = Contents(lasting=True).digest(tensor(zeros(changed=[1])))
    assert name == Contents(lasting=True).digest(tensor(zeros(changed=[1])))
    assert name.hex() == "69ec06ec1ebb7ad3097d18bdfe1445f7"
    assert len(name) == DIGEST_SIZE


@given(st.lists(st.tuples(st.sampled_from([8, LARGE]), st.integers(0, 7)), max_size=8), st.booleans())
@settings(deadline=None, max_examples=50)
def test_names_are_equal_where_bits_are(described, lasting) -> None:
    arrays = [np.random.default_rng(seed).integers(0, 2, size).astype(np.float32) for size, seed in described]
    contents = Contents(lasting=lasting)
    names = [contents.digest(tensor(array)) for array in arrays]
    for name, array in zip(names, arrays, strict=True):
        for other_name, other in zip(names, arrays, strict=True):
            assert (name == other_name) is (array.tobytes() == other.tobytes())


def test_a_constant_that_is_written_alike_is_not_read_again() -> None:
    reads = []

    def load():
        reads.append(1)
        return np.float32([1, 2])

    contents = Contents()
    one, other = (Tensor(FLOAT, (2,), load, b"as written") for _ in range(2))
    assert contents.digest(one) == contents.digest(other) == contents.digest(tensor(np.float32([1, 2])))
    assert len(reads) == 1
    assert contents.digest(Tensor(FLOAT, (2,), lambda: np.float32([1, 3]), b"otherwise")) != contents.digest(
        one
    )
