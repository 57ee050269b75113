"""The pages in a browser, on a desk and on a phone.

Mutations seen to fail:
- (style.css) `.scroll` without overflow-x -> test_nothing_is_wider_than_the_screen
- (plots.py) labels drawn outside the figure (constrained layout off) -> test_no_text_of_a_plot_is_cut
- (page.html.jinja) an image from a server in the template -> test_no_request_leaves_the_page
- (page.html.jinja) `role="img"` without a label, headings out of order, `tabindex` left out -> test_axe_finds_nothing
- (plots.py) the axes' names not drawn -> test_axes_are_named_with_their_units
- (write.py) autoescape off -> test_what_models_say_is_text
- (style.css) a muted colour of the dark scheme too dark -> test_dark_and_light_keep_their_contrast
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest

from alignment.metrics import METRICS
from alignment.report.compare import run as compare
from alignment.report.config import CompareSettings
from alignment.report.write import write_report

pytestmark = pytest.mark.xdist_group("report")  # one worker: the small pipeline runs once

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
DESK, PHONE = 1280, 390
WIDER = """() => [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll') && !e.closest('svg'))
    .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5
        || e.getBoundingClientRect().left < -0.5).map(e => e.outerHTML.slice(0, 120))"""
CUT = """() => [...document.querySelectorAll('svg text')].filter(t => {
    const a = t.getBoundingClientRect(), b = t.ownerSVGElement.getBoundingClientRect();
    return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1
}).map(t => t.textContent)"""
SMALLEST = """() => Math.min(...[...document.querySelectorAll('svg text')].map(t => parseFloat(getComputedStyle(t).fontSize)
    * t.ownerSVGElement.getBoundingClientRect().width / t.ownerSVGElement.viewBox.baseVal.width))"""
PLOTS = """() => [...document.querySelectorAll('figure')].map(f => [f.querySelector('h3').textContent,
    f.querySelector('[role=img]').getAttribute('aria-label'), [...f.querySelectorAll('text')].map(t => t.textContent)])"""


class Opened:
    """A page in the browser; `asked`: what it tried to load besides itself."""

    def __init__(self, browser: Any, path: Path, width: int) -> None:
        self.asked: list[str] = []
        self.width = width
        self.context = browser.new_context(viewport={"width": width, "height": 900}, bypass_csp=True)
        self.page = self.context.new_page()
        self.page.route("**/*", lambda route: self._answer(route, path.as_uri()))
        self.page.goto(path.as_uri())

    def _answer(self, route: Any, own: str) -> None:
        if route.request.url == own:
            route.continue_()
        else:
            self.asked.append(route.request.url)
            route.abort()


@pytest.fixture(scope="module")
def pages(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    compared = tmp_path_factory.mktemp("compared") / "compare.html"
    compare(CompareSettings(runs=(str(whole / "sft"), str(whole / "seeds")), output=str(compared)))
    stages = {name: whole / name / "report.html" for name in ("sft", "reward-model", "ppo", "eval-second", "seeds")}
    return {"whole": write_report(whole), "compare": compared, **stages}


@pytest.fixture(
    scope="module",
    params=[
        ("whole", DESK),
        ("whole", PHONE),
        ("seeds", PHONE),
        ("compare", DESK),
        ("compare", PHONE),
        ("eval-second", PHONE),
    ],
    ids=lambda case: f"{case[0]}-{case[1]}",
)
def opened(request, browser, pages):
    name, width = request.param
    result = Opened(browser, pages[name], width)
    yield result
    result.context.close()


def test_nothing_is_wider_than_the_screen(opened):
    assert opened.page.evaluate(WIDER) == []
    widths = "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    scrolled, seen = opened.page.evaluate(widths)
    assert scrolled == seen


def test_no_text_of_a_plot_is_cut_or_small(opened):
    assert opened.page.evaluate(CUT) == []
    assert opened.page.evaluate(SMALLEST) >= 11


def test_no_request_leaves_the_page(opened):
    assert opened.asked == []
    assert opened.page.evaluate("() => document.querySelectorAll('script').length") == 0


def test_axe_finds_nothing(opened):
    """Every rule; colours, which are slow and do not depend on the width, on the phone alone."""
    opened.page.evaluate(AXE)
    colours = "true" if opened.width == PHONE else "false"
    found = opened.page.evaluate(f"() => axe.run({{rules: {{'color-contrast': {{enabled: {colours}}}}}}})")
    assert [(one["id"], one["nodes"][0]["html"][:150]) for one in found["violations"]] == []
    assert len(found["passes"]) > 20


def test_axes_are_named_with_their_units(opened):
    units = {metric.unit for metric in METRICS.values()} | {"step", "rollout", "answers", "√nats", "log ratio"}
    for title, alt, texts in opened.page.evaluate(PLOTS):
        named = [text for text in texts if any(unit in text for unit in units - {"s", "–"})]
        assert named, (title, texts)
        assert any(sign.isdigit() for sign in alt), (title, alt)


def test_every_stage_wrote_its_page(pages):
    for name, path in pages.items():
        assert path.read_text(encoding="utf-8").startswith("<!doctype html>"), name


def test_what_models_say_is_text(browser, pages, hostile):
    opened = Opened(browser, pages["eval-second"], DESK)
    assert opened.page.evaluate("() => document.querySelectorAll('script').length") == 0
    html = pages["eval-second"].read_text(encoding="utf-8")
    assert "<script" not in html
    prompts = opened.page.evaluate("() => [...document.querySelectorAll('.prompt')].map(p => p.textContent)")
    assert any(hostile.replace(" %", "\u00a0%") in prompt for prompt in prompts)
    opened.context.close()


def test_dark_and_light_keep_their_contrast(browser, pages):
    for scheme in ("dark", "light"):
        context = browser.new_context(viewport={"width": DESK, "height": 900}, bypass_csp=True, color_scheme=scheme)
        page = context.new_page()
        page.goto(pages["ppo"].as_uri())
        page.evaluate(AXE)
        found = page.evaluate("() => axe.run({runOnly: ['color-contrast']})")
        assert found["violations"] == []
        ratios = page.evaluate(CONTRAST)
        assert ratios, scheme
        assert min(ratios.values()) >= 4.5, (scheme, ratios)
        context.close()


CONTRAST = """() => {
    const style = getComputedStyle(document.documentElement);
    const light = hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16) / 255)
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
    const value = name => style.getPropertyValue(name).trim();
    const names = ['--ink', '--muted', ...[1, 2, 3, 4, 5, 6].map(n => `--series-${n}`)];
    const result = Object.fromEntries(names.map(name => [name, ratio(value(name), value('--paper'))]));
    return {...result, gone: ratio(value('--gone'), value('--gone-ink')), new: ratio(value('--new'), value('--new-ink'))};
}"""
"""axe cannot judge text in SVG: the ratios (WCAG 2.2, 1.4.3) of the page's own colours, by name."""
