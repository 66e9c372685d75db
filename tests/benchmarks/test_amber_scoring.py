"""AMBER's scoring: ordered matching of mentions, similarity, and the arithmetic of the official script.

Run: pytest tests/benchmarks/test_amber_scoring.py
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.amber_mentions import Lexicon, judge_mentions
from benchmarks.amber_metrics import (
    EXISTENCE,
    Group,
    accuracy,
    amber_score,
    chair,
    f1,
    groups,
    hal,
    half_up,
    precision,
    rounded,
    unrounded,
)
from benchmarks.amber_similarity import (
    ExactSimilarity,
    SpacySimilarity,
    TableSimilarity,
    open_similarity,
)
from benchmarks.base import BadRecordError, PlumblineError

ASSOCIATION = {
    "tree": ("forest", "bush"),
    "forest": ("tree",),
    "lake": ("water",),
    "person": ("man",),
    "dog": (),
    "cat": ("kitten",),
    "light": (),
}


@pytest.fixture
def table(tmp_path: Path) -> Any:
    """Makes a lexicon in which the given pairs are alike."""

    def lexicon(pairs: Mapping[str, float], threshold: float = 0.8) -> Lexicon:
        path = tmp_path / "table.json"
        path.write_text(json.dumps(pairs))
        return Lexicon(ASSOCIATION, frozenset({"light"}), TableSimilarity(path), threshold)

    return lexicon


EXACT = Lexicon(ASSOCIATION, frozenset({"light"}), ExactSimilarity(), 0.8)


def judged(
    mentions: Sequence[str], truth: Sequence[str], hallu: Sequence[str], lexicon: Lexicon = EXACT
) -> tuple[list[str], set[int], set[int]]:
    """Hallucinated mentions, covered truth words and imagined hallu words."""
    verdict = judge_mentions(mentions, truth, hallu, lexicon)
    return list(verdict.hallucinated), set(verdict.covered), set(verdict.imagined)


# Ordered matching


def test_only_words_of_the_vocabulary_count_and_repetitions_stay() -> None:
    nouns = ["Tree", "tree", "image", "water", "tree", "men"]
    assert EXACT.known(nouns) == ["tree", "water", "tree"]


def test_the_first_equal_word_decides() -> None:
    """Words in order: forest and bush (for tree), tree (for forest), then tree and forest themselves."""
    assert judged(["forest"], ["tree", "forest"], []) == ([], {0}, set())
    assert judged(["tree"], ["tree", "forest"], []) == ([], {1}, set())
    assert judged(["forest", "tree"], ["tree", "forest"], []) == ([], {0, 1}, set())


def test_a_repeated_truth_word_is_covered_once() -> None:
    assert judged(["dog", "dog"], ["dog", "dog"], []) == ([], {0}, set())


def test_a_mention_that_stands_for_nothing_is_hallucinated_each_time() -> None:
    assert judged(["cat", "dog", "cat"], ["dog"], ["lake"]) == (["cat", "cat"], {0}, set())


def test_an_imagined_word_is_marked_and_hallucinated() -> None:
    assert judged(["kitten"], ["dog"], ["lake", "cat"]) == (["kitten"], set(), {1})


def test_truth_comes_before_imagination() -> None:
    assert judged(["dog"], ["dog"], ["dog"]) == ([], {0}, set())


def test_a_safe_word_is_nothing_at_all() -> None:
    assert judged(["light"], ["light"], ["light"]) == ([], set(), set())


def test_a_similar_hallu_word_is_marked_although_a_similar_truth_word_excuses(table: Any) -> None:
    lexicon = table({"dog|man": 0.9, "cat|man": 0.9})
    assert judged(["man"], ["dog"], ["cat"], lexicon) == ([], {0}, {0})


def test_an_equal_hallu_word_and_an_earlier_similar_one_are_both_marked(table: Any) -> None:
    lexicon = table({"cat|dog": 0.9})
    assert judged(["dog"], ["lake"], ["cat", "dog"], lexicon) == (["dog"], set(), {0, 1})
    assert judged(["dog"], ["lake"], ["dog", "cat"], lexicon) == (["dog"], set(), {0})


def test_the_first_similar_word_decides_and_not_the_most_similar(table: Any) -> None:
    lexicon = table({"dog|man": 0.81, "cat|man": 0.99})
    assert judged(["man"], ["dog", "cat"], [], lexicon) == ([], {0}, set())


def test_the_threshold_itself_is_not_similar(table: Any) -> None:
    pairs = {"dog|man": 0.8}
    assert judged(["man"], ["dog"], [], table(pairs)) == (["man"], set(), set())
    assert judged(["man"], ["dog"], [], table(pairs, threshold=0.79)) == ([], {0}, set())


WORDS = st.lists(st.sampled_from(sorted(EXACT.vocabulary)), max_size=8)
TARGETS = st.lists(st.sampled_from(sorted(ASSOCIATION)), max_size=5)


@settings(deadline=None)
@given(WORDS, TARGETS, TARGETS, st.randoms())
def test_mentions_are_judged_independently_of_each_other(
    mentions: list[str], truth: list[str], hallu: list[str], random: Any
) -> None:
    together = judged(mentions, truth, hallu)
    alone = [judged([mention], truth, hallu) for mention in mentions]
    assert together[0] == [word for hallucinated, _, _ in alone for word in hallucinated]
    assert together[1] == {index for _, covered, _ in alone for index in covered}
    assert together[2] == {index for _, _, imagined in alone for index in imagined}


# Similarity


def test_a_table_is_symmetric_and_ignores_strange_words(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text('{"TV|cat": 0.5, "cat|zebra": 0.9, "cat|cat": 0.1}')
    values = TableSimilarity(path).matrix(["cat", "TV", "dog"])
    assert values.tolist() == [[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]


@pytest.mark.parametrize(
    "content",
    ["[]", "{", '{"cat": 0.5}', '{"dog|cat": 0.5}', '{"cat|dog": "0.5"}', '{"cat|dog": NaN}'],
)
def test_a_damaged_table_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "table.json"
    path.write_text(content)
    with pytest.raises(BadRecordError, match=r"table\.json"):
        TableSimilarity(path).matrix(["cat"])


def test_similarities_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert open_similarity("exact") == ExactSimilarity()
    assert open_similarity("a.json") == TableSimilarity(Path("a.json"))
    assert open_similarity("en_core_web_md") == SpacySimilarity("en_core_web_md")
    assert SpacySimilarity("en_core_web_lg").is_official
    assert not SpacySimilarity("en_core_web_md").is_official
    automatic = open_similarity("auto")
    assert automatic.is_official == ("not official" not in caplog.text)


def test_an_absent_spacy_model_is_named() -> None:
    with pytest.raises(PlumblineError, match=r"spacy download no_such_model|plumbline-eval\[nlp\]"):
        SpacySimilarity("no_such_model").matrix(["cat"])


def test_spacy_vectors(tmp_path: Path) -> None:
    """A pipeline with three vectors: a word and itself 1, no vector 0, else the cosine."""
    spacy = pytest.importorskip("spacy")
    nlp = spacy.blank("en")
    for word, vector in {"cat": (3, 4), "dog": (4, 3), "lake": (0, 0)}.items():
        nlp.vocab.set_vector(word, np.array(vector, dtype=np.float32))
    nlp.to_disk(tmp_path / "vectors")
    similarity = SpacySimilarity(str(tmp_path / "vectors"))
    values = similarity.matrix(["cat", "dog", "lake", "zebra"])
    assert np.round(values, 6).tolist() == [
        [1.0, 0.96, 0.0, 0.0],
        [0.96, 1.0, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
    assert similarity.label.startswith("vectors ")
    spacy.blank("en").to_disk(tmp_path / "none")
    with pytest.raises(PlumblineError, match="no word vectors"):
        SpacySimilarity(str(tmp_path / "none")).matrix(["cat"])


# Arithmetic


def sums(**columns: float) -> defaultdict[str, np.ndarray]:
    """Column sums as ``harness.stats`` gives them; ``__`` stands for the slash, ``_`` for a hyphen."""
    found = defaultdict(lambda: np.zeros(1))
    found |= {name.replace("__", "/", 1): np.array([value]) for name, value in columns.items()}
    return found


@settings(deadline=None)
@given(st.floats(-1000, 1000))
def test_rounding_is_that_of_python(value: float) -> None:
    assert rounded(np.array(value)).item() == round(value, 1)


def test_rounding_is_that_of_python_at_ties() -> None:
    values = [n / 20 for n in range(-2000, 2001)]
    values += [math.nextafter(value, side) for value in values for side in (-1e9, 1e9)]
    assert rounded(np.array(values)).tolist() == [round(value, 1) for value in values]
    assert np.round(0.15, 1) != round(0.15, 1)


def test_every_f1_of_existence_that_can_be_printed() -> None:
    """From all rounded precisions and recalls; np.round has another last digit in some hundreds."""
    tenths = np.arange(1001) / 10 / 100
    p, r = tenths[:, np.newaxis], tenths[np.newaxis, :]
    values = 2 * p * r / (p + r + EXISTENCE.epsilon) * 100
    expected = [round(value, 1) for value in values.ravel().tolist()]
    assert rounded(values).ravel().tolist() == expected
    assert np.round(values, 1).ravel().tolist() != expected


def test_rounding_keeps_the_shape_and_what_is_not_a_number() -> None:
    values = np.array([[0.05, np.nan, 1.25], [99.95, -0.05, 0.0]])
    assert rounded(values).shape == (2, 3)
    assert np.isnan(rounded(values)[0, 1])


def test_denominators_start_at_a_thousandth() -> None:
    """1 right of 1 is 99.9, because 1 / 1.001; an attribute has three counters: 1 / 1.003."""
    one = sums(existence__answered=1, existence__correct=1)
    assert accuracy(EXISTENCE, rounded)(one) == 99.9
    (attribute, *_) = groups("attribute")
    name = "attribute-action"
    one = sums(**{f"{name}__answered": 1, f"{name}__correct": 1})
    assert accuracy(attribute, unrounded)(one) == 1 / (3 * 0.001 + 1) * 100


def test_f1_is_made_of_rounded_figures() -> None:
    """One "No" of three is right, and there is one to find: P 33.3, R 99.9; unrounded F1 is 49.97."""
    group = Group("relation", ("relation",))
    counts = sums(
        relation__answered=3,
        relation__truth_no=1,
        relation__answered_no=3,
        relation__correct_no=1,
    )
    assert precision(group, rounded)(counts) == 33.3
    assert f1(group, rounded)(counts) == 49.9
    assert round(float(f1(group, unrounded)(counts)[0]), 4) == 49.9713


def test_existence_has_a_larger_epsilon() -> None:
    """P 100, R 50: 2 x 1 x 0.5 / (1.5 + 0.001) = 66.62; with 0.0001 it would print 66.7."""
    counts = {"answered": 20_000, "truth_no": 20_000, "answered_no": 10_000, "correct_no": 10_000}
    existence = sums(**{f"existence__{name}": value for name, value in counts.items()})
    assert f1(EXISTENCE, rounded)(existence) == 66.6
    assert f1(Group("existence", ("existence",)), rounded)(existence) == 66.7


def test_captions_without_a_mention_are_free_of_hallucination() -> None:
    counts = sums(generative__answered=2, generative__no_hallucination=2)
    assert chair(rounded)(counts) == 0.0
    assert hal(rounded)(counts) == 0.0
    assert hal(unrounded)(counts) == 100 - 2 / 2.001 * 100


@pytest.mark.parametrize(("value", "printed"), [(83.45, 83.5), (48.65, 48.7), (91.4, 91.4)])
def test_the_official_table_rounds_half_up(value: float, printed: float) -> None:
    assert half_up(np.array(value)) == printed


def test_amber_score_needs_both_parts() -> None:
    """Of 1,000: CHAIR 25.0; P and R 50.0, so F1 50.0; (100 - 25 + 50) / 2."""
    (everything, *_) = groups("all")
    captions = {"generative__answered": 1, "generative__mentions": 1000}
    captions["generative__hallucinated_mentions"] = 250
    names = ("answered", "truth_no", "answered_no")
    answers = {f"relation__{name}": 1000 for name in names} | {"relation__correct_no": 500}
    assert amber_score(everything, half_up)(sums(**captions, **answers)) == 62.5
    assert np.isnan(amber_score(everything, half_up)(sums(**captions)))
    assert np.isnan(amber_score(everything, unrounded)(sums(**answers)))


def test_formulas_take_sums_of_any_shape() -> None:
    shape = (2, 3)
    counts = defaultdict(lambda: np.zeros(shape))
    counts["existence/answered"] = np.array([[0.0, 1, 2], [3, 4, 5]])
    counts["existence/correct"] = np.array([[0.0, 1, 1], [1, 1, 5]])
    values = accuracy(EXISTENCE, rounded)(counts)
    assert values.shape == shape
    assert np.isnan(values[0, 0])
    assert values.ravel().tolist()[1:] == [99.9, 50.0, 33.3, 25.0, 100.0]
