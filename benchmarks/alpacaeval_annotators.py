"""AlpacaEval's annotators: an official configuration file, and what a judge is asked by it.

Official code: ``annotators/base.py``, ``annotators/pairwise_evaluator.py``, ``processors.py``,
``decoders/openai.py`` and ``evaluators_configs/<name>/configs.yaml`` (see
``benchmarks.alpacaeval``)::

    alpaca_eval_gpt4:
      prompt_template: "alpaca_eval_gpt4/alpaca_eval.txt"
      fn_completions: "openai_completions"
      completions_kwargs: {model_name: "gpt-4", max_tokens: 100, temperature: 0}
      fn_completion_parser: "ranking_parser"
      batch_size: 1

Annotators are read whose judge is asked one question at a time by chat completions and whose reply
one of the two parsers of ``benchmarks.alpacaeval_parsers`` reads. Others (tool calls, chains of
thought) are refused by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, cast

from benchmarks.alpacaeval_parsers import LogprobParser, Parser, RankingParser
from benchmarks.base import BadRecordError, Decoding, Message, PlumblineError, Role, sha256_of
from benchmarks.data_folder import required_file, required_text

STAND_IN = "annotator_configs.json"
"""The configurations of some annotators as JSON, read where the official file is absent."""

SETTINGS = (
    "prompt_template", "fn_completions", "completions_kwargs", "fn_completion_parser",
    "completion_parser_kwargs", "completion_key", "batch_size", "is_randomize_output_order",
    "pretty_name", "link",
)  # fmt: skip
"""What an annotator may set; the last two only describe it."""

PLACES = ("instruction", "output_1", "output_2")
SEED = 0
"""Of the annotator: what draws the order of the outputs is seeded with it."""

_START, _END = "<|im_start|>", "<|im_end|>"


def is_switched(instruction: str) -> bool:
    """Whether the judge sees the model's output before the baseline's, as the official seed has it."""
    rng = Random(f"is_switched_outputs{instruction}{SEED}")
    return rng.choices([False, True], k=1)[0]


def in_order(instruction: str, output_1: str, output_2: str) -> tuple[str, str]:
    """A baseline's and a model's output in the order in which the judge sees them."""
    return (output_2, output_1) if is_switched(instruction) else (output_1, output_2)


@dataclass(frozen=True)
class Annotator:
    """A judge with its prompt, decoding and parser.

    Attributes:
        name: the official configuration's.
        top_logprobs: how many candidates for the first token the parser looks at.
        template: the prompt in ChatML, with ``{instruction}``, ``{output_1}`` and ``{output_2}``.
        source: the name of the file with the configuration.
    """

    name: str
    model: str
    decoding: Decoding
    top_logprobs: int
    template: str
    parser: Parser
    source: str

    def messages(self, instruction: str, output_1: str, output_2: str) -> tuple[Message, ...]:
        """The judge's prompt about a baseline's and a model's output, in the order of the seed."""
        prompt = self.template
        shown = in_order(instruction, output_1, output_2)
        values = dict(zip(PLACES, (instruction, *shown), strict=True))
        # Officially one place after the other is filled, by its first occurrence: a text that holds
        # a later place's name is filled in its stead.
        for place in self._places:
            prompt = prompt.replace(f"{{{place}}}", values[place], 1)
        return _chat(prompt)

    def preference(self, instruction: str, reply: str) -> float | None:
        """A reply as a preference from 1, for the baseline, to 2, for the model."""
        shown = self.parser.preference(reply)
        return 3 - shown if shown is not None and is_switched(instruction) else shown

    @cached_property
    def sha256(self) -> str:
        """Of everything that decides what is asked and how it is read."""
        asked = (self.model, repr(self.decoding), self.top_logprobs, self.template)
        return sha256_of([*asked, repr(self.parser)])

    @cached_property
    def _places(self) -> Sequence[str]:
        return places(self.template)


def places(template: str) -> list[str]:
    """The names in braces, in their order."""
    return list(dict.fromkeys(re.findall(r"{([^ \s]+?)}", template)))


def _chat(prompt: str) -> tuple[Message, ...]:
    """ChatML as messages: each starts with its role on a line, and what follows its end is cut off.

    The texts of data are not escaped officially, so one that holds ChatML's marks makes messages of
    its own, or cuts one short.
    """
    messages = []
    for part in prompt.strip().split(_START)[1:]:
        role, _, content = part.partition("\n")
        text = content.split(_END, 1)[0].strip()
        # Any word may stand here; a server refuses a role that it does not know.
        messages.append(Message(cast(Role, role.strip()), text))
    return tuple(messages)


def read_annotator(folder: Path, name: str, remedy: str) -> Annotator:
    """An annotator by its official name.

    Args:
        folder: AlpacaEval's data folder, with ``annotators/<name>/configs.yaml`` and ``prompts/``.
        remedy: the command that brings the official files.

    Raises:
        MissingDataError: the configuration or its prompt is not there.
        BadRecordError: a file is damaged.
        PlumblineError: no annotator of that name, or one that needs what is not supported.
    """
    path = folder / "annotators" / name / "configs.yaml"
    stand_in = folder / STAND_IN
    if not path.is_file() and stand_in.is_file():
        path = stand_in
    fix = f"Restore the official file: {remedy}"
    configs = _read_configs(required_file(path, remedy), fix)
    if path == stand_in and name not in configs:
        known = ", ".join(sorted(configs))
        raise PlumblineError(f"alpacaeval.annotator={name}: {path} has only {known}")
    if path != stand_in and list(configs) != [name]:
        raise BadRecordError(f"{path}: it configures {', '.join(configs)}, not {name} alone. {fix}")
    return _annotator(_Config(name, configs[name], path, fix), folder, remedy)


def _read_configs(path: Path, fix: str) -> Mapping[str, Any]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8-sig")
        configs = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise BadRecordError(f"{path}: the file cannot be read ({reason}). {fix}") from error
    if not isinstance(configs, dict) or not all(isinstance(c, dict) for c in configs.values()):
        raise BadRecordError(f"{path}: not settings by an annotator's name. {fix}")
    return {str(name): config for name, config in configs.items()}


@dataclass(frozen=True)
class _Config:
    """An annotator's settings and where they stand."""

    name: str
    settings: Mapping[str, Any]
    path: Path
    fix: str

    def get(self, setting: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
        """A setting such as ``"completions_kwargs.model_name"``.

        Raises:
            BadRecordError: it is of another type, or absent without a default.
        """
        value: Any = self.settings
        for part in setting.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        value = default if value is None else value
        is_bool_as_number = isinstance(value, bool) and kind in (int, (int, float))
        if not isinstance(value, kind) or is_bool_as_number:
            found = "absent" if value is None else repr(value)
            raise BadRecordError(f"{self.path}, {self.name}: {setting} is {found}. {self.fix}")
        return value

    def require(self, setting: str, known: Sequence[Any], default: Any = None) -> Any:
        """A setting that must be one of a few. Raises PlumblineError."""
        value = self.get(setting, object, default)
        if value not in known:
            raise self.unsupported(f"{setting} {value!r}")
        return value

    def only(self, setting: str, known: Sequence[str]) -> None:
        """Raises PlumblineError where a group of settings has others than the known ones."""
        for name in self.get(setting, dict, {}):
            if name not in known:
                raise self.unsupported(f"{setting}.{name}")

    def unsupported(self, what: str) -> PlumblineError:
        return PlumblineError(
            f"alpacaeval.annotator={self.name} needs {what} ({self.path}), which Plumbline does not "
            "offer; take one such as weighted_alpaca_eval_gpt4_turbo or alpaca_eval_gpt4"
        )


def _annotator(config: _Config, folder: Path, remedy: str) -> Annotator:
    for setting in config.settings:
        if setting not in SETTINGS:
            raise config.unsupported(str(setting))
    config.require("is_randomize_output_order", [True], default=True)
    config.require("fn_completions", ["openai_completions"])
    config.require("batch_size", [1], default=1)
    config.only(
        "completions_kwargs",
        ("model_name", "max_tokens", "temperature", "top_p", "logprobs", "top_logprobs"),
    )
    parser = _parser(config)
    decoding = Decoding(
        config.get("completions_kwargs.max_tokens", int, 2048),
        float(config.get("completions_kwargs.temperature", (int, float), 0.7)),
        float(config.get("completions_kwargs.top_p", (int, float), 1.0)),
    )
    template = config.get("prompt_template", str)
    return Annotator(
        config.name,
        config.get("completions_kwargs.model_name", str),
        decoding,
        config.get("completions_kwargs.top_logprobs", int, 0),
        _read_template(folder / "prompts" / Path(template).name, remedy),
        parser,
        config.path.name,
    )


def _parser(config: _Config) -> Parser:
    name = config.require("fn_completion_parser", ["ranking_parser", "logprob_parser"])
    if name == "ranking_parser":
        config.require("completion_key", ["completions"], default="completions")
        config.only("completion_parser_kwargs", ("model_1_name",))
        return RankingParser(config.get("completion_parser_kwargs.model_1_name", str, "model_1"))
    config.require("completion_key", ["completions_all"])
    config.require("completions_kwargs.logprobs", [True])
    config.only(
        "completion_parser_kwargs", ("numerator_token", "denominator_tokens", "is_binarize")
    )
    labels = config.get("completion_parser_kwargs.denominator_tokens", list)
    if not labels or not all(isinstance(label, str) for label in labels):
        problem = "completion_parser_kwargs.denominator_tokens is no list of texts"
        raise BadRecordError(f"{config.path}, {config.name}: {problem}. {config.fix}")
    return LogprobParser(
        config.get("completion_parser_kwargs.numerator_token", str),
        tuple(labels),
        config.get("completion_parser_kwargs.is_binarize", bool, True),
    )


def _read_template(path: Path, remedy: str) -> str:
    template = required_text(path, remedy)
    stripped = template.strip()
    is_chat = stripped.startswith(_START) and stripped.endswith(_END)
    if not is_chat or any(template.count(f"{{{place}}}") != 1 for place in PLACES):
        problem = f"not a prompt in ChatML with one place each for {', '.join(PLACES)}"
        raise BadRecordError(f"{path}: {problem}. Restore the official prompt: {remedy}")
    if strangers := set(places(template)) - set(PLACES):
        problem = f"there is no {' or '.join(sorted(strangers))} to put into it"
        raise BadRecordError(f"{path}: {problem}. Restore the official prompt: {remedy}")
    return template
