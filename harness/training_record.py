"""How a checkpoint was trained, as far as a run keeps it: what scale plots are drawn against.

A training by ``trainers.run`` leaves ``training.json`` beside the weights. ``harness.run`` copies what
identifies it into run.json, so that a run still says where its checkpoint came from when that is gone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORD = "training.json"
_STATE = "trainer_state.json"


def kept_of(folder: Path) -> dict[str, Any] | None:
    """What a run keeps of a checkpoint's training; None where there is no record that says it.

    Args:
        folder: of the checkpoint; also a state saved on the way (``OUT/checkpoint-500``), whose record
            lies in the folder above.

    Returns:
        ``n_pairs`` and ``n_steps``; ``base_sha256``, the weights that it began with; and ``recipe``, the
        settings that change what is learned, method and seed among them.
    """
    try:
        if (folder / RECORD).is_file():
            record = _read(folder / RECORD)
            n_steps = record["sessions"][-1]["steps"][1]
        else:
            record = _read(folder.parent / RECORD)
            n_steps = _read(folder / _STATE)["global_step"]
        identity = record["identity"]
        return {
            "n_pairs": int(record["data"]["n_pairs"]),
            "n_steps": int(n_steps),
            "base_sha256": str(identity["checkpoint"]["weights_sha256"]),
            "recipe": dict(identity["recipe"]),
        }
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        # Not a record of ours, or of a training that was never finished.
        return None


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
