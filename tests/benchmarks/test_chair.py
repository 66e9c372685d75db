"""CHAIR on three made-up pictures.

Run: pytest tests/benchmarks/test_chair.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import BadRecordError, MissingDataError, PlumblineError, Response, ScoreStatus
from benchmarks.chair import Chair
from harness.stats import evaluate
from tests.benchmarks import coco_folder


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    folder = coco_folder.write(tmp_path_factory.mktemp("data"), pytestconfig)
    coco_folder.skip_without_nltk(folder)
    return folder


@pytest.fixture(scope="module")
def chair(data_dir: Path) -> Chair:
    return Chair("official", data_dir)


CAPTIONS = {
    "1": "Two dogs, a puppy and a bear with a baby bear.",
    "2": "Seat of the toilet; a wine glass.",
    "3": "Nothing.",
}


def caption_file(folder: Path, content: Any) -> Path:
    path = folder / "captions.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_items(chair: Chair, data_dir: Path) -> None:
    items = chair.items()
    assert [item.id for item in items] == ["1", "2", "3"]
    assert [item.reference["objects"] for item in items] == list(coco_folder.TRUTH.values())
    request = chair.request(items[0])
    assert request is not None
    assert request.messages[0].text == "Please describe this image in detail."
    assert request.pictures[0].name == "COCO_val2014_000000000001.jpg"
    assert request.decoding.max_new_tokens == 512


def test_metrics_by_hand(chair: Chair) -> None:
    rows = [chair.score(item, [Response(item.id, "", CAPTIONS[item.id])]) for item in chair.items()]
    metrics = {m.name: m for m in evaluate(chair.metric_specs(), rows, n_resamples=20)}
    # dog, puppy, bear, bear; toilet, wine glass: each mention, but no seat beside a toilet
    assert metrics["CHAIRs"].value == 2 / 3
    assert metrics["CHAIRi"].value == 3 / 6
    assert not metrics["CHAIRs"].official
    assert rows[0].details["hallucinated"] == [["bear", "bear"], ["bear", "bear"]]


def test_failures_have_their_status(chair: Chair) -> None:
    item = chair.items()[0]
    for responses in ([], [Response.failed("1", "", "out of memory")]):
        row = chair.score(item, responses)
        assert (row.status, row.values) == (ScoreStatus.GENERATION_ERROR, {})


def test_odd_captions_are_counted(chair: Chair) -> None:
    item = chair.items()[0]
    for text, n_mentions in (("", 0), ("\ud800 dog", 1), ("dogs " * 100_000, 100_000)):
        assert chair.score(item, [Response("1", "", text)]).values["mentions"] == n_mentions


def test_pictures_are_drawn_by_a_seed_or_listed(data_dir: Path, tmp_path: Path) -> None:
    def ids(**options: Any) -> list[str]:
        return [item.id for item in Chair("official", data_dir, **options).items()]

    drawn = [ids(n_pictures=2, seed=seed) for seed in range(6)]
    assert ids(n_pictures=2, seed=0) == drawn[0]
    assert len({tuple(two) for two in drawn}) > 1
    path = caption_file(tmp_path, '{"image_id": "2", "text": "x"}\n{"image_id": 1, "text": "y"}\n')
    assert ids(pictures=str(path)) == ["1", "2"]


@pytest.mark.parametrize(
    "content",
    [
        {"overall": {}, "imgToEval": {"1": {"image_id": 1, "caption": "a dog", "CIDEr": 0.1}}},
        [{"image_id": 1, "caption": "a dog"}],
        '{"image_id": 1, "text": "a dog"}\n',
    ],
)
def test_forms_of_caption_files(chair: Chair, tmp_path: Path, content: Any) -> None:
    (response,) = chair.read_responses([caption_file(tmp_path, content)])
    assert (response.request_id, response.text) == ("1", "a dog")


def test_written_captions_are_read_back(chair: Chair, tmp_path: Path) -> None:
    responses = {n: Response(n, "", text) for n, text in CAPTIONS.items() if n != "2"}
    responses["2"] = Response.failed("2", "", "out of memory")
    (text,) = chair.official_files(responses).values()
    read = chair.read_responses([caption_file(tmp_path, text)])
    assert {r.request_id: r.text for r in read} == {n: CAPTIONS[n] for n in ("1", "3")}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"image_id": 9, "caption": "x"}], "line 1: image 9 is not asked"),
        ([{"image_id": 1, "caption": "x"}] * 2, "line 1: a second caption, after .*line 1"),
        ([{"image_id": 1, "caption": None}], "line 1: there is no caption"),
        ([{"image_id": None, "caption": "x"}], "line 1: image_id is 'None'"),
        ([{"image_id": 1.0, "caption": "x"}], "line 1: image_id is '1.0'"),
        ({"imgToEval": {"1": {"caption": "x"}}}, "imgToEval '1': image_id is 'None'"),
        ({"imgToEval": {"1": "x"}}, "imgToEval '1': no JSON object"),
        ("{", "line 1: not valid JSON"),
        ("[1]", "line 1: a JSON object is expected"),
    ],
)
def test_bad_captions(chair: Chair, tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(BadRecordError, match=message):
        chair.read_responses([caption_file(tmp_path, content)])


def test_there_is_no_pocket_edition() -> None:
    with pytest.raises(PlumblineError, match="object_halbench"):
        Chair("pocket")


def test_absent_files_are_named_with_the_remedy(tmp_path: Path) -> None:
    for data_dir, message in ((None, "--data-dir"), (tmp_path, "captions_val2014.json")):
        with pytest.raises(MissingDataError) as caught:
            Chair("official", data_dir).items()
        assert message in str(caught.value)
        assert caught.value.remedy.startswith("python -m harness.fetch object_halbench")
