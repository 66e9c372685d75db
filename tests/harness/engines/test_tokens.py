"""Sampling: the right distribution, and chance that belongs to one request."""

from __future__ import annotations

import torch

from harness.engines.prompts import Prompt
from harness.engines.tokens import Row, cut, draw, generator
from tests.harness.engines.asking import request, user


def row(temperature: float, top_p: float, source: torch.Generator) -> Row:
    asked = request("a", user("?"), temperature=temperature, top_p=top_p)
    prompt = Prompt(
        asked, torch.tensor([1]), {}, {}, None, limit=1, n_pictures=0, n_vision_prefix=0
    )
    return Row(prompt, limit=1, uniform=source)


def shares(temperature: float, top_p: float, n: int = 4000) -> list[float]:
    """How often each of three tokens with probabilities 0.2, 0.5 and 0.3 is drawn."""
    same = row(temperature, top_p, generator("key", 0))
    drawn = draw([same] * n, torch.tensor([[0.2, 0.5, 0.3]]).log().expand(n, 3))
    return [drawn.count(token) / n for token in range(3)]


def test_tokens_are_drawn_by_their_probabilities() -> None:
    expected = torch.tensor([0.2, 0.5, 0.3])
    # Three standard errors at 4,000 draws.
    assert (torch.tensor(shares(1.0, 1.0)) - expected).abs().max() < 0.024


def test_temperature_sharpens_and_the_nucleus_cuts() -> None:
    # At a temperature of one half probabilities are squared: 0.04, 0.25 and 0.09 of 0.38.
    sharp = torch.tensor([0.04, 0.25, 0.09]) / 0.38
    assert (torch.tensor(shares(0.5, 1.0)) - sharp).abs().max() < 0.024
    # 0.5 alone is less than 0.6, so the token with 0.3 is in; the one with 0.2 is not.
    nucleus = torch.tensor([0.0, 0.5, 0.3]) / 0.8
    assert (torch.tensor(shares(1.0, 0.6)) - nucleus).abs().max() < 0.024
    assert shares(1.0, 0.6)[0] == 0


def test_rows_of_one_batch_have_their_own_temperature_nucleus_and_chance() -> None:
    scores = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    settings = [(0.7, 1.0), (1.5, 0.9), (1.0, 0.5)]
    alone = [
        draw([row(*setting, generator(str(index), 0))], scores[index : index + 1])[0]
        for index, setting in enumerate(settings)
    ]
    rows = [row(*setting, generator(str(index), 0)) for index, setting in enumerate(settings)]
    assert draw(rows, scores) == alone


def test_chance_depends_on_the_request_and_the_seed() -> None:
    def numbers(key: str, seed: int) -> list[float]:
        return torch.rand(4, generator=generator(key, seed)).tolist()

    assert numbers("a", 0) == numbers("a", 0)
    assert numbers("a", 0) != numbers("b", 0)
    assert numbers("a", 0) != numbers("a", 1)


def test_text_ends_before_the_first_stop_string() -> None:
    assert cut("one two three", ("three", "two")) == "one "
    assert cut("one two three", ("four",)) == "one two three"
