"""COCO's 80 categories in words: what a text mentions, and what a picture holds.

CHAIR (Rohrbach et al., EMNLP 2018, arXiv 1809.02156) and Object HalBench share this. A word list
has one line per category, the category's name first and then its synonyms. A picture holds the
categories of its instance annotations and those that its reference captions mention.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.base import BadRecordError
from benchmarks.data_folder import required_json, required_text
from benchmarks.nlp import nltk_ready

Lemmas = Callable[[str], list[str]]
"""The lemmas of a text's words, in order."""

_ANIMALS = (
    "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe",
    "animal", "cub",
)  # fmt: skip

_DOUBLE_WORDS: dict[str, str] = {
    "home plate": "home plate",
    "train track": "train track",
    **{f"{age} {animal}": animal for age in ("baby", "adult") for animal in _ANIMALS},
    "passenger jet": "jet",
    "passenger train": "train",
    "bow tie": "tie",
    "toilet seat": "toilet",
    "wine glas": "wine glass",  # what a lemmatiser may make of "glass"
}
"""Terms whose single words would be taken for something else, as the baby in "baby bird"."""


class Mention(NamedTuple):
    """A word of a text and the category that it stands for."""

    word: str
    category: str


@dataclass(frozen=True)
class WordList:
    """The words for COCO's categories.

    Attributes:
        categories: category by word.
        double_words: the word that a term of two words is taken for, by term.
    """

    categories: Mapping[str, str]
    double_words: Mapping[str, str]

    @classmethod
    def read(cls, path: Path, remedy: str, *, strips_words: bool = True) -> WordList:
        """A list as the official scripts read it.

        Args:
            path: ``synonyms_refine.txt`` or CHAIR's ``synonyms.txt``.
            remedy: the command that brings the file.
            strips_words: whether blanks around a word are removed. CHAIR's own script leaves them,
                so that two words of its list (" motor bike", " cheesecake") match nothing.

        Raises:
            MissingDataError: the file is absent.
            BadRecordError: it is not UTF-8.
        """
        categories: dict[str, str] = {}
        for line in required_text(path, remedy).splitlines():
            words = [word.strip() if strips_words else word for word in line.strip().split(", ")]
            categories.update(dict.fromkeys(words, words[0]))
        doubles = {word.strip(): word.strip() for word in categories if " " in word.strip()}
        return cls(categories, doubles | _DOUBLE_WORDS)

    def merged(self, words: Sequence[str]) -> list[str]:
        """The words with each two-word term replaced by what it is taken for."""
        return [replaced or word for word, replaced in self._scan(words)]

    def double_words_in(self, words: Sequence[str]) -> list[str]:
        """What the two-word terms among the words are taken for; nothing of the other words."""
        return [replaced for _, replaced in self._scan(words) if replaced is not None]

    def _scan(self, words: Sequence[str]) -> Iterator[tuple[str, str | None]]:
        """Each word or term: its first word, and what a term is taken for (else None)."""
        index = 0
        while index < len(words):
            replaced = self.double_words.get(" ".join(words[index : index + 2]))
            yield words[index], replaced
            index += 1 if replaced is None else 2

    def mentions(self, words: Sequence[str]) -> list[Mention]:
        """The words that stand for a category. Beside a toilet, a seat is not a chair."""
        if "toilet" in words and "seat" in words:
            words = [word for word in words if word != "seat"]
        return [Mention(word, self.categories[word]) for word in words if word in self.categories]


def noun_lemmas(data_dir: Path | None) -> Lemmas:
    """Lower-cased words in WordNet's noun lemmas, as Object HalBench's official script makes them.

    Raises:
        PlumblineError: NLTK or its data are absent.
    """
    nltk = nltk_ready(data_dir)
    lemmatize = lru_cache(maxsize=2**16)(nltk.stem.WordNetLemmatizer().lemmatize)

    def lemmas(text: str) -> list[str]:
        return [lemmatize(word) for word in nltk.word_tokenize(text.lower())]

    return lemmas


def picture_objects(
    image_ids: Collection[int],
    folder: Path,
    words: WordList,
    lemmas: Lemmas,
    remedy: str,
) -> dict[int, frozenset[str]]:
    """The categories in each picture, from COCO's 2014 instance and caption annotations.

    The official scripts join val and train, which share no picture. Here train's half a gigabyte is
    read only when val does not know all pictures. A picture without any annotation holds nothing,
    as there.

    Args:
        image_ids: COCO's ids.
        folder: where ``instances_val2014.json`` and the other three files are.
        words: the categories' words.
        lemmas: for the reference captions.
        remedy: the command that brings the files.

    Raises:
        MissingDataError: a needed file is absent.
        BadRecordError: a file is not what COCO publishes, or knows none of the pictures.
    """
    found: dict[int, set[str]] = {image_id: set() for image_id in image_ids}
    unknown = set(image_ids)
    for part in ("val", "train"):
        if not unknown:
            break
        for kind, read in (("instances", _instances), ("captions", _captions)):
            path = folder / f"{kind}_{part}2014.json"
            content = required_json(path, remedy)
            try:
                for image_id, categories in read(content, found, words, lemmas):
                    found[image_id].update(categories)
                unknown -= {image["id"] for image in content["images"]}
            except (KeyError, TypeError, AttributeError) as error:
                problem = f"not annotations as COCO publishes them ({error!r})"
                raise BadRecordError(f"{path}: {problem}. Fetch them again: {remedy}") from error
    if image_ids and not any(found.values()):
        example = min(image_ids)
        raise BadRecordError(
            f"{folder}: no object is annotated in any of the {len(found):,} pictures (such as "
            f"{example}). These must be COCO's 2014 annotations: {remedy}"
        )
    return {image_id: frozenset(categories) for image_id, categories in found.items()}


Found = Iterator[tuple[int, Collection[str]]]


def _instances(
    content: Mapping[str, Any], wanted: Collection[int], words: WordList, lemmas: Lemmas
) -> Found:
    names = {category["id"]: category["name"] for category in content["categories"]}
    for annotation in content["annotations"]:
        if annotation["image_id"] in wanted:
            yield annotation["image_id"], {words.categories[names[annotation["category_id"]]]}


def _captions(
    content: Mapping[str, Any], wanted: Collection[int], words: WordList, lemmas: Lemmas
) -> Found:
    for annotation in content["annotations"]:
        if annotation["image_id"] in wanted:
            mentions = words.mentions(words.merged(lemmas(annotation["caption"])))
            yield annotation["image_id"], {mention.category for mention in mentions}
