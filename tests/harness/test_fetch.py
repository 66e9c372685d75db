"""The fetch command, against a real server: python -m pytest tests/harness/test_fetch.py"""

from __future__ import annotations

import hashlib
import io
import os
import resource
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileServer, stall, status

from harness.fetch import main

REPOSITORY = Path(__file__).parents[2]
QUESTIONS = b'{"image": "1.jpg"}\n{"image": "a/2.jpg"}\n{"image": "3 b.jpg"}\n'
BIG = bytes(range(256)) * 8192  # 2 MiB
SCRIPT = b"import shutil\nshutil.rmtree('/')\nprompt = 'Rate {}.'\n"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        opened.writestr("top/data.json", "{}")
        opened.writestr("top/images/a.png", "picture")
    return stream.getvalue()


ARCHIVE = archive()


@pytest.fixture
def server() -> Iterator[FileServer]:
    files = {
        "/r1/questions.jsonl": QUESTIONS,
        "/r1/big.bin": BIG,
        "/r1/score.py": SCRIPT,
        "/r1/all.zip": ARCHIVE,
        "/pictures/1.jpg": b"one",
        "/pictures/2.jpg": b"two",
        "/pictures/3%20b.jpg": b"three",
    }
    with FileServer(files) as running:
        yield running


def file_source(server: FileServer, entries: str, kind: str = "file") -> str:
    return f"""
[[source]]
kind = "{kind}"
for = ["demo"]
url = "{server.url()}/{{revision}}/{{path}}"
revision = "r1"
licence = "MIT"
to = "demo"
files = [{entries}]
"""


def questions_source(server: FileServer) -> str:
    return file_source(
        server,
        f'{{ path = "questions.jsonl", bytes = {len(QUESTIONS)}, sha256 = "{sha256(QUESTIONS)}" }}',
    )


def pictures_source(server: FileServer) -> str:
    return f"""
[[source]]
kind = "pictures"
for = ["demo"]
url = "{server.url()}/pictures/{{name}}"
to = "demo/images"
names = [{{ file = "demo/questions.jsonl", field = "image" }}]
"""


MANUAL_SOURCE = """
[[source]]
kind = "manual"
for = ["demo"]
to = "demo"
files = [{ name = "secret.zip", how = "Ask Mary for DATA_DIR/demo/secret.zip." }]
"""


class Demo:
    """A list of files in a temporary folder, and the command that fetches them."""

    def __init__(self, folder: Path, *sources: str) -> None:
        self.list = folder / "assets.toml"
        self.data = folder / "data"
        self.list.write_text("\n".join(sources), encoding="utf-8")

    def arguments(self, *more: str) -> list[str]:
        return ["demo", "--assets", str(self.list), "--data-dir", str(self.data), *more]

    def fetch(self, *more: str) -> int:
        return main(self.arguments(*more))

    def start(self, *more: str, **options: object) -> subprocess.Popen[str]:
        process: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, "-m", "harness.fetch", *self.arguments(*more)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,  # type: ignore[call-overload]
        )
        return process

    def files(self) -> list[str]:
        """What a person sees in the folder."""
        paths = (path.relative_to(self.data) for path in self.data.rglob("*") if path.is_file())
        return sorted(str(path) for path in paths if path.parts[0] != ".fetch")


def wait_for_size(path: Path, n_bytes: int) -> None:
    deadline = time.monotonic() + 120
    while not path.exists() or path.stat().st_size < n_bytes:
        assert time.monotonic() < deadline, f"{path} did not grow to {n_bytes} bytes"
        time.sleep(0.01)


def test_files_and_the_pictures_they_name_arrive_and_are_not_fetched_twice(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = Demo(tmp_path, pictures_source(server), questions_source(server))
    assert demo.fetch() == 0
    assert demo.files() == [
        *("demo/images/1.jpg", "demo/images/2.jpg", "demo/images/3 b.jpg", "demo/questions.jsonl"),
    ]
    n_requests = len(server.asked)
    assert n_requests == 4
    assert demo.fetch() == 0
    assert len(server.asked) == n_requests
    assert capsys.readouterr().out.rstrip().endswith("1 ok, 1 unverified")


def test_verify_tells_the_state_of_each_file_and_fetches_nothing(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = ", ".join(
        f'{{ path = "{name}", {what} }}'
        for name, what in {
            "right": f'sha256 = "{sha256(b"right")}"',
            "wrong": f'sha256 = "{sha256(b"right")}"',
            "short": "bytes = 99",
            "unknown": "bytes = 7",
            "absent": "bytes = 1",
        }.items()
    )
    demo = Demo(tmp_path, file_source(server, entries), MANUAL_SOURCE)
    (demo.data / "demo").mkdir(parents=True)
    for name in ("right", "wrong", "short", "unknown"):
        (demo.data / "demo" / name).write_text(name)
    assert demo.fetch("--verify") == 1
    out = capsys.readouterr().out
    states = {line.split()[-1]: line for line in out.splitlines() if line.startswith("ok")}
    assert states == {"demo/right": "ok           demo/right"}
    assert "wrong hash   demo/wrong" in out
    assert f"sha256 {sha256(b'wrong')[:12]}… instead of {sha256(b'right')[:12]}…" in out
    assert "wrong size   demo/short" in out
    assert "5 bytes instead of 99" in out
    assert "unverified   demo/unknown" in out
    assert "missing      demo/absent" in out
    assert "manual       demo/secret.zip" in out
    assert f"Ask Mary for {demo.data}/demo/secret.zip." in out
    assert out.rstrip().endswith(
        "1 ok, 1 unverified, 1 missing, 1 wrong size, 1 wrong hash, 1 manual"
    )
    assert server.asked == []


def test_a_wrong_file_is_replaced_and_that_is_said(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = Demo(tmp_path, questions_source(server))
    path = demo.data / "demo" / "questions.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * len(QUESTIONS))
    server.faults["/r1/questions.jsonl"] = [status(404)]
    assert demo.fetch() == 1
    assert "404 Not Found (the wrong hash file is still there)" in capsys.readouterr().out
    assert demo.fetch() == 0
    assert path.read_bytes() == QUESTIONS
    assert "replaced; it had sha256" in capsys.readouterr().out
    assert demo.files() == ["demo/questions.jsonl"]


def test_one_failure_leaves_the_rest(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del server.files["/pictures/2.jpg"]
    demo = Demo(tmp_path, questions_source(server), pictures_source(server))
    assert demo.fetch() == 1
    out = capsys.readouterr().out
    assert "failed       demo/images/" in out
    assert "1 of 3 pictures; 2.jpg:" in out
    server.files["/pictures/2.jpg"] = b"two"
    server.asked.clear()
    assert demo.fetch() == 0
    assert [request.path for request in server.asked] == ["/pictures/2.jpg"]


def test_a_picture_that_changes_on_the_disk_is_noticed_and_mended(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = Demo(tmp_path, questions_source(server), pictures_source(server))
    assert demo.fetch() == 0
    (demo.data / "demo/images/1.jpg").write_bytes(b"0ne")
    assert demo.fetch("--verify") == 1
    assert "1 changed since fetched" in capsys.readouterr().out
    assert demo.fetch() == 0
    assert (demo.data / "demo/images/1.jpg").read_bytes() == b"one"
    # A ledger that cannot be read costs this certainty, nothing else.
    (demo.data / ".fetch" / "ledger.json").write_text('{"files": {"a": ')
    assert demo.fetch("--verify") == 0


def test_a_picture_that_two_sets_share_is_fetched_once(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "more.json").write_text('[{"image": "2.jpg"}, {"image": "4.jpg"}]')
    server.files["/pictures/4.jpg"] = b"four"
    more = pictures_source(server).replace("demo/questions.jsonl", "more.json")
    demo = Demo(tmp_path, questions_source(server), pictures_source(server), more)
    assert demo.fetch() == 0
    assert len(server.asked_for("/pictures/2.jpg")) == 1
    assert len(server.asked) == 5


def test_pictures_can_be_left_out(server: FileServer, tmp_path: Path) -> None:
    demo = Demo(tmp_path, questions_source(server), pictures_source(server), archive_source(server))
    assert demo.fetch("--no-images") == 0
    assert demo.files() == ["demo/data.json", "demo/questions.jsonl"]
    assert demo.fetch() == 0
    assert "demo/images/a.png" in demo.files()


def archive_source(server: FileServer, checksum: str = sha256(ARCHIVE)) -> str:
    return file_source(
        server,
        f'{{ path = "all.zip", sha256 = "{checksum}", members = ["data.json", "images/*"], '
        'require = ["data.json"], images = "images/*", n_images = 1 }',
        "archive",
    )


def test_an_archive_is_verified_unpacked_and_its_files_are_watched(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = Demo(tmp_path, archive_source(server))
    assert demo.fetch() == 0
    assert demo.files() == ["demo/data.json", "demo/images/a.png"]
    assert list((demo.data / ".fetch" / "archives").iterdir()) == []
    assert demo.fetch("--verify") == 0
    assert "2 files, unpacked from the verified archive" in capsys.readouterr().out
    (demo.data / "demo/data.json").write_text("[]")
    assert demo.fetch("--verify") == 1
    assert "demo/data.json changed since it was unpacked" in capsys.readouterr().out
    assert demo.fetch() == 0
    assert (demo.data / "demo/data.json").read_text() == "{}"


def test_an_archive_with_a_wrong_checksum_is_not_unpacked(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = Demo(tmp_path, archive_source(server, "0" * 64))
    assert demo.fetch() == 1
    assert "not the official file" in capsys.readouterr().out
    assert demo.files() == []


def test_a_prompt_comes_out_of_a_script_that_is_not_run(server: FileServer, tmp_path: Path) -> None:
    right = sha256(b"Rate {answer}.")
    entries = ", ".join(
        f'{{ path = "score.py", constant = "prompt", fields = ["answer"], name = "{name}", '
        f'sha256 = "{checksum}" }}'
        for name, checksum in (("good.txt", right), ("bad.txt", "0" * 64))
    )
    demo = Demo(tmp_path, file_source(server, entries, "constant"))
    assert demo.fetch() == 1
    assert demo.files() == ["demo/good.txt"]
    assert (demo.data / "demo/good.txt").read_text() == "Rate {answer}."


def test_a_mirror_takes_the_place_of_a_prefix(server: FileServer, tmp_path: Path) -> None:
    source = questions_source(server).replace(server.url(), "https://official.invalid/repository")
    demo = Demo(tmp_path, source)
    assert demo.fetch("--mirror", f"https://official.invalid/repository={server.url()}") == 0
    assert demo.fetch("--mirror", "nonsense") == 2


def test_a_killed_fetch_goes_on_where_it_was(server: FileServer, tmp_path: Path) -> None:
    demo = Demo(tmp_path, file_source(server, f'{{ path = "big.bin", sha256 = "{sha256(BIG)}" }}'))
    server.faults["/r1/big.bin"] = [stall(1_500_000)]
    process = demo.start()
    wait_for_size(demo.data / "demo/big.bin.part", 1_500_000)
    process.kill()
    process.communicate()
    assert demo.files() == ["demo/big.bin.part", "demo/big.bin.part.json"]
    assert demo.fetch() == 0
    assert server.asked[-1].headers["range"] == "bytes=1500000-"
    assert demo.files() == ["demo/big.bin"]
    assert (demo.data / "demo/big.bin").read_bytes() == BIG


def test_an_interrupted_fetch_says_so_and_holds_the_folder_alone(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = Demo(tmp_path, file_source(server, '{ path = "big.bin" }'))
    server.faults["/r1/big.bin"] = [stall(1_000_000)]
    # a shell that runs the tests in the background has them ignore the signal, and all that they start
    process = demo.start(preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    wait_for_size(demo.data / "demo/big.bin.part", 1_000_000)
    assert demo.fetch() == 2
    assert "another fetch is filling" in capsys.readouterr().err
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command goes on from there" in out
    assert (demo.data / "demo/big.bin.part").stat().st_size == 1_000_000


def test_a_full_disk_is_told_plainly(server: FileServer, tmp_path: Path) -> None:
    demo = Demo(tmp_path, file_source(server, '{ path = "big.bin" }'))
    process = demo.start(
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
    )
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "no room is left on the disk" in out
    assert demo.files() == ["demo/big.bin.part", "demo/big.bin.part.json"]


def test_hub_files_come_through_the_hub_client(server: FileServer, tmp_path: Path) -> None:
    revision = "f5f49a938f45ed99e235b8519ba28f76832a2add"
    path = f"/datasets/org/name/resolve/{revision}/images/1.jpg"
    server.files[path] = b"from the hub"
    server.headers[path] = {"X-Repo-Commit": revision}
    server.faults[path] = [status(503)]
    absent = path.replace("1.jpg", "absent.jpg")
    server.faults[absent] = [status(404, X_Error_Code="EntryNotFound")] * 2
    source = f"""
[[source]]
for = ["demo"]
url = "hf://datasets/org/name@{{revision}}/{{path}}"
revision = "{revision}"
to = "demo"
files = [{{ path = "images/1.jpg" }}, {{ path = "images/absent.jpg" }}]
"""
    demo = Demo(tmp_path, source)
    settings = {
        "HF_ENDPOINT": server.url(),
        "HF_HOME": str(tmp_path / "hub"),
        "HF_HUB_OFFLINE": "0",
    }
    process = demo.start(env={**os.environ, **settings})
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "the hub answers 404" in out
    assert demo.files() == ["demo/1.jpg"]
    assert (demo.data / "demo/1.jpg").read_bytes() == b"from the hub"
    assert list((demo.data / "demo").iterdir()) == [demo.data / "demo/1.jpg"]


def test_wrong_usage_ends_with_2_and_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["popee", "--data-dir", str(tmp_path)]) == 2
    assert "did you mean pope" in capsys.readouterr().err
    with pytest.raises(SystemExit) as usage:
        main(["--retries", "-1"])
    assert usage.value.code == 2
    (tmp_path / "file").touch()
    assert main(["mtbench", "--data-dir", str(tmp_path / "file")]) == 2
    assert "choose another with --data-dir" in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    heavy = {"httpx2", "rich", "huggingface_hub", "filelock", "torch", "pandas"}
    code = f"import sys, harness.fetch; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True)
    assert done.stdout.decode().strip() == "[]"
