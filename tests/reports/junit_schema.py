"""What Jenkins' xUnit plugin demands of a JUnit file, read off its schema junit-10.xsd (version 3.1)."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

RESULT = (set[str](), {"type", "message"}, set[str]())
TEXT = (set[str](), set[str](), set[str]())
OUTCOMES = {"skipped", "error", "failure", "system-out", "system-err"}
SUITE = {"name", "tests", "failures", "errors"}
RULES: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        SUITE,
        SUITE | {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "testcase": ({"name"}, {"name", "time", "classname", "group"}, OUTCOMES),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, {"name", "value"}, set()),
    "failure": RESULT,
    "error": RESULT,
    "skipped": RESULT,
    "system-out": TEXT,
    "system-err": TEXT,
}
"""Of each element: the attributes it must have, those it may have, and the elements it may hold."""
HOLD_TEXT = {"failure", "error", "skipped", "system-out", "system-err"}


def violations(element: Element) -> Iterator[str]:
    """Everything below ``element`` that the schema forbids, as sentences."""
    required, allowed, children = RULES[element.tag]
    for name in required - set(element.keys()):
        yield f"{element.tag} lacks the attribute {name}"
    for name in set(element.keys()) - allowed:
        yield f"{element.tag} may not have the attribute {name}"
    if element.tag not in HOLD_TEXT and (element.text or "").strip():
        yield f"{element.tag} may not hold text"
    for child in element:
        if (child.tail or "").strip():
            yield f"{element.tag} may not hold text"
        if child.tag in children:
            yield from violations(child)
        else:
            yield f"{element.tag} may not hold {child.tag}"
