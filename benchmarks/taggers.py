"""Lemmas and part-of-speech tags for the object names that a judge extracts.

Object HalBench's official script uses spaCy's transformer pipeline ``en_core_web_trf``. Whatever
has the form of a ``Tagger`` can stand in its place; the numbers are then not called official.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

from benchmarks.base import BadRecordError
from benchmarks.nlp import TAGS, WORDS_AND_LEMMAS, has_spacy_pipeline, nltk_ready, spacy_pipeline

OFFICIAL_TAGGER = "en_core_web_trf"

_log = logging.getLogger(__name__)


class Token(NamedTuple):
    """A word's lemma and its Penn Treebank tag."""

    lemma: str
    tag: str


class Tagger(Protocol):
    """Cuts a text into tokens."""

    def __call__(self, text: str) -> Sequence[Token]: ...


@dataclass(frozen=True)
class RecordedTokens:
    """Tokens that were made elsewhere: a JSON object of ``{text: [[lemma, tag], …]}``."""

    path: Path
    tokens: Mapping[str, Sequence[Token]]

    @classmethod
    def read(cls, path: Path) -> RecordedTokens:
        """Raises BadRecordError."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            tokens = {text: [Token(*pair) for pair in pairs] for text, pairs in content.items()}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            problem = f"no recorded tokens ({error})"
            raise BadRecordError(f"{path}: {problem}. Write {{text: [[lemma, tag], …]}}") from error
        return cls(path, tokens)

    def __call__(self, text: str) -> Sequence[Token]:
        if text not in self.tokens:
            raise BadRecordError(f"{self.path}: no tokens for {text[:80]!r}. Record them as well")
        return self.tokens[text]


def resolved(name: str) -> str:
    """The name; for "auto" the official tagger if it is installed, and "nltk" otherwise."""
    if name != "auto":
        return name
    if has_spacy_pipeline(OFFICIAL_TAGGER):
        return OFFICIAL_TAGGER
    _log.warning(
        "Object HalBench: spaCy's %s is not installed, so NLTK tags the objects and the metrics "
        'are not official. pip install "plumbline-eval[nlp]" and python -m spacy download %s',
        OFFICIAL_TAGGER,
        OFFICIAL_TAGGER,
    )
    return "nltk"


def open_tagger(name: str, data_dir: Path | None) -> Tagger:
    """A tagger: "nltk", a .json file of recorded tokens, or else an installed spaCy pipeline.

    Raises:
        PlumblineError: what it needs is not installed or not there.
    """
    if name == "nltk":
        return _nltk_tagger(data_dir)
    return RecordedTokens.read(Path(name)) if name.endswith(".json") else _spacy_tagger(name)


def _spacy_tagger(name: str) -> Tagger:
    pipeline = spacy_pipeline(name)

    @lru_cache(maxsize=2**16)
    def tokens(text: str) -> tuple[Token, ...]:
        # spaCy cannot hold a lone surrogate, which a judge may write as a JSON escape.
        readable = text.encode("utf-8", "replace").decode("utf-8")
        return tuple(Token(token.lemma_, token.tag_) for token in pipeline(readable))

    return tokens


def _nltk_tagger(data_dir: Path | None) -> Tagger:
    nltk = nltk_ready(data_dir, (*WORDS_AND_LEMMAS, *TAGS))
    # nltk.pos_tag uses this tagger, but in some releases it loads the weights at every call.
    perceptron = nltk.tag.PerceptronTagger()
    lemmatize = nltk.stem.WordNetLemmatizer().lemmatize

    @lru_cache(maxsize=2**16)
    def tokens(text: str) -> tuple[Token, ...]:
        tagged = perceptron.tag(nltk.word_tokenize(text.lower()))
        return tuple(
            Token(lemmatize(word) if tag.startswith("N") else word, tag) for word, tag in tagged
        )

    return tokens
