"""The command-line options that name a judge, and the judge that they name."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.base import Edition, PlumblineError
from harness.command import above_zero, at_least
from harness.endpoint.config import OPENAI_URL, Secret
from harness.env import default_judge_cache, judge_key
from harness.judges.base import ORACLE_MODEL
from harness.judges.config import JudgeConfig

if TYPE_CHECKING:
    from harness.judges.base import Judge

NO_CACHE = "none"
BATCHES = "judge_batches.json"
"""The run folder's file that names the batches under way."""


def add_judge_options(parser: argparse.ArgumentParser) -> None:
    """Which judge, where, how fast and for how much."""
    group = parser.add_argument_group("judge")
    group.add_argument(
        "--judge",
        metavar="MODEL",
        help="the judge's model (default: each benchmark's official one; in the pocket edition "
        f"{ORACLE_MODEL}, which needs no network). Another one is labelled in every table",
    )
    group.add_argument(
        "--judge-base-url",
        metavar="URL",
        help="any OpenAI-compatible endpoint, e.g. http://127.0.0.1:8000/v1 "
        f"(default: {OPENAI_URL})",
    )
    group.add_argument(
        "--judge-key-file",
        type=Path,
        metavar="FILE",
        help="a file with nothing but the API key (default: $PLUMBLINE_JUDGE_KEY, and at OpenAI "
        "$OPENAI_API_KEY)",
    )
    group.add_argument(
        "--judge-batch",
        action="store_true",
        help="use the provider's batch API: cheaper, within a day; a resumed run finds its batches",
    )
    group.add_argument(
        "--judge-any-model",
        action="store_true",
        help="take replies of other models than the one asked (they are named and labelled)",
    )
    group.add_argument(
        "--rejudge",
        action="store_true",
        help="judge anew what another judge, or this one by another prompt, has judged in this run",
    )
    _add_costs(group)
    _add_limits(group)


def _add_costs(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--max-cost",
        type=above_zero,
        metavar="USD",
        help="stop before judging this run costs more, earlier sessions included",
    )
    group.add_argument(
        "--judge-prices",
        type=Path,
        metavar="FILE",
        help="your own prices, in the form of harness/judges/prices.toml",
    )
    group.add_argument(
        "--judge-cache",
        metavar="FILE",
        help="where replies are stored, for all runs together (default: in ~/.cache/plumbline; "
        f"{NO_CACHE}: nowhere)",
    )


def _add_limits(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--judge-concurrency",
        type=at_least(1),
        default=16,
        metavar="N",
        help="calls at a time (default 16)",
    )
    group.add_argument(
        "--judge-rpm",
        type=above_zero,
        metavar="N",
        help="calls a minute, at most (default: no limit)",
    )
    group.add_argument(
        "--judge-tpm",
        type=above_zero,
        metavar="N",
        help="tokens a minute, at most (default: no limit)",
    )
    group.add_argument(
        "--judge-timeout",
        type=above_zero,
        default=120.0,
        metavar="S",
        help="seconds until a call is given up (default 120)",
    )
    group.add_argument(
        "--judge-retries",
        type=at_least(0),
        default=8,
        metavar="N",
        help="further calls after one that failed on its way (default 8)",
    )


def make_config(arguments: argparse.Namespace) -> JudgeConfig:
    """The options as a JudgeConfig, with the key. Raises PlumblineError."""
    base_url = arguments.judge_base_url or OPENAI_URL
    cache = arguments.judge_cache
    stored_at = Path(cache).expanduser() if cache else default_judge_cache()
    return JudgeConfig(
        model=arguments.judge,
        base_url=base_url,
        concurrency=arguments.judge_concurrency,
        requests_per_minute=arguments.judge_rpm,
        tokens_per_minute=arguments.judge_tpm,
        timeout_s=arguments.judge_timeout,
        max_retries=arguments.judge_retries,
        max_cost_usd=arguments.max_cost,
        prices=arguments.judge_prices,
        cache=None if cache == NO_CACHE else stored_at,
        any_model=arguments.judge_any_model,
        key=_key(arguments.judge_key_file, base_url),
    )


def _key(path: Path | None, base_url: str) -> Secret:
    """The key from its file or the environment. None is fine: many local servers want none."""
    if path is None:
        return Secret(judge_key(at_openai=base_url.rstrip("/") == OPENAI_URL))
    try:
        value = path.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
        raise PlumblineError(f"--judge-key-file {path} cannot be read: {reason}") from None
    if not value:
        raise PlumblineError(f"--judge-key-file {path} is empty")
    return Secret(value)


def make_judge(arguments: argparse.Namespace, edition: Edition, run_folder: Path) -> Judge:
    """The judge that the options name. Opens its cache; makes no call yet.

    Args:
        run_folder: where a batch judge keeps the names of its batches.

    Raises:
        PlumblineError: an option that cannot be, or a damaged cache; the text says what to do.
    """
    named = arguments.judge or (ORACLE_MODEL if edition == "pocket" else None)
    if named == ORACLE_MODEL and arguments.judge_base_url is None:
        _refuse_with_oracle(arguments)
        from harness.judges.oracle import OracleJudge

        return OracleJudge()
    config = make_config(argparse.Namespace(**{**vars(arguments), "judge": named}))
    if arguments.judge_batch:
        from harness.judges.batch import BatchJudge

        return BatchJudge(config, run_folder / BATCHES)
    from harness.judges.client import HttpJudge

    return HttpJudge(config)


def _refuse_with_oracle(arguments: argparse.Namespace) -> None:
    """Options that say something about a remote judge are a mistake where none is asked."""
    given = {
        "--judge-key-file": arguments.judge_key_file,
        "--judge-batch": arguments.judge_batch,
    }
    for option, value in given.items():
        if value:
            raise PlumblineError(
                f"{option}: the pocket edition is judged in this process unless a --judge MODEL or "
                "a --judge-base-url is named"
            )
