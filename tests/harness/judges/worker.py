"""Judges the toy benchmark into a folder: ``worker.py URL CACHE FOLDER``. May be killed."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from harness.judges.client import HttpJudge
from harness.judging import judge
from tests.harness.judges.toy import Sums, hasty, part, silent

CONCURRENCY = 8


def main() -> None:
    url, cache, folder = sys.argv[1:]
    config = hasty(url, cache=Path(cache), concurrency=CONCURRENCY)
    judge([part(Sums(), Path(folder))], HttpJudge(config), silent)


if __name__ == "__main__":
    main()
