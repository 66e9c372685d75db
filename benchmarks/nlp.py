"""NLTK and spaCy for the scorers that need them: imported late, with the remedy if absent.

NLTK's data lie in ``DATA_DIR/nltk_data``, where ``python -m harness.fetch nltk_data`` puts them.
The folder goes before NLTK's own ones, so that a run reads the revision that it has fetched.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.base import MissingDataError, PlumblineError
from benchmarks.data_folder import fetch_command

INSTALL = 'pip install "plumbline-eval[nlp]"'

WORDS_AND_LEMMAS = ("tokenizers/punkt_tab/english/", "corpora/wordnet")
TAGS = ("taggers/averaged_perceptron_tagger_eng/",)


def nltk_ready(data_dir: Path | None, resources: Sequence[str] = WORDS_AND_LEMMAS) -> ModuleType:
    """The ``nltk`` module, with ``DATA_DIR/nltk_data`` first in its search path.

    Args:
        data_dir: the folder of the official files; None leaves NLTK's own folders.
        resources: what must be there, by NLTK's names.

    Raises:
        PlumblineError: NLTK is not installed.
        MissingDataError: a resource is in none of NLTK's folders.
    """
    nltk = _module("nltk")
    if data_dir is not None and (folder := str(data_dir / "nltk_data")) not in nltk.data.path:
        nltk.data.path.insert(0, folder)
    for resource in resources:
        try:
            nltk.data.find(resource)
        except (LookupError, OSError) as error:
            message = f"NLTK's {resource.rstrip('/')} is in none of {', '.join(nltk.data.path)}"
            raise MissingDataError(message, fetch_command("nltk_data", data_dir)) from error
    return nltk


def has_spacy_pipeline(name: str) -> bool:
    """Whether spaCy and the pipeline of that package name are installed; imports neither."""
    return all(importlib.util.find_spec(package) is not None for package in ("spacy", name))


@cache
def spacy_pipeline(name: str) -> Any:
    """An installed spaCy pipeline, loaded once.

    Raises:
        PlumblineError: spaCy or the pipeline is not installed.
    """
    spacy = _module("spacy")
    try:
        return spacy.load(name)
    except OSError as error:
        raise PlumblineError(
            f"spaCy's pipeline {name} is not installed: python -m spacy download {name}"
        ) from error


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PlumblineError(f"this scorer needs {name}: {INSTALL}") from error
