"""The pocket edition: a small drawn world with exact ground truth, questions about it, and a checkpoint.

``world`` draws scenes, ``language`` speaks about them, ``dialogues`` mixes what the checkpoint is trained on,
``train`` trains it, and one module per benchmark makes that benchmark's pocket questions. Its numbers never
stand in one table with official numbers.
"""

from pathlib import Path

CHECKPOINT = Path(__file__).parent / "checkpoint"
