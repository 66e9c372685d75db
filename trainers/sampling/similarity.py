"""How alike two answers are, from 0 to 1, for BDHS's check that a made answer is another one.

The paper (2407.02477) takes the cosine of ``all-mpnet-base-v2`` embeddings. That model has to be fetched, so the
default here is a cosine of counts that needs nothing; records name which one was used. Its values are not the paper's:
one word changed in a sentence of ten makes it about 0.85.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.base import PlumblineError

NGRAMS = "ngrams"
PAPERS = "sentence-transformers/all-mpnet-base-v2"

_BATCH = 64


class Texts(NamedTuple):
    """Two texts to compare."""

    first: str
    second: str


Similarity = Callable[[Sequence[Texts]], list[float]]


def open_similarity(name: str) -> Similarity:
    """A similarity by name: ``ngrams``, or the folder or hub id of an embedding model.

    Raises:
        PlumblineError: the model cannot be loaded.
    """
    if name == NGRAMS:
        return lambda pairs: [ngram_cosine(*pair) for pair in pairs]
    if "/" not in name and not Path(name).is_dir():
        raise PlumblineError(
            f"--similarity {name}: write {NGRAMS}, or the folder or hub id of an embedding model ({PAPERS})"
        )
    return _Embeddings(name)


def ngram_cosine(first: str, second: str) -> float:
    """Cosine of the counts of words and of pairs of neighbouring words; case and punctuation don't count."""
    counts = [_counts(text) for text in (first, second)]
    if counts[0] == counts[1]:
        return 1.0
    product = sum(number * counts[1][gram] for gram, number in counts[0].items())
    norms = [math.sqrt(sum(number**2 for number in each.values())) for each in counts]
    return product / math.prod(norms) if all(norms) else 0.0


def _counts(text: str) -> Counter[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return Counter([(word,) for word in words]) + Counter(itertools.pairwise(words))


class _Embeddings:
    """Cosine of mean-pooled token embeddings, as sentence-transformers computes them."""

    def __init__(self, name: str) -> None:
        from transformers import AutoModel, AutoTokenizer

        from harness.engines.processors import explained

        with explained(Path(name), "embedding model"):
            self._tokenizer = AutoTokenizer.from_pretrained(name)
            self._model = AutoModel.from_pretrained(name, dtype="float32").eval()

    def __call__(self, pairs: Sequence[Texts]) -> list[float]:
        import torch

        found: list[float] = []
        for start in range(0, len(pairs), _BATCH):
            texts = [text for pair in pairs[start : start + _BATCH] for text in pair]
            inputs = self._tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
            with torch.inference_mode():
                states = self._model(**inputs).last_hidden_state
            shown = inputs["attention_mask"][..., None]
            means = (states * shown).sum(1) / shown.sum(1).clamp_min(1)
            found += torch.cosine_similarity(means[0::2], means[1::2]).tolist()
        return found
