"""Object HalBench's files: questions and pictures in, answers in and out, judge replies in.

Run: pytest tests/benchmarks/test_object_halbench_files.py
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import (
    BadRecordError,
    EmbeddedPicture,
    FilePicture,
    Item,
    MissingDataError,
    PictureError,
    PlumblineError,
    Response,
)
from benchmarks.object_halbench import ObjectHalBench
from benchmarks.object_halbench_files import (
    read_answers,
    read_questions,
    read_replies,
    written_answers,
)
from tests.benchmarks import coco_folder

ITEMS = [
    Item(id=str(n), group=str(n), question=text, reference={"image_id": n})
    for n, text in enumerate(coco_folder.QUESTIONS, start=1)
]
TWICE = [*ITEMS, Item(id="3/2", group="3", question="And why?", reference={"image_id": 3})]

FULL: list[dict[str, Any]] = [
    {"question_id": n, "image_id": n, "prompt": text, "text": f"Answer {n}."}
    for n, text in enumerate(coco_folder.QUESTIONS, start=1)
]
READ = {"1": "Answer 1.", "2": "Answer 2.", "3": "Answer 3."}


def answer_file(folder: Path, records: list[dict[str, Any]]) -> Path:
    path = folder / "answers.jsonl"
    path.write_text(coco_folder.json_lines(records))
    return path


def read(path: Path, items: list[Item] = ITEMS) -> dict[str, str]:
    return {response.request_id: response.text for response in read_answers([path], items)}


def without(*fields: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k not in fields} for record in FULL]


def changed(**change: Any) -> list[dict[str, Any]]:
    """The three records, the second one changed."""
    return [FULL[0], {**FULL[1], **change}, FULL[2]]


# Pictures and questions


def test_a_picture_is_known_by_its_content() -> None:
    red = EmbeddedPicture("a.jpg", coco_folder.encoded_picture("red"))
    broken_lines = "\n".join(red.encoded[n : n + 20] for n in range(0, len(red.encoded), 20))
    same = EmbeddedPicture("b.jpg", broken_lines)
    blue = EmbeddedPicture("c.jpg", coco_folder.encoded_picture("blue"))
    assert red.digest == same.digest != blue.digest
    assert blue.load().mode == "RGB"


@pytest.mark.parametrize("encoded", ["abc", "no base64!", "ä", coco_folder.encoded_picture()[:-5]])
def test_what_is_no_base64_has_no_digest(encoded: str) -> None:
    with pytest.raises(PictureError, match=r"a\.jpg: the picture is no base64"):
        EmbeddedPicture("a.jpg", encoded).digest  # noqa: B018


def test_a_truncated_picture_cannot_be_decoded() -> None:
    content = base64.b64decode(coco_folder.encoded_picture())[:-30]
    picture = EmbeddedPicture("a.jpg", base64.b64encode(content).decode())
    assert len(picture.digest) == 64
    with pytest.raises(PictureError, match=r"a\.jpg: the picture cannot be decoded"):
        picture.load()


def questions(folder: Path, records: list[dict[str, Any]]) -> Any:
    return read_questions(answer_file(folder, records), folder / "val2014", "fetch it")


def test_pictures_that_are_not_embedded_are_cocos_files(tmp_path: Path) -> None:
    (question,) = questions(tmp_path, [{"image_id": 42, "question": "What?"}])
    assert question.picture == FilePicture(tmp_path / "val2014" / "COCO_val2014_000000000042.jpg")


def test_a_second_question_on_a_picture_has_an_id_of_its_own(tmp_path: Path) -> None:
    records = [{"image_id": n, "question": "What?"} for n in (4, 5, 4)]
    assert [question.id for question in questions(tmp_path, records)] == ["4", "5", "4/2"]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], r"there is no question in it\. Restore the official file: fetch it"),
        ([{"question": "What?"}], "line 1: image_id is 'None', not an integer"),
        ([{"image_id": 1.5, "question": "What?"}], "line 1: image_id is '1.5'"),
        ([{"image_id": True, "question": "What?"}], "line 1: image_id is 'True'"),
        ([{"image_id": 1, "question": " "}], "line 1: question is ' ', not a question"),
        ([{"image_id": 1, "question": "What?", "image": 3}], "line 1: image is int, not base64"),
    ],
)
def test_bad_questions(tmp_path: Path, records: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(BadRecordError, match=message):
        questions(tmp_path, records)


# Answers


@pytest.mark.parametrize(
    "records",
    [
        FULL,
        FULL[::-1],
        [{**record, "image_id": str(record["image_id"])} for record in FULL],
        without("prompt"),
        [{**record, "prompt": f"<image>\n{record['prompt']}"} for record in FULL],
        without("image_id"),
        without("image_id", "prompt"),
        [
            {"image_id": n, "question": question, "answer": f"Answer {n}."}
            for n, question in enumerate(coco_folder.QUESTIONS, 1)
        ],
    ],
)  # fmt: skip
def test_forms_of_answer_files(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    assert read(answer_file(tmp_path, records)) == READ


def test_text_and_prompt_go_first(tmp_path: Path) -> None:
    records = [{**FULL[0], "answer": "no", "question": "another?"}]
    assert read(answer_file(tmp_path, records)) == {"1": "Answer 1."}


def test_missing_answers_stay_missing(tmp_path: Path) -> None:
    assert read(answer_file(tmp_path, FULL[1:])) == {"2": "Answer 2.", "3": "Answer 3."}


def test_two_questions_on_one_picture(tmp_path: Path) -> None:
    second = {"image_id": 3, "prompt": "And why?", "text": "Because."}
    wanted = {**READ, "3/2": "Because."}
    for records in ([*FULL, second], [second, *FULL]):
        assert read(answer_file(tmp_path, records), TWICE) == wanted


@pytest.mark.parametrize("answer", ["", "\ud800", " a\n", "word " * 2_000_000])
def test_answers_are_kept_as_they_are(tmp_path: Path, answer: str) -> None:
    assert read(answer_file(tmp_path, [{**FULL[0], "text": answer}])) == {"1": answer}


def test_written_answers_are_read_back() -> None:
    responses = {"1": Response("1", "", "Assistant: \ud800 a"), "2": Response.failed("2", "", "x")}
    assert json.loads(written_answers(ITEMS, responses)) == {
        "image_id": 1,
        "prompt": "Describe it.",
        "text": "Assistant: \ud800 a",
    }
    assert written_answers(ITEMS, {}) == ""


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (changed(image_id=9), "line 2: there is no question on image 9"),
        (
            changed(image_id=1),
            "line 2: it is about 'What is this\\?', but 1 asks 'Describe it.'|second",
        ),
        (
            changed(image_id=1, prompt="Describe it."),
            "line 2: a second answer for 1, after .* line 1",
        ),
        (changed(image_id="x"), "line 2: image_id is 'x', not an integer"),
        (changed(image_id=None), "line 2: image_id is 'None', not an integer"),
        (changed(prompt="Who is it?"), "line 2: it is about 'Who is it\\?', but 2 asks"),
        (changed(text=None), "line 2: text is NoneType, not text"),
        (changed(text=["x"]), "line 2: text is list, not text"),
        ([FULL[0], {"image_id": 2}], "line 2: there is no answer"),
        ([FULL[0], {"text": "x"}], "line 2: image_id is missing, but other records have one"),
        (without("image_id")[:2], "2 records without image_id to 3 questions"),
        ([*without("image_id"), {"text": ""}], "4 records without image_id"),
        ([without("image_id")[n] for n in (1, 0, 2)], "line 1: it is about 'What is this"),
    ],
)
def test_bad_answers(tmp_path: Path, records: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(BadRecordError, match=message):
        read(answer_file(tmp_path, records))


def test_the_same_answer_in_two_files(tmp_path: Path) -> None:
    path = answer_file(tmp_path, FULL)
    with pytest.raises(
        BadRecordError, match=r"a second answer for 1, after .*answers\.jsonl, line 1"
    ):
        read_answers([path, path], ITEMS)


@pytest.mark.parametrize("content", [b"\xff\xfe{}", b'{"image_id": 1', b"[1]", b'{"text": "\xe4"}'])
def test_files_that_are_no_records(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadRecordError, match=r"answers\.jsonl, line 1: "):
        read(path)


# Judge replies


@pytest.mark.parametrize("replies", [None, [], "[]", [None], [1]])
def test_bad_replies(tmp_path: Path, replies: Any) -> None:
    path = answer_file(tmp_path, [{"image_id": 1, "judge_outputs_in_turn": replies}])
    with pytest.raises(BadRecordError, match="line 1: judge_outputs_in_turn is no list of texts"):
        read_replies([path], ITEMS)


# Absent files


def test_absent_files_are_named_with_the_remedy(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    with pytest.raises(MissingDataError, match="give --data-dir"):
        ObjectHalBench("official").items()
    folder = coco_folder.write(tmp_path / "data", pytestconfig)
    coco_folder.skip_without_nltk(folder)
    for name in (
        "object_halbench/obj_halbench_300_with_image.jsonl",
        "object_halbench/synonyms_refine.txt",
        "coco/annotations/captions_val2014.json",
        "coco/annotations/instances_val2014.json",
    ):
        (folder / name).rename(folder / "hidden")
        with pytest.raises(MissingDataError) as caught:
            ObjectHalBench("official", folder).items()
        assert name in str(caught.value)
        assert caught.value.remedy.startswith("python -m harness.fetch object_halbench --data-dir")
        (folder / "hidden").rename(folder / name)
    assert len(ObjectHalBench("official", folder).items()) == 3


def test_answers_are_read_without_annotations(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    folder = coco_folder.write(tmp_path / "data", pytestconfig)
    (folder / "coco" / "annotations" / "instances_val2014.json").unlink()
    benchmark = ObjectHalBench("official", folder)
    responses = benchmark.read_responses([answer_file(tmp_path, FULL)])
    assert [response.text for response in responses] == list(READ.values())
    by_id = {response.request_id: response for response in responses}
    (text,) = benchmark.official_files(by_id).values()
    assert [json.loads(line)["text"] for line in text.splitlines()] == list(READ.values())
    with pytest.raises(PlumblineError, match="takes no hints, not split"):
        benchmark.read_responses([tmp_path / "answers.jsonl"], split="x")
