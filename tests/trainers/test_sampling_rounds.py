"""Pairs of a policy as it is, round by round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from benchmarks.base import BadRecordError, PlumblineError
from harness.store import MixedRunError, RunFolder
from tests.trainers.sampling_cases import SayingEngine, judge_options, pocket_pairs
from trainers.pairs import Preference
from trainers.sampling.annotators import open_annotator
from trainers.sampling.answers import Draws
from trainers.sampling.bdhs import Bdhs
from trainers.sampling.rounds import FromAnswers, FromBdhs, Made, Plan, Policy, Rounds, Visits
from trainers.sampling.similarity import open_similarity

QUIET = Console(quiet=True)
POLICY = Policy(SayingEngine(lambda request: "unused"))
PROMPTS = pocket_pairs(20)


class Choosy:
    """Makes a pair of every prompt whose number is divisible; notes what it is asked."""

    def __init__(self, divisor: int = 2) -> None:
        self.asked: list[str] = []
        self.seeds: list[int] = []
        self._divisor = divisor

    def __call__(
        self,
        policy: Policy,
        prompts: Sequence[Preference],
        folder: RunFolder,
        seed: int,
        console: Console,
    ) -> Made:
        self.asked += [prompt.id for prompt in prompts]
        self.seeds.append(seed)
        pairs = {
            prompt.id: Preference(prompt.id, prompt.messages, "better", f"worse {seed}")
            for prompt in prompts
            if int(prompt.id.rpartition("-")[2]) % self._divisor == 0
        }
        return Made(pairs, Counter({"odd": len(prompts) - len(pairs)}))


def rounds(
    folder: Path, maker: Choosy, plan: Plan, prompts: Sequence[Preference] = PROMPTS
) -> Rounds:
    return Rounds(prompts, maker, plan, folder, {"maker": "choosy"})


def test_a_round_has_its_number_of_pairs_however_many_prompts_it_takes(tmp_path: Path) -> None:
    maker = Choosy()
    made = rounds(tmp_path, maker, Plan(3), pocket_pairs(60))
    for number in range(3):
        made.make(number, POLICY, QUIET)
        pairs = made.pairs(number)
        assert len(pairs) == 3
        assert all(pair.id.endswith(f"/round-{number}") for pair in pairs)
        info = made.info(number)
        assert (info["n_given"], info["n_made"]) == (0, 3)
        assert info["end"] - info["begin"] == info["left"]["odd"] + 3 + info["left"].get(
            "not needed", 0
        )
    assert [made.info(number)["begin"] for number in (1, 2)] == [
        made.info(number)["end"] for number in (0, 1)
    ]
    assert len(set(maker.seeds)) == 3


def test_a_round_is_made_once(tmp_path: Path) -> None:
    maker = Choosy()
    made = rounds(tmp_path, maker, Plan(6))
    made.make(0, POLICY, QUIET)
    asked, pairs = list(maker.asked), made.pairs(0)
    made.make(0, POLICY, QUIET)
    assert maker.asked == asked
    assert rounds(tmp_path, Choosy(), Plan(6)).pairs(0) == pairs
    again = rounds(tmp_path / "again", Choosy(), Plan(6))
    again.make(0, POLICY, QUIET)
    assert [(p.id, p.rejected) for p in again.pairs(0)] == [(p.id, p.rejected) for p in pairs]
    with pytest.raises(MixedRunError, match="mix"):
        rounds(tmp_path, Choosy(), Plan(6, mix=0.5)).make(0, POLICY, QUIET)
    with pytest.raises(MixedRunError, match="prompts_sha256"):
        rounds(tmp_path, Choosy(), Plan(6), PROMPTS[::-1]).make(0, POLICY, QUIET)


def test_given_pairs_are_mixed_in_by_chance(tmp_path: Path) -> None:
    made = rounds(tmp_path, Choosy(1), Plan(20, mix=0.5), pocket_pairs(40))
    made.make(0, POLICY, QUIET)
    pairs = made.pairs(0)
    given_pairs = [pair for pair in pairs if "/" not in pair.id]
    assert 4 <= len(given_pairs) <= 16
    assert len({pair.id.partition("/")[0] for pair in pairs}) == 20
    by_id = {pair.id: pair for pair in pocket_pairs(40)}
    assert all(pair.rejected == by_id[pair.id].rejected for pair in given_pairs)
    assert made.info(0)["n_given"] == len(given_pairs)
    whole = rounds(tmp_path / "all", Choosy(), Plan(12, mix=1.0))
    whole.make(0, POLICY, QUIET)
    assert all("/" not in pair.id for pair in whole.pairs(0))


def test_too_few_prompts_are_an_error_that_says_what_happened(tmp_path: Path) -> None:
    with pytest.raises(PlumblineError, match=r"20 prompts gave 10 of 11 pairs .*'odd': 10"):
        rounds(tmp_path, Choosy(), Plan(11)).make(0, POLICY, QUIET)
    with pytest.raises(PlumblineError, match="needs 21 given pairs, and there are 20"):
        rounds(tmp_path / "2", Choosy(), Plan(21, mix=1.0)).make(0, POLICY, QUIET)
    bare = [Preference("x", PROMPTS[0].messages, "true")]
    with pytest.raises(PlumblineError, match="prompt x has no given pair"):
        rounds(tmp_path / "3", Choosy(), Plan(1, mix=0.1), bare)


def test_a_damaged_round_is_named(tmp_path: Path) -> None:
    made = rounds(tmp_path, Choosy(), Plan(2))
    made.make(0, POLICY, QUIET)
    (tmp_path / "round-0000" / "round.json").write_text("{")
    with pytest.raises(BadRecordError, match=r"round-0000/round\.json cannot be read"):
        made.info(0)


@settings(deadline=None)
@given(st.integers(1, 7), st.integers(0, 40), st.lists(st.integers(0, 5), max_size=8))
def test_prompts_come_in_passes_and_none_twice_in_a_round(
    number: int, position: int, takes: list[int]
) -> None:
    prompts = PROMPTS[:number]
    visits = Visits(prompts, 3, position)
    taken = [prompt.id for count in takes for prompt in visits.take(count)]
    assert len(taken) == len(set(taken)) == min(sum(takes), number)
    # Two rounds that follow each other go through a pass together.
    first = Visits(prompts, 3, 0)
    half = first.take(number // 2)
    rest = Visits(prompts, 3, first.position).take(number - number // 2)
    assert {p.id for p in half} | {p.id for p in rest} == {p.id for p in prompts}


def test_the_annotator_picks_between_two_answers(tmp_path: Path) -> None:
    def say(request: object) -> str:
        pair = next(p for p in PROMPTS if p.id == request.item_id)  # type: ignore[attr-defined]
        first = request.id.endswith("#1")  # type: ignore[attr-defined]
        swapped = PROMPTS.index(pair) % 2 == 0
        return pair.chosen if first is swapped else str(pair.rejected)

    annotator = open_annotator("pocket", judge_options(), PROMPTS, tmp_path, 0)
    with RunFolder(tmp_path) as folder:
        made = FromAnswers(annotator, Draws(2, 1.0))(
            Policy(SayingEngine(say)), PROMPTS, folder, 1, QUIET
        )
    assert made.told["no difference"] == 0
    for prompt in PROMPTS:
        found = made.pairs[prompt.id]
        assert (found.chosen, found.rejected) == (prompt.chosen, prompt.rejected)


def test_a_hosted_model_cannot_have_its_picture_hidden(tmp_path: Path) -> None:
    maker = FromBdhs(Bdhs(), open_similarity("ngrams"))
    with RunFolder(tmp_path) as folder, pytest.raises(PlumblineError, match="hosted"):
        maker(POLICY, PROMPTS, folder, 0, QUIET)
