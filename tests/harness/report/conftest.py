"""Two small runs, their report, and a real browser that notes whatever it should not see."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import Item, Request, Response
from harness.report.__main__ import main
from tests.harness.report.run_folders import write_run

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
HOSTILE = {
    "random/1": "<img src=x onerror=\"document.title='owned'\"><svg onload=\"document.title='owned'\">",
    "random/2": "</script><script>document.title='owned'</script><!-- <script>",
    "popular/1": "javascript:document.title='owned' <a href=\"javascript:document.title='owned'\">Yes</a>",
    "popular/2": "Yes \u202egnirts a si siht\u2066 \x00\x07\ud800 \u200b",
    "adversarial/1": '=HYPERLINK("http://example.invalid") ' + "very long " * 30_000,
}
"""By POPE's items, what a model might answer to whoever reads its answers in a browser."""


def _weak(item: Item, request: Request) -> str | Response:
    if item.id == "random/3":
        return Response.failed(request.id, request.key, "the server said <b>no</b>")
    return HOSTILE.get(item.id, "Yes")


def _strong(item: Item, request: Request) -> str:
    return str(item.reference["label"]).capitalize()


def _made_up(item: Item, request: Request) -> str:
    return "The image shows a farm. There is a red clover, two telephones and a purple envelope."


def _careful(item: Item, request: Request) -> str:
    return f"There is a {item.reference['objects'][0]}."


def _cut(item: Item, request: Request) -> Response:
    return Response(request.id, request.key, "There is a green tower", finish_reason="length")


def _letter(item: Item, request: Request) -> str:
    return "A"


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    shared = {"mmbench": _letter, "mtbench": _cut, "mmhal": _made_up}
    return [
        write_run(folder / "weak", {"pope": _weak, "object_halbench": _made_up, **shared}),
        write_run(
            folder / "strong <b>&",
            {"pope": _strong, "object_halbench": _careful, **shared},
            checkpoint="</script><script>document.title='owned'</script>",
        ),
    ]


@pytest.fixture(scope="session")
def report(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    assert main([*map(str, runs), "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs the test extra's playwright"
    )
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as session:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        launched = session.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield launched
        launched.close()


@pytest.fixture
def seen() -> list[str]:
    """What pages wrote to the console, which errors and dialogs they raised, what they asked the network for."""
    return []


@pytest.fixture
def visit(browser: Any, report: Path, seen: list[str]) -> Iterator[Callable[..., Any]]:
    """Opens the report at an address; afterwards nothing must have been seen."""
    contexts = []

    def opened(address: str = "", path: Path = report, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: seen.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: seen.append(f"error: {error}"))
        page.on("dialog", lambda dialog: seen.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith(("file:", "data:")) else seen.append(request.url)
            ),
        )
        page.goto(f"{path.as_uri()}#{address}")
        page.wait_for_selector("body[data-ready]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert seen == []
