"""The command-line options that say who answers, and the engine that they name."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.base import PlumblineError
from benchmarks.pocket import CHECKPOINT
from harness.command import above_zero, at_least
from harness.endpoint.config import OPENAI_URL, EndpointConfig, Secret
from harness.env import api_key

if TYPE_CHECKING:
    from harness.engines.base import Engine

API = "api:"
ENGINES = ("auto", "transformers", "openai")
TIMEOUT_S = 600.0
"""A long answer by a slow server takes minutes."""

_LOADING = {"dtype": "auto", "device": "auto", "batch_size": "auto", "trust_remote_code": False}
_CALLING = ("base_url", "key_env", "concurrency", "rpm", "tpm", "timeout", "retries")


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Who answers, and how it is loaded or called."""
    parser.add_argument(
        "--ckpt",
        metavar="PATH|HF_ID|api:MODEL",
        help="a Hugging Face folder, a hub id (id@revision), a PEFT adapter folder, a GGUF file, or "
        "api:MODEL at --base-url (default: the embedded pocket checkpoint)",
    )
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="auto",
        help="transformers (in this process) or openai (over HTTP); auto goes by --ckpt",
    )
    add_loading_options(parser)
    _add_calling_options(parser)


def add_loading_options(parser: argparse.ArgumentParser) -> None:
    """How a checkpoint is loaded into this process."""
    parser.add_argument(
        "--dtype", default="auto", help="float32, bfloat16, float16 or auto (default)"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps or auto (default)")
    parser.add_argument(
        "--batch-size",
        default="auto",
        metavar="N|auto",
        help="rows a batch; halved when memory runs out",
    )
    parser.add_argument(
        "--trust-remote-code", action="store_true", help="let the checkpoint bring its own code"
    )


def _add_calling_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("hosted model (--ckpt api:MODEL)")
    group.add_argument(
        "--base-url",
        metavar="URL",
        help="any OpenAI-compatible endpoint, e.g. http://127.0.0.1:8000/v1 "
        f"(default: {OPENAI_URL})",
    )
    group.add_argument(
        "--key-env",
        metavar="NAME",
        help="the environment variable that holds the API key (default: OPENAI_API_KEY at OpenAI, "
        "no key elsewhere)",
    )
    group.add_argument(
        "--concurrency", type=at_least(1), metavar="N", help="calls at a time (default 16)"
    )
    group.add_argument(
        "--rpm", type=above_zero, metavar="N", help="calls a minute, at most (default: no limit)"
    )
    group.add_argument(
        "--tpm", type=above_zero, metavar="N", help="tokens a minute, at most (default: no limit)"
    )
    group.add_argument(
        "--timeout",
        type=above_zero,
        metavar="S",
        help=f"seconds until a call is given up (default {TIMEOUT_S:g})",
    )
    group.add_argument(
        "--retries",
        type=at_least(0),
        metavar="N",
        help="further calls after one that failed on its way (default 8)",
    )


@dataclass(frozen=True)
class InProcess:
    """A checkpoint that this process loads; the fields are those of ``TransformersEngine.load``."""

    ckpt: str
    dtype: str = "auto"
    device: str = "auto"
    batch_size: int | None = None
    trust_remote_code: bool = False

    def start(self, shown_by: Sequence[str] = ()) -> Engine:
        """The engine with the checkpoint in it.

        Args:
            shown_by: what is going to show pictures, by title.

        Raises:
            PlumblineError: the checkpoint cannot be used, or not for that.
        """
        from transformers.utils import logging as library_logging

        from harness.engines.transformers_engine import TransformersEngine

        library_logging.disable_progress_bar()
        library_logging.set_verbosity_error()
        engine = TransformersEngine.load(
            self.ckpt,
            dtype=self.dtype,
            device=self.device,
            batch_size=self.batch_size,
            trust_remote_code=self.trust_remote_code,
        )
        if shown_by and not engine.takes_pictures:
            raise PlumblineError(
                f"{self.ckpt} reads text only, and there are pictures in {', '.join(shown_by)}. Name "
                "a checkpoint that sees, or benchmarks without pictures (--suite language)"
            )
        return engine


@dataclass(frozen=True)
class Hosted:
    """A model behind an endpoint."""

    model: str
    config: EndpointConfig

    def start(self, shown_by: Sequence[str] = ()) -> Engine:
        """The engine that has reached the model; see ``InProcess.start``."""
        from harness.engines.openai_engine import OpenAIEngine

        return OpenAIEngine.connect(self.model, self.config, with_picture=bool(shown_by))


def choose(arguments: argparse.Namespace) -> InProcess | Hosted:
    """Who answers. Raises PlumblineError for options that do not go together."""
    ckpt: str = arguments.ckpt or str(CHECKPOINT)
    if ckpt.startswith(API):
        return _hosted(ckpt.removeprefix(API), arguments)
    if arguments.engine == "openai":
        raise PlumblineError(
            f"--engine openai asks over HTTP: write the model as --ckpt {API}MODEL, with --base-url "
            "URL unless it is OpenAI's"
        )
    if given := [name for name in _CALLING if getattr(arguments, name) is not None]:
        raise PlumblineError(
            f"{_option(given[0])} is for a model that is asked over HTTP: write it as --ckpt "
            f"{API}MODEL, or leave {_option(given[0])} out"
        )
    return in_process(ckpt, arguments)


def in_process(ckpt: str, arguments: argparse.Namespace) -> InProcess:
    """The loading options of a checkpoint. Raises PlumblineError."""
    return InProcess(
        ckpt,
        arguments.dtype,
        arguments.device,
        _batch_size(arguments.batch_size),
        arguments.trust_remote_code,
    )


def _hosted(model: str, arguments: argparse.Namespace) -> Hosted:
    if not model:
        raise PlumblineError(
            f"--ckpt {API} names no model: write it behind the colon, as its server calls it"
        )
    if arguments.engine == "transformers":
        raise PlumblineError(
            f"--ckpt {API}{model} is asked over HTTP: leave --engine transformers out, or name a "
            "checkpoint that can be loaded"
        )
    if given := [name for name, usual in _LOADING.items() if getattr(arguments, name) != usual]:
        raise PlumblineError(
            f"{_option(given[0])} says how a checkpoint is loaded here, and {API}{model} is loaded "
            f"by its server: leave {_option(given[0])} out"
        )
    settings = {
        "base_url": arguments.base_url,
        "concurrency": arguments.concurrency,
        "requests_per_minute": arguments.rpm,
        "tokens_per_minute": arguments.tpm,
        "timeout_s": arguments.timeout or TIMEOUT_S,
        "max_retries": arguments.retries,
    }
    config = EndpointConfig(
        **{name: value for name, value in settings.items() if value is not None}
    )
    key = api_key(arguments.key_env, at_openai=config.endpoint == OPENAI_URL)
    if arguments.key_env and not key:
        raise PlumblineError(
            f"--key-env {arguments.key_env}: there is no such environment variable, or it is empty"
        )
    return Hosted(model, replace(config, key=Secret(key)))


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _batch_size(text: str) -> int | None:
    """A number of rows; None for "auto". Raises PlumblineError."""
    if text == "auto":
        return None
    try:
        return at_least(1)(text)
    except argparse.ArgumentTypeError:
        raise PlumblineError(f"--batch-size {text}: write a positive number or auto") from None
