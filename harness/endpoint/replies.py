"""What comes of a call: a reply, or a fault that says why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.logprobs import TopLogprobs


@dataclass(frozen=True)
class Reply:
    """A usable reply.

    Attributes:
        finish_reason: "length" says that the text was cut.
        cost_usd: what this session paid for it, unusable replies before it included; None without a
            price.
        n_calls: calls that it took in this session; 0 when it came from a cache.
        not_sent: decoding settings that the server refuses to take for this model.
        top_logprobs: the candidates for the first token, where the server tells them.
    """

    text: str
    model: str
    finish_reason: str = "stop"
    fingerprint: str | None = None
    n_prompt_tokens: int | None = None
    n_new_tokens: int | None = None
    cost_usd: float | None = None
    n_calls: int = 1
    not_sent: tuple[str, ...] = ()
    top_logprobs: TopLogprobs | None = None

    @property
    def cached(self) -> bool:
        return self.n_calls == 0


@dataclass(frozen=True)
class Fault:
    """Why a call brought no usable reply.

    Attributes:
        reason: for a person to read.
        retry: whether the same call may succeed a moment later.
        wait_s: how long the server asks us to wait before that.
        stops: no other call can succeed either (the key is refused, the quota is used up).
        adapted: the server refuses a setting, and the same call is made again without it.
        reply: what the server sent where that can be read; its tokens are paid for.
        unsure: the server may have charged for the call without telling us.
        status: the HTTP status; None when there was none.
    """

    reason: str
    retry: bool = True
    wait_s: float | None = None
    stops: bool = False
    adapted: bool = False
    reply: Reply | None = None
    unsure: bool = False
    status: int | None = None
    raw: str = ""
    cost_usd: float | None = None
    n_calls: int = 1
