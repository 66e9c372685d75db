"""A task's ``generation_kwargs`` as our Decoding; what a request cannot say is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.base import Decoding, PlumblineError

DEFAULT_NEW_TOKENS = 1024
"""What most of lmms-eval's model wrappers, ``llava_hf`` among them, take where a task says nothing."""

_WITHOUT_EFFECT: Mapping[str, tuple[Any, ...]] = {
    "num_beams": (1, None),
    "repetition_penalty": (1, None),
    "length_penalty": (1, None),
    # Read by the wrappers of the original LLaVA code only; a checkpoint's own processor decides.
    "image_aspect_ratio": ("original", "pad", None),
}


def decoding_of(task: str, given: Mapping[str, Any]) -> Decoding:
    """The Decoding that a task asks for.

    ``do_sample: false`` is greedy whatever the temperature says, as in transformers. Some of lmms-eval's
    wrappers sample then (``llava_hf`` looks at the temperature alone), and some ignore ``until``.

    Args:
        task: the task's name, for errors.
        given: its ``generation_kwargs``.

    Raises:
        PlumblineError: a key or a value that a request cannot say.
    """
    rest = dict(given)
    try:
        limit = int(_taken(rest, "max_new_tokens", DEFAULT_NEW_TOKENS))
        do_sample = _taken(rest, "do_sample", None)
        temperature = float(_taken(rest, "temperature", 1.0 if do_sample else 0.0))
        top_p = float(_taken(rest, "top_p", 1.0))
        seed = int(_taken(rest, "seed", 0))
    except (TypeError, ValueError) as error:
        raise PlumblineError(f"{task}: its generation_kwargs {dict(given)}: {error}") from error
    stop = _stop_strings(task, rest.pop("until", None))
    if do_sample is False or temperature <= 0:
        temperature, top_p, seed = 0.0, 1.0, 0
        rest.pop("top_k", None)
    refused = [
        f"{name}: {value!r}"
        for name, value in rest.items()
        if value not in _WITHOUT_EFFECT.get(name, (None,))
    ]
    if limit < 1:
        refused.append(f"max_new_tokens: {limit}")
    if not 0 < top_p <= 1:
        refused.append(f"top_p: {top_p}")
    if refused:
        raise PlumblineError(
            f"{task}: its generation_kwargs ask for what a request cannot say ({', '.join(refused)}). "
            "Copy the task's YAML file without that into a folder, and name it with --lmms-include."
        )
    return Decoding(limit, temperature, top_p, seed, stop)


def _taken(rest: dict[str, Any], name: str, default: Any) -> Any:
    """A value taken out of ``rest``; null counts as not given."""
    value = rest.pop(name, None)
    return default if value is None else value


def _stop_strings(task: str, until: Any) -> tuple[str, ...]:
    """``until`` as stop strings; empty ones, which would cut everything, mean nothing there."""
    given = [until] if isinstance(until, str) else until or []
    if not isinstance(given, list | tuple) or not all(isinstance(text, str) for text in given):
        raise PlumblineError(f"{task}: generation_kwargs.until is {until!r}, not a list of texts")
    return tuple(text for text in given if text)
