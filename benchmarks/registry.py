"""Benchmarks by name. Nothing is imported before it is asked for."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from benchmarks.base import Benchmark, Edition, PlumblineError

BENCHMARKS: dict[str, str] = {
    "pope": "benchmarks.pope:Pope",
    "amber": "benchmarks.amber:Amber",
    "object_halbench": "benchmarks.object_halbench:ObjectHalBench",
    "mmhal": "benchmarks.mmhal:MMHalBench",
    "mmvet": "benchmarks.mmvet:MMVet",
    "llava_bench": "benchmarks.llava_bench:LLaVABench",
    "mmbench": "benchmarks.mmbench:MMBench",
    "mtbench": "benchmarks.mtbench:MTBench",
    "alpacaeval": "benchmarks.alpacaeval:AlpacaEval",
    "chair": "benchmarks.chair:Chair",
}

_COMMON = ("edition", "data_dir")


def open_benchmark(
    name: str,
    edition: Edition,
    data_dir: Path | None = None,
    options: Mapping[str, str] | None = None,
) -> Benchmark:
    """A benchmark with its options, given as text (``{"prompt": "bare"}``).

    Raises:
        PlumblineError: no benchmark or option of that name, or a value that does not fit.
    """
    if name not in BENCHMARKS:
        raise PlumblineError(f"no benchmark {name!r}{_similar(name, BENCHMARKS)}")
    module, _, class_name = BENCHMARKS[name].partition(":")
    kind: type[Benchmark] = getattr(importlib.import_module(module), class_name)
    hints = get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind)} - set(_COMMON)
    values: dict[str, Any] = {}
    for option, text in (options or {}).items():
        if option not in known:
            raise PlumblineError(f"{name} has no option {option!r}{_similar(option, known)}")
        values[option] = _convert(f"{name}.{option}", text, hints[option])
    return kind(edition=edition, data_dir=data_dir, **values)


def options_of(benchmark: Benchmark) -> dict[str, str] | None:
    """The options that ``open_benchmark`` takes to make this benchmark again, as text.

    None for a benchmark that is not opened by its name (a task of lmms-eval).
    """
    if benchmark.name not in BENCHMARKS:
        return None
    fields = [field.name for field in dataclasses.fields(benchmark) if field.name not in _COMMON]
    values = {name: getattr(benchmark, name) for name in fields}
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
    }


def _convert(name: str, text: str, wanted: Any) -> Any:
    try:
        if wanted is bool:
            return {"true": True, "false": False}[text.lower()]
        return wanted(text) if wanted in (int, float) else text
    except (ValueError, KeyError) as error:
        raise PlumblineError(
            f"--set {name}={text}: not a value of type {wanted.__name__}"
        ) from error


def _similar(name: str, known: Mapping[str, str] | set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"{hint} (known: {', '.join(sorted(known))})"
