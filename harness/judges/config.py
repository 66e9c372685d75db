"""Which judge is asked, where and for how much."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks.base import Benchmark, PlumblineError
from harness.endpoint.config import EndpointConfig


@dataclass(frozen=True)
class JudgeConfig(EndpointConfig):
    """Where and how a judge is asked. Temperature and length come with each request, from the
    protocol.

    Attributes:
        model: asked for every benchmark; None asks each benchmark's official judge.
        max_cost_usd: for the whole run, earlier sessions included; None sets no limit.
        prices: the user's own price table, on top of ``prices.toml``.
        cache: the file of stored replies; None stores none.
        any_model: take replies of models other than the one asked (they are named and labelled).
        poll_s: pause between two looks at a batch.
    """

    url_option: ClassVar[str] = "--judge-base-url"
    key_option: ClassVar[str] = "--judge-key-file"

    model: str | None = None
    max_cost_usd: float | None = None
    prices: Path | None = None
    cache: Path | None = None
    any_model: bool = False
    poll_s: float = 30.0

    def model_for(self, benchmark: Benchmark) -> str:
        """The judge's model for a benchmark: the one place where the default is chosen."""
        if self.model is not None:
            return self.model
        if benchmark.judge is None:
            raise PlumblineError(f"{benchmark.title} has no judge")
        return benchmark.judge.model
