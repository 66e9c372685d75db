"""The page in a real browser: real clicks and keys, and answers that try to run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.report.__main__ import main
from tests.harness.report.conftest import HOSTILE

Visit = Callable[..., Any]


def settled(page: Any, action: Callable[[], Any]) -> None:
    """Do something that changes the filters, and wait until the page has followed."""
    before = page.get_attribute("body", "data-ready")
    action()
    page.wait_for_function("before => document.body.dataset.ready !== before", arg=before)


def n_found(page: Any) -> int:
    return int(page.inner_text("#found b").replace(",", ""))


def selected(page: Any) -> str:
    page.wait_for_selector("#detail .detail-head")
    return str(page.inner_text("#detail .origin"))


def facet_count(page: Any, group: str, value: str) -> int:
    option = page.locator(
        f"[data-facet={group}] label", has=page.locator(f"input[value='{value}']")
    )
    return int(option.locator(".facet-count").inner_text().replace(",", ""))


def choose(page: Any, group: str, value: str) -> None:
    settled(page, lambda: page.check(f"[data-facet={group}] input[value='{value}']"))


def scores(runs: list[Path]) -> pd.DataFrame:
    """POPE's items: whether each run is right, NaN where it has no score."""
    tables = [pd.read_parquet(run / "pope" / "scores.parquet").set_index("item_id") for run in runs]
    right = [table["value.tp"] + table["value.tn"] for table in tables]
    return pd.DataFrame(
        {"a": right[0], "b": right[1], "split": tables[0]["split"], "status": tables[0]["status"]}
    )


def test_the_overview_shows_every_run_and_headline_metric(visit: Visit) -> None:
    page = visit()
    assert page.title() == "weak, strong <b>& · Plumbline"
    assert page.locator(".comparison thead .run").count() == 2
    assert page.locator(".comparison tr", has_text="mean_f1").count() == 1
    assert page.locator("#forest figure").count() > 0
    assert page.locator("#categories figure").count() > 0
    assert page.inner_text(".verdicts").startswith("B\nstrong <b>& against weak")


def test_hostile_texts_are_shown_and_do_not_run(visit: Visit) -> None:
    page = visit("samples")
    for item, answer in HOSTILE.items():
        page.evaluate("address => { location.hash = address }", f"pope/{item}")
        page.wait_for_function(
            "id => document.querySelector('#detail .origin')?.innerText.endsWith(id)", arg=item
        )
        shown = page.locator(".run-card .said").first.inner_text()
        assert answer.split("\u202e")[0][:40] in shown
    assert "owned" not in page.title()
    assert page.locator("#detail img[onerror], #detail svg[onload], #detail a").count() == 0


def test_no_script_can_be_made_from_text(visit: Visit, seen: list[str]) -> None:
    page = visit()
    refused = page.evaluate(
        """() => { try { document.createElement("p").innerHTML = "<b>x</b>"; return "" } catch (e) { return e.name } }"""
    )
    assert refused == "TypeError"
    assert "TrustedHTML" in seen.pop()


def test_characters_that_hide_or_reorder_are_shown_by_code_point(visit: Visit) -> None:
    page = visit("pope/popular/2")
    points = page.locator(".run-card .said .code-point").all_inner_texts()
    assert points == ["U+202E", "U+2066", "U+0000", "U+0007", "U+200B"]


def test_a_huge_answer_is_folded_and_unfolds(visit: Visit) -> None:
    page = visit("pope/adversarial/1")
    said = page.locator(".run-card .said").first
    assert len(said.inner_text()) < 2_000
    said.get_by_role("button").click()
    assert len(said.inner_text()) > 290_000
    said.get_by_role("button").click()
    assert len(said.inner_text()) < 2_000


def test_filters_count_what_pandas_counts(visit: Visit, runs: list[Path]) -> None:
    table = scores(runs)
    page = visit("samples")
    choose(page, "benchmark", "pope")
    assert n_found(page) == len(table)
    for split, count in table["split"].value_counts().items():
        assert facet_count(page, "split", split) == count
    both = table.dropna()
    expected = {
        ("agree", "differ"): (both.a != both.b).sum(),
        ("agree", "agree"): (both.a == both.b).sum(),
        ("change", "better"): (both.b > both.a).sum(),
        ("change", "worse"): (both.b < both.a).sum(),
        ("change", "equal"): (both.b == both.a).sum(),
        ("status", "generation_error"): (table.status == "generation_error").sum(),
    }
    for (group, value), count in expected.items():
        assert facet_count(page, group, value) == count
        choose(page, group, value)
        assert n_found(page) == count
        choose(page, group, "")
    choose(page, "split", "random")
    choose(page, "change", "better")
    random = both[both.split == "random"]
    assert n_found(page) == (random.b > random.a).sum()
    assert (
        facet_count(page, "split", "popular")
        == (both[both.split == "popular"].b > both[both.split == "popular"].a).sum()
    )


def test_turning_the_pair_around_turns_better_into_worse(visit: Visit) -> None:
    page = visit("samples?benchmark=pope")
    better, worse = (facet_count(page, "change", value) for value in ("better", "worse"))
    assert better != worse
    settled(page, lambda: page.select_option("#pick-b", "0"))
    settled(page, lambda: page.select_option("#pick-a", "1"))
    assert (facet_count(page, "change", "better"), facet_count(page, "change", "worse")) == (
        worse,
        better,
    )


def test_search_looks_into_questions_and_answers(visit: Visit, runs: list[Path]) -> None:
    page = visit("samples")
    table = pd.read_parquet(runs[0] / "object_halbench" / "scores.parquet")
    page.keyboard.press("/")
    page.keyboard.type("TELEPHONES")
    page.wait_for_function("() => location.hash.endsWith('q=TELEPHONES')")
    expected = len(table) + len(pd.read_parquet(runs[0] / "mmhal" / "scores.parquet"))
    assert n_found(page) == expected
    page.keyboard.press("Escape")
    settled(page, lambda: page.click("#reset"))
    assert page.input_value("#search") == ""
    assert n_found(page) > expected


def test_keys_walk_through_the_samples(visit: Visit) -> None:
    page = visit("samples?benchmark=pope")
    assert selected(page).endswith("random/1")
    page.keyboard.press("j")
    page.wait_for_function(
        "() => document.querySelector('#detail .steps .muted').innerText.startsWith('2 ')"
    )
    page.keyboard.press("ArrowDown")
    page.wait_for_function(
        "() => document.querySelector('#detail .steps .muted').innerText.startsWith('3 ')"
    )
    page.keyboard.press("k")
    page.keyboard.press("G")
    page.wait_for_function(
        "() => document.querySelector('#detail .steps .muted').innerText.startsWith('9 of 9')"
    )
    page.keyboard.press("g")
    page.wait_for_function(
        "() => document.querySelector('#detail .steps .muted').innerText.startsWith('1 of 9')"
    )
    settled(page, lambda: page.keyboard.press("d"))
    assert page.is_checked("[data-facet=agree] input[value=differ]")
    settled(page, lambda: page.keyboard.press("r"))
    assert page.is_checked("[data-facet=agree] input[value='']")
    page.keyboard.press("?")
    assert page.is_visible("#help")
    page.keyboard.press("Escape")
    assert page.is_hidden("#help")
    page.keyboard.press("o")
    assert page.is_visible("#overview")
    page.keyboard.press("o")
    assert page.is_visible("#samples")


def test_an_address_brings_back_the_view(visit: Visit) -> None:
    page = visit("samples")
    choose(page, "benchmark", "pope")
    choose(page, "agree", "differ")
    settled(page, lambda: page.select_option("#sort", "loss"))
    page.locator(".row").nth(1).click()
    page.wait_for_function(
        "() => document.querySelector('#detail .steps .muted').innerText.startsWith('2 ')"
    )
    address = page.evaluate("location.hash")
    where, found = selected(page), n_found(page)
    again = visit(address[1:])
    assert (selected(again), n_found(again)) == (where, found)
    assert again.input_value("#sort") == "loss"
    again.go_back()
    again.close()


def test_back_leads_back(visit: Visit) -> None:
    page = visit("samples")
    before = n_found(page)
    choose(page, "benchmark", "mmhal")
    assert n_found(page) < before
    settled(page, page.go_back)
    assert n_found(page) == before


def test_an_unknown_sample_is_told(visit: Visit) -> None:
    page = visit("pope/none/such")
    assert "no such sample" in page.text_content("#toast")


def test_runs_can_be_hidden(visit: Visit) -> None:
    page = visit("pope/random/1")
    assert page.locator(".run-card").count() == 2
    page.click("#runs-menu summary")
    settled(page, lambda: page.uncheck("#runs-list input[value='1']"))
    page.wait_for_function("() => document.querySelectorAll('.run-card').length === 1")
    assert page.locator("[data-facet=agree]").count() == 0
    assert page.is_disabled("#runs-list input[value='0']")
    page.click("#tab-overview")
    assert page.locator(".comparison thead .run:visible").count() == 1


def test_objects_are_marked_as_the_scorer_found_them(visit: Visit, runs: list[Path]) -> None:
    page = visit("object_halbench/1")
    card = page.locator(".run-card").first
    table = pd.read_parquet(runs[0] / "object_halbench" / "scores.parquet").set_index("item_id")
    details = json.loads(table.loc["1", "details"])
    made_up = {word for word, _ in details["hallucinated"]}
    grounded = {word for word, _ in details["mentions"]} - made_up
    assert set(card.locator(".said mark.made-up").all_inner_texts()) == made_up
    assert set(card.locator(".said mark.grounded").all_inner_texts()) == grounded
    assert page.is_visible(".legend")


def test_turns_passes_and_cut_answers_are_told_apart(visit: Visit) -> None:
    page = visit("mtbench/writing/1")
    card = page.locator(".run-card").first
    assert card.locator(".answer").count() == 2
    assert card.locator(".turn").count() == 1
    assert card.locator(".tag", has_text="cut off").count() == 2
    assert card.locator(".judge .reply").count() == 2
    passes = visit("mmbench/0")
    card = passes.locator(".run-card").first
    assert card.locator(".pass").count() == 4
    assert card.locator(".options .right").count() == 4


def test_a_failure_tells_its_reason(visit: Visit) -> None:
    page = visit("pope/random/3")
    card = page.locator(".run-card").first
    assert card.locator(".score").inner_text() == "generation error"
    assert "the server said <b>no</b>" in card.inner_text()


def test_a_picture_can_be_enlarged(visit: Visit) -> None:
    page = visit("pope/random/1")
    page.click(".picture button")
    assert page.is_visible("#zoom img")
    page.click("#zoom img")
    assert page.is_hidden("#zoom")


def test_on_a_phone_list_filters_and_sample_take_turns(visit: Visit) -> None:
    page = visit("samples", viewport={"width": 390, "height": 844})
    assert page.is_hidden("#detail")
    page.click("#facets-open")
    choose(page, "benchmark", "pope")
    page.click("#facets-close")
    assert n_found(page) == 9
    page.locator(".row").first.click()
    assert page.is_visible("#detail")
    assert page.is_hidden("#list")
    page.get_by_role("button", name="‹ List").click()
    assert page.is_visible("#list")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(visit: Visit, scheme: str) -> None:
    """WCAG's 4.5 to 1 for every pair of text and ground that the style uses."""
    page = visit(color_scheme=scheme)
    names = {"ink": ("paper", "surface", "sunken", "accent-wash"), "soft": ("paper", "surface"),
             "muted": ("paper", "surface", "accent-wash"), "accent": ("paper",), "good": ("surface", "good-wash", "paper"),
             "bad": ("surface", "bad-wash", "paper"), "warn": ("surface", "warn-wash")}  # fmt: skip
    pairs = [(text, ground) for text, grounds in names.items() for ground in grounds]
    pairs += [("on-c", f"c{number}") for number in range(8)]
    for text, ground in pairs:
        lightness = [_luminance(page, name) for name in (text, ground)]
        ratio = (max(lightness) + 0.05) / (min(lightness) + 0.05)
        assert ratio >= 4.5, (scheme, text, ground, round(ratio, 2))


def _luminance(page: Any, name: str) -> float:
    color = page.evaluate(
        "name => getComputedStyle(document.documentElement).getPropertyValue(name)", f"--{name}"
    ).strip()
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_everything_can_be_reached_by_keyboard_and_has_a_name(visit: Visit) -> None:
    page = visit("pope/random/1")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, [role=listbox], dialog, [role=region]")]
            .filter((e) => !(e.ariaLabel || e.innerText?.trim() || e.labels?.length || e.getAttribute("aria-labelledby")))
            .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    assert {"search", "sort", "list", "reset", "tab-overview"} <= reached


def test_objects_that_are_not_in_the_answer_are_listed(
    visit: Visit, runs: list[Path], tmp_path: Path
) -> None:
    run = shutil.copytree(runs[0], tmp_path / "run")
    path = run / "object_halbench" / "scores.parquet"
    table = pd.read_parquet(path)
    details = {"mentions": [["mouse", "mouse"]], "hallucinated": [["mouse", "mouse"]]}
    table["details"] = json.dumps(details)
    table.to_parquet(path, index=False)
    out = tmp_path / "r.html"
    assert main([str(run), "--out", str(out), "--benchmarks", "object_halbench"]) == 0
    page = visit("object_halbench/1", path=out)
    assert page.inner_text(".unplaced").split() == ["also", "counted", "mouse"]


def test_a_link_can_be_copied(visit: Visit) -> None:
    page = visit("pope/random/1", permissions=["clipboard-read", "clipboard-write"])
    page.keyboard.press("c")
    page.wait_for_function("() => document.getElementById('toast').textContent === 'Link copied'")
    assert page.evaluate("navigator.clipboard.readText()").endswith("#pope/random/1")


def test_links_of_the_overview_lead_to_samples_and_keep_the_runs(visit: Visit) -> None:
    page = visit("overview?runs=1")
    settled(page, page.locator(".comparison .section a").first.click)
    assert page.is_visible("#samples")
    assert page.is_checked("[data-facet=benchmark] input[value=pope]")
    assert page.is_checked("#runs-list input[value='1']")
    assert not page.is_checked("#runs-list input[value='0']")
