"""Judging over a provider's batch API: half the price for a reply within a day.

It goes round by round: what is open is uploaded, the batch is awaited, its replies go into the
cache, and those that cannot be read are asked again in the next round. The run folder names every
batch before it is awaited, so a run that was ended in between finds its batches again instead of
paying twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.base import Benchmark, Judgment, PictureError
from harness.endpoint.replies import Fault, Reply
from harness.endpoint.wire import Quirks, chat_body, fault_of_status
from harness.judges.base import Judged, JudgeStats, Question, Trial, now
from harness.judges.batch_api import CHAT, BatchApi, Json, stopped
from harness.judges.batch_state import BatchState, Entry
from harness.judges.calls import paid_usd, read_reply, weighed
from harness.judges.client import HttpJudge
from harness.judges.config import JudgeConfig
from harness.judges.prices import Budget, most_tokens

MOST_REQUESTS = 50_000
"""What OpenAI takes in one batch."""
MOST_BYTES = 100_000_000
"""Half of what OpenAI takes in one file."""


class BatchJudge:
    """A judge that is asked in batches.

    Args:
        state: the file in the run folder that names the run's batches.
    """

    def __init__(self, config: JudgeConfig, state: Path) -> None:
        self._direct = HttpJudge(config)
        self.stats: JudgeStats = self._direct.stats
        self._state = BatchState(state, config.endpoint)

    @property
    def identity(self) -> Mapping[str, Any]:
        return {**self._direct.identity, "batch": True}

    def model_for(self, benchmark: Benchmark) -> str:
        return self._direct.model_for(benchmark)

    def check(self, benchmarks: Sequence[Benchmark]) -> Mapping[str, str]:
        return self._direct.check(benchmarks)

    def ask(
        self, questions: Sequence[Question], spent_usd: float = 0.0
    ) -> Iterator[Sequence[Judged]]:
        trials = self._direct.trials(questions, {**self._direct.where, "batch": True})
        budget = self._direct.budget(spent_usd)
        with closing(BatchApi(self._direct.config)) as api:
            rounds = _Rounds(self._direct, self._state, api, budget)
            while trials:
                collected = rounds.collect()
                judged, trials = rounds.take(trials)
                if judged:
                    self.stats.n_judgments += len(judged)
                    yield judged
                # Only now are they on the caller's disk; until then a new session must collect
                # them again.
                self._state.close(collected)
                if trials:
                    rounds.submit(trials)

    def close(self) -> None:
        self._direct.close()


@dataclass
class _Chunk:
    """The lines of one upload."""

    lines: dict[str, bytes] = field(default_factory=dict)
    n_bytes: int = 0
    bound_usd: float = 0.0

    def has_room(self, line: bytes) -> bool:
        return len(self.lines) < MOST_REQUESTS and self.n_bytes + len(line) <= MOST_BYTES

    def add(self, key: str, line: bytes, bound_usd: float) -> None:
        self.lines[key] = line
        self.n_bytes += len(line)
        self.bound_usd += bound_usd


class _Rounds:
    """One call of ``ask``: what was sent, and what came."""

    def __init__(self, judge: HttpJudge, state: BatchState, api: BatchApi, budget: Budget) -> None:
        self._judge = judge
        self._config = judge.config
        self._state = state
        self._api = api
        self._budget = budget
        self._came: dict[str, Reply | Fault] = {}
        self._sent: dict[str, list[str]] = {}
        for entry in state.open():
            budget.commit(entry.reserved_usd)

    def _key(self, trial: Trial) -> str:
        return trial.cache_key(self._config.endpoint)

    def take(self, trials: Sequence[Trial]) -> tuple[list[Judged], list[Trial]]:
        """The trials that are judged by what has come, and those that must be asked (again)."""
        judged, still_open = [], []
        for trial in trials:
            judgment = self._advance(trial)
            if judgment is None:
                still_open.append(trial)
            else:
                judged.append(Judged(trial.question, judgment))
        return judged, still_open

    def _advance(self, trial: Trial) -> Judgment | None:
        while outcome := self._came.get(self._key(trial)) or self._judge.stored(trial):
            if judgment := trial.take(outcome):
                return judgment
        return None

    def submit(self, trials: Sequence[Trial]) -> None:
        """Upload and order what the budget allows. Raises JudgeStoppedError if that is nothing."""
        n_done = len(self._came)
        n_sent = 0
        for model, top_logprobs in sorted({_kind(trial) for trial in trials}):
            of_kind = [trial for trial in trials if _kind(trial) == (model, top_logprobs)]
            for chunk in self._chunks(of_kind):
                self._order(model, top_logprobs, chunk)
                n_sent += len(chunk.lines)
        if not n_sent and len(self._came) == n_done:
            raise self._budget.reached(self._bound(trials[0]))

    def _chunks(self, trials: Sequence[Trial]) -> Iterator[_Chunk]:
        """Uploads for one kind of trial, as far as the budget goes; each must be ordered at once."""
        chunk = _Chunk()
        for trial in trials:
            line, bound = self._line(trial), self._bound(trial)
            if line is None:
                continue
            if not chunk.has_room(line):
                yield chunk
                chunk = _Chunk()
            if not self._budget.fits(chunk.bound_usd + bound):
                break
            chunk.add(self._key(trial), line, bound)
        if chunk.lines:
            yield chunk

    def _line(self, trial: Trial) -> bytes | None:
        """One line of the upload; None when the call cannot be formed: that is its outcome."""
        quirks = self._judge.quirks.get(trial.model, Quirks())
        try:
            body = chat_body(trial.request, trial.model, quirks)
        except PictureError as error:
            self._came[self._key(trial)] = Fault(str(error), retry=False, n_calls=0)
            return None
        record = {"custom_id": self._key(trial), "method": "POST", "url": CHAT, "body": body}
        return json.dumps(record, ensure_ascii=True).encode("ascii") + b"\n"

    def _bound(self, trial: Trial) -> float:
        price = self._judge.prices.find(trial.model)
        return price.of(*most_tokens(trial.request), batch=True) if price else 0.0

    def _order(self, model: str, top_logprobs: int, chunk: _Chunk) -> None:
        """Upload and order. The file is on record before the order is given."""
        self._budget.commit(chunk.bound_usd)
        file = self._api.upload(b"".join(chunk.lines.values()))
        self._sent[file] = list(chunk.lines)
        endpoint, n_requests = self._config.endpoint, len(chunk.lines)
        entry = Entry(
            file,
            endpoint,
            model,
            n_requests,
            chunk.bound_usd,
            created=now(),
            top_logprobs=top_logprobs,
        )
        self._state.put(entry)
        self._state.put(replace(entry, batch=self._api.order(file)))

    def collect(self) -> list[Entry]:
        """Await every batch and take in what it brings. Returns their entries, still open."""
        collected = []
        for entry in self._state.open():
            if entry.batch is None:
                batch = self._api.order(entry.input_file, perhaps_ordered=True)
                entry = self._state.put(replace(entry, batch=batch))
            record = self._api.wait(entry.batch or "")
            if record["status"] == "failed" and not record.get("output_file_id"):
                self._budget.settle(entry.reserved_usd, 0.0)
                self._state.close([entry])
                raise stopped(
                    f"batch {entry.batch} was refused: {json.dumps(record.get('errors'))}"
                )
            self._take_in(entry, record)
            collected.append(entry)
        return collected

    def _take_in(self, entry: Entry, record: Json) -> None:
        paid = 0.0
        for line in self._api.lines(record):
            key, outcome = str(line.get("custom_id")), self._outcome(entry, line)
            self._came[key] = outcome
            paid += outcome.cost_usd or 0.0
            if isinstance(outcome, Reply):
                self._judge.cache.put(key, outcome)
        for key in self._sent.get(entry.input_file, ()):
            reason = f"batch {entry.batch} ended without a reply ({record['status']})"
            self._came.setdefault(key, Fault(reason, retry=False))
        self._budget.settle(entry.reserved_usd, paid)

    def _outcome(self, entry: Entry, line: Json) -> Reply | Fault:
        """One line of a batch's output or error file."""
        response = line.get("response") or {}
        if line.get("error") or not response:
            return Fault(f"the batch reports: {json.dumps(line.get('error'))}", retry=False)
        status, text = int(response.get("status_code") or 0), json.dumps(response.get("body"))
        if status != 200:
            return weighed(fault_of_status(status, text, {}), entry.top_logprobs)
        quirks = self._judge.quirks.get(entry.model, Quirks())
        outcome = read_reply(self._config.any_model, text, entry.model, quirks)
        outcome = weighed(outcome, entry.top_logprobs)
        if price := self._judge.prices.find(entry.model):
            outcome = replace(outcome, cost_usd=paid_usd(outcome, price, 0.0, batch=True))
        self._judge.stats.count(outcome)
        return outcome


def _kind(trial: Trial) -> tuple[str, int]:
    """What all requests of a batch have in common: it tells how their replies are read."""
    return trial.model, trial.request.top_logprobs
