"""The second stage: every answered item before its judge, each judgment on disk as it comes.

What is on disk is not asked again, with one exception: a judgment that failed (``JUDGE_ERROR``). A
reply that the benchmark could not read stays ``UNPARSED``: the protocol's attempts are used up, and
asking until something can be read would prefer some replies to others. It is read again by the
parser of today, at no cost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.base import (
    Benchmark,
    Item,
    JudgeRequest,
    Judgment,
    JudgmentStatus,
    PictureError,
    Response,
    ResponseStatus,
    sha256_of,
)
from harness.generate import key_of
from harness.judges.base import Judge, Judged, Question, unread
from harness.store import Log, MixedRunError

NOT_YET = "not judged yet"


@dataclass(frozen=True)
class JudgePart:
    """One benchmark's share of the judging.

    Attributes:
        responses: what is on disk for each item (``generate.turns_of``).
    """

    benchmark: Benchmark
    items: Sequence[Item]
    responses: Mapping[str, Sequence[Response]]
    log: Log[Judgment]


Askers = list[tuple[JudgePart, Question]]
"""Everyone who asks the same; the first one's question goes to the judge."""


def questions_of(part: JudgePart) -> Iterator[Question]:
    """What the judge is asked about every answered item; nothing for items that need no judge."""
    if part.benchmark.judge is None:
        return
    for item in part.items:
        turns = part.responses.get(item.id, ())
        if not _answered(part.benchmark, item, turns):
            continue
        n_same: Counter[str] = Counter()
        for request in part.benchmark.judge_requests(item, turns):
            key = key_of(request)
            yield Question(request, part.benchmark, sample=n_same[key])
            n_same[key] += 1


def _answered(benchmark: Benchmark, item: Item, turns: Sequence[Response]) -> bool:
    if not turns or any(turn.status is not ResponseStatus.OK for turn in turns):
        return False
    return benchmark.request(item, turns) is None


def open_questions(part: JudgePart, judge: Judge, *, rejudge: bool = False) -> list[Question]:
    """What is not judged yet, and behind it the failed judgments, which are asked again.

    They come last so that items which fail for ever cannot keep a judge from the others.

    Raises:
        MixedRunError: without ``rejudge``, a judgment on disk is another judge's, or about another
            prompt.
    """
    found, failed = [], []
    for question in questions_of(part):
        stored = part.log.records.get(question.request.id)
        if stored is None:
            found.append(question)
        elif stored.status is JudgmentStatus.JUDGE_ERROR:
            failed.append(question)
        elif reason := _stranger(question, stored, judge.model_for(part.benchmark)):
            if not rejudge:
                raise MixedRunError(
                    f"{part.log.path}: {reason}. --rejudge judges such items anew (the answers "
                    "stay); otherwise use another --out, or the judge that was there."
                )
            found.append(question)
    return [*found, *failed]


def _stranger(question: Question, stored: Judgment, model: str) -> str:
    """Why a judgment on disk is no judgment of this question by this judge; "" if it is."""
    judged_by = stored.meta.get("judge", stored.model)
    if judged_by != model:
        return f"{stored.request_id} was judged by {judged_by}, and {model} is asked now"
    if stored.key != key_of(question.request):
        return f"{stored.request_id} was judged by another prompt, decoding or answer than now"
    return ""


def judge(
    parts: Sequence[JudgePart],
    judge: Judge,
    progress: Callable[[int, int], None],
    *,
    rejudge: bool = False,
) -> int:
    """Ask what is not judged yet, over all benchmarks together. Equal questions are asked once.

    Args:
        progress: called with (number of judgments that came, number asked).
        rejudge: whether judgments of another judge, or of another prompt, give way to new ones.

    Returns:
        The number of judgments that this call wrote.

    Raises:
        MixedRunError: the log holds judgments of another judge or of another prompt.
        JudgeStoppedError: the budget is reached or the judge is gone; what came is on disk.
    """
    written = 0
    askers: dict[tuple[str, str, int], Askers] = {}
    for part in parts:
        written += _read_again(part)
        for question in open_questions(part, judge, rejudge=rejudge):
            if trouble := _picture_trouble(question.request):
                written += _write({id(question): [(part, question)]}, [_failed(question, trouble)])
            else:
                name = (part.benchmark.name, question.request.key, question.sample)
                askers.setdefault(name, []).append((part, question))
    if not askers:
        return written
    groups = {id(group[0][1]): group for group in askers.values()}
    n_asked, n_came = sum(len(group) for group in askers.values()), 0
    spent_usd = sum(_cost(judgment) for part in parts for judgment in part.log.records.values())
    for batch in judge.ask([group[0][1] for group in askers.values()], spent_usd):
        n_came += _write(groups, batch)
        progress(n_came, n_asked)
    return written + n_came


def _cost(judgment: Judgment) -> float:
    return float(judgment.meta.get("cost_usd") or 0.0)


def _write(groups: Mapping[int, Askers], batch: Sequence[Judged]) -> int:
    """Put judgments on disk for everyone who asked; only the first of them has paid."""
    by_log: dict[int, tuple[Log[Judgment], list[Judgment]]] = {}
    for asked, judgment in batch:
        shared = replace(judgment, meta={**judgment.meta, "cost_usd": 0.0, "cached": True})
        for n, (part, question) in enumerate(groups[id(asked)]):
            request = question.request
            own = replace(shared if n else judgment, request_id=request.id, item_id=request.item_id)
            by_log.setdefault(id(part.log), (part.log, []))[1].append(own)
    for log, judgments in by_log.values():
        log.append(judgments)
    return sum(len(judgments) for _, judgments in by_log.values())


def _picture_trouble(request: JudgeRequest) -> str:
    """Why a request cannot be formed; "" if it can."""
    try:
        _ = request.key
    except PictureError as error:
        return str(error)
    return ""


def _failed(question: Question, reason: str) -> Judged:
    request = question.request
    status = JudgmentStatus.JUDGE_ERROR
    return Judged(question, Judgment(request.id, request.item_id, "", status, error=reason))


def _read_again(part: JudgePart) -> int:
    """Read the raw replies on disk with the parser of today. Returns how many judgments changed."""
    changed = []
    for question in questions_of(part):
        stored = part.log.records.get(question.request.id)
        if stored is None or stored.status is JudgmentStatus.JUDGE_ERROR:
            continue
        if stored.key != key_of(question.request):
            continue
        n_attempts = max(1, len(stored.meta.get("attempts", ())))
        values = part.benchmark.read_reply(question.attempt(n_attempts), stored.raw)
        if values is None and stored.status is JudgmentStatus.OK:
            error = unread(n_attempts, question.max_attempts)
            status = JudgmentStatus.UNPARSED
            changed.append(replace(stored, status=status, values={}, error=error))
        elif values is not None and sha256_of(values) != sha256_of(stored.values):
            changed.append(replace(stored, status=JudgmentStatus.OK, values=values, error=None))
    if changed:
        part.log.append(changed)
    return len(changed)


def judgments_of(part: JudgePart) -> dict[str, list[Judgment]]:
    """What is on disk for each item, one judgment for each question; one not yet asked is a failed
    one.

    Raises:
        MixedRunError: the judgments are of different judges (judging anew was interrupted).
    """
    found: dict[str, list[Judgment]] = {}
    judges = set()
    for question in questions_of(part):
        request = question.request
        stored = part.log.records.get(request.id)
        if stored is None:
            stored = _failed(question, NOT_YET).judgment
        elif stored.status is not JudgmentStatus.JUDGE_ERROR:
            judges.add(stored.meta.get("judge", stored.model))
        found.setdefault(request.item_id, []).append(stored)
    if len(judges) > 1:
        raise MixedRunError(
            f"{part.log.path} holds judgments of {' and '.join(sorted(judges))}. Judge again with "
            "the one that is to count (--stages judge,score --judge MODEL --rejudge)."
        )
    return found


def models_used(part: JudgePart) -> list[str]:
    """The models that judged, as the server returned their names."""
    judged = (part.log.records.get(question.request.id) for question in questions_of(part))
    return sorted({j.model for j in judged if j and j.status is not JudgmentStatus.JUDGE_ERROR})
