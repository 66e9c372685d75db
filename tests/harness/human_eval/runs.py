"""Small runs and studies of the pocket edition, made through the real benchmark, oracle and run folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.base import Edition, Item, JudgeRequest, Judgment, JudgmentStatus, Response
from benchmarks.pocket import mmhal as pocket_mmhal
from benchmarks.registry import open_benchmark, options_of
from harness.human_eval.draw import Plan, make_sheets
from harness.human_eval.rubrics import RUBRICS
from harness.human_eval.study import Judged, Question, Study, Task
from harness.scoring import measure, score_items
from harness.store import RunFolder

Answer = Callable[[Item], str | None]

NAMES = ("zebra_dpo", "quokka_base")
"""Of runs: words that no question or answer has."""

HOSTILE = [
    '=HYPERLINK("http://evil.example","x")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1:A9)",
    "\t=1",
    "\r=1",
    "control \x00\x07\x1b\x0b characters \ufffe",
    "<script>window.ran = 1</script><img src=x onerror='window.ran = 1'>",
    "</script><script>window.ran = 1</script>",
    "<!-- ]]> ${1} {{ x }} &lt;",
    "ends in a quote \" and ' and ,;\t|",
    "RTL \u202e and \u2028 and \u0085",
    "x" * 50_000,
    "",
]
"""Responses that a spreadsheet or a browser might run, or cannot hold."""


def truthful(item: Item) -> str:
    return str(item.reference["gt_answer"])


def make_run(
    path: Path,
    answer: Answer,
    *,
    n_items: int = 24,
    judged: Callable[[Item], bool] = lambda _: True,
) -> Path:
    """A scored run on pocket MMHal-Bench. An answer None failed."""
    benchmark = open_benchmark("mmhal", "pocket")
    items = benchmark.items()[:n_items]
    responses, judgments = {}, {}
    for item in items:
        text = answer(item)
        response = (
            Response.failed(item.id, "", "it failed")
            if text is None
            else Response(item.id, "", text)
        )
        responses[item.id] = [response]
        for request in benchmark.judge_requests(item, [response]):
            judgments[item.id] = [_judgment(request, judged(item))]
    rows = score_items(benchmark, items, responses, judgments)
    with RunFolder(path) as folder:
        folder.claim({"edition": "pocket"}, {"mmhal": {}})
        folder.note_session({"started": "now", "ckpt": f"checkpoints/{path.name}_weights"})
        folder.write_scores("mmhal", items, rows, responses)
        folder.write_metrics("mmhal", measure(benchmark, rows))
        about = {
            "benchmark": "mmhal",
            "title": benchmark.full_title,
            "edition": "pocket",
            "options": options_of(benchmark),
            "protocol": {},
            "judges": ["pocket-oracle"],
        }
        folder.write_about("mmhal", about)
    return path


def _judgment(request: JudgeRequest, replies: bool) -> Judgment:
    raw = pocket_mmhal.oracle_reply(request.messages[0].text) if replies else "I cannot say."
    status = JudgmentStatus.OK if replies else JudgmentStatus.UNPARSED
    return Judgment(request.id, request.item_id, request.key, status, raw, model="pocket-oracle")


def make_study(
    responses: Sequence[tuple[str, str]],
    rubric: str = "preference",
    *,
    n_annotators: int = 2,
    seed: int = 0,
    edition: Edition = "pocket",
) -> Study:
    """A study of two runs without pictures: one question for each pair of responses, each of its own group."""
    questions = [
        Question(f"split/{n}", f"group {n}", "split", f"Question {n}?", "", pair)
        for n, pair in enumerate(responses)
    ]
    tasks = [
        Task(f"t{n}{side}", question.item_id, runs)
        for n, question in enumerate(questions)
        for side, runs in enumerate([(0, 1)] if rubric == "preference" else [(0,), (1,)])
    ]
    runs = tuple(Judged(name, f"/runs/{name}", f"weights of {name}") for name in NAMES)
    study = Study(
        rubric, "mmhal", "MMHal-Bench (pocket)", edition, seed, runs, ((0, 1),), tuple(questions),
        tuple(tasks), (), {}, len(questions),
    )  # fmt: skip
    plan = Plan("mmhal", RUBRICS[rubric], len(questions), seed, n_annotators)
    return replace(study, sheets=tuple(make_sheets(study, plan)))
