"""``index.html`` in a browser: Chromium, driven by Playwright, with axe-core for accessibility."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_tfparity.reports.html import missing_packages
from reports.results import ENVIRONMENT, broken, failing, passing

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytest.importorskip("playwright", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium on the path: apt-get install chromium"),
    pytest.mark.skipif(
        bool(missing_packages()), reason=f"the extra report is not installed: {missing_packages()}"
    ),
]
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
LONG = "InceptionV3/InceptionV3/Mixed_6d/Branch_2/Conv2d_0c_1x7_" + "with_a_name_that_does_not_end_" * 4


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with every kind of check and picture."""
    from pytest_tfparity.reports.html import write_page

    results = [failing("net"), failing("long", scope=LONG, nodes=300), broken(), passing()]
    return write_page(tmp_path_factory.mktemp("page"), results, ENVIRONMENT).as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=flags)
        yield chromium
        chromium.close()


class Visit:
    """An open page, and everything that went wrong on it."""

    def __init__(self, browser: Any, address: str, width: str, **options: Any) -> None:
        size = dict(zip(("width", "height"), WIDTHS[width], strict=True))
        self.context = browser.new_context(viewport=size, **options)
        self.page = self.context.new_page()
        self.wrong: list[str] = []
        self.page.on("console", lambda line: self.wrong.append(line.text) if line.type != "log" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda asked: self._request(asked.url))
        self.page.goto(address)

    def _request(self, url: str) -> None:
        if not url.startswith(("file:", "data:")):
            self.wrong.append(f"asked for {url}")

    def unfold(self) -> None:
        self.page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *error: object) -> None:
        self.context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_every_click_works_and_nothing_is_logged(browser: Any, address: str, width: str) -> None:
    with Visit(browser, address, width) as visit:
        page = visit.page
        for link in page.locator(".summary a").all():
            link.click()
            target = page.url.partition("#")[2]
            assert page.locator(f"#{target}").is_visible()
        page.get_by_role("button", name="Unfold all").click()
        assert page.locator("details:not([open])").count() == 0
        page.get_by_role("button", name="Fold all").click()
        assert page.locator("details[open]").count() == 0
        for summary in page.locator("summary").all():
            summary.click()
        assert page.locator("details:not([open])").count() == 0
        assert visit.wrong == []


def test_the_filter_leaves_the_checks_that_have_the_words(browser: Any, address: str) -> None:
    with Visit(browser, address, "desktop") as visit:
        page = visit.page
        page.get_by_label("Show checks with").fill("broken damaged")
        assert page.locator(".check:visible h2").all_inner_texts() == ["not comparable broken"]
        page.get_by_label("Show checks with").fill("zebra")
        assert page.get_by_role("status").inner_text() == "No check has that."
        page.get_by_label("Show checks with").fill("")
        assert page.locator(".check:visible").count() == 4
        assert visit.wrong == []


def test_a_node_shows_its_name_on_hover(browser: Any, address: str) -> None:
    with Visit(browser, address, "desktop") as visit:
        visit.unfold()
        visit.page.locator(".wide .serie-2 circle").first.hover()
        tip = visit.page.locator("#tip").inner_text()
        assert tip.startswith("culprit: ")
        assert "Conv2D" in tip
        assert "own 0.02" in tip


@pytest.mark.parametrize("width", WIDTHS)
def test_long_names_do_not_widen_the_page(browser: Any, address: str, width: str) -> None:
    with Visit(browser, address, width) as visit:
        visit.unfold()
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width][0]
        outside = visit.page.evaluate(
            "[...document.querySelectorAll('main *')].filter(each => !each.closest('.scroll, svg')"
            " && each.getBoundingClientRect().right > innerWidth + 1).map(each => each.outerHTML.slice(0, 80))"
        )
        assert outside == []


def test_on_paper_nothing_is_cut_off(browser: Any, address: str) -> None:
    with Visit(browser, address, "desktop") as visit:
        visit.page.emulate_media(media="print")
        visit.page.set_viewport_size({"width": 718, "height": 1046})  # A4 within its usual margins
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 718
        assert visit.page.locator(".tools").is_hidden()


def test_the_page_is_readable_without_scripts(browser: Any, address: str) -> None:
    with Visit(browser, address, "phone", java_script_enabled=False) as visit:
        assert visit.page.locator(".check").count() == 4
        assert visit.page.locator(".tools").is_hidden()
        assert visit.page.get_by_text("Build the export graph with training=False.").first.is_visible()
        visit.page.locator("summary").last.click()


def test_the_dark_page_is_dark(browser: Any, address: str) -> None:
    script = "getComputedStyle(document.body).backgroundColor"
    with Visit(browser, address, "desktop", color_scheme="light") as visit:
        assert visit.page.evaluate(script) == "rgb(255, 255, 255)"
    with Visit(browser, address, "desktop", color_scheme="dark") as visit:
        assert visit.page.evaluate(script) == "rgb(18, 22, 29)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing(browser: Any, address: str, width: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    script = (Path(axe.__file__).parent / "axe.min.js").read_text("utf-8")
    with Visit(browser, address, width, color_scheme=scheme, bypass_csp=True) as visit:
        visit.unfold()
        visit.page.evaluate(script)
        found = visit.page.evaluate("axe.run()")
        violated = [(rule["id"], rule["impact"], rule["nodes"][0]["html"]) for rule in found["violations"]]
        assert violated == [], json.dumps(violated, indent=1)
        assert len(found["passes"]) > 10
