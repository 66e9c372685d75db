"""lmms-eval's tasks through our engines, run folder and intervals (the extra ``lmms``)."""
