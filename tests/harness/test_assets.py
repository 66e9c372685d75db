"""The list of official files, and its names: python -m pytest tests/harness/test_assets.py

Official files that are here (``--parity-data-dir``, or ../shared/data) are verified as well.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from benchmarks.base import PlumblineError
from benchmarks.suites import BENCHMARKS, SUITES, expand
from harness.assets import (
    ASSETS_FILE,
    Kind,
    extras,
    groups_of,
    load_assets,
    picture_names,
)
from harness.env import default_data_dir, remedy
from harness.fetch import missing
from harness.verify import WRONG, Ledger, State, check

SOURCE = """
[[source]]
kind = "file"
for = ["demo"]
url = "https://host/{revision}/{path}"
revision = "r1"
licence = "MIT"
to = "demo"
files = [{ path = "a/questions.jsonl", sha256 = "HASH" }]
""".replace("HASH", "ab" * 32)

PICTURES = """
[[source]]
kind = "pictures"
for = ["demo"]
url = "https://host/{name}"
to = "demo/images"
names = [{ file = "demo/questions.json", field = "image" }]
"""


def test_an_entry_becomes_an_asset(tmp_path: Path) -> None:
    (tmp_path / "assets.toml").write_text(SOURCE)
    (asset,) = load_assets(tmp_path / "assets.toml")
    assert (asset.kind, str(asset.target)) == (Kind.FILE, "demo/questions.jsonl")
    assert asset.url == "https://host/r1/a/questions.jsonl"
    assert (asset.sha256, asset.n_bytes, asset.licence) == ("ab" * 32, None, "MIT")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('to = "demo"', 'to = "../demo"', "does not stay inside"),
        ('to = "demo"', 'to = "/demo"', "does not stay inside"),
        ('licence = "MIT"', 'license = "MIT"', "unknown key license"),
        ('for = ["demo"]', "", "the key 'for' is missing"),
        ('sha256 = "', 'sha256 = "x', "is no checksum of 64 hex digits"),
        ('kind = "file"', 'kind = "magic"', "magic"),
    ],
)
def test_a_bad_list_is_refused_with_the_entry_named(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "assets.toml"
    path.write_text(SOURCE.replace(old, new))
    with pytest.raises(PlumblineError, match=message) as error:
        load_assets(path)
    assert f"{path}: [[source]] number 1" in str(error.value)


def test_a_file_has_one_origin(tmp_path: Path) -> None:
    (tmp_path / "assets.toml").write_text(SOURCE + SOURCE.replace("host", "elsewhere"))
    with pytest.raises(PlumblineError, match=r"number 2: demo/questions.jsonl is listed twice"):
        load_assets(tmp_path / "assets.toml")


@pytest.mark.parametrize(
    "text",
    [
        '[{"image": "1.jpg"}, {"image": "https://host/2.jpg"}, {"image": "1.jpg"}]',
        '{"image": "1.jpg"}\n{"image": "x/2.jpg"}\n',
        '{"a": {"image": "1.jpg"}, "b": {"image": "2.jpg"}}',
    ],
)
def test_names_of_pictures_stand_in_json_arrays_objects_or_lines(tmp_path: Path, text: str) -> None:
    (tmp_path / "assets.toml").write_text(PICTURES)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/questions.json").write_text(text)
    (asset,) = load_assets(tmp_path / "assets.toml")
    assert picture_names(asset, tmp_path) == ["1.jpg", "2.jpg"]


@pytest.mark.parametrize("name", ["..", "a/..", "", "a/", "b\\\\c", "c:d"])
def test_a_picture_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "assets.toml").write_text(PICTURES)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/questions.json").write_text(f'{{"image": "{name}"}}\n')
    (asset,) = load_assets(tmp_path / "assets.toml")
    with pytest.raises(PlumblineError, match="does not stay inside"):
        picture_names(asset, tmp_path)


def test_the_list_of_official_files_is_complete_and_pinned() -> None:
    assets = load_assets()
    for benchmark in BENCHMARKS:
        assert any(benchmark in asset.groups for asset in assets), benchmark
    assert extras(assets) == [
        *("pope_seem", "coco_val2014", "mmbench_more", "mtbench_judgments", "nltk_data"),
    ]
    for asset in assets:
        if "github" in asset.url or asset.url.startswith("hf:"):
            assert asset.revision, asset.label
            assert asset.revision in asset.url
        if asset.kind in {Kind.CONSTANT, Kind.DERIVED}:
            assert asset.sha256, asset.label
    targets = {str(asset.target) for asset in assets}
    for entry in tomllib.loads(ASSETS_FILE.read_text(encoding="utf-8"))["source"]:
        for names in entry.get("names", ()):
            assert names["file"] in targets


def test_suites_expand_to_benchmarks() -> None:
    assert expand("language") == ["mtbench", "alpacaeval"]
    assert expand(["pope", "hallucination,pope"]) == ["pope", "amber", "object_halbench", "mmhal"]
    assert expand("all") == list(BENCHMARKS) == list(SUITES["all"])
    with pytest.raises(PlumblineError, match="did you mean mmbench"):
        expand("mm-bench")
    with pytest.raises(PlumblineError, match="no benchmark is named"):
        expand(" , ")
    assert groups_of(load_assets(), ["pope_seem", "mtbench"]) == {"pope_seem", "mtbench"}


def test_the_data_folder_and_the_command_that_fills_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMBLINE_DATA", str(tmp_path))
    assert default_data_dir() == tmp_path
    assert remedy("pope", tmp_path) == "python -m harness.fetch pope"
    assert remedy("pope", Path("/a b")) == "python -m harness.fetch pope --data-dir '/a b'"
    monkeypatch.delenv("PLUMBLINE_DATA")
    assert default_data_dir() == Path.home() / ".cache/plumbline/data"
    found = missing("mtbench", tmp_path)
    assert [(one.asset.label, one.state) for one in found] == [
        ("mtbench/question.jsonl", State.MISSING),
        ("mtbench/reference_answer_gpt-4.jsonl", State.MISSING),
        ("mtbench/judge_prompts.jsonl", State.MISSING),
    ]


def test_official_files_that_are_here_are_the_official_ones(pytestconfig: pytest.Config) -> None:
    data_dir = pytestconfig.getoption("--parity-data-dir")
    if data_dir is None:
        pytest.skip("no official files here; name their folder with --parity-data-dir")
    checks = [check(asset, data_dir, Ledger.load(data_dir)) for asset in load_assets()]
    assert [found for found in checks if found.state in WRONG | {State.FAILED}] == []
    with_checksum = [found for found in checks if (data_dir / found.asset.target).is_file()]
    assert with_checksum
    assert {found.state for found in with_checksum} == {State.OK}
