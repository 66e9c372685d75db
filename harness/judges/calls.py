"""Calls to a judge: paid for out of a budget, and asked until a usable reply comes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from benchmarks import logprobs
from benchmarks.base import JudgeRequest
from harness.endpoint.calls import Caller
from harness.endpoint.replies import Fault, Reply
from harness.endpoint.wire import Chat, Quirks, read_completion, same_model
from harness.judges.base import JudgeStats
from harness.judges.config import JudgeConfig
from harness.judges.prices import Budget, Price, PriceTable, most_tokens

NEEDS_LOGPROBS = (
    "this benchmark's judge must offer log-probabilities (logprobs and top_logprobs of chat "
    "completions); name one that does by --judge"
)


class JudgeCaller(Caller):
    """A Caller that sets money aside before each call and settles it afterwards.

    ``reply`` raises JudgeStoppedError at the budget's end.
    """

    def __init__(
        self,
        config: JudgeConfig,
        prices: PriceTable,
        budget: Budget,
        stats: JudgeStats,
        quirks: dict[str, Quirks],
    ) -> None:
        super().__init__(config, stats, quirks, read=partial(read_reply, config.any_model))
        self._prices = prices
        self._budget = budget

    async def _once(self, model: str, request: Chat) -> Reply | Fault:
        price = self._prices.find(model)
        bound = price.of(*most_tokens(request)) if price else 0.0
        await self._budget.reserve(bound)
        paid = bound
        try:
            outcome = await super()._once(model, request)
            paid = paid_usd(outcome, price, bound)
        finally:
            self._budget.settle(bound, paid)
        if isinstance(request, JudgeRequest):
            outcome = weighed(outcome, request.top_logprobs)
        return replace(outcome, cost_usd=paid if price else None)


def read_reply(any_model: bool, text: str, asked: str, quirks: Quirks) -> Reply | Fault:
    """A 200 answer's body as a judge's reply: a text, from a model that is accepted.

    Args:
        any_model: whether another model's reply is taken.
        asked: the model that was asked for.
    """
    outcome = read_completion(text, quirks)
    if isinstance(outcome, Fault):
        return outcome
    if not any_model and outcome.model and not same_model(asked, outcome.model):
        reason = f"{outcome.model} replied instead of {asked}"
        return Fault(reason, reply=outcome, raw=outcome.text)
    if not outcome.text and outcome.top_logprobs is None:
        if outcome.finish_reason == "length":
            reason = "the judge used up its token limit before it wrote anything"
            return Fault(reason, retry=False, reply=outcome, raw=text)
        return Fault("the server sent an empty reply", reply=outcome, raw=text)
    if not any_model and not outcome.model:
        reason = f"an unnamed model replied instead of {asked}"
        return Fault(reason, reply=outcome, raw=outcome.text)
    return outcome


def weighed(outcome: Reply | Fault, top_logprobs: int) -> Reply | Fault:
    """An outcome in the form that its request asks for: text, or text with log-probabilities.

    Args:
        top_logprobs: as in the JudgeRequest.
    """
    if not top_logprobs:
        return outcome
    if isinstance(outcome, Fault):
        is_refused = outcome.status in (400, 422) and "logprobs" in outcome.reason
        reason = f"{outcome.reason}; {NEEDS_LOGPROBS}" if is_refused else outcome.reason
        return replace(outcome, reason=reason)
    if outcome.top_logprobs is None:
        reason = f"the reply comes without log-probabilities; {NEEDS_LOGPROBS}"
        return Fault(reason, retry=False, reply=outcome, raw=outcome.text)
    return replace(outcome, text=logprobs.pack(outcome.text, outcome.top_logprobs))


def paid_usd(
    outcome: Reply | Fault, price: Price | None, bound: float, *, batch: bool = False
) -> float:
    """What a call cost; the bound where the server may have charged and does not say."""
    if price is None:
        return 0.0
    reply = outcome.reply if isinstance(outcome, Fault) else outcome
    if reply is None:
        return bound if isinstance(outcome, Fault) and outcome.unsure else 0.0
    if reply.n_prompt_tokens is None or reply.n_new_tokens is None:
        return bound
    return price.of(reply.n_prompt_tokens, reply.n_new_tokens, batch=batch)
