"""YAML as the manifest reads it: plain values with lines, and nothing that any text can do to it."""

import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_tfparity.errors import SettingsError
from pytest_tfparity.settings import schema
from pytest_tfparity.settings.document import parse_document, plain_value
from pytest_tfparity.settings.manifest import load_manifest, read_manifest
from pytest_tfparity.settings.resolve import resolve
from pytest_tfparity.settings.roles import sections
from pytest_tfparity.settings.stated import Written, Wrong


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True), ("Off", False), ("~", None), ("", None), ("12", 12), ("-3", -3), ("0x1F", 31),
        ("5e-3", 0.005), (".5", 0.5), ("-.inf", -math.inf), ("12:30", "12:30"), ("010", "010"),
        ("1_000", "1_000"), ("2024-01-01", "2024-01-01"), ("nan", "nan"), ("e5", "e5"), ("1.2.3", "1.2.3"),
        ("y", "y"),
    ],
)  # fmt: skip
def test_scalars_without_quotes_mean_what_people_expect(text: str, value: object) -> None:
    assert plain_value(text) == value
    assert type(plain_value(text)) is type(value)


def test_depth_and_size_of_a_document_are_bounded() -> None:
    with pytest.raises(Wrong, match="nested more than 60 levels"):
        parse_document("[" * 100_000)
    doubled = "\n".join(f"- &a{n + 1} [*a{n}, *a{n}]" for n in range(30))
    with pytest.raises(Wrong, match="unfold to more than a million values"):
        parse_document(f"- &a0 [x, x]\n{doubled}")


words = st.sampled_from(
    [key.name for section in sections() for key in section.keys]
    + [choice for section in sections() for key in section.keys for choice in key.choices]
    + ["a:0", "^a", "a.npz", "artifacts/digits.pb", "*", "1e-5", "m:f", "<<", "quantile(0.5)", "::", "\0"]
)
leaves = st.one_of(words, st.booleans(), st.none(), st.integers(), st.floats(), st.text(max_size=8))
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=4)),
    max_leaves=20,
)
models = st.fixed_dictionaries(
    {},
    optional={
        key.name: st.one_of(trees, st.dictionaries(words, trees, max_size=4)) for key in schema.MODEL.keys
    },
)
manifests = st.one_of(
    trees,
    st.fixed_dictionaries(
        {"models": st.dictionaries(words, models, max_size=2)}, optional={"defaults": trees}
    ),
)


def as_marked(tree: object) -> Written:
    if isinstance(tree, dict):
        return Written(value={key: as_marked(value) for key, value in tree.items()}, line=1)
    if isinstance(tree, list):
        return Written(value=[as_marked(value) for value in tree], line=1)
    return Written(value=tree, line=1, written=str(tree))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=manifests)
def test_whatever_a_manifest_holds_it_loads_or_says_what_is_wrong(
    tree: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_tfparity.settings.manifest.read_document", lambda path: as_marked(tree))
    manifest = read_manifest(tmp_path / "tfparity.yaml")
    for problem in manifest.problems:
        assert problem.message.endswith((".", "?"))
    if not manifest.problems:
        for name, entry in manifest.models.items():
            assert resolve(entry, marker={}, ini={}, options={}, root=tmp_path, name=name).name == name


yaml_text = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "models", "defaults", ": ", ":", "- ", "\n", "\n  ", "\n    ", "{", "}", "[", "]", ", ", "&a",
                "*a", "<<", "'", '"', "#", "|", ">", "!", "!!", "?", "%", "---\n", "...\n", "\t", "1e-5",
                "reference", "atol", "\u2028", "\ufeff",
            ]
        ),
        st.text(max_size=3),
    ),
    max_size=20,
).map("".join)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=yaml_text)
def test_whatever_text_a_manifest_is_it_loads_or_says_what_is_wrong(text: str, tmp_path: Path) -> None:
    path = tmp_path / "tfparity.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(SettingsError) as caught:
        load_manifest(path)
    assert all(problem.message.endswith((".", "?")) for problem in caught.value.problems)
