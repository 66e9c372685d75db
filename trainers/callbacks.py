"""What happens around the steps of a training: epochs begin with the right pairs, and progress is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from harness.show import Progress
from trainers.collate import PairData
from trainers.pairs import Preference

if TYPE_CHECKING:
    from rich.console import Console

Refresh = Callable[[int, Any], Sequence[Preference]]
"""Makes the pairs of an epoch (its number from 0, and the policy as it is then); as many each time."""


class Epochs(TrainerCallback):
    """Tells the data which epoch begins, and replaces its pairs where they are made anew."""

    def __init__(self, data: PairData, refresh: Refresh | None) -> None:
        self._data = data
        self._refresh = refresh

    def on_epoch_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, **_: Any
    ) -> None:
        epoch = int(state.epoch or 0)
        self._data.begin_epoch(epoch)
        if self._refresh is not None:
            self._data.pairs = tuple(self._refresh(epoch, model))


class Saved(TrainerCallback):
    """Says after each saved state at which step that was."""

    def __init__(self, say: Callable[[int], None]) -> None:
        self._say = say

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._say(state.global_step)


class Told(TrainerCallback):
    """Progress of the steps, with the last loss and margin; ``close`` it when the training ends or fails."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._first = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._first = state.global_step
        self._progress = Progress(self._console, "steps").__enter__()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        told = {"loss": "loss", "rewards/margin": "margin"}
        figures = [f"{short} {logs[name]:.4f}" for name, short in told.items() if name in logs]
        if self._progress is not None and figures:
            self._progress.what = f"steps ({', '.join(figures)})"

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._progress is not None:
            self._progress(state.global_step - self._first, state.max_steps - self._first)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.__exit__(None, None, None)
