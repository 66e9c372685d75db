"""One file over HTTP: python -m pytest tests/harness/test_transfer.py"""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from file_server import (
    FileServer,
    cut,
    ignoring_if_range,
    status,
    whole_file,
    without_length,
)

from harness.hub import parse
from harness.transfer import (
    Expected,
    Policy,
    StoppedError,
    Transfer,
    TransferError,
    check_scheme,
    retry_after,
)
from harness.verify import Seen

BODY = bytes(range(256)) * 4096  # 1 MiB
OTHER = BODY[::-1]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer({"/f": BODY}) as running:
        yield running


@pytest.fixture
def transfer() -> Iterator[Transfer]:
    with Transfer(Policy(retries=3, first_wait_s=0.01, timeout_s=5), threading.Event()) as opened:
        yield opened


def bring(
    transfer: Transfer, server: FileServer, target: Path, expected: Expected | None = None
) -> Seen:
    return transfer.bring(server.url("/f"), target, expected or Expected(), lambda *_: None)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole_and_leaves_nothing_beside_it(
    server: FileServer, transfer: Transfer, tmp_path: Path
) -> None:
    told: list[tuple[int, int | None]] = []
    expected = Expected(len(BODY), sha256(BODY))
    seen = transfer.bring(
        server.url("/f"), tmp_path / "deep" / "f", expected, lambda *at: told.append(at)
    )
    assert (tmp_path / "deep" / "f").read_bytes() == BODY
    assert seen == Seen(1048576, sha256(BODY))
    assert left(tmp_path / "deep") == ["f"]
    assert told[-1] == (1048576, 1048576)


def test_a_broken_transfer_goes_on_at_the_byte_where_it_broke(
    server: FileServer, transfer: Transfer, tmp_path: Path
) -> None:
    server.faults["/f"] = [cut(300_000), cut(700_000)]
    bring(transfer, server, tmp_path / "f")
    ranges = [request.headers.get("range") for request in server.asked]
    assert ranges == [None, "bytes=300000-", "bytes=700000-"]
    assert server.asked[1].headers["if-range"] == '"one"'
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_server_that_ignores_range_is_read_from_the_start(
    server: FileServer, transfer: Transfer, tmp_path: Path
) -> None:
    server.faults["/f"] = [cut(300_000), whole_file]
    bring(transfer, server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY


@pytest.mark.parametrize("second_answer", [None, ignoring_if_range])
def test_a_file_that_changed_meanwhile_is_not_mixed(
    server: FileServer, transfer: Transfer, tmp_path: Path, second_answer: object
) -> None:
    server.faults["/f"] = [cut(300_000)]
    with Transfer(Policy(retries=0), threading.Event()) as first, pytest.raises(TransferError):
        bring(first, server, tmp_path / "f")
    server.files["/f"], server.etags["/f"] = OTHER, '"two"'
    if second_answer is not None:
        server.faults["/f"] = [ignoring_if_range]
    bring(transfer, server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == OTHER


def test_without_validator_or_checksum_an_interrupted_file_starts_anew(
    server: FileServer, transfer: Transfer, tmp_path: Path
) -> None:
    server.etags["/f"] = ""
    server.faults["/f"] = [cut(300_000)]
    bring(transfer, server, tmp_path / "f")
    assert [request.headers.get("range") for request in server.asked] == [None, None]


def test_a_bad_beginning_is_noticed_by_the_checksum_and_the_file_fetched_again(
    server: FileServer, transfer: Transfer, tmp_path: Path
) -> None:
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    note = {"url": server.url("/f"), "validator": '"one"', "total": len(BODY)}
    (tmp_path / "f.part.json").write_text(json.dumps(note))
    bring(transfer, server, tmp_path / "f", Expected(sha256=sha256(BODY)))
    assert [request.headers.get("range") for request in server.asked] == ["bytes=1000-", None]
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_file_that_was_complete_but_not_renamed_is_not_asked_for_again(
    server: FileServer, transfer: Transfer, tmp_path: Path
) -> None:
    (tmp_path / "f.part").write_bytes(BODY)
    note = {"url": server.url("/f"), "validator": '"one"', "total": len(BODY)}
    (tmp_path / "f.part.json").write_text(json.dumps(note))
    bring(transfer, server, tmp_path / "f", Expected(sha256=sha256(BODY)))
    assert server.asked == []
    assert left(tmp_path) == ["f"]


def test_errors_of_the_server_are_waited_out_as_long_as_it_asks(
    server: FileServer, transfer: Transfer, tmp_path: Path
) -> None:
    server.faults["/f"] = [status(500), status(429, Retry_After="1"), status(503, Retry_After="0")]
    bring(transfer, server, tmp_path / "f")
    first, second, third, fourth = (request.at for request in server.asked)
    assert second - first < 0.5
    assert third - second >= 1.0
    assert fourth - third < 0.5


def test_a_wait_that_is_too_long_is_told_instead(
    server: FileServer, transfer: Transfer, tmp_path: Path
) -> None:
    server.faults["/f"] = [status(429, Retry_After="86400")]
    with pytest.raises(TransferError, match="come back in 86400 s"):
        bring(transfer, server, tmp_path / "f")


def test_after_the_last_retry_the_beginning_is_kept(
    server: FileServer, transfer: Transfer, tmp_path: Path
) -> None:
    server.faults["/f"] = [cut(1000), status(500), status(500), status(500), status(500)]
    with pytest.raises(TransferError, match="given up after 4 attempts"):
        bring(transfer, server, tmp_path / "f")
    assert left(tmp_path) == ["f.part", "f.part.json"]
    assert (tmp_path / "f.part").stat().st_size == 1000


def test_what_is_not_there_is_not_tried_again(
    server: FileServer, transfer: Transfer, tmp_path: Path
) -> None:
    with pytest.raises(TransferError, match="404 Not Found"):
        transfer.bring(server.url("/g"), tmp_path / "g", Expected(), lambda *_: None)
    assert len(server.asked) == 1


def test_a_host_that_cannot_be_reached_is_tried_for_one_file_only(
    transfer: Transfer, tmp_path: Path
) -> None:
    with FileServer() as closed:
        address = closed.url("/f")
    with pytest.raises(TransferError, match="given up after 4 attempts"):
        transfer.bring(address, tmp_path / "f", Expected(), lambda *_: None)
    with pytest.raises(TransferError, match="not tried again"):
        transfer.bring(address, tmp_path / "g", Expected(), lambda *_: None)


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (
            Expected(sha256="0" * 64),
            r"not the official file: sha256 \w{12}… instead of 000000000000…",
        ),
        (Expected(md5="0" * 32), r"not the official file: MD5 \w{12}… instead of 000000000000…"),
        (Expected(n_bytes=7), "the server has 1,048,576 bytes, the official file has 7"),
    ],
)
def test_another_file_than_expected_never_gets_the_final_name(
    server: FileServer, transfer: Transfer, tmp_path: Path, expected: Expected, message: str
) -> None:
    with pytest.raises(TransferError, match=message):
        bring(transfer, server, tmp_path / "f", expected)
    assert left(tmp_path) == []


def test_a_file_of_wrong_size_is_refused_even_if_the_server_does_not_say_the_size(
    server: FileServer, transfer: Transfer, tmp_path: Path
) -> None:
    server.faults["/f"] = [without_length]
    with pytest.raises(TransferError, match=r"1,0\d\d,\d{3} bytes instead of 1,000,000"):
        bring(transfer, server, tmp_path / "f", Expected(n_bytes=1_000_000))
    assert left(tmp_path) == []


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/f"])
def test_a_redirect_to_another_scheme_is_refused(
    server: FileServer, transfer: Transfer, tmp_path: Path, place: str
) -> None:
    server.faults["/f"] = [status(302, Location=place)]
    with pytest.raises(TransferError, match="only http and https"):
        bring(transfer, server, tmp_path / "f")
    assert left(tmp_path) == []


def test_a_server_that_compresses_unasked_is_read_but_never_resumed(
    server: FileServer, transfer: Transfer, tmp_path: Path
) -> None:
    server.files["/f"] = gzip.compress(BODY)
    server.headers["/f"] = {"Content-Encoding": "gzip"}
    server.faults["/f"] = [cut(900)]
    bring(transfer, server, tmp_path / "f")
    assert [request.headers.get("range") for request in server.asked] == [None, None]
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_redirect_on_the_web_is_followed_but_not_for_ever(
    server: FileServer, transfer: Transfer, tmp_path: Path
) -> None:
    server.faults["/f"] = [status(302, Location="/f?again")]
    bring(transfer, server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY
    server.faults["/f"] = [status(302, Location="/f")] * 20
    with pytest.raises(TransferError, match="more than 10 redirects"):
        bring(transfer, server, tmp_path / "f")


def test_encryption_is_not_given_up_on_the_way() -> None:
    check_scheme("https://a/", came_from="http://a/")
    with pytest.raises(TransferError, match="from https to http"):
        check_scheme("http://a/", came_from="https://a/")
    with pytest.raises(TransferError, match="only http and https"):
        check_scheme("file:///etc/passwd")


def test_a_stopped_transfer_keeps_what_has_come(server: FileServer, tmp_path: Path) -> None:
    stop = threading.Event()
    with Transfer(Policy(), stop) as transfer, pytest.raises(StoppedError):
        transfer.bring(server.url("/f"), tmp_path / "f", Expected(), lambda *_: stop.set())
    assert left(tmp_path) == ["f.part", "f.part.json"]
    assert 0 < (tmp_path / "f.part").stat().st_size < len(BODY)


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    in_a_minute = retry_after(
        format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    )
    assert in_a_minute is not None
    assert 55 < in_a_minute <= 60
    assert retry_after("7") == 7.0
    assert retry_after(format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True)) == 0.0
    assert retry_after("soon") is None
    assert retry_after("") is None


def test_a_hub_address_has_four_parts() -> None:
    assert parse("hf://datasets/org/name@abc123/images/a b.jpg") == (
        *("dataset", "org/name", "abc123", "images/a b.jpg"),
    )
    assert parse("hf://spaces/lmsys/mt-bench@1/x").kind == "space"
    with pytest.raises(TransferError, match="hf://datasets/ORG/NAME@REVISION/path"):
        parse("hf://datasets/name/x")
