"""Calls into lmms-eval's code: quiet, repeatable, and without traces in this process.

What its tasks do while they score is their own affair, a judge that they ask among it. ``asks_judge``
finds that out by reading the code, because such a task does not say so: without a key it retries for a
while and then counts every answer as 0.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import logging
import os
import random
import warnings
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from benchmarks.base import PlumblineError

logger = logging.getLogger(__name__)

INSTALL = 'pip install "plumbline-eval[lmms]"'

_JUDGES = ("lmms_eval.llm_judge", "lmms_eval.verifiers", "openai", "requests", "httpx", "aiohttp")
"""Who is asked for a score over the network."""


def require_lmms_eval() -> None:
    """Import lmms-eval's tasks, with its messages sent where ours go. Raises PlumblineError."""
    try:
        # It switches all warnings off when it is imported, and truncated pictures on.
        with warnings.catch_warnings(), calling():
            import_module("lmms_eval.tasks")
            loguru = import_module("loguru")
    except ImportError as error:
        raise PlumblineError(f"lmms-eval cannot be imported ({error}): {INSTALL}") from error
    loguru.logger.remove()
    loguru.logger.add(lambda told: logger.error(told.record["message"]), level="ERROR")


@contextlib.contextmanager
def calling(seed: str = "") -> Iterator[None]:
    """Around every call: nothing is printed, and chance starts at ``seed`` (some tasks guess at random).

    Truncated pictures are decoded as far as they go, which is lmms-eval's choice and not ours.

    Raises:
        RuntimeError: the task wants to end the process, as some do where a file is missing.
    """
    from PIL import ImageFile

    truncated = ImageFile.LOAD_TRUNCATED_IMAGES
    state, numpy_state = random.getstate(), np.random.get_state()
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    random.seed(seed)
    np.random.seed(zlib.crc32(seed.encode()))
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    except SystemExit as error:
        raise RuntimeError(str(error)) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = truncated
        random.setstate(state)
        np.random.set_state(numpy_state)


@contextlib.contextmanager
def restoring(function: Callable[..., Any]) -> Iterator[None]:
    """Around a function that may be called again: its module's dictionaries, lists and sets are afterwards
    what they were before. (OCRBench's aggregation adds its scores to one.)"""
    held = [
        (value, copy.deepcopy(value))
        for name, value in getattr(inspect.unwrap(function), "__globals__", {}).items()
        if isinstance(value, dict | list | set) and not name.startswith("__")
    ]
    try:
        yield
    finally:
        for value, before in held:
            value.clear()
            value.extend(before) if isinstance(value, list) else value.update(before)


@contextlib.contextmanager
def failing_as(what: str) -> Iterator[None]:
    """Around calls without which nothing can be asked: whatever is raised becomes a PlumblineError."""
    try:
        yield
    except PlumblineError:
        raise
    except Exception as error:
        cause = error.__cause__ or error  # what is behind tenacity's RetryError
        raise PlumblineError(f"{what}: {type(cause).__name__}: {cause}") from error


def asks_judge(function: Callable[..., Any]) -> bool:
    """Whether a task's function, or one of the task's own that it calls, asks a judge for a score."""
    function = inspect.unwrap(function)
    if not isinstance(function, FunctionType):
        return False
    home = Path(function.__code__.co_filename).parent
    return _reaches_judge(function, (str(home), os.sep.join(("", "lmms_eval", "tasks", ""))), set())


def _reaches_judge(function: Any, homes: tuple[str, ...], seen: set[Any]) -> bool:
    """Follows the names in a function's code, as long as they lead to code that lies in ``homes``."""
    function = inspect.unwrap(function)
    if not isinstance(function, FunctionType) or function in seen:
        return False
    seen.add(function)
    if not any(home in function.__code__.co_filename for home in homes):
        return False
    used = [function.__globals__.get(name) for name in _names(function.__code__)]
    return any(_is_judge(value) for value in used) or any(
        _reaches_judge(inner, homes, seen) for value in used for inner in _functions(value)
    )


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _is_judge(value: Any) -> bool:
    if isinstance(value, ModuleType):
        module = value.__name__
    else:
        module = str(getattr(value, "__module__", None) or type(value).__module__)
    return any(module == judge or module.startswith(f"{judge}.") for judge in _JUDGES)


def _functions(value: Any) -> list[Any]:
    """A function itself; the methods of a class, or of an object's class."""
    if isinstance(value, FunctionType):
        return [value]
    return list(vars(value if isinstance(value, type) else type(value)).values())
