"""A judge behind an OpenAI-compatible endpoint: many calls at a time, each reply stored first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.base import Benchmark, Decoding, JudgeRequest, Message, PlumblineError
from harness.endpoint.config import OPENAI_URL
from harness.endpoint.pump import pump, side_by_side
from harness.endpoint.replies import Fault, Reply
from harness.endpoint.wire import Quirks, same_model
from harness.judges.base import Judged, JudgeStats, JudgeStoppedError, Question, Trial
from harness.judges.cache import ReplyCache
from harness.judges.calls import JudgeCaller
from harness.judges.config import JudgeConfig
from harness.judges.prices import Budget, PriceTable

CHECK_RETRIES = 2
CHECK = JudgeRequest(
    id="check",
    item_id="check",
    messages=(Message("user", "Reply with the word: ready"),),
    decoding=Decoding(max_new_tokens=16),
)
"""The tiny call that shows whether endpoint, key, model and account work."""


class HttpJudge:
    """A judge that is asked over HTTP. Opens its cache at once: a damaged one is seen early."""

    def __init__(self, config: JudgeConfig) -> None:
        self.config = config
        self.stats = JudgeStats()
        self.prices = PriceTable.load(config.prices)
        self.cache = ReplyCache(config.cache)
        self.quirks: dict[str, Quirks] = {}
        self._checks_usd = 0.0

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"model": self.config.model or "official", **self.where}

    @property
    def where(self) -> dict[str, Any]:
        """What every judgment says of the place where it was made."""
        return {"endpoint": self.config.endpoint}

    def model_for(self, benchmark: Benchmark) -> str:
        return self.config.model_for(benchmark)

    def check(self, benchmarks: Sequence[Benchmark]) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for benchmark in benchmarks:
            if benchmark.judge is None or (model := self.model_for(benchmark)) in found:
                continue
            official = model == benchmark.judge.model
            found[model] = self.reach(model, benchmark.judge.state if official else "")
        return found

    def reach(self, model: str, state: str = "") -> str:
        """One tiny call. Returns the model's name as the server returns it.

        Args:
            state: what is known of the model, for the error message.

        Raises:
            PlumblineError: there is no such judge; the text says what to do.
        """
        self.need_price(model)
        outcomes: list[Reply | Fault] = []

        async def work(put: Callable[[Reply | Fault], None]) -> None:
            retries = min(CHECK_RETRIES, self.config.max_retries)
            async with self.caller(Budget(None), max_retries=retries) as caller:
                put(await caller.reply(model, CHECK))

        for batch in pump(work):
            outcomes += batch
        [outcome] = outcomes
        self._checks_usd += outcome.cost_usd or 0.0
        if isinstance(outcome, Reply):
            return outcome.model
        if outcome.reply and same_model(model, outcome.reply.model):
            return (
                outcome.reply.model
            )  # it is there and has read the call; what it says is of no interest
        raise PlumblineError(_unreachable(self.config, model, outcome, state))

    def need_price(self, model: str) -> None:
        """Raises PlumblineError when there is a budget and no price to keep it with."""
        if self.config.max_cost_usd is not None:
            self.prices.need(model)

    def caller(self, budget: Budget, max_retries: int | None = None) -> JudgeCaller:
        config = self.config
        if max_retries is not None:
            config = replace(config, max_retries=max_retries)
        return JudgeCaller(config, self.prices, budget, self.stats, self.quirks)

    def ask(
        self, questions: Sequence[Question], spent_usd: float = 0.0
    ) -> Iterator[Sequence[Judged]]:
        trials = self.trials(questions, self.where)
        session = _Session(self, self.budget(spent_usd), trials)
        for batch in pump(session.work):
            self.stats.n_judgments += len(batch)
            yield batch

    def trials(self, questions: Sequence[Question], where: Mapping[str, Any]) -> list[Trial]:
        """The questions, ready to be asked. Raises PlumblineError when a price is missing."""
        trials = [Trial(q, self.model_for(q.benchmark), where) for q in questions]
        for model in {trial.model for trial in trials}:
            self.need_price(model)
        return trials

    def budget(self, spent_usd: float) -> Budget:
        return Budget(self.config.max_cost_usd, spent_usd + self._checks_usd)

    def stored(self, trial: Trial) -> Reply | None:
        """The reply to a trial's attempt, if it was paid for before and is still acceptable."""
        reply = self.cache.get(trial.cache_key(self.config.endpoint))
        if reply is None or not (self.config.any_model or same_model(trial.model, reply.model)):
            return None
        self.stats.n_cached += 1
        return reply

    def store(self, trial: Trial, reply: Reply) -> None:
        self.cache.put(trial.cache_key(self.config.endpoint), reply)

    def close(self) -> None:
        self.cache.close()


class _Session:
    """One call of ``ask``: workers that share a caller and a budget."""

    def __init__(self, judge: HttpJudge, budget: Budget, trials: Sequence[Trial]) -> None:
        self._judge = judge
        self._trials = trials
        self._caller = judge.caller(budget)

    async def work(self, put: Callable[[Judged], None]) -> None:
        """Judge everything. Calls under way are finished before a reason to stop is raised: the
        budget, the key, or the cache file."""

        async def handle(trial: Trial) -> None:
            put(await self._judged(trial))

        async with self._caller:
            await side_by_side(self._trials, self._judge.config.concurrency, handle)

    async def _judged(self, trial: Trial) -> Judged:
        while True:
            outcome = self._judge.stored(trial) or await self._reply(trial)
            judgment = trial.take(outcome)
            if judgment is not None:
                return Judged(trial.question, judgment)

    async def _reply(self, trial: Trial) -> Reply | Fault:
        outcome = await self._caller.reply(trial.model, trial.request)
        if isinstance(outcome, Reply):
            self._judge.store(trial, outcome)
        elif self._caller.is_gone(outcome):
            raise JudgeStoppedError(
                f"the judge {trial.model} at {self._judge.config.endpoint} cannot go on: "
                f"{outcome.reason}. Every judgment so far is kept; once this is mended, the same "
                "command goes on."
            )
        return outcome


def _unreachable(config: JudgeConfig, model: str, fault: Fault, state: str) -> str:
    """What is wrong with a judge, and what to do about it."""
    where = f"the judge {model} at {config.endpoint}"
    about = f" ({state})" if state else ""
    if fault.reply is not None:
        return (
            f"{where}: {fault.reason}. Ask for --judge {fault.reply.model}, or take whatever model "
            "replies by --judge-any-model (scores are labelled with the model that replied)"
        )
    if fault.status == 404:
        return (
            f"{where} is not there{about}: {fault.reason}. Name another model by --judge (its "
            "scores are labelled as another judge's), or another endpoint by --judge-base-url"
        )
    if fault.status in (401, 403):
        source = "OPENAI_API_KEY or " if config.endpoint == OPENAI_URL else ""
        return (
            f"{where} refuses the key: {fault.reason}. Set {source}PLUMBLINE_JUDGE_KEY, or name a "
            "file with the key by --judge-key-file"
        )
    if fault.status is None:
        return (
            f"{where} cannot be reached: {fault.reason}. Start it, or name another endpoint by "
            "--judge-base-url"
        )
    return f"{where} does not work{about}: {fault.reason}"
