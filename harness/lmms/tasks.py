"""Which of lmms-eval's tasks are asked for, found and loaded.

``--suite lmms:mme,pope`` names tasks, groups and tags of lmms-eval: every name behind ``lmms:`` is one of its. Task
files of one's own lie in folders that ``--lmms-include`` names. A group stands for its tasks; the group's
own score is not formed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.base import Edition, PlumblineError
from harness.env import has_lmms_judge_key
from harness.lmms.calls import calling, failing_as, require_lmms_eval
from harness.lmms.decoding import decoding_of

if TYPE_CHECKING:
    from harness.lmms.benchmark import LmmsTask

OPTIONS = ("model_name", "prompts")
"""``--set lmms.model_name=qwen_vl``: whose prompts to take, of tasks that have several models' prompts.
``--set lmms.prompts=simple``: which way to make prompts, see ``harness.lmms.prompts``; "chat" by default."""

PROMPTS = ("chat", "simple")

_PREFIX = "lmms:"
_TASKS = ("task", "python_task")


def split_suite(text: str) -> tuple[str, tuple[str, ...]]:
    """``"pope,lmms:mme,gqa"`` as ``("pope", ("mme", "gqa"))``. Raises PlumblineError."""
    ours, prefix, theirs = text.partition(_PREFIX)
    names = (name.strip().removeprefix(_PREFIX) for name in theirs.split(","))
    found = tuple(dict.fromkeys(name for name in names if name))
    if prefix and not found:
        raise PlumblineError(f"--suite {text}: name a task of lmms-eval, such as lmms:mme")
    return ours.strip(" ,"), found


def open_tasks(
    names: Sequence[str],
    *,
    include: Sequence[Path] = (),
    options: Mapping[str, str] | None = None,
    edition: Edition = "official",
    limit: int | None = None,
    scored: bool = True,
) -> list[LmmsTask]:
    """Tasks of lmms-eval with their data, as Benchmarks.

    Args:
        names: tasks, groups or tags.
        include: folders with task files, which come before lmms-eval's own of the same name.
        options: see OPTIONS.
        edition: what the run is called; a task has the same data in both.
        limit: no more documents than this are read of a task.
        scored: whether scores are wanted, for which some tasks need a judge.

    Raises:
        PlumblineError: lmms-eval is not installed, or a task cannot be found, loaded or asked.
    """
    unknown = [name for name in options or {} if name not in OPTIONS]
    if unknown:
        raise PlumblineError(f"lmms has no option {unknown[0]!r} (known: {', '.join(OPTIONS)})")
    prompts = (options or {}).get("prompts", PROMPTS[0])
    if prompts not in PROMPTS:
        raise PlumblineError(f"--set lmms.prompts={prompts}: choose from {', '.join(PROMPTS)}")
    for folder in include:
        if not folder.is_dir():
            raise PlumblineError(f"--lmms-include {folder}: there is no such folder")
    require_lmms_eval()
    model_name = (options or {}).get("model_name")
    tasks: dict[str, Any] = {}
    for name, manager in _managers(
        names, [str(folder.resolve()) for folder in include], model_name
    ):
        tasks |= _loaded(name, manager, prompts)
    return [_opened(name, task, edition, limit, scored) for name, task in tasks.items()]


def _managers(
    names: Sequence[str], include: list[str], model_name: str | None
) -> Iterator[tuple[str, Any]]:
    """Each name with the TaskManager that knows it. lmms-eval's own files are read, which takes some
    seconds, when a name is first not among the included tasks."""
    from lmms_eval.tasks import TaskManager

    def reading(include_defaults: bool) -> Any:
        with failing_as("lmms-eval's task files cannot be read"), calling():
            return TaskManager(
                include_path=include, include_defaults=include_defaults, model_name=model_name
            )

    own = reading(include_defaults=False)
    everything = None
    for name in names:
        if own.task_index.get(name, {}).get("type") in _TASKS:
            yield name, own
            continue
        everything = everything or reading(include_defaults=True)
        if name not in everything.task_index:
            near = difflib.get_close_matches(name, everything.all_tasks, n=3)
            hint = (
                f"did you mean {' or '.join(near)}?" if near else "`lmms-eval tasks list` shows all"
            )
            raise PlumblineError(f"lmms-eval has no task called {name!r}; {hint}")
        yield name, everything


def _loaded(name: str, manager: Any, prompts: str) -> dict[str, Any]:
    """The tasks that a name stands for, with their data."""
    from lmms_eval.evaluator_utils import get_task_list

    with failing_as(f"lmms:{name} cannot be loaded"), calling():
        found = get_task_list(manager.load_task_or_group(name, task_type=prompts))
    return {output.task_name: output.task for output in found if output.task is not None}


def _opened(name: str, task: Any, edition: Edition, limit: int | None, scored: bool) -> LmmsTask:
    """A task that can be asked and scored. Raises PlumblineError."""
    from lmms_eval.filters.transformation import StripThinkingFilter

    from harness.lmms.benchmark import LmmsTask

    if task.OUTPUT_TYPE != "generate_until":
        raise PlumblineError(
            f"lmms:{name} is of output type {task.OUTPUT_TYPE}; only tasks of type generate_until "
            "can be asked"
        )
    opened = LmmsTask(
        name=re.sub(r"[^\w.+-]+", "-", f"lmms_{name}"),
        title=f"{name} (lmms-eval)",
        edition=edition,
        task=task,
        decoding=decoding_of(f"lmms:{name}", task.config.generation_kwargs or {}),
        limit=limit,
    )
    if scored and opened.asks_judge and not has_lmms_judge_key():
        raise PlumblineError(
            f"lmms:{name} asks a language model for its scores, and without a key lmms-eval would count "
            "every answer as 0. Set OPENAI_API_KEY (or AZURE_API_KEY), or generate only: "
            "--stages generate"
        )
    if task.config.auto_strip_thinking and not task.config.reasoning_tags:
        for ensemble in task._filters:
            ensemble.filters.insert(0, StripThinkingFilter())
    return opened
