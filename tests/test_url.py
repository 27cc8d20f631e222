"""URLs in the place of paths: each is one path, and no message has a secret of it."""

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_tfparity.formats.format import is_elsewhere
from pytest_tfparity.url import (
    beside,
    is_url,
    name_of,
    path_of,
    shown,
    url_of,
    within,
    without_secrets,
)

parts = st.text("ab/.?#%&=:@ é\\", max_size=12)


@given(st.sampled_from(["s3", "gs", "http", "https", "abfs+x"]), parts, parts)
def test_a_path_stands_for_one_url(scheme: str, place: str, name: str) -> None:
    url = f"{scheme}://x{place}/{name}"
    path = path_of(url)
    assert url_of(path) == url
    assert url_of(pickle.loads(pickle.dumps(path))) == url
    assert not path.exists()
    assert is_elsewhere(path)


def test_what_is_no_url_is_a_path() -> None:
    for text in ("model.pb", "a/b://c d"[:3], "C://x", "C:\\x", "://x", "s3:/x", "/abs/model.pb", "a b://c"):
        assert not is_url(text)
        assert url_of(Path(text)) is None
    assert all(map(is_url, ("s3://b/k", "https://h/p?q=1", "gs://b/k", "file:///tmp/x", "memory://x")))


def test_a_suffix_is_that_of_the_file() -> None:
    assert path_of("https://host/a/images.npz?sig=x.y").suffix == ".npz"
    assert path_of("s3://bucket/what?.npz").suffix == ".npz"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://me:secret@host/a.pb?X-Amz-Signature=secret#secret", "https://host/a.pb"),
        ("https://host/a.pb?secret", "https://host/a.pb"),
        ("ftp://me:secret@host/a", "ftp://host/a"),
        ("s3://bucket/a?b#c.pb", "s3://bucket/a?b#c.pb"),
    ],
)
def test_no_secret_is_shown(url: str, expected: str) -> None:
    assert shown(url) == expected
    told = without_secrets(f"Cannot get <{url}>: '{url}' is {url}, sorry")
    assert "secret" not in told
    assert expected in told


def test_names_beside_and_within() -> None:
    url = "https://host/a/model.ckpt-1?token=x"
    assert name_of(url) == "model.ckpt-1"
    assert beside(url, "model.ckpt-1.index") == "https://host/a/model.ckpt-1.index?token=x"
    assert within("s3://bucket/folder/", "variables/x") == "s3://bucket/folder/variables/x"
    assert name_of("s3://bucket/folder/") == "folder"
