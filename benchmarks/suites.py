"""Which benchmarks there are, and the named groups of them that a person may type."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from benchmarks.base import PlumblineError

HALLUCINATION = ("pope", "amber", "object_halbench", "mmhal")
CAPABILITY = ("mmvet", "llava_bench", "mmbench")
LANGUAGE = ("mtbench", "alpacaeval")

BENCHMARKS: tuple[str, ...] = (*HALLUCINATION, *CAPABILITY, *LANGUAGE)

EXTRA = ("chair",)
"""In no suite: asked for by name only, and scored with the files of the others."""

SUITES: dict[str, tuple[str, ...]] = {
    "hallucination": HALLUCINATION,
    "capability": CAPABILITY,
    "language": LANGUAGE,
    "all": BENCHMARKS,
}


def expand(names: str | Iterable[str]) -> list[str]:
    """Benchmark names for suite and benchmark names: each once, in the order asked for.

    Args:
        names: a comma-separated text, or several of them.

    Raises:
        PlumblineError: a name is neither a suite nor a benchmark, or there is no name at all.
    """
    texts = [names] if isinstance(names, str) else list(names)
    asked = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    if not asked:
        raise PlumblineError(
            f"no benchmark is named; choose from {', '.join((*SUITES, *BENCHMARKS))}"
        )
    found: list[str] = []
    for name in asked:
        if name not in SUITES and name not in (*BENCHMARKS, *EXTRA):
            raise unknown_name(name, (*SUITES, *BENCHMARKS, *EXTRA))
        found.extend(SUITES.get(name, (name,)))
    return list(dict.fromkeys(found))


def unknown_name(name: str, known: Iterable[str]) -> PlumblineError:
    """The error for a name that is not among ``known``, with the nearest ones or all of them."""
    choices = list(known)
    near = get_close_matches(name.lower().replace("-", "_"), choices, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(choices)}"
    return PlumblineError(f"there is no benchmark or suite called {name!r}; {hint}")
