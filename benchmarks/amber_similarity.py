"""How alike two words are, for AMBER's generative part.

The official script asks spaCy's ``en_core_web_lg``, which cannot be had from a package index. So this is
a part that can be replaced, and only that model's numbers are called official.
"""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from benchmarks.base import BadRecordError, PlumblineError, sha256_of
from benchmarks.nlp import has_spacy_pipeline, spacy_pipeline

OFFICIAL_MODEL = "en_core_web_lg"

_log = logging.getLogger(__name__)


class Similarity(Protocol):
    """Values for all pairs of a vocabulary."""

    @property
    def label(self) -> str:
        """What it is, with its version: part of the protocol."""

    @property
    def is_official(self) -> bool:
        """Whether it is the official script's own."""

    def matrix(self, words: Sequence[str]) -> np.ndarray:
        """Values as float64, N x N; 1.0 for a word and itself."""


@dataclass(frozen=True)
class ExactSimilarity:
    """No two different words are similar."""

    is_official: bool = False

    @property
    def label(self) -> str:
        return "exact: no two different words are similar (not official)"

    def matrix(self, words: Sequence[str]) -> np.ndarray:
        return np.eye(len(words))


@dataclass(frozen=True)
class TableSimilarity:
    """Values from a JSON object, ``{"bike|bicycle": 0.87}``; pairs that are not listed have 0.0."""

    path: Path
    is_official: bool = False

    @property
    def label(self) -> str:
        return f"table {self.path.name}, sha256 {sha256_of(self._values)} (not official)"

    @cached_property
    def _values(self) -> dict[str, float]:
        try:
            values = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise BadRecordError(
                f"{self.path}: the table cannot be read ({error}). "
                'amber.similarity takes a JSON file {"word|other": value}'
            ) from error
        if not isinstance(values, dict):
            raise BadRecordError(f'{self.path}: not a JSON object. Write {{"word|other": value}}')
        for pair, value in values.items():
            words = pair.split("|")
            if len(words) != 2 or words != sorted(words):
                problem = f"{pair!r} is not a pair of words in alphabetical order"
                raise BadRecordError(f"{self.path}: {problem}. Write the smaller one first")
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not math.isfinite(value):
                raise BadRecordError(f"{self.path}: {pair} has {value!r}. Write a finite number")
        return values

    def matrix(self, words: Sequence[str]) -> np.ndarray:
        index = {word: place for place, word in enumerate(words)}
        values = np.zeros((len(words), len(words)))
        for pair, value in self._values.items():
            first, second = pair.split("|")
            if first in index and second in index:
                values[index[first], index[second]] = values[index[second], index[first]] = value
        np.fill_diagonal(values, 1.0)
        return values


@dataclass(frozen=True)
class SpacySimilarity:
    """``Doc.similarity`` of one-word documents, as in the official script.

    It is asked for every pair, which takes a second, rather than computed here from the vectors, so
    that a value is spaCy's own to the last bit, whatever precision its release works in.

    Attributes:
        model: an installed pipeline's name, or a folder.
    """

    model: str

    @property
    def is_official(self) -> bool:
        return self.model == OFFICIAL_MODEL

    @property
    def label(self) -> str:
        version = spacy_pipeline(self.model).meta["version"]
        name = Path(self.model).name
        return f"{name} {version}{'' if self.is_official else ' (not official)'}"

    def matrix(self, words: Sequence[str]) -> np.ndarray:
        nlp = spacy_pipeline(self.model)
        if not nlp.vocab.vectors.n_keys:
            raise PlumblineError(f"amber.similarity={self.model}: this model has no word vectors")
        # Only the tokeniser and the vectors have a say in the similarity.
        documents = [nlp.make_doc(word) for word in words]
        values = np.eye(len(words))
        with warnings.catch_warnings():
            # "empty vectors": such a pair has 0.0, as in the official script.
            warnings.simplefilter("ignore", UserWarning)
            for row, first in enumerate(documents):
                for column, second in enumerate(documents[:row]):
                    values[row, column] = values[column, row] = first.similarity(second)
        return values


def open_similarity(name: str) -> Similarity:
    """A similarity by what ``amber.similarity`` may say.

    Args:
        name: "auto" (the official model where it is installed, else "exact", with a warning), "exact",
            a ``.json`` table, or a spaCy model: a package's name or a folder.
    """
    if name == "auto" and has_spacy_pipeline(OFFICIAL_MODEL):
        return SpacySimilarity(OFFICIAL_MODEL)
    if name == "auto":
        _log.warning(
            "AMBER: spaCy's %s is not installed, so similar words are not recognised and the "
            "generative metrics are not official (amber.similarity=exact). "
            "python -m spacy download %s",
            OFFICIAL_MODEL,
            OFFICIAL_MODEL,
        )
    if name in ("auto", "exact"):
        return ExactSimilarity()
    return TableSimilarity(Path(name)) if name.endswith(".json") else SpacySimilarity(name)
