"""What judging costs, and the budget that is never overdrawn."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.base import PlumblineError
from harness.endpoint.wire import Chat
from harness.judges.base import JudgeStoppedError

SHIPPED = Path(__file__).with_name("prices.toml")

TOKENS_PER_MESSAGE = 16
"""What a chat format puts around a message, at most."""
TOKENS_PER_PICTURE = 3000
"""What hosted models charge for a picture, at most."""
UNLIMITED_REPLY = 4096
"""Tokens assumed for a reply whose length the protocol does not limit."""


@dataclass(frozen=True)
class Price:
    """USD per million tokens, and the share of it that the batch API costs."""

    input: float
    output: float
    batch: float = 1.0

    def of(self, n_prompt_tokens: int, n_new_tokens: int, *, batch: bool = False) -> float:
        usd = (n_prompt_tokens * self.input + n_new_tokens * self.output) / 1e6
        return usd * self.batch if batch else usd


@dataclass(frozen=True)
class PriceTable:
    """Prices by the model's name as it is asked for."""

    prices: Mapping[str, Price]
    path: Path

    @classmethod
    def load(cls, own: Path | None) -> PriceTable:
        """The shipped table with the user's own entries on top. Raises PlumblineError."""
        prices = _read(SHIPPED)
        if own is not None:
            prices |= _read(own)
        return cls(prices, own or SHIPPED)

    def find(self, model: str) -> Price | None:
        return self.prices.get(model)

    def need(self, model: str) -> Price:
        """The price of a model that a budget is set for. Raises PlumblineError without one."""
        if model in self.prices:
            return self.prices[model]
        raise PlumblineError(
            f"--max-cost needs the price of {model}, and {self.path} has none. Write it (USD per "
            "million tokens) into a file of your own and name that by --judge-prices:\n"
            f'  ["{model}"]\n  input = 2.5\n  output = 10.0'
        )


def _read(path: Path) -> dict[str, Price]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PlumblineError(f"{path}: the price table cannot be read ({error})") from error
    found = {}
    for model, entry in content.items():
        try:
            price = Price(**{name: float(value) for name, value in entry.items()})
        except (TypeError, ValueError, AttributeError) as error:
            raise PlumblineError(
                f'{path}: ["{model}"] needs input and output (USD per million tokens), and may '
                f"have batch (the batch API's share of them, such as 0.5): {error}"
            ) from error
        if min(price.input, price.output, price.batch) < 0:
            raise PlumblineError(f'{path}: ["{model}"] has a price below zero')
        found[model] = price
    return found


def most_tokens(request: Chat) -> tuple[int, int]:
    """Bounds for (prompt tokens, new tokens) of a call: a token is never shorter than one byte."""
    n_bytes = sum(len(m.text.encode("utf-8", errors="replace")) for m in request.messages)
    around = TOKENS_PER_MESSAGE * len(request.messages)
    pictures = TOKENS_PER_PICTURE * sum(len(m.pictures) for m in request.messages)
    return n_bytes + around + pictures, request.decoding.max_new_tokens or UNLIMITED_REPLY


class Budget:
    """Money that is set aside before a call and settled after it.

    What is set aside is a bound, so calls that run at the same time cannot overdraw it together;
    and a call that finds too little left first waits for those under way to give back what they did
    not use.
    """

    def __init__(self, limit_usd: float | None, spent_usd: float = 0.0) -> None:
        self.limit_usd = limit_usd
        self.spent_usd = spent_usd
        self._reserved: list[float] = []
        self._changed = asyncio.Event()

    def fits(self, usd: float) -> bool:
        """Whether that much is neither spent nor set aside."""
        taken = self.spent_usd + sum(self._reserved)
        return self.limit_usd is None or taken + usd <= self.limit_usd

    async def reserve(self, usd: float) -> None:
        """Set an amount aside. Raises JudgeStoppedError when it is not there and will not be."""
        while not self.fits(usd):
            if not self._reserved:
                raise self.reached(usd)
            self._changed.clear()
            await self._changed.wait()
        self.commit(usd)

    def commit(self, usd: float) -> None:
        """Set an amount aside without asking whether it is there."""
        self._reserved.append(usd)

    def settle(self, reserved_usd: float, paid_usd: float) -> None:
        """Replace an amount that was set aside by what was paid."""
        self._reserved.remove(reserved_usd)
        self.spent_usd += paid_usd
        self._changed.set()

    def reached(self, next_usd: float) -> JudgeStoppedError:
        return JudgeStoppedError(
            f"--max-cost {self.limit_usd:g} is reached: {self.spent_usd:.4f} USD are spent and the "
            f"next call may cost up to {next_usd:.4f}. Every judgment so far is kept; the same "
            "command with a larger --max-cost goes on from there."
        )
