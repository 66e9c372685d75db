"""The only module that reads environment variables, and the commands that are told to a person."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.data_folder import fetch_command


def default_data_dir() -> Path:
    """Where official files lie without ``--data-dir``: ``$PLUMBLINE_DATA``, or the user's cache."""
    chosen = os.environ.get("PLUMBLINE_DATA", "").strip()
    return Path(chosen or "~/.cache/plumbline/data").expanduser()


def remedy(benchmark: str, data_dir: Path) -> str:
    """The command that brings the official files of a benchmark (or suite) into a folder."""
    return fetch_command(benchmark, None if data_dir == default_data_dir() else data_dir)


def default_judge_cache() -> Path:
    """Where judges' replies are stored unless ``--judge-cache`` says otherwise."""
    return Path("~/.cache/plumbline/judge_replies.sqlite").expanduser()


def api_key(variable: str | None, at_openai: bool) -> str:
    """The API key of a hosted model: that variable's, else ``$OPENAI_API_KEY``; empty without either.

    Args:
        at_openai: whether the model is asked at OpenAI. A key for OpenAI is sent nowhere else, unless
            it is named.
    """
    name = variable or ("OPENAI_API_KEY" if at_openai else "")
    return os.environ.get(name, "").strip()


def judge_key(at_openai: bool) -> str:
    """The judge's API key: ``$PLUMBLINE_JUDGE_KEY``, or ``$OPENAI_API_KEY``; empty without either.

    Args:
        at_openai: whether the judge is asked at OpenAI. A key for OpenAI is sent nowhere else.
    """
    names = ("PLUMBLINE_JUDGE_KEY", "OPENAI_API_KEY") if at_openai else ("PLUMBLINE_JUDGE_KEY",)
    return next((key for name in names if (key := os.environ.get(name, "").strip())), "")


def has_lmms_judge_key() -> bool:
    """Whether a task of lmms-eval that asks a judge can ask it, with one of the keys that those read."""
    names = ("OPENAI_API_KEY", "AZURE_API_KEY", "AZURE_OPENAI_API_KEY")
    return any(os.environ.get(name, "").strip() for name in names)


def step_summary() -> Path | None:
    """The file that GitHub shows on a job's page, to be appended to: ``$GITHUB_STEP_SUMMARY``."""
    chosen = os.environ.get("GITHUB_STEP_SUMMARY", "").strip()
    return Path(chosen) if chosen else None
