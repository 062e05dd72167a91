"""What only a browser can tell; skipped, with the reason, where there is none."""

from __future__ import annotations

import shutil

import pytest
from run_folders import (
    HOSTILE,
    LONG,
    add_patients,
    binary_run,
    edit_predictions,
    survival_run,
    with_survival,
)

from outcome.pipeline.rebuild_report import report as write_report
from outcome.reporting.multi_cohort import write_cohorts

api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CONTRAST = """() => {
  const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const lum = ([r, g, b]) => [r, g, b]
    .map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const back = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || ["SCRIPT", "STYLE"].includes(e.tagName)) continue;
    const a = lum(parse(getComputedStyle(e).color)), b = lum(back(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) bad.push(`${e.tagName}.${e.className} ${ratio.toFixed(2)}`);
  }
  return bad;
}"""


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory, saved_figures):
    arms = {"image": ["image"], LONG: ["image", "report"], HOSTILE: ["report"]}
    made = {
        "plain": survival_run(tmp_path_factory.mktemp("plain")),
        "hostile": survival_run(tmp_path_factory.mktemp("hostile"), arms=arms, n=60, name=HOSTILE),
        "binary": binary_run(tmp_path_factory.mktemp("binary")),
    }
    edit_predictions(made["plain"], with_survival)
    add_patients(made["plain"])
    add_patients(made["hostile"], hostile=HOSTILE)
    with saved_figures():
        written = {name: write_report(folder, show_ids=True) for name, folder in made.items()}
        both = [made["plain"], made["hostile"]]
        several = write_cohorts(both, tmp_path_factory.mktemp("several"))
    return {**written, "several": several.path}


@pytest.fixture
def visit(browser, pages):
    opened = []

    def go(name, width=1280, height=800, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        opened.append(context)
        page = context.new_page()
        page.troubles, page.requests = [], []
        page.on("console", lambda m: page.troubles.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(pages[name].as_uri())
        return page

    yield go
    for context in opened:
        context.close()


@pytest.mark.parametrize("name", ["plain", "hostile", "binary", "several"])
def test_no_error_and_no_request_leaves_the_file(visit, pages, name):
    page = visit(name)
    page.wait_for_load_state("networkidle")
    assert page.troubles == []
    outside = [u for u in page.requests if not u.startswith("data:")]
    assert outside == [pages[name].as_uri()]
    broken = page.evaluate("[...document.images].filter(i => !i.naturalWidth).length")
    assert broken == 0


@pytest.mark.parametrize("name", ["plain", "hostile", "binary", "several"])
@pytest.mark.parametrize("script", [True, False])
def test_a_phone_shows_it_without_scrolling_sideways(visit, name, script):
    page = visit(name, width=390, java_script_enabled=script)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390


PLACES = """() => [...document.querySelectorAll(".headline figure")].map((figure) => {
  const { top, bottom, left, right } = figure.getBoundingClientRect();
  return { top, bottom, left, right };
})"""


@pytest.mark.parametrize("name", ["plain", "binary"])
def test_the_first_screen_holds_the_curves(visit, name):
    page = visit(name)
    best, baseline, forest = page.evaluate(PLACES)
    for place in (best, baseline, forest):
        assert place["bottom"] <= 800
        assert place["right"] <= 1280
    assert best["right"] <= baseline["left"] <= baseline["right"] <= forest["left"]


def test_the_first_screen_of_a_phone_holds_a_curve(visit):
    page = visit("plain", width=390, height=844)
    assert page.evaluate(PLACES)[0]["bottom"] <= 844


def test_chapters_are_folded_and_the_page_is_short(visit):
    page = visit("plain")
    assert page.evaluate("document.documentElement.scrollHeight") <= 8 * 800
    assert not page.locator("#methods p").first.is_visible()
    page.locator("nav a[href='#methods']").click()
    page.wait_for_function("document.querySelector('#methods details').open")
    assert page.locator("#methods p").first.is_visible()


def test_no_table_scrolls_sideways_on_a_wide_screen(visit):
    page = visit("plain")
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    wide = page.evaluate(
        """() => [...document.querySelectorAll(".table")]
             .filter((t) => t.scrollWidth > t.clientWidth + 1)
             .map((t) => t.getAttribute("aria-label"))"""
    )
    assert wide == []


def test_the_contents_stay_in_view(visit):
    page = visit("plain")
    page.evaluate("window.scrollTo(0, 3000)")
    place = page.locator(".body > nav").bounding_box()
    assert 0 <= place["y"] < 100


def test_folded_chapters_open_without_scripts(visit):
    page = visit("plain", java_script_enabled=False)
    chapter = page.locator("#methods")
    assert not chapter.locator("p").first.is_visible()
    chapter.locator("summary").first.click()
    assert chapter.locator("p").first.is_visible()


def test_without_scripts_everything_is_visible(visit):
    page = visit("plain", java_script_enabled=False)
    for kind in ("chapter", "folded"):
        for title in page.locator(f"details.{kind} > summary").all():
            title.click()
    panels = page.locator(".panel")
    # Five chapters with three arms each, two further comparisons at most, and two horizons.
    assert panels.count() >= 5 * 3 + 2
    assert all(panel.is_visible() for panel in panels.all())
    assert page.locator("button").count() == 0


def test_tabs_work_with_mouse_and_keyboard(visit):
    page = visit("plain")
    group = page.locator("#risk-groups")
    tabs = group.get_by_role("tab")
    assert tabs.all_text_contents() == ["image", "report", "image+report"]
    assert group.locator(".panel:visible").count() == 1
    tabs.nth(2).click()
    assert group.locator("#groups-image-report").is_visible()
    page.keyboard.press("ArrowRight")
    assert group.locator("#groups-image").is_visible()
    assert tabs.nth(0).get_attribute("aria-selected") == "true"


def test_tables_sort_by_number_and_say_so(visit):
    page = visit("plain")
    table = page.locator("#discrimination table").first
    heading = table.locator("th", has_text="C-index")
    button = heading.get_by_role("button")

    def order():
        return table.locator("tbody th").all_text_contents()

    button.click()
    assert order() == ["image", "report", "image+report"]
    button.click()
    assert order() == ["image+report", "report", "image"]
    assert heading.get_attribute("aria-sort") == "descending"


def test_tables_are_copied_as_csv(visit):
    page = visit("plain")
    text = page.evaluate("asCsv(document.querySelector('#comparison table'))")
    assert text.splitlines()[0].startswith('"Arm","Against","Metric","Difference"')
    assert '"-0.020 to +0.120"' in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["plain", "several"])
def test_text_stands_out_from_its_ground(visit, scheme, name):
    page = visit(name, color_scheme=scheme)
    assert page.evaluate(CONTRAST) == []


@pytest.mark.parametrize(("system", "chosen"), [("light", "Dark"), ("dark", "Light")])
def test_the_colours_can_be_chosen(visit, system, chosen):
    page = visit("plain", color_scheme=system)
    other = visit("plain", color_scheme=chosen.lower())
    button = page.get_by_role("button", name=chosen, exact=True)
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == other.evaluate(ground)
    assert page.evaluate(CONTRAST) == []
    # The ink of the figures goes along: they look as they do where the system has these colours.
    first = "#discrimination img"
    page.wait_for_function("[...document.images].every(i => i.complete)")
    other.wait_for_function("[...document.images].every(i => i.complete)")
    assert page.locator(first).screenshot() == other.locator(first).screenshot()
    page.get_by_role("button", name="Auto", exact=True).click()
    assert page.evaluate(ground) != other.evaluate(ground)
    assert page.troubles == []


def test_a_figure_is_enlarged_and_closed_with_the_keyboard(visit):
    page = visit("plain")
    button = page.locator("#discrimination .zoom").first
    assert button.get_attribute("aria-label").startswith("Enlarge: C-index")
    button.focus()
    page.keyboard.press("Enter")
    large = page.locator("dialog img")
    assert large.is_visible()
    assert large.bounding_box()["width"] > 1.5 * button.bounding_box()["width"]
    page.keyboard.press("Escape")
    assert page.locator("dialog").count() == 0
    assert button.evaluate("e => e === document.activeElement")


def test_every_control_can_be_reached_with_the_keyboard(visit):
    page = visit("plain")
    unreachable = page.evaluate(
        """() => [...document.querySelectorAll("button")].filter(
             (b) => b.offsetParent && b.tabIndex < 0 && b.getAttribute("role") !== "tab").length"""
    )
    assert unreachable == 0
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button")].filter(
             (b) => !(b.textContent.trim() || b.getAttribute("aria-label"))).length"""
    )
    assert nameless == 0


def test_paper_shows_every_arm(visit):
    page = visit("plain", color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator(".themes").is_visible()
    panels = page.locator("#risk-groups .panel, #effects .panel")
    assert all(panel.is_visible() for panel in panels.all())
    assert page.locator("#methods p").first.is_visible()


def test_hostile_names_run_nothing(visit):
    page = visit("hostile")
    assert page.locator("script").count() == 1
    assert HOSTILE in page.locator("h1").inner_text()
    assert page.locator("td, th").filter(has_text="<script>").count() > 0
