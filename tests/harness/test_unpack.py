"""Archives and scripts from the network: python -m pytest tests/harness/test_unpack.py"""

from __future__ import annotations

import hashlib
import io
import json
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.base import PlumblineError
from harness.assets import safe_relative
from harness.derive import alpacaeval_instructions, constant
from harness.unpack import ArchiveError, unpack
from harness.verify import Seen


def zip_of(path: Path, members: dict[str, bytes], unix_mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = unix_mode << 16
            archive.writestr(entry, content)
    return path


def tar_of(path: Path, *entries: tarfile.TarInfo, content: bytes = b"") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for entry in entries:
            entry.size = len(content) if entry.isfile() else 0
            archive.addfile(entry, io.BytesIO(content) if entry.isfile() else None)
    return path


def tar_entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return entry


def everything_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_members_are_found_by_the_end_of_their_path(tmp_path: Path) -> None:
    archive = zip_of(
        tmp_path / "a.zip",
        {
            "mm-vet/": b"",
            "mm-vet/mm-vet.json": b"{}",
            "mm-vet/images/1.png": b"one",
            "mm-vet/README.md": b"",
            "__MACOSX/mm-vet/images/._1.png": b"",
        },
    )
    found = unpack(archive, tmp_path / "out", ["mm-vet.json", "images/*"], is_official=True)
    assert everything_below(tmp_path / "out") == ["images", "images/1.png", "mm-vet.json"]
    assert found[PurePosixPath("images/1.png")] == Seen(3, hashlib.sha256(b"one").hexdigest(), True)


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w:bz2"])
def test_compressed_tar_files_are_read(
    tmp_path: Path, mode: Literal["w:gz", "w:xz", "w:bz2"]
) -> None:
    with tarfile.open(str(tmp_path / "a.tar"), mode) as archive:
        archive.addfile(tar_entry(".", tarfile.DIRTYPE))
        entry = tar_entry("./data/x.txt")
        entry.size = 2
        archive.addfile(entry, io.BytesIO(b"hi"))
    unpack(tmp_path / "a.tar", tmp_path / "out", ["x.txt"])
    assert (tmp_path / "out" / "x.txt").read_bytes() == b"hi"


EVIL_NAMES = [
    "../evil.txt",
    "/tmp/evil.txt",
    "a/../../evil.txt",
    "a\\..\\evil.txt",
    "C:evil.txt",
    "a//b",
]


@pytest.mark.parametrize("name", EVIL_NAMES)
@pytest.mark.parametrize("make", ["zip", "tar"])
def test_a_member_that_would_be_written_outside_refuses_the_archive(
    tmp_path: Path, name: str, make: str
) -> None:
    if make == "zip":
        archive = zip_of(tmp_path / "a.zip", {"good.txt": b"", name: b"evil"})
    else:
        archive = tar_of(
            tmp_path / "a.tgz", tar_entry("good.txt"), tar_entry(name), content=b"evil"
        )
    with pytest.raises(ArchiveError, match="would be written outside its folder"):
        unpack(archive, tmp_path / "below" / "out", ["*.txt"])
    assert everything_below(tmp_path) == [archive.name, "below", "below/out"]


def test_an_absolute_name_is_named_in_the_message(tmp_path: Path) -> None:
    target = tmp_path / "absolute.txt"
    archive = tar_of(tmp_path / "a.tgz", tar_entry(str(target)), content=b"evil")
    with pytest.raises(ArchiveError, match=f"a.tgz: the member '{target}'"):
        unpack(archive, tmp_path / "out", ["*.txt"])
    assert not target.exists()


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        (tarfile.SYMTYPE, "/etc"),
        (tarfile.SYMTYPE, "../.."),
        (tarfile.LNKTYPE, "/etc/passwd"),
        (tarfile.CHRTYPE, ""),
        (tarfile.FIFOTYPE, ""),
    ],
)
def test_links_and_devices_in_a_tar_file_are_refused(
    tmp_path: Path, kind: bytes, link: str
) -> None:
    archive = tar_of(
        tmp_path / "a.tgz", tar_entry("door", kind, link), tar_entry("door/x.txt"), content=b"evil"
    )
    with pytest.raises(ArchiveError, match="door is a link or a device"):
        unpack(archive, tmp_path / "out", ["*.txt", "door"])
    assert everything_below(tmp_path / "out") == []


def test_a_symbolic_link_in_a_zip_file_is_refused(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", {"door": b"/etc"}, unix_mode=stat.S_IFLNK | 0o777)
    with pytest.raises(ArchiveError, match="door is a link or a device"):
        unpack(archive, tmp_path / "out", ["door"])


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path) -> None:
    bomb = zip_of(tmp_path / "a.zip", {"small.txt": b"ok", "zeros.txt": bytes(20_000_000)})
    assert bomb.stat().st_size < 30_000
    with pytest.raises(ArchiveError, match=r"zeros.txt would grow the archive more than 100-fold"):
        unpack(bomb, tmp_path / "out", ["*.txt"])
    tar_bomb = tar_of(tmp_path / "a.tgz", tar_entry("zeros.txt"), content=bytes(20_000_000))
    with pytest.raises(ArchiveError, match=r"zeros.txt would grow the archive more than 100-fold"):
        unpack(tar_bomb, tmp_path / "out", ["*.txt"])
    assert everything_below(tmp_path / "out") == []


def _torn(path: Path) -> Path:
    whole = tar_of(path, tar_entry("x.txt"), content=bytes(range(256)) * 400).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def _damaged(path: Path) -> Path:
    body = bytearray(zip_of(path, {"x.txt": bytes(range(256))}).read_bytes())
    body[60] ^= 0xFF
    path.write_bytes(body)
    return path


def _text(path: Path) -> Path:
    path.write_text("<html>please log in</html>")
    return path


@pytest.mark.parametrize("make", [_torn, _damaged, _text])
def test_a_damaged_archive_leaves_nothing(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    with pytest.raises(ArchiveError, match="the archive cannot be read"):
        unpack(make(tmp_path / "a"), tmp_path / "out", ["x.txt"])
    assert everything_below(tmp_path / "out") == []


def test_an_archive_without_what_is_wanted_says_so(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", {"x.txt": b""})
    with pytest.raises(ArchiveError, match=r"none of its members matches \*.json"):
        unpack(archive, tmp_path / "out", ["*.json"])
    twice = zip_of(tmp_path / "b.zip", {"one/x.txt": b"1", "two/x.txt": b"2"})
    with pytest.raises(ArchiveError, match=r"two members would be written as x\.txt"):
        unpack(twice, tmp_path / "out", ["x.txt"])


@given(st.text(max_size=40))
def test_an_accepted_path_stays_inside(text: str) -> None:
    root = Path("/data")
    try:
        path = safe_relative(text)
    except PlumblineError:
        return
    assert Path("/data", path).parts[: len(root.parts)] == root.parts
    assert ".." not in path.parts
    assert path.parts
    assert str(path) == text


@given(st.lists(st.sampled_from(["..", ".", "", "a", "b.txt", "\\", "c:", "\0", "~"]), max_size=6))
def test_a_path_that_climbs_or_is_absolute_is_refused(parts: list[str]) -> None:
    if set(parts) <= {"a", "b.txt", "~"} and parts:
        assert safe_relative("/".join(parts)).parts == tuple(parts)
    else:
        with pytest.raises(PlumblineError):
            safe_relative("/".join(parts))


SCRIPT = '''
import os, shutil
shutil.rmtree({folder!r})
PROMPT = """Judge: {{}} against {{}}."""
COMPUTED = "a" + str(1)
NUMBER = 3
def build(question):
    tmpl = ('Question: {{}}' "!")
    return tmpl.format(question)
twice = "1"
twice = "2"
'''


def test_a_constant_is_taken_without_running_the_script(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    source = SCRIPT.format(folder=str(precious)).encode()
    assert constant(source, "PROMPT") == "Judge: {} against {}."
    assert constant(source, "PROMPT", ["answer", "truth"]) == "Judge: {answer} against {truth}."
    assert constant(source, "build.tmpl") == "Question: {}!"
    assert constant(source.replace(b"\n", b"\r\n"), "PROMPT") == "Judge: {} against {}."
    assert precious.is_dir()


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("ABSENT", (), "assigns ABSENT 0 times"),
        ("twice", (), "assigns twice 2 times"),
        ("COMPUTED", (), "COMPUTED is computed by the script"),
        ("NUMBER", (), "NUMBER is a int in the script"),
        ("absent.tmpl", (), "no function absent"),
        ("PROMPT", ("one",), "PROMPT has 2 places, 1 were expected"),
    ],
)
def test_a_constant_that_is_not_a_plain_text_is_refused(
    name: str, fields: tuple[str, ...], message: str
) -> None:
    with pytest.raises(PlumblineError, match=message):
        constant(SCRIPT.format(folder="/nowhere").encode(), name, fields)


def test_a_script_for_another_python_is_refused() -> None:
    with pytest.raises(PlumblineError, match="cannot be parsed as Python 3"):
        constant(b"print 'hello'", "x")


def test_alpacaeval_orders_are_those_of_the_official_seed(tmp_path: Path) -> None:
    records = [
        {
            "dataset": "helpful_base",
            "instruction": "How did US states get their names?",
            "output": "-",
        },
        {"dataset": "koala", "instruction": "é?", "output": "-"},
    ]
    (tmp_path / "outputs.json").write_text(json.dumps(records), encoding="utf-8")
    lines = alpacaeval_instructions(tmp_path / "outputs.json").decode().splitlines()
    assert lines[0] == (
        '{"index": 0, "dataset": "helpful_base", '
        '"instruction": "How did US states get their names?", "switched": true}'
    )
    assert json.loads(lines[1])["instruction"] == "é?"
    assert "é?" in lines[1]
