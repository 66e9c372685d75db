"""A stratified, blinded, side-randomised study from runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.base import (
    Benchmark,
    Item,
    Picture,
    PlumblineError,
    Response,
    ScoreStatus,
    sha256_of,
)
from harness.human_eval.rubrics import HALLUCINATION, Rubric
from harness.human_eval.study import Judged, Pair, Question, Sheet, Study, Task, pairs_of
from harness.runs import Part, Run

REFERENCE_KEYS = ("gt_answer", "answer", "reference", "label")
"""Where benchmarks keep a right answer in ``Item.reference``."""

NOT_SHARED = "not asked in every run"
NO_ANSWER = "a run has no answer"


@dataclass(frozen=True)
class Plan:
    """What is wanted.

    Attributes:
        n: questions; on each of them every pair of runs is compared, or every run's response rated.
        baseline: the number of the run that the others are compared with; None for all pairs.
        n_annotators: sheets to make.
    """

    benchmark: str
    rubric: Rubric
    n: int
    seed: int
    n_annotators: int
    baseline: int | None = None


def draw(
    plan: Plan, runs: Sequence[Run], data_dir: Path | None
) -> tuple[Study, Mapping[str, tuple[Picture, ...]]]:
    """The study, and the pictures of its questions by item id.

    Raises:
        PlumblineError: the runs cannot be compared, or nothing can be drawn.
        MissingDataError: the benchmark's files are not in ``data_dir``.
    """
    parts = [_part(run, plan.benchmark) for run in runs]
    _check_alike(runs, parts)
    answers = [_answers(part) for part in parts]
    benchmark = parts[0].open(data_dir)
    known = {item.id: item for item in benchmark.items()}
    asked = {item_id for found in answers for item_id in found}
    shared = [item_id for item_id in answers[0] if all(item_id in found for found in answers)]
    eligible = [item_id for item_id in shared if all(found[item_id].turns for found in answers)]
    if not eligible:
        raise PlumblineError("no question has an answer in every run: nothing can be drawn")
    strata = {item_id: answers[0][item_id].split for item_id in eligible}
    drawn = stratified(strata, plan.n, plan.seed)
    questions, pictures = [], {}
    for item_id in drawn:
        given = [found[item_id] for found in answers]
        item = _item(known, given, parts[0])
        questions.append(_question(benchmark, item, given))
        pictures[item_id] = item.pictures
    if plan.rubric is HALLUCINATION and not any(pictures.values()):
        raise PlumblineError(
            f"{parts[0].title} has no pictures, and a hallucination is rated against one; use "
            "--rubric preference"
        )
    pairs = pairs_of(len(runs), plan.baseline)
    tasks, identical = _tasks(plan, questions, len(runs), pairs)
    study = Study(
        rubric_name=plan.rubric.name,
        benchmark=plan.benchmark,
        title=parts[0].title,
        edition=parts[0].edition,
        seed=plan.seed,
        runs=tuple(Judged(run.name, str(run.path.resolve()), run.checkpoint) for run in runs),
        pairs=pairs,
        questions=tuple(questions),
        tasks=tuple(tasks),
        identical=tuple(identical),
        left_out=_left_out(len(asked), len(shared), len(eligible)),
        n_eligible=len(eligible),
    )
    return replace(study, sheets=tuple(make_sheets(study, plan))), pictures


def stratified(strata: Mapping[str, str], n: int, seed: int) -> list[str]:
    """``n`` names (all, where there are no more), as many of each stratum as its share says.

    Shares are rounded by largest remainders; lots decide between equal ones.

    Args:
        strata: the stratum of each name.
    """
    members: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(strata):
        members[strata[name]].append(name)
    n = min(n, len(strata))
    rng = Random(f"plumbline human_eval draw {seed}")
    lots = {stratum: rng.random() for stratum in sorted(members)}
    quotas = {stratum: n * len(names) // len(strata) for stratum, names in members.items()}

    def remainder(stratum: str) -> tuple[int, float]:
        return n * len(members[stratum]) % len(strata), lots[stratum]

    for stratum in sorted(members, key=remainder, reverse=True)[: n - sum(quotas.values())]:
        quotas[stratum] += 1
    return [name for stratum in sorted(members) for name in rng.sample(members[stratum], quotas[stratum])]  # fmt: skip


@dataclass(frozen=True)
class _Answer:
    """What a run holds about an item; ``turns`` is empty where an answer failed or is missing."""

    item_id: str
    group: str
    split: str
    question: str
    turns: tuple[str, ...]


def responses_of(part: Part) -> dict[str, str]:
    """What the run answered, as annotators read it, by item; without what failed."""
    return {name: _joined(answer.turns) for name, answer in _answers(part).items() if answer.turns}


def _part(run: Run, benchmark: str) -> Part:
    if benchmark not in run.parts:
        there = ", ".join(run.parts)
        raise PlumblineError(f"{run.path} has no scored {benchmark} (it has {there})")
    return run.parts[benchmark]


def _check_alike(runs: Sequence[Run], parts: Sequence[Part]) -> None:
    for run, part in zip(runs, parts, strict=True):
        if part.edition != parts[0].edition:
            raise PlumblineError(
                f"{run.path} is of the {part.edition} edition, {runs[0].path} of the "
                f"{parts[0].edition} one: they were asked different questions"
            )


def _answers(part: Part) -> dict[str, _Answer]:
    table = part.table(["item_id", "group", "split", "status", "question", "responses"])
    found = {}
    for item_id, group, split, status, question, responses in zip(
        *(table[name].tolist() for name in table), strict=True
    ):
        failed = status == ScoreStatus.GENERATION_ERROR
        turns = () if failed else tuple(str(text) for text in responses)
        found[item_id] = _Answer(item_id, group, split, question, turns)
    return found


def _item(known: Mapping[str, Item], given: Sequence[_Answer], part: Part) -> Item:
    """The benchmark's item. Raises PlumblineError where a run was asked something else."""
    first = given[0]
    if any(other.question != first.question for other in given):
        raise PlumblineError(
            f"{first.item_id}: the runs were asked different questions. Compare runs over the same data"
        )
    if first.item_id not in known:
        raise PlumblineError(
            f"{part.path}: the data folder has no {first.item_id}. Name the folder that the run "
            "used with --data-dir"
        )
    return known[first.item_id]


def _question(benchmark: Benchmark, item: Item, given: Sequence[_Answer]) -> Question:
    earlier: list[Response] = []
    asked = []
    for text in given[0].turns:
        request = benchmark.request(item, earlier)
        if request is None:
            break
        asked.append(request.messages[-1].text)
        earlier.append(Response(request.id, "", text))
    return Question(
        item.id,
        given[0].group,
        given[0].split,
        _joined(asked),
        _joined(_reference(item.reference)),
        tuple(_joined(answer.turns) for answer in given),
    )


def _reference(reference: Mapping[str, Any]) -> list[str]:
    """A right answer to each turn; empty where the benchmark states none."""
    value = next((reference[key] for key in REFERENCE_KEYS if reference.get(key)), "")
    texts = value if isinstance(value, list | tuple) else [value]
    return [text for text in texts if isinstance(text, str)]


def _joined(turns: Sequence[str]) -> str:
    if len(turns) < 2:
        return "".join(turns).strip()
    return "\n\n".join(f"[{n}] {text.strip()}" for n, text in enumerate(turns, start=1))


def _tasks(
    plan: Plan, questions: Sequence[Question], n_runs: int, pairs: Sequence[Pair]
) -> tuple[list[Task], list[tuple[str, Pair]]]:
    """What is judged, and the pairs of identical responses.

    Identical responses of a pair are a tie, and nobody is asked. A response that several runs gave is
    rated once, for all of them.
    """
    ids = _ids(plan.seed)
    tasks, identical = [], []
    for question in questions:
        if plan.rubric is HALLUCINATION:
            by_response: defaultdict[str, list[int]] = defaultdict(list)
            for run in range(n_runs):
                by_response[question.responses[run]].append(run)
            tasks += [
                Task(next(ids), question.item_id, tuple(same)) for same in by_response.values()
            ]
            continue
        for pair in pairs:
            if question.responses[pair[0]] == question.responses[pair[1]]:
                identical.append((question.item_id, pair))
            else:
                tasks.append(Task(next(ids), question.item_id, pair))
    if not tasks:
        raise PlumblineError(
            f"all {len(identical)} pairs of responses are identical: there is nothing to compare"
        )
    return tasks, identical


def _ids(seed: int) -> Iterator[str]:
    rng, used = Random(f"plumbline human_eval ids {seed}"), set[str]()
    while True:
        name = f"t{rng.getrandbits(32):08x}"  # without the letter 12345e67 would be a number
        if name not in used:
            used.add(name)
            yield name


def make_sheets(study: Study, plan: Plan) -> list[Sheet]:
    """Each annotator's order and sides.

    In a sheet each run of a pair stands on side A as often as on side B (but for one); every second
    sheet mirrors the sides of the one before it, so that a liking for a side cancels.
    """
    content = sha256_of({**study.to_json(), "runs": [run.name for run in study.runs]})
    by_pair: defaultdict[tuple[int, ...], list[str]] = defaultdict(list)
    for task in study.tasks:
        by_pair[task.runs].append(task.id)
    sheets: list[Sheet] = []
    for number in range(1, plan.n_annotators + 1):
        rng = Random(f"plumbline human_eval sheet {plan.seed} {number}")
        order = rng.sample(sorted(study.task_of), len(study.tasks))
        if len(study.rubric.sides) == 1:
            flipped = set()
        elif number % 2:
            flipped = {
                name for ids in by_pair.values() for name in rng.sample(ids, _half(len(ids), rng))
            }
        else:
            flipped = set(order) - sheets[-1].flipped
        sheets.append(Sheet(f"s{content[:8]}-{number}", number, tuple(order), frozenset(flipped)))
    return sheets


def _half(n: int, rng: Random) -> int:
    return n // 2 + (n % 2) * rng.randrange(2)


def _left_out(n_asked: int, n_shared: int, n_eligible: int) -> dict[str, int]:
    counts = {NOT_SHARED: n_asked - n_shared, NO_ANSWER: n_shared - n_eligible}
    return {reason: count for reason, count in counts.items() if count}
