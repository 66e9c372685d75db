"""Pairs made with the policy as it is, round by round: online DPO, mixed DPO and online BDHS (arXiv 2407.02477).

A round is as many pairs as some steps take. For each of them it is drawn whether it is a given pair (with the
probability ``mix``) or a made one. Prompts are visited in a seeded order, pass after pass; where no pair can be made of one
(the annotator finds no difference, an answer fails) the next one is taken, and that is counted. Where the paper averages
the losses of a given and of a BDHS pair to one prompt (its eq. 5), ``mix`` 0.5 gives both the same weight on the average.

Each round lies in a folder of its own and is made once: a training that is killed and goes on sees the same pairs again::

    FOLDER/round-0003/pairs.jsonl    the pairs
    FOLDER/round-0003/round.json     how they came about
    FOLDER/round-0003/answers/…      what was sampled and judged, for a round that was interrupted
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.base import BadRecordError, PlumblineError, sha256_of
from harness.engines.base import Engine
from harness.engines.checkpoints import Checkpoint
from harness.store import RunFolder, to_json, write_atomically
from trainers.pairs import Preference
from trainers.preferences import read_preferences
from trainers.sampling.annotators import Annotator
from trainers.sampling.answers import Draws, Sampled, problems_of, sample
from trainers.sampling.bdhs import Bdhs, hallucinate
from trainers.sampling.bdhs import pairs_of as bdhs_pairs
from trainers.sampling.choosing import pair_of, ranked_by_verdict
from trainers.sampling.completing import HidingCompleter
from trainers.sampling.prompts import key_of
from trainers.sampling.records import write_preferences
from trainers.sampling.similarity import Similarity
from trainers.scored import Ranked, ranked_pairs

if TYPE_CHECKING:
    from rich.console import Console

ONLINE = "online"
PAIRS, INFO = "pairs.jsonl", "round.json"
LEAST_YIELD = 0.02
"""Fewer pairs a prompt than this are not counted on when it is estimated how many prompts to visit."""


@dataclass(frozen=True)
class Policy:
    """The model as it is now; a hosted one has no checkpoint."""

    engine: Engine
    checkpoint: Checkpoint | None = None


class Made(NamedTuple):
    """Pairs by the id of their prompt, and how often prompts were left for which reason."""

    pairs: dict[str, Preference]
    told: Counter[str]


Maker = Callable[[Policy, Sequence[Preference], RunFolder, int, "Console"], Made]
"""Makes pairs of prompts: (policy, prompts, where to keep what was asked, seed, console)."""


@dataclass(frozen=True)
class FromAnswers:
    """Two answers to each prompt, of which the annotator picks the better one.

    Attributes:
        draws: ``n`` must be 2; the seed is replaced by each round's.
    """

    annotator: Annotator
    draws: Draws

    def __call__(
        self,
        policy: Policy,
        prompts: Sequence[Preference],
        folder: RunFolder,
        seed: int,
        console: Console,
    ) -> Made:
        draws = replace(self.draws, seed=seed)
        sampled = sample(policy.engine, self.annotator, prompts, draws, folder, console)
        pairs = {}
        for each in sampled:
            if ranked := ranked_two(each):
                pairs[each.prompt.id] = pair_of(each, ranked, ONLINE)
        told = Counter(problems_of(sampled))
        told["no difference"] = sum(
            not each.problems and each.prompt.id not in pairs for each in sampled
        )
        return Made(pairs, told)


@dataclass(frozen=True)
class FromBdhs:
    """A true answer, and what the policy makes of it with the picture hidden; the seed is each round's."""

    settings: Bdhs
    similarity: Similarity
    batch_size: int = 64

    def __call__(
        self,
        policy: Policy,
        prompts: Sequence[Preference],
        folder: RunFolder,
        seed: int,
        console: Console,
    ) -> Made:
        if policy.checkpoint is None:
            raise PlumblineError(
                "BDHS hides the picture inside the model; a hosted one cannot be asked that"
            )
        settings = replace(self.settings, seed=seed)
        completer = HidingCompleter(policy.checkpoint, settings, self.batch_size)
        found = {
            made.request_id: made
            for batch in hallucinate(completer, self.similarity, prompts, settings)
            for made in batch
        }
        pairs = {pair.id: pair for pair in bdhs_pairs(prompts, found, settings)}
        return Made(pairs, Counter(made.problem for made in found.values() if made.problem))


def ranked_two(sampled: Sampled) -> Ranked | None:
    """The better and the worse of two answers, by verdict or score; None where neither is better."""
    if not sampled.ratings:
        return ranked_by_verdict(sampled)
    return next(iter(ranked_pairs(sampled.scores)), None)


@dataclass(frozen=True)
class Plan:
    """What rounds are made of.

    Attributes:
        n_pairs: in each round.
        mix: the probability of a given pair in place of a made one: 0 is online DPO, 0.5 the paper's mixed DPO.
    """

    n_pairs: int
    mix: float = 0.0
    seed: int = 0


class Visits:
    """Prompts in a seeded order, pass after pass, each of them once at most.

    Attributes:
        position: prompts passed since the first round began.
    """

    def __init__(self, prompts: Sequence[Preference], seed: int, position: int) -> None:
        self.position = position
        self._prompts = prompts
        self._seed = seed
        self._seen: set[str] = set()
        self._coming = self._in_order()

    def take(self, number: int) -> list[Preference]:
        """The next prompts; fewer where all have been visited."""
        found: list[Preference] = []
        while len(found) < number and len(self._seen) < len(self._prompts):
            prompt = next(self._coming)
            if prompt.id not in self._seen:
                self._seen.add(prompt.id)
                found.append(prompt)
        return found

    def _in_order(self) -> Iterator[Preference]:
        everything = range(len(self._prompts))
        while True:
            n_passed, index = divmod(self.position, len(everything))
            order = Random(f"pass {self._seed} {n_passed}").sample(everything, len(everything))
            for at in order[index:]:
                self.position += 1
                yield self._prompts[at]


class Rounds:
    """Makes rounds, or reads those that are there.

    Args:
        prompts: with pairs in them, where such are mixed in.
        identity: what must agree between the rounds of one training beside the plan.

    Raises:
        PlumblineError: pairs are to be mixed in, and a prompt has none.
    """

    def __init__(
        self,
        prompts: Sequence[Preference],
        maker: Maker,
        plan: Plan,
        folder: Path,
        identity: Mapping[str, Any],
    ) -> None:
        if plan.mix > 0 and (bare := next((p.id for p in prompts if p.rejected is None), None)):
            raise PlumblineError(
                f"prompt {bare} has no given pair to mix in; give pairs as --data, or take --mix 0"
            )
        self._prompts = prompts
        self._maker = maker
        self._plan = plan
        self._folder = folder
        content = sha256_of([key_of(prompt) for prompt in prompts])
        self._identity = {**asdict(plan), **identity, "prompts_sha256": content}

    def is_made(self, number: int) -> bool:
        """Whether a round is there already."""
        return (self._place(number) / INFO).exists()

    def pairs(self, number: int) -> tuple[Preference, ...]:
        """The pairs of a round that was made."""
        return read_preferences(self._place(number) / PAIRS).pairs

    def info(self, number: int) -> dict[str, Any]:
        """What round.json says. Raises BadRecordError."""
        path = self._place(number) / INFO
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return found
        except (OSError, ValueError) as error:
            raise BadRecordError(
                f"{path} cannot be read ({error}). Remove the folder: the round is made again"
            ) from error

    def make(self, number: int, policy: Policy, console: Console) -> None:
        """Make a round, or go on with one; nothing is done for one that is there.

        Raises:
            MixedRunError: the folder holds rounds with other settings.
            PlumblineError: the prompts do not give enough pairs.
        """
        place = self._place(number)
        with RunFolder(place) as folder:
            folder.claim(self._identity, {})
            if self.is_made(number):
                return
            started = time.monotonic()
            chance = Random(f"round {self._plan.seed} {number}")
            given = [chance.random() < self._plan.mix for _ in range(self._plan.n_pairs)]
            begin = self.info(number - 1)["end"] if number else 0
            visits = Visits(self._prompts, self._plan.seed, begin)
            old = visits.take(sum(given))
            if len(old) < sum(given):
                raise PlumblineError(
                    f"a round needs {sum(given)} given pairs, and there are {len(old)}. Give more, or take a smaller "
                    "--refresh-steps"
                )
            new, told = self._made(
                given.count(False), policy, visits, folder, chance.getrandbits(31), console
            )
            from_old = iter(old)
            from_new = (replace(pair, id=f"{pair.id}/round-{number}") for pair in new.values())
            pairs = [next(from_old if is_given else from_new) for is_given in given]
            write_preferences(place / PAIRS, pairs)
            info = {
                "n_given": sum(given),
                "n_made": given.count(False),
                "left": dict(told),
                "mean_words": {
                    "chosen": round(fmean(len(pair.chosen.split()) for pair in pairs), 2),
                    "rejected": round(fmean(len(str(pair.rejected).split()) for pair in pairs), 2),
                },
                "seconds": round(time.monotonic() - started, 1),
                "begin": begin,
                "end": visits.position,
            }
            write_atomically(place / INFO, to_json(info))

    def _made(
        self,
        wanted: int,
        policy: Policy,
        visits: Visits,
        folder: RunFolder,
        seed: int,
        console: Console,
    ) -> Made:
        """So many new pairs; how many prompts it takes is estimated from those visited so far."""
        made: dict[str, Preference] = {}
        told: Counter[str] = Counter()
        n_visited, n_next = 0, wanted
        while len(made) < wanted:
            prompts = visits.take(n_next)
            if not prompts:
                raise PlumblineError(
                    f"{n_visited} prompts gave {len(made)} of {wanted} pairs that a round needs ({dict(told)}; see "
                    f"{folder.path}). Give more prompts, a higher --temperature, or a smaller --refresh-steps"
                )
            found = self._maker(policy, prompts, folder, seed, console)
            made |= found.pairs
            told += found.told
            n_visited += len(prompts)
            share = max(len(made) / n_visited, LEAST_YIELD)
            n_next = math.ceil((wanted - len(made)) / share)
        told["not needed"] = len(made) - wanted
        return Made(dict(itertools.islice(made.items(), wanted)), told)

    def _place(self, number: int) -> Path:
        return self._folder / f"round-{number:04}"
