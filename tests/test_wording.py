"""Words of messages agree with how many things they are about."""

import pytest

from pytest_tfparity.wording import counted, enumerated, verb


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "a"], "a and b"),
        (["a", "b", "c", "d"], "a, b, c and d"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
    ],
)
def test_names_are_enumerated_each_once_and_one_is_never_left_as_one_more(
    names: list[str], said: str
) -> None:
    assert enumerated(names) == said


def test_nouns_and_verbs_go_with_their_number() -> None:
    said = [
        f"{counted(len(things), 'constant')} {verb(things, 'differs', 'differ')}" for things in ("a", "ab")
    ]
    assert said == ["1 constant differs", "2 constants differ"]
