"""AMBER's generative part: which objects a caption mentions, and which of them it imagines.

What the official ``inference.py`` does, step by step:

1. ``extract_nouns``: tokens that NLTK tags as nouns, lemmatised, not lower-cased ("Trees" at the start
   of a sentence stays "Trees", which step 2 loses).
2. ``Lexicon.known``: of these, the words of ``relation.json``, with repetitions.
3. ``judge_mentions``: each mention is held against two ordered lists of words, *safe* (what is in the
   picture) and *imagined* (what a model may expect there); the first word that fits decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.amber_similarity import Similarity
from benchmarks.nlp import nltk_ready

MAX_CAPTION_CHARACTERS = 200_000
"""Longer captions are not tagged (this one takes seconds); no model is given that many tokens."""

NLTK_RESOURCES = (
    "tokenizers/punkt_tab/english/",
    "taggers/averaged_perceptron_tagger_eng/",
    "corpora/wordnet/",
)

Match = Callable[[str, str], bool]


def extract_nouns(text: str, data_dir: Path | None = None) -> list[str]:
    """The nouns of a text as the official script finds them, with repetitions.

    Raises:
        PlumblineError: NLTK is not installed.
        MissingDataError: its data is neither in ``DATA_DIR/nltk_data`` nor where NLTK looks by itself.
    """
    tools = _nltk_tools(data_dir)
    tagged = tools.tagger.tag(tools.tokenise(text))
    return [tools.lemmatise(word) for word, tag in tagged if tag.startswith("NN")]


class _NltkTools(NamedTuple):
    tokenise: Callable[[str], list[str]]
    tagger: Any
    lemmatise: Callable[[str], str]


@cache
def _nltk_tools(data_dir: Path | None) -> _NltkTools:
    nltk = nltk_ready(data_dir, NLTK_RESOURCES)
    # nltk.pos_tag uses this tagger, but in some releases it loads the weights at every call.
    tagger = nltk.tag.PerceptronTagger()
    return _NltkTools(nltk.word_tokenize, tagger, nltk.stem.WordNetLemmatizer().lemmatize)


@dataclass(frozen=True)
class Lexicon:
    """The words that count, and which of them stand for each other.

    Attributes:
        association: words with the words that are taken for them, in order.
        safe_words: words that never count as imagined.
        similarity: how alike two words are.
        threshold: a pair is similar when its value is above (not at) this.
    """

    association: Mapping[str, Sequence[str]]
    safe_words: frozenset[str]
    similarity: Similarity
    threshold: float

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Keys and values of the association."""
        return frozenset(w for word, others in self.association.items() for w in (word, *others))

    @cached_property
    def _similar(self) -> frozenset[tuple[str, str]]:
        words = sorted(self.vocabulary)
        places = np.argwhere(self.similarity.matrix(words) > self.threshold)
        return frozenset((words[row], words[column]) for row, column in places.tolist())

    def known(self, nouns: Sequence[str]) -> list[str]:
        """The nouns that are in the vocabulary."""
        return [noun for noun in nouns if noun in self.vocabulary]

    def is_similar(self, first: str, second: str) -> bool:
        """Whether two words of the vocabulary are alike."""
        return (first, second) in self._similar


class Candidates(NamedTuple):
    """Words in the order in which they are tried, each with the index of the target it stands for."""

    words: tuple[str, ...]
    owners: tuple[int, ...]

    @classmethod
    def of(cls, targets: Sequence[str], association: Mapping[str, Sequence[str]]) -> Candidates:
        """For each target in order its associated words, and then all targets."""
        pairs = [(w, index) for index, target in enumerate(targets) for w in association[target]]
        pairs += [(target, index) for index, target in enumerate(targets)]
        return cls(tuple(word for word, _ in pairs), tuple(index for _, index in pairs))

    def first(self, noun: str, matches: Match) -> int | None:
        """The target that the first matching word stands for."""
        pairs = zip(self.words, self.owners, strict=True)
        return next((owner for word, owner in pairs if matches(noun, word)), None)


class Verdict(NamedTuple):
    """What a caption says.

    Attributes:
        mentions: nouns of the vocabulary, in order, with repetitions.
        hallucinated: those of them that stand for nothing in the picture.
        covered: indices of the truth words that are mentioned.
        imagined: indices of the hallu words that are mentioned.
    """

    mentions: tuple[str, ...]
    hallucinated: tuple[str, ...]
    covered: frozenset[int]
    imagined: frozenset[int]


def judge_mentions(
    mentions: Sequence[str], truth: Sequence[str], hallu: Sequence[str], lexicon: Lexicon
) -> Verdict:
    """The official script's walk through the mentions of one caption.

    A mention that is no truth word can mark a hallu word (two, if one is equal and an earlier one is
    similar) and still be accepted because it is similar to a truth word: this is the official order.
    """
    safe = Candidates.of(truth, lexicon.association)
    imaginable = Candidates.of(hallu, lexicon.association)
    covered: set[int | None] = set()
    imagined: set[int | None] = set()
    hallucinated = []
    for noun in mentions:
        if noun in lexicon.safe_words:
            continue
        named = safe.first(noun, str.__eq__)
        if named is None:
            imagined.add(imaginable.first(noun, str.__eq__))
            imagined.add(imaginable.first(noun, lexicon.is_similar))
            named = safe.first(noun, lexicon.is_similar)
        if named is None:
            hallucinated.append(noun)
        covered.add(named)
    return Verdict(
        tuple(mentions),
        tuple(hallucinated),
        frozenset(index for index in covered if index is not None),
        frozenset(index for index in imagined if index is not None),
    )
