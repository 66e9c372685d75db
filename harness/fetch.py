"""``python -m harness.fetch``: gets the official files, verifies them, and says what is missing.

Exit codes: 0 everything is there (and verified where a checksum is known), 1 something is missing,
wrong or failed, 2 wrong usage, 130 interrupted; the same command then goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.base import PlumblineError
from benchmarks.suites import BENCHMARKS, SUITES
from harness.assets import ASSETS_FILE, Asset, Kind, extras, groups_of, load_assets, load_notes
from harness.command import DONE, FAILED, INTERRUPTED, run_command
from harness.env import default_data_dir
from harness.verify import GOOD, WORK_FOLDER, Check, Ledger, State, check

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from harness.bring import Session
    from harness.transfer import Tick

N_FILES_AT_ONCE = 4
LINE_EVERY_S = 15.0
STYLES = {
    State.OK: "green",
    State.UNVERIFIED: "green",
    State.OPTIONAL: "dim",
    State.MANUAL: "yellow",
}


@dataclass(frozen=True)
class Settings:
    """What the command line asks for."""

    data_dir: Path
    groups: frozenset[str]
    assets: tuple[Asset, ...]
    notes: dict[str, str]
    extras: list[str]
    images: bool
    retries: int
    mirrors: dict[str, str]


def missing(benchmark: str, data_dir: Path, *, images: bool = True) -> list[Check]:
    """The official files of a benchmark (or suite) that are absent or wrong.

    Raises:
        PlumblineError: there is no such benchmark.
    """
    assets = load_assets()
    groups = groups_of(assets, [benchmark])
    ledger = Ledger.load(data_dir)
    checks = (
        check(asset, data_dir, ledger, images=images)
        for asset in assets
        if groups & set(asset.groups) and (images or not asset.is_pictures)
    )
    return [found for found in checks if found.state not in GOOD]


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness.fetch",
        description="Get the official files of benchmarks from their official places and verify "
        "them. Files that are there and right are left alone; a wrong one is replaced.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="SUITE|BENCHMARK[,..]",
        help=f"suites ({', '.join(SUITES)}), benchmarks ({', '.join(BENCHMARKS)}), or one of the "
        "extras that --list shows; default: all",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="where the files go (default: $PLUMBLINE_DATA or ~/.cache/plumbline/data)",
    )
    parser.add_argument("--verify", action="store_true", help="only check what is there")
    parser.add_argument(
        "--list", action="store_true", help="only show what would be fetched, from where"
    )
    parser.add_argument("--no-images", action="store_true", help="leave the pictures out")
    parser.add_argument(
        "--retries",
        type=_count,
        default=5,
        metavar="N",
        help="failed attempts per file (default: 5)",
    )
    parser.add_argument(
        "--mirror",
        action="append",
        default=[],
        metavar="PREFIX=URL",
        help="fetch addresses that begin with PREFIX from URL instead; may be repeated",
    )
    parser.add_argument(
        "--assets", type=Path, default=ASSETS_FILE, metavar="FILE", help="another list of files"
    )
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def read_settings(arguments: argparse.Namespace) -> Settings:
    """Raises PlumblineError."""
    assets = load_assets(arguments.assets)
    groups = groups_of(assets, arguments.names or ["all"])
    return Settings(
        data_dir=(arguments.data_dir or default_data_dir()).expanduser().absolute(),
        groups=frozenset(groups),
        assets=tuple(
            asset
            for asset in assets
            if groups & set(asset.groups) and not (arguments.no_images and asset.is_pictures)
        ),
        notes=load_notes(arguments.assets),
        extras=extras(assets),
        images=not arguments.no_images,
        retries=arguments.retries,
        mirrors=dict(_mirror(text) for text in arguments.mirror),
    )


def _mirror(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"(.+?)=((?:https?|hf)://.*)", text)
    if match is None:
        raise PlumblineError(
            f"--mirror {text}: write it as PREFIX=URL, the URL with https:// or http://"
        )
    return match[1], match[2]


def check_all(settings: Settings, ledger: Ledger, assets: Iterable[Asset]) -> list[Check]:
    return [check(asset, settings.data_dir, ledger, images=settings.images) for asset in assets]


def fetch(settings: Settings, console: Console) -> list[Check]:
    """Brings what is missing or wrong; the state of every asset afterwards.

    Raises:
        PlumblineError: the folder cannot be used, or another fetch is using it.
    """
    from harness.bring import Session, batches
    from harness.transfer import Policy, Transfer

    with _locked(settings.data_dir):
        ledger = Ledger.load(settings.data_dir)
        stop = threading.Event()
        with Transfer(Policy(retries=settings.retries), stop) as transfer, _display(console) as bar:
            session = Session(
                settings.data_dir, transfer, ledger, settings.mirrors, settings.images
            )
            checks = check_all(settings, ledger, settings.assets)
            states = {found.asset: found for found in checks}
            for batch in batches(found.asset for found in checks if found.state not in GOOD):
                # Checked again: what an earlier batch brought may name what this one is to bring.
                wanted = check_all(settings, ledger, batch)
                states.update(_bring_together(session, wanted, bar))
            by_hand = [asset for asset in states if asset.kind is Kind.MANUAL]
            states.update((found.asset, found) for found in check_all(settings, ledger, by_hand))
    return list(states.values())


def _bring_together(session: Session, wanted: Sequence[Check], bar: Bar) -> dict[Asset, Check]:
    """A few assets at a time. On an interruption the others are told, and not waited for."""
    states: dict[Asset, Check] = {}
    pool = ThreadPoolExecutor(N_FILES_AT_ONCE)
    try:
        jobs = [pool.submit(_bring_one, session, before, bar) for before in wanted]
        for job in as_completed(jobs):
            after = job.result()
            states[after.asset] = after
            # Why something failed stands in the table at the end.
            shown = replace(after, detail="") if after.state is State.FAILED else after
            bar.say(line(shown), STYLES.get(after.state, "red"))
    except BaseException:
        session.transfer.stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    return states


def _bring_one(session: Session, before: Check, bar: Bar) -> Check:
    with bar.task(before.asset.label, before.asset.n_bytes) as tick:
        return session.bring(before, tick)


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """The folder, to ourselves: two downloads into one ``.part`` would spoil each other."""
    from filelock import FileLock, Timeout

    path = data_dir / WORK_FOLDER / "lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=0)
        lock.acquire()
    except Timeout:
        raise PlumblineError(
            f"another fetch is filling {data_dir}; wait until it is done"
        ) from None
    except OSError as error:
        raise PlumblineError(
            f"{data_dir} cannot be used ({error.strerror or error}); choose another with --data-dir"
        ) from error
    try:
        yield
    finally:
        lock.release()


class Bar:
    """Progress on a terminal: a bar per file. Elsewhere: a line now and then."""

    def __init__(self, console: Console, progress: Progress | None) -> None:
        self._console = console
        self._progress = progress
        self._said_at = time.monotonic()

    def say(self, text: str, style: str) -> None:
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def task(self, label: str, n_bytes: int | None) -> Iterator[Tick]:
        """A file on its way; yields what is told how far it is."""
        if self._progress is None:
            yield lambda size, total: self._now_and_then(label, size, total or n_bytes)
            return
        progress, task = self._progress, self._progress.add_task(label, total=n_bytes)
        try:
            yield lambda size, total: progress.update(task, completed=size, total=total or n_bytes)
        finally:
            progress.remove_task(task)

    def _now_and_then(self, label: str, size: int, total: int | None) -> None:
        if time.monotonic() - self._said_at < LINE_EVERY_S:
            return
        self._said_at = time.monotonic()
        whole = f" of {total / 1e6:,.1f}" if total else ""
        self.say(f"{'…':<12} {label}  {size / 1e6:,.1f}{whole} MB", "dim")


@contextmanager
def _display(console: Console) -> Iterator[Bar]:
    from rich import progress as rich_progress

    if not console.is_terminal:
        yield Bar(console, None)
        return
    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.DownloadColumn(),
        rich_progress.TransferSpeedColumn(),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=console, transient=True) as progress:
        yield Bar(console, progress)


def line(found: Check) -> str:
    """One row of the table."""
    return f"{found.state:<12} {found.asset.label:<62} {found.detail}".rstrip()


def report(settings: Settings, checks: Sequence[Check], console: Console, *, only_bad: bool) -> int:
    """Prints the table, what is to be done by hand, and the sum; returns the exit code."""
    say = Bar(console, None).say
    bad = [found for found in checks if found.state not in GOOD]
    rows = bad if only_bad else list(checks)
    if rows:
        say(f"\n{'state':<12} {'file below ' + str(settings.data_dir):<62} remark", "bold")
    for found in rows:
        say(line(found), STYLES.get(found.state, "red"))
    for found in bad:
        if found.asset.how:
            how = found.asset.how.replace("DATA_DIR", str(settings.data_dir))
            say(f"\n{found.asset.label} has to be put there by hand.\n{how}", "yellow")
    for group in sorted(settings.groups & set(settings.notes)):
        say(f"\n{group}: {settings.notes[group]}", "dim")
    counts = {state: sum(found.state is state for found in checks) for state in State}
    say("\n" + ", ".join(f"{count} {state}" for state, count in counts.items() if count), "bold")
    return FAILED if bad else DONE


def listing(settings: Settings, console: Console) -> int:
    """What ``--list`` prints: each file with its kind, size, licence and origin."""
    say = Bar(console, None).say
    for asset in settings.assets:
        size = f"{asset.n_bytes:,} bytes" if asset.n_bytes is not None else "size not known"
        origin = asset.url or (
            f"made of {asset.source}" if asset.source else "to be put there by hand:"
        )
        say(f"{asset.label}\n    {asset.kind}, {size}, {asset.licence or 'licence not stated'}", "")
        say(f"    {origin}", "dim")
        if asset.kind is Kind.MANUAL:
            say("    " + asset.how.replace("\n", "\n    "), "yellow")
    known = [asset.n_bytes for asset in settings.assets if asset.n_bytes is not None]
    say(
        f"\n{len(settings.assets)} entries; {sum(known) / 1e6:,.1f} MB in the {len(known)} "
        f"of known size. Extras to ask for by name: {', '.join(settings.extras) or 'none'}.",
        "bold",
    )
    return DONE


def main(argv: Sequence[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)

    def body() -> int:
        settings = read_settings(arguments)
        from rich.console import Console

        console = Console()
        if arguments.list:
            return listing(settings, console)
        if arguments.verify:
            checks = check_all(settings, Ledger.load(settings.data_dir), settings.assets)
            return report(settings, checks, console, only_bad=False)
        return report(settings, fetch(settings, console), console, only_bad=True)

    return run_command(body, "what has come is kept, and the same command goes on from there")


if __name__ == "__main__":
    code = main()
    if code == INTERRUPTED:
        # Workers may sit in a read for half a minute; what they have written is on disk already.
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)
