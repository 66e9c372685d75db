"""The page in a real browser: keys, autosave, files out and in, hostile texts, narrow windows."""

import json
import shutil

import pytest

from harness.human_eval.export import export
from harness.human_eval.results import evaluate_verdicts
from harness.human_eval.verdicts import read_verdicts
from tests.harness.human_eval.runs import make_study

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync", "--no-first-run"]  # fmt: skip
HOSTILE = [
    "<script>window.ran = 1</script>",
    "<img src=x onerror='window.ran = 1'>",
    "</script><script>window.ran = 1</script>",
    "<svg onload='window.ran = 1'> javascript:window.ran=1",
    "=1+1",
    "-- a list\n- with lines",
]


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield opened
        opened.close()


class Desk:
    """An annotator's browser on one page, with everything that it complains about."""

    def __init__(self, context, path):
        self.context, self.url = context, path.as_uri()
        self.problems, self.requests = [], []
        self.open()

    def open(self):
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(self.url)

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def text(self, selector):
        return self.page.locator(selector).inner_text()

    def expect(self, selector, text):
        """Waits until a text is there; the page's policy forbids waiting by a script."""
        playwright.expect(self.page.locator(selector)).to_contain_text(text, timeout=60_000)

    def saved(self, button, folder):
        with self.page.expect_download() as download:
            self.page.click(button)
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path


@pytest.fixture
def desk(browser, tmp_path, request):
    rubric = getattr(request, "param", "preference")
    study = make_study([(text, f"plain {n}") for n, text in enumerate(HOSTILE)], rubric)
    export(study, {}, tmp_path / "s")
    context = browser.new_context(viewport={"width": 1200, "height": 800}, accept_downloads=True)
    found = Desk(context, tmp_path / "s" / "annotator_1" / "annotate.html")
    found.study = study
    yield found
    context.close()
    assert found.problems == []
    assert {url.split(":")[0] for url in found.requests} <= {"file", "blob", "data"}


def test_help_greets_once(desk):
    assert desk.page.locator("#about").is_visible()
    desk.press("Enter")
    assert not desk.page.locator("#about").is_visible()
    desk.page.reload()
    assert not desk.page.locator("#about").is_visible()
    desk.press("?")
    assert desk.page.locator("#about").is_visible()


def test_keys_annotate_and_everything_is_there_after_a_reload(desk):
    desk.press("Escape", "a", "t", "3")
    assert desk.text("#count") == "3 of 6 done"
    assert desk.text("#number") == "Task 4 of 6"
    desk.press("c")
    desk.page.keyboard.type("a b t 1: not a verdict")
    desk.press("Escape", "ArrowLeft", "Backspace")
    assert desk.text("#count") == "2 of 6 done"
    desk.page.fill("#annotator", "Zoë")
    desk.page.close()
    desk.open()
    assert desk.text("#count") == "2 of 6 done"
    assert desk.text("#number") == "Task 3 of 6"
    assert desk.page.input_value("#annotator") == "Zoë"
    desk.press("ArrowRight")
    assert desk.page.input_value("#comment") == "a b t 1: not a verdict"
    desk.press("n", "n", "n")
    assert desk.text("#number") == "Task 3 of 6"


def test_a_verdict_is_shown_where_it_was_given(desk):
    desk.press("Escape", "b", "ArrowLeft")
    assert desk.page.locator("#options button.chosen").inner_text().startswith("B is better")
    assert desk.page.locator(".response.chosen h2").inner_text().upper() == "RESPONSE B"
    desk.press("ArrowLeft", "ArrowLeft")
    assert desk.text("#number") == "Task 1 of 6"
    desk.page.click("#strip button >> nth=5")
    assert desk.text("#number") == "Task 6 of 6"
    desk.press("ArrowRight")
    assert desk.text("#number") == "Task 6 of 6"


def test_hostile_responses_are_shown_and_do_nothing(desk):
    desk.press("Escape")
    seen = set()
    for _ in HOSTILE:
        seen |= set(desk.page.locator(".response p").all_text_contents())
        desk.press("ArrowRight")
    assert set(HOSTILE) <= seen
    assert desk.page.evaluate("window.ran") is None
    assert desk.page.locator("main script, main svg, main img").count() == 0


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_saved_file_is_what_import_reads_and_what_the_page_opens(desk, kind, browser, tmp_path):
    desk.press("Escape", "a", "t", "b", "a", "t")
    desk.page.fill("#annotator", "=Ann")
    desk.press("Escape", "c")
    desk.page.keyboard.type('=1+1, "quoted"\nand more')
    path = desk.saved(f"#export-{kind}", tmp_path)
    assert path.name == f"verdicts_{desk.study.sheets[0].id}_Ann.{kind}"
    returned = read_verdicts(desk.study, [path])
    assert returned.annotators == ["=Ann"]
    assert [verdict.value for verdict in returned.verdicts] == ["A", "tie", "B", "A", "tie"]
    assert len(returned.missing["=Ann"]) == 1
    assert evaluate_verdicts(desk.study, returned).outcomes[0].metrics[0].n_scored == 5

    context = browser.new_context(accept_downloads=True)
    other = Desk(context, tmp_path / "s" / "annotator_1" / "annotate.html")
    other.press("Escape")
    other.page.set_input_files("#file", path)
    other.expect("#count", "5 of 6 done")
    again = other.saved(f"#export-{kind}", tmp_path / "again")
    assert again.read_bytes() == path.read_bytes()
    assert other.problems == []
    context.close()


def test_a_file_of_another_sheet_or_no_file_of_ours_changes_nothing(desk, tmp_path):
    desk.press("Escape", "a")
    bad = tmp_path / "bad"
    bad.mkdir()
    for name, content in {
        "other.json": json.dumps({"sheet": "s0-1", "verdicts": []}),
        "broken.json": "{",
        "wrong.json": json.dumps({"sheet": desk.study.sheets[0].id, "verdicts": [{"id": "t00", "verdict": "C"}]}),
        "empty.csv": "",
        "other.csv": "sheet,id,verdict,comment,annotator\r\nx,y,A,,\r\n",
    }.items():  # fmt: skip
        (bad / name).write_text(content)
        desk.page.set_input_files("#file", bad / name)
        desk.expect("#message", f"{name} cannot be used")
    assert desk.text("#count") == "1 of 6 done"


def test_the_end_is_told(desk):
    desk.press("Escape", *"abtabt")
    assert "All 6 are done" in desk.text("#message")
    assert desk.text("#count") == "6 of 6 done"


@pytest.mark.parametrize("desk", ["hallucination"], indirect=True)
def test_ratings_have_their_digits(desk, tmp_path):
    desk.press("Escape", *"650")
    assert desk.text("#count") == "3 of 12 done"
    assert "something made up" in desk.text("#message")
    assert desk.page.locator(".response").count() == 1
    returned = read_verdicts(desk.study, [desk.saved("#export-json", tmp_path)])
    assert [verdict.value for verdict in returned.verdicts] == ["6", "5", "0"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1600])
def test_nothing_is_wider_than_the_window(browser, tmp_path, scheme, width):
    study = make_study([("word" * 200, "plain"), ("a", "b\n" * 100)])
    export(study, {}, tmp_path / "s")
    context = browser.new_context(viewport={"width": width, "height": 700}, color_scheme=scheme)
    desk = Desk(context, tmp_path / "s" / "annotator_1" / "annotate.html")
    desk.press("Escape")
    theme = desk.page.evaluate("document.documentElement.dataset.theme")
    wide = "[document.documentElement.scrollWidth, document.querySelector('main').scrollWidth]"
    for _ in study.tasks:
        assert max(desk.page.evaluate(wide)) <= width
        button = desk.page.locator("#options button >> nth=2").bounding_box()
        assert button["y"] + button["height"] <= 700
        desk.press("ArrowRight")
    desk.press("d")
    assert {theme, desk.page.evaluate("document.documentElement.dataset.theme")} == {
        "light",
        "dark",
    }
    assert theme == scheme
    assert desk.problems == []
    context.close()
