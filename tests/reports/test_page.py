"""``index.html``, without a browser."""

import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pytest_tfparity.diagnosis.causes import CATALOGUE
from pytest_tfparity.diagnosis.causes.pages import page_of
from pytest_tfparity.reports import folder as report_folder
from pytest_tfparity.reports import html
from pytest_tfparity.reports.html import missing_packages
from reports.results import ENVIRONMENT, broken, failing, passing

pytestmark = pytest.mark.skipif(
    bool(missing_packages()), reason=f"the extra report is not installed: {missing_packages()}"
)


class Page(HTMLParser):
    """The addresses, headings and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.headings: list[int] = []
        self.unnamed: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.addresses += [named[key] or "" for key in ("src", "href") if key in named]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if (tag == "img" and not named.get("alt")) or (tag == "svg" and not named.get("aria-label")):
            self.unnamed.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def page(*results: object) -> str:
    from pytest_tfparity.reports.html.page import report_page as made

    return made(results, ENVIRONMENT)  # type: ignore[arg-type]


def test_everything_that_was_found_is_on_the_page() -> None:
    text = Page(page(passing(), failing(), broken())).text
    for words in (
        "bn-training-mode (proven) in block1/bn_0 and 4 more, max abs 0.027",
        "41 of 80",
        "It normalises with the current batch & ignores <moving_mean>.",
        "is_training=true in the export",
        "Repaired in memory, the export matches to 2.4e-07.",
        "Fix: Build the export graph with training=False.",
        "61 further nodes differ only because of what comes before.",
        "block1/bn_4",
        "Still 0 and 1.",
        "Export again.",
        "culprit: block1/bn/unit_15/Conv2D (Conv2D)",
        "not finite, or of another shape",
        "2 of 3 batch norms differ",
        "6 of 12 constants hold something else than the reference",
        "class 3: 0.9",
        "It has no such node.",
        "3 layers with their ranges",
        "block2/relu (int8) accumulated 12 dB own 12.5 dB",
        "In quanta of 0.1",
        "tensorflow 2.21.0",
    ):
        assert words in text


def test_failing_checks_come_first() -> None:
    text = Page(page(passing("first"), broken("second"), failing("third"))).text
    assert text.index("::third") < text.index("::second") < text.index("::first")


def test_the_page_needs_no_network() -> None:
    made = page(failing(), broken())
    assert all(address.startswith(("#", "data:")) for address in Page(made).addresses)
    assert "url(" not in made
    assert "@import" not in made
    assert set(re.findall(r"https?://[^\s\"'<]+", made)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_names_of_a_model_cannot_become_markup() -> None:
    made = page(failing("<script>alert(1)</script>", scope="<b>x</b>"))
    assert "<script>alert" not in made
    assert "<b>x" not in made


def test_headings_are_in_order_and_pictures_have_names() -> None:
    found = Page(page(failing(), passing(), broken()))
    assert found.headings[0] == 1
    assert all(
        later <= earlier + 1 for earlier, later in zip(found.headings, found.headings[1:], strict=False)
    )
    assert found.unnamed == []


def test_no_id_stands_twice() -> None:
    ids = re.findall(r'\bid="([^"]+)"', page(failing("a"), failing("b")))
    assert len(ids) == len(set(ids))


def test_a_session_without_checks_has_a_page() -> None:
    assert "No parity check was made." in Page(page()).text


def test_a_thousand_nodes_take_two_seconds_and_two_megabytes_at_most(tmp_path: Path) -> None:
    page(failing())  # imports and templates
    started = time.process_time()
    report_folder.write_reports(tmp_path, [failing(nodes=1000)], ENVIRONMENT)
    assert time.process_time() - started < 2
    assert (tmp_path / "index.html").stat().st_size < 2_000_000
    assert (tmp_path / "report.json").stat().st_size < 2_000_000


def test_the_same_results_make_the_same_page() -> None:
    assert page(failing()) == page(failing())


def test_without_the_extra_one_line_says_how_to_get_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "find_spec", lambda name: None)
    line = report_folder.write_reports(tmp_path, [failing()], ENVIRONMENT)
    assert (
        line == f"{tmp_path / 'report.json'} (for a page to look at: pip install 'pytest-tfparity[report]')"
    )
    assert not (tmp_path / "index.html").exists()
    assert (tmp_path / "report.json").exists()


def test_a_page_that_cannot_be_made_costs_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> Path:
        raise RuntimeError("no")

    monkeypatch.setattr(report_folder, "write_page", refuse)
    line = report_folder.write_reports(tmp_path, [failing()], ENVIRONMENT)
    assert line.endswith("report.json (the page could not be made: RuntimeError: no)")


def test_the_overview_has_cause_and_place_then_the_fix_then_the_numbers() -> None:
    overview = Page(page(failing())).text.partition("Show checks with")[2].partition("Details of")[0]
    words = (
        "bn-training-mode (proven) in block1/bn_0 and 4 more",
        "Fix: Build the export graph",
        "max abs 0.027",
    )
    assert [overview.index(each) for each in words] == sorted(overview.index(each) for each in words)


def test_of_many_checks_the_first_alone_is_open() -> None:
    from pytest_tfparity.reports.html.page import report_page

    text = report_page([failing("one"), failing("two"), passing()], ENVIRONMENT)
    bodies = re.findall(r'<details class="body"( open)?><summary>Details', text)
    assert bodies == [" open", "", ""]


def test_a_cause_leads_to_its_explanation_in_the_page() -> None:
    from pytest_tfparity.reports.html.page import report_page

    markdown = (
        "# {0}: what it is\n\nSee `a<b`, or <https://example.org>.\n\n## Fix\n\n- one\n- two\n\n"
        "```python\nx < y\n```\n"
    )
    text = report_page([failing()], ENVIRONMENT, lambda cause: markdown.format(cause))
    assert '<a href="#cause-bn-training-mode"><code>bn-training-mode</code></a>' in text
    body = text.partition('<div id="cause-bn-training-mode">')[2].partition("</div>")[0]
    assert body.splitlines() == [
        '<p>See <code>a&lt;b</code>, or <a href="https://example.org">https://example.org</a>.</p>',
        "<h3>Fix</h3>",
        "<ul><li>one</li><li>two</li></ul>",
        "<pre tabindex='0'>x &lt; y</pre>",
    ]


def test_every_cause_has_an_explanation_that_the_page_can_show() -> None:
    from pytest_tfparity.reports.html.explanation import explanation

    for cause in CATALOGUE:
        made = explanation(page_of(cause))
        assert "<h3>How to fix it</h3>" in made
        assert "```" not in made


def test_a_proven_fault_is_offered_no_tolerance() -> None:
    assert "mend the fault" in Page(page(failing())).text
