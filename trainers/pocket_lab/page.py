"""The laboratory's page: the claims of the papers and what was seen, the table, how it was done; and the files beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import get_args

from harness.plots.drawing import write_figure
from harness.show import ARROWS, fixed
from harness.store import to_json, write_atomically
from trainers.pocket_lab.claims import (
    CAPABLE,
    MEASURES,
    TRUTHFUL,
    Claim,
    Paper,
    RewardClaim,
    Verdict,
)
from trainers.pocket_lab.compare import Found, Measure
from trainers.pocket_lab.plan import DEVELOPMENT_SEED, EXPERIMENTS, Plan
from trainers.pocket_lab.plots import compared, scaled
from trainers.pocket_lab.results import (
    Cell,
    Judged,
    Run,
    Runs,
    Tuning,
    as_csv,
    as_json,
    table,
    verdicts,
)

PAGE, TABLE, DATA = "README.md", "table.csv", "table.json"
COMPARED, SCALED = "experiments.png", "pairs.png"

_WHAT_IT_IS = """\
Three papers on preference alignment of multimodal models make claims. Here they are tried on Plumbline's embedded pocket
checkpoint: a LLaVA of two million parameters that describes drawn scenes of a few pictographs and, like its big sisters, names
what usually belongs to a place even where it is not. What is in a scene is known exactly, so every judge is an oracle.
Everything on this page is computed: `python -m trainers.pocket_lab` makes it anew, and nobody writes a verdict."""

_WHAT_IT_SAYS = """\
**What it can say:** whether a method does what its paper says where everything is under control: one base model, the same data
for all, learning rates chosen in the same way, several seeds, intervals. **What it cannot:** a claim that is not replicated here is
not refuted for large models, and one that is replicated is not confirmed for them. The model is tiny, all of its weights are
trained, its language is a few templates, the pairs are synthetic, the pocket MT-Bench and AlpacaEval ask about little texts, and no
person has judged."""

_RULE = """\
*Here* are the values of the one that the claim is compared with, and of the one that it is about. *In favour* is their difference,
positive where it speaks for the claim, with its 95 % interval over pictures and seeds. **Better** is *replicated* if the interval
lies above 0 and *not replicated* if it lies below what is worth speaking of; **the same** and **not worse** are *replicated* if it
lies within what is worth speaking of and *not replicated* if it lies beyond; all else is *inconclusive*. Worth speaking of, fixed
beforehand: {worth}. Instead of *not replicated*, a "better" had *no room* if the other was already so near to the best possible
value that nothing worth speaking of could be gained and the interval reaches 0; this rule was added when the first results were
there, as were the claims that mDPO hallucinates less than DPO with other numbers of pairs. Nothing is corrected for the number
of comparisons: where there is no difference at all, one "better" in forty comes out as replicated."""


def write(out: Path, plan: Plan, runs: Runs, tuning: Tuning) -> None:
    """The page and the files that it shows."""
    cells, judged = table(runs), verdicts(runs)
    settings = {**asdict(plan), "work": None}
    write_atomically(out / TABLE, as_csv(cells))
    write_atomically(out / DATA, to_json(as_json(settings, tuning, cells, judged)))
    write_figure(compared(cells), out / COMPARED)
    by_size = scaled(cells, {name: _mean_records(found) for name, found in runs.items()})
    if by_size is not None:
        write_figure(by_size, out / SCALED)
    write_atomically(out / PAGE, page(plan, runs, tuning, cells, judged, by_size is not None))


def _mean_records(runs: Mapping[int, Run]) -> int:
    return round(fmean(run.n_records for run in runs.values()))


def page(
    plan: Plan,
    runs: Runs,
    tuning: Tuning,
    cells: Sequence[Cell],
    judged: Sequence[Judged],
    has_sizes: bool,
) -> str:
    """The page, in Markdown."""
    sections = [
        "# Pocket laboratory",
        _WHAT_IT_IS,
        _summary(judged),
        _WHAT_IT_SAYS,
        "## Claims",
        *_claims(judged, cells),
        _RULE.format(worth=_worth(judged)),
        "## Results",
        f"![All experiments]({COMPARED})",
        *([f"![What more pairs bring]({SCALED})"] if has_sizes else []),
        *_results(cells, runs),
        "## How it was done",
        *_method(plan, runs, tuning),
    ]
    return "\n\n".join(sections) + "\n"


def _summary(judged: Sequence[Judged]) -> str:
    """Comparisons by paper and verdict."""
    names = get_args(Verdict)
    papers = list(dict.fromkeys(each.claim.paper for each in judged))
    counts = {
        paper: Counter(e.verdict for e in judged if e.claim.paper == paper) for paper in papers
    }
    shown = [name for name in names if any(count[name] for count in counts.values())]
    rows = [
        (_linked(paper.name, paper.arxiv), *(str(counts[paper][name]) for name in shown))
        for paper in papers
    ]
    return _markdown(("comparisons", *shown), rows)


def _linked(name: str, arxiv: str) -> str:
    return f"[{name}](https://arxiv.org/abs/{arxiv})"


def _claims(judged: Sequence[Judged], cells: Sequence[Cell]) -> list[str]:
    parts = []
    for paper in dict.fromkeys(each.claim.paper for each in judged):
        header = ("claim", "measure", f"paper ({paper.model})", "here", "in favour", "verdict")
        rows, last = [], None
        for each in judged:
            if each.claim.paper == paper:
                rows.append(_claim_row(each, cells, told=each.claim is last))
                last = each.claim
        parts += [
            f"### {_linked(paper.name, paper.arxiv)}",
            _markdown(header, rows),
            *_remarks(paper, judged),
        ]
    return parts


def _remarks(paper: Paper, judged: Sequence[Judged]) -> list[str]:
    """What verdicts must be read with, once for all claims that it is about."""
    about: dict[str, dict[str, None]] = {}
    for claim in (each.claim for each in judged if each.claim.paper == paper):
        if isinstance(claim, Claim) and claim.remark:
            about.setdefault(claim.remark, {})[f"`{claim.subject}` and `{claim.other}`"] = None
    return [f"\\* {', '.join(compared)}: {remark}" for remark, compared in about.items()]


def _claim_row(judged: Judged, cells: Sequence[Cell], *, told: bool) -> tuple[str, ...]:
    """A line of the table; the claim stands in the first of its lines only."""
    claim, found, measure = judged.claim, judged.found, judged.measure
    verdict = f"**{judged.verdict}**"
    if isinstance(claim, RewardClaim) or measure is None:
        text = f"{claim.text} [{claim.source}]<br>`{claim.subject}`"
        reward = _with_interval(found, None, signed=True)
        return (text, "reward of chosen answers", "", reward, "", verdict)
    sign = {"better": "better than", "same": "the same as", "not worse": "not worse than"}
    verdict += " \\*" if claim.remark else ""
    compared = f"`{claim.subject}` {sign[claim.kind]} `{claim.other}`"
    text = f"{claim.text} [{claim.source}]<br>{compared}"
    values = {cell.experiment: cell.found.value for cell in cells if cell.measure == measure}
    here = " → ".join(_number(values.get(name), measure) for name in (claim.other, claim.subject))
    shown = f"{measure.title} {ARROWS[measure.direction]}"
    difference = _with_interval(found, measure, signed=True)
    return ("" if told else text, shown, claim.measures[measure], here, difference, verdict)


def _worth(judged: Sequence[Judged]) -> str:
    used = [m for m in MEASURES if any(each.measure == m for each in judged)]
    return ", ".join(f"{measure.title} {measure.worth * measure.scale:g}" for measure in used)


def _results(cells: Sequence[Cell], runs: Runs) -> list[str]:
    absent = [each.title for each in EXPERIMENTS if each.name not in runs]
    told = [
        "Values with 95 % intervals over pictures and seeds. Records are what was trained on: sampling brings more answers than "
        "prompts (SteerLM) or fewer pairs than prompts (scored answers), so steps differ, too.",
        _table(cells, runs, TRUTHFUL),
        _table(cells, runs, CAPABLE),
        f"`{TABLE}` and `{DATA}` hold these numbers with those of each seed.",
    ]
    return told + ([f"Not run: {', '.join(absent)}."] if absent else [])


def _table(cells: Sequence[Cell], runs: Runs, measures: Sequence[Measure]) -> str:
    by_place = {(cell.experiment, cell.measure): cell for cell in cells}
    titles = (f"{measure.title} {ARROWS[measure.direction]}" for measure in measures)
    rows = []
    for experiment in EXPERIMENTS:
        if experiment.name not in runs:
            continue
        found = runs[experiment.name]
        shown = (by_place[experiment.name, measure] for measure in measures)
        values = (_with_interval(cell.found, cell.measure) for cell in shown)
        steps = round(fmean(run.n_steps for run in found.values()))
        trained = (str(len(found)), f"{_mean_records(found):,}", f"{steps:,}")
        name = f"{experiment.title} (`{experiment.name}`)"
        rows.append((name, *(trained if experiment.method else ("", "", "")), *values))
    return _markdown(("experiment", "seeds", "records", "steps", *titles), rows)


def _method(plan: Plan, runs: Runs, tuning: Tuning) -> list[str]:
    rows, at_edge = [], []
    for family, found in tuning.items():
        best = min(found, key=lambda rate: (-found[rate], float(rate)))
        shown = (
            f"**{rate}: {100 * share:.1f}**" if rate == best else f"{rate}: {100 * share:.1f}"
            for rate, share in found.items()
        )
        rows.append((family, ", ".join(shown)))
        if len(found) > 1 and float(best) in (min(map(float, found)), max(map(float, found))):
            at_edge.append(family)
    edge = (
        f" The best one tried is the first or the last for {', '.join(at_edge)}: a better one may lie beyond."
        if at_edge
        else ""
    )
    trained = [run for found in runs.values() for run in found.values() if run.n_steps]
    hours = sum(run.cpu_seconds for run in trained) / 3600
    return [
        f"{plan.n_pairs} pocket pairs (or prompts), or the multiple that a name tells; {plan.epochs} epochs, online training as many "
        f"steps; all weights trained; seeds {', '.join(map(str, plan.seeds))}, each with its own data and order. Benchmarks: the pocket "
        f"edition, at most {plan.limit} items of each split. {len(trained)} experiments took {hours:.1f} "
        "core hours; choosing learning rates is not counted.",
        f"Learning rates were chosen on seed {DEVELOPMENT_SEED}, which reports nothing, by the share (in %) of captions of "
        f"{plan.n_scenes} development scenes that make nothing up and leave nothing out; no benchmark was looked at.{edge}",
        _markdown(("family", "learning rate: share"), rows),
    ]


def _number(value: float | None, measure: Measure | None, *, signed: bool = False) -> str:
    """A value in the measure's unit; a reward where there is none."""
    if value is None:
        return "–"
    if measure is None:
        return fixed(value, 2, signed=signed)
    return fixed(value * measure.scale, measure.decimals, signed=signed)


def _with_interval(found: Found | None, measure: Measure | None, *, signed: bool = False) -> str:
    if found is None:
        return "–"
    value = _number(found.value, measure, signed=signed)
    if found.low is None or found.high is None:
        return value
    ends = (_number(end, measure, signed=signed) for end in (found.low, found.high))
    return f"{value} ({' to '.join(ends)})"


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
