"""MMHal-Bench on a made-up template of 96 questions.

Run: pytest tests/benchmarks/test_mmhal.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.base import (
    BadRecordError,
    Judgment,
    JudgmentStatus,
    Message,
    Metric,
    MissingDataError,
    PlumblineError,
    Response,
    ScoreStatus,
)
from benchmarks.mmhal import MMHalBench, Rating, official_rating, strict_rating
from benchmarks.mmhal_files import TOPICS, TYPES
from harness.stats import evaluate

Records = list[dict[str, Any]]

JUDGE_PROMPT = "In it: {}\nQ: {}\nHuman: {}\nModel: {}\n"


def template(answer: str = "") -> Records:
    return [
        {
            "question_type": TYPES[n % 8],
            "question_topic": TOPICS[n // 8],
            "image_id": f"id{n}",
            "image_src": f"https://example.org/{n}/{n}_o.jpg",
            "image_content": ["Dog", "Red {car}"],
            "question": f"What about {n}?",
            "gt_answer": f"It is {n}.",
            "model_answer": answer,
        }
        for n in range(96)
    ]


def completion(content: str | None) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {"model": "some-judge", "choices": [{"message": message, "finish_reason": "stop"}]}


def written(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    written(folder / "mmhal" / "mmhal-bench_answer_template.json", template())
    written(folder / "mmhal" / "judge_prompt.txt", JUDGE_PROMPT)
    return folder


@pytest.fixture(scope="module")
def mmhal(data_dir: Path) -> MMHalBench:
    return MMHalBench("official", data_dir)


def measured(mmhal: MMHalBench, reply_of: Callable[[int], str]) -> dict[tuple[str, str], Metric]:
    """Metrics from a judge's reply to the question at each position."""
    rows = []
    for position, item in enumerate(mmhal.items()):
        judgment = Judgment(item.id, item.id, "", JudgmentStatus.OK, raw=reply_of(position))
        rows.append(mmhal.score(item, [Response(item.id, "", "x")], [judgment]))
    metrics = evaluate(mmhal.metric_specs(), rows, n_resamples=20)
    return {(metric.split, metric.name): metric for metric in metrics}


# The two parsers


@pytest.mark.parametrize(
    ("reply", "official", "strict"),
    [
        ("It is fine.\nRating: 4, somewhat informative", 4, 4),
        ("- RATING: 0", 0, 0),
        ("Overall Rating: 6", 6, 6),
        ("Rating: 4. So, rating: 4", 4, 4),
        ("Rating: 5/6", 5, 5),
        ("Rating: 5 out of 6", 5, 5),
        # what the official parser does not read
        ("Rating:4", None, 4),
        ("Rating : 4", None, 4),
        ("**Rating**: 4", None, 4),
        ("Rating: **4**", None, 4),
        ("### Rating:\n\n4", None, 4),
        ("Rating:  4", None, 4),
        ("Rating\N{FULLWIDTH COLON}4", None, 4),
        ("My rating is 4.", None, 4),
        # what it reads otherwise than a person
        ("Rating: 10", 1, None),
        ("Rating: 60", 6, None),
        ("Rating: 2.9", 2, None),
        ("Rating: 2,9", 2, None),
        ("Rating: 5 or 4", 5, None),
        ("Rating: 3-4", 3, None),
        ("Rating: 5/10", 5, None),
        # what neither reads
        ("", None, None),
        ("Rating: 7", None, None),
        ("Rating: high", None, None),
        ("Score: 4", None, None),
        ("Rating: 4. On reflection, Rating: 1", None, None),
        ("\n".join(f"- Rating: {n}, …" for n in range(7)), None, None),
        ("\ud800", None, None),
        # a judge that quotes the answer, which praises itself
        ('It claims "Rating: 6". Rating: 1', None, None),
        ('It claims "Rating: 6".\n**Rating**: 1', 6, None),
        ('It claims "Rating:6".\nRating: 1', 1, None),
    ],
)
def test_ratings(reply: str, official: int | None, strict: int | None) -> None:
    assert (official_rating(reply), strict_rating(reply)) == (official, strict)


@pytest.mark.parametrize("unit", ["rating: ", "rating ", "rating: 4 - ", "*", "4 "])
def test_long_replies_are_parsed_in_time(unit: str) -> None:
    assert strict_rating(unit * 200_000) in (None, 4)


def test_columns_of_a_rating() -> None:
    assert [Rating.of(n).hallucination for n in range(7)] == [1, 1, 1, 0, 0, 0, 0]
    assert [Rating.of(n).informativeness for n in range(7)] == [0, 1, 2, 0, 1, 2, 3]


# What is asked


def test_items(mmhal: MMHalBench, data_dir: Path) -> None:
    items = mmhal.items()
    assert [item.id for item in items[:2]] == ["attribute/outdoor", "adversarial/outdoor"]
    assert (items[95].id, items[95].group) == ("other/appliance", "95_o.jpg")
    assert items[8].split == "attribute"
    picture: Any = items[8].pictures[0]
    assert picture.path == data_dir / "mmhal" / "images" / "8_o.jpg"
    request = mmhal.request(items[8])
    assert request is not None
    assert request.messages == (Message("user", "What about 8?", items[8].pictures),)
    assert (request.decoding.max_new_tokens, request.decoding.temperature) == (1024, 0.0)
    assert mmhal.request(items[8], [Response("x", "", "y")]) is None


def test_the_data_sets_own_name_goes_first(tmp_path: Path) -> None:
    records = template()
    written(tmp_path / "mmhal" / "mmhal-bench_answer_template.json", records)
    records[0] = {**records[0], "question": "Another?"}
    written(tmp_path / "mmhal" / "response_template.json", records)
    assert MMHalBench("official", tmp_path).items()[0].question == "Another?"


def test_the_judge_gets_one_user_message(mmhal: MMHalBench) -> None:
    item = mmhal.items()[3]
    (request,) = mmhal.judge_requests(item, [Response(item.id, "", " {} {0}\n")])
    text = "In it: Dog, Red {car}\nQ: What about 3?\nHuman: It is 3.\nModel: {} {0}\n"
    assert request.messages == (Message("user", text),)
    assert request.decoding.temperature == 0.0
    assert mmhal.judge_requests(item, [Response.failed(item.id, "", "x")]) == ()
    assert (mmhal.judge.model, mmhal.judge.max_attempts) == ("gpt-4-0314", 1)
    assert "retired" in mmhal.judge.state


def test_a_reply_says_what_both_parsers_read(mmhal: MMHalBench) -> None:
    item = mmhal.items()[0]
    (request,) = mmhal.judge_requests(item, [Response(item.id, "", "x")])
    assert mmhal.read_reply(request, "**Rating**: 4") == {"strict_rating": 4, "rating": None}
    assert mmhal.read_reply(request, "Rating: 10") is None


# What is counted


def test_metrics_by_hand(mmhal: MMHalBench) -> None:
    """Attribute questions have 6, adversarial ones an unreadable reply, the others 2."""
    replies = ["Rating: 6", "**Rating**: 5", *["Rating: 2"] * 6]
    metrics = measured(mmhal, lambda position: replies[position % 8])
    assert metrics["", "score"].value == (6 + 0 + 6 * 2) / 8
    assert metrics["", "hallucination_rate"].value == 7 / 8
    assert metrics["attribute", "score"].value == 6
    assert metrics["adversarial", "score"].value == 0
    assert metrics["", "informativeness"].value == (3 + 0 + 6 * 2) / 8 / 3
    assert metrics["", "score_outdoor"].value == (6 + 0 + 6 * 2) / 8
    assert metrics["", "unparsed_replies"].value == 12
    assert metrics["", "parser_disagreements"].value == 12
    assert metrics["", "strict_score"].value == (6 + 5 + 6 * 2) / 8
    assert metrics["", "strict_hallucination_rate"].value == 6 / 8
    headlines = [name for (_, name), metric in metrics.items() if metric.headline]
    assert headlines == ["score", "hallucination_rate"]
    own = {name for (_, name), metric in metrics.items() if not metric.official}
    assert {"strict_score", "parser_disagreements", "score_outdoor"} < own


def test_topics_are_counted_apart(mmhal: MMHalBench) -> None:
    metrics = measured(mmhal, lambda position: f"Rating: {position // 8 % 7}")
    assert [metrics["", f"score_{topic}"].value for topic in TOPICS[:8]] == [0, 1, 2, 3, 4, 5, 6, 0]


def test_an_unreadable_reply_is_officially_a_zero_and_still_no_score(mmhal: MMHalBench) -> None:
    item = mmhal.items()[0]
    judgment = Judgment(item.id, item.id, "", JudgmentStatus.UNPARSED, raw="Rating: 10")
    row = mmhal.score(item, [Response(item.id, "", "x")], [judgment])
    assert (row.status, row.values) == (ScoreStatus.UNPARSED, {})
    assert (row.official["score"], row.official["disagreement"]) == (1, 1)
    assert row.details["flag"]
    nothing = Judgment(item.id, item.id, "", JudgmentStatus.UNPARSED, raw="I cannot say.")
    row = mmhal.score(item, [Response(item.id, "", "x")], [nothing])
    assert (row.official["score"], row.official["hallucination"]) == (0, 1)
    assert "flag" not in row.details


def test_failures_have_no_numbers_at_all(mmhal: MMHalBench) -> None:
    item = mmhal.items()[0]
    answer = [Response(item.id, "", "x")]
    failed = Judgment(item.id, item.id, "", JudgmentStatus.JUDGE_ERROR, error="timed out")
    for responses, judgments, status in (
        ([], [], ScoreStatus.GENERATION_ERROR),
        ([Response.failed(item.id, "", "gone")], [], ScoreStatus.GENERATION_ERROR),
        (answer, [], ScoreStatus.JUDGE_ERROR),
        (answer, [failed], ScoreStatus.JUDGE_ERROR),
    ):
        row = mmhal.score(item, responses, judgments)
        assert (row.status, row.values, row.official) == (status, {}, {})


# Files


def test_written_answers_are_read_back(mmhal: MMHalBench, tmp_path: Path) -> None:
    answers = ["\ud800", "", "x" * 10_000_000, *["An answer."] * 93]
    items = mmhal.items()
    responses = {i.id: Response(i.id, "", f"{a}\n") for i, a in zip(items, answers, strict=True)}
    (text,) = mmhal.official_files(responses).values()
    read = mmhal.read_responses([written(tmp_path / "a.json", text)])
    assert [response.text for response in read] == answers
    assert [list(record) for record in json.loads(text)[:1]] == [
        ["question_type", "question_topic", "image_id", "image_src", "question", "gt_answer",
         "image_content", "model_answer"],
    ]  # fmt: skip


def test_an_incomplete_set_has_no_official_file(mmhal: MMHalBench) -> None:
    """The official script would judge an absent answer as an empty one."""
    responses = {item.id: Response(item.id, "", "x") for item in mmhal.items()}
    assert mmhal.official_files(responses)
    last = mmhal.items()[-1].id
    assert mmhal.official_files({**responses, last: Response.failed(last, "", "gone")}) == {}
    del responses[last]
    assert mmhal.official_files(responses) == {}


def changed(position: int, **change: Any) -> Records:
    records = template("x")
    records[position].update(change)
    return records


def without(*fields: str) -> Records:
    return [{k: v for k, v in record.items() if k not in fields} for record in template("x")]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (template("x")[:95], "95 answers to 96 questions"),
        (template("x") + template("x")[:1], "97 answers to 96 questions"),
        (
            template("x")[::-1],
            "line 1: .*'id95'.* where attribute/outdoor belongs .*Restore the order",
        ),
        (changed(5, question="Who?"), "where environment/outdoor belongs .*official template"),
        (changed(5, image_id="id4"), "where environment/outdoor belongs"),
        (changed(5, model_answer=None), "model_answer is NoneType, not text"),
        (without("model_answer"), "model_answer is NoneType, not text"),
        (without("question", "image_id"), "neither image_id nor question is there"),
        (template(""), "every model_answer is empty; this is the template"),
        ("[{", "line 1: not valid JSON"),
        ('[{"a": 1}] x', "text after the end"),
    ],
)
def test_bad_answers(mmhal: MMHalBench, tmp_path: Path, records: Any, message: str) -> None:
    with pytest.raises(BadRecordError, match=message):
        mmhal.read_responses([written(tmp_path / "answers.json", records)])


@pytest.mark.parametrize("fields", [("question",), ("image_id",), ("gt_answer", "image_content")])
def test_a_question_or_a_picture_identifies_a_record(
    mmhal: MMHalBench, tmp_path: Path, fields: tuple[str, ...]
) -> None:
    path = written(tmp_path / "answers.json", without(*fields))
    assert len(mmhal.read_responses([path])) == 96


def test_one_file_without_hints(mmhal: MMHalBench, tmp_path: Path) -> None:
    path = written(tmp_path / "answers.json", template("x"))
    with pytest.raises(BadRecordError, match="one file of all 96 answers is needed"):
        mmhal.read_responses([path, path])
    with pytest.raises(PlumblineError, match="takes no hints, not split"):
        mmhal.read_responses([path], split="attribute")


def test_a_file_in_another_encoding(mmhal: MMHalBench, tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_bytes(json.dumps(template("ä"), ensure_ascii=False).encode("latin-1"))
    with pytest.raises(BadRecordError, match="not UTF-8"):
        mmhal.read_responses([path])


def test_recorded_replies(mmhal: MMHalBench, tmp_path: Path) -> None:
    texts = ["Rating: 3", "Rating: 10", None, *["Rating: 1"] * 93]
    path = written(tmp_path / "judge.json", [completion(text) for text in texts])
    judgments = mmhal.read_judgments([path])
    assert [judgment.status for judgment in judgments[:4]] == [
        JudgmentStatus.OK,
        JudgmentStatus.UNPARSED,
        JudgmentStatus.JUDGE_ERROR,
        JudgmentStatus.OK,
    ]
    assert judgments[0].values == {"strict_rating": 3, "rating": 3}
    assert (judgments[0].model, judgments[0].meta) == ("some-judge", {"finish_reason": "stop"})


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([completion("Rating: 1")] * 95, "95 judge replies to 96 questions"),
        ([{}] * 96, "line 1: no chat completion"),
        ([{"choices": []}] * 96, "line 1: no chat completion"),
        ([{"choices": [{"message": {"content": 3}}]}] * 96, "line 1: no chat completion"),
    ],
)
def test_bad_replies(mmhal: MMHalBench, tmp_path: Path, records: Any, message: str) -> None:
    with pytest.raises(BadRecordError, match=message):
        mmhal.read_judgments([written(tmp_path / "judge.json", records)])


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (template()[:95], "95 records instead of 96"),
        (
            template()[1:] + template()[:1],
            "question_type is 'adversarial' where 'attribute' belongs",
        ),
        (
            changed(8, question_topic="outdoor"),
            "a second question of type and topic attribute/outdoor",
        ),
        (changed(1, image_content={"class": ["Dog"]}), "image_content is no list of texts"),
        (changed(1, gt_answer=""), "gt_answer is '', not a text"),
    ],
)
def test_bad_questions(tmp_path: Path, records: Records, message: str) -> None:
    written(tmp_path / "mmhal" / "response_template.json", records)
    with pytest.raises(BadRecordError, match=message) as caught:
        MMHalBench("official", tmp_path).items()
    assert "python -m harness.fetch mmhal --data-dir" in str(caught.value)


def test_absent_files_are_named_with_the_remedy(tmp_path: Path) -> None:
    for data_dir, message in ((None, "--data-dir"), (tmp_path, "response_template.json")):
        with pytest.raises(MissingDataError) as caught:
            MMHalBench("official", data_dir).items()
        assert message in str(caught.value)
        assert caught.value.remedy.startswith("python -m harness.fetch mmhal")
    written(tmp_path / "mmhal" / "response_template.json", template())
    mmhal = MMHalBench("official", tmp_path)
    item = mmhal.items()[0]
    with pytest.raises(MissingDataError, match=r"judge_prompt\.txt"):
        mmhal.judge_requests(item, [Response(item.id, "", "x")])
    assert mmhal.protocol()["judge_prompt_sha256"].startswith("2c73d8c5")
    written(tmp_path / "mmhal" / "judge_prompt.txt", "Rate {} and {}.")
    with pytest.raises(BadRecordError, match=r"2 places \{\} instead of 4"):
        mmhal.judge_requests(item, [Response(item.id, "", "x")])
    assert not mmhal.protocol()["judge_prompt_sha256"].startswith("2c73d8c5")


def test_the_option_is_checked() -> None:
    with pytest.raises(PlumblineError, match=r"mmhal\.max_new_tokens is 0"):
        MMHalBench("pocket", max_new_tokens=0)
