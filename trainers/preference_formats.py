"""From a data set's own fields to preference pairs, format by format.

A malformed record is an error that names its place. A record that is well formed and yet no pair (two equal
answers, ratings that tie) is ``Dropped`` with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from benchmarks.base import Message
from trainers.conversations import answer, conversation, turns, with_pictures
from trainers.pairs import Dropped, Preference, Spans
from trainers.preference_fields import (
    completions_of,
    dictionary_of,
    mean_rating,
    number_of,
    scores_of,
    spans_of,
)
from trainers.preference_files import Row
from trainers.scored import SCORED_FOR, Pairing, candidates, ranked_pairs

VICUNA_USER, VICUNA_ASSISTANT = "USER: ", " ASSISTANT:"
"""mDPO's prompts carry Vicuna's template, system text included; the checkpoint's own is put around them instead."""

Converted = Iterator[Preference | Dropped]


@dataclass(frozen=True)
class Choices:
    """What some formats leave open.

    Attributes:
        pairing: which answers of VLFeedback are paired.
        seed: of draws among equally fitting rejected answers.
    """

    pairing: Pairing = "all"
    seed: int = 0


def plain(row: Row, choices: Choices) -> Converted:
    """``{"image", "prompt", "chosen", "rejected"}``; also TRL's chat lists.

    ``images`` takes several, ``question`` does for ``prompt``. Optional: ``id``, ``rejected`` (sets that only
    supervise have none), ``rejected_image`` or ``rejected_images``, ``spans``, ``scores``, ``source``.
    """
    chosen, rejected = row.fields["chosen"], row.fields.get("rejected")
    prompt = row.fields.get("prompt", row.fields.get("question"))
    if prompt is None and isinstance(chosen, list) and isinstance(rejected, list):
        n_shared = 0
        while n_shared < min(len(chosen), len(rejected)) and chosen[n_shared] == rejected[n_shared]:
            n_shared += 1
        prompt, chosen, rejected = chosen[:n_shared], chosen[n_shared:], rejected[n_shared:]
    yield _preference(
        row,
        conversation(row, prompt),
        answer(row, chosen, "chosen"),
        None if rejected is None else answer(row, rejected, "rejected"),
        spans=spans_of(row),
        scores=scores_of(row),
    )


def swift(row: Row, choices: Choices) -> Converted:
    """ms-swift: ``messages`` with the chosen answer last, ``images``, ``rejected_response``, ``rejected_images``.

    With other pictures and no other response, the pair compares pictures only.
    """
    told = turns(row, row.fields["messages"], "messages")
    chosen = told[-1].text
    if len(told) < 2 or told[-1].role != "assistant":
        raise row.error("messages does not end with an answer", "Write the question and its answer")
    rejected = row.fields.get("rejected_response")
    yield _preference(
        row,
        with_pictures(row, told[:-1]),
        chosen,
        chosen if rejected is None else answer(row, rejected, "rejected_response"),
    )


def mdpo(row: Row, choices: Choices) -> Converted:
    """mDPO's 10k of VLFeedback: ``img_path``, ``prompt`` in Vicuna's template, ``chosen``, ``rejected``."""
    prompt = row.text("prompt").strip()
    if VICUNA_USER in prompt and prompt.endswith(VICUNA_ASSISTANT):
        prompt = prompt.split(VICUNA_USER, 1)[1].removesuffix(VICUNA_ASSISTANT)
    chosen, rejected = row.text("chosen"), row.text("rejected")
    yield _preference(row, conversation(row, prompt), chosen, rejected)


def rlhf_v(row: Row, choices: Choices) -> Converted:
    """RLHF-V: ``text`` is JSON of question, chosen and rejected; the picture lies in ``image``."""
    try:
        told = json.loads(row.text("text"))
        question, chosen, rejected = (told[name] for name in ("question", "chosen", "rejected"))
    except (ValueError, KeyError, TypeError) as error:
        fix = 'Write {"question": …, "chosen": …, "rejected": …} as JSON'
        raise row.error(f"text holds no pair ({type(error).__name__}: {error})", fix) from error
    yield _preference(
        row,
        conversation(row, question),
        answer(row, chosen, "chosen"),
        answer(row, rejected, "rejected"),
    )


def povid(row: Row, choices: Choices) -> Converted:
    """POVID and Re-Align: ``conversations`` and ``rejected_conversations``, one pair for each answer in them.

    Later answers are conditioned on the true earlier ones on both sides. Re-Align's ``retrieved_image``
    is the rejected picture. Without rejected conversations (LLaVA's format) the set only supervises.
    """
    true = turns(row, row.fields["conversations"], "conversations")
    given = row.fields.get("rejected_conversations")
    false = true if given is None else turns(row, given, "rejected_conversations")
    if _but_answers(true) != _but_answers(false):
        raise row.error(
            "conversations and rejected_conversations differ in more than the answers",
            "Write the same questions on both sides",
        )
    places = [index for index, turn in enumerate(true) if turn.role == "assistant"]
    for number, index in enumerate(places):
        yield _preference(
            row,
            with_pictures(row, true[:index]),
            true[index].text,
            None if given is None else false[index].text,
            suffix=f"/{number}" if len(places) > 1 else "",
        )


def llava_rlhf(row: Row, choices: Choices) -> Converted:
    """LLaVA-RLHF: ``conversations`` up to the question, ``output_1``, ``output_2``, ``preference`` 1 or 2."""
    preference = row.fields["preference"]
    if preference not in (1, 2, "1", "2"):
        raise row.error(f"preference is {preference!r}", "Write 1 or 2")
    outputs = [answer(row, row.fields[name], name) for name in ("output_1", "output_2")]
    chosen, rejected = outputs if int(preference) == 1 else reversed(outputs)
    messages = with_pictures(row, turns(row, row.fields["conversations"], "conversations"))
    yield _preference(row, messages, chosen, rejected)


def mllm_dpo(row: Row, choices: Choices) -> Converted:
    """2402.10884's pairs: ``question``, ``chosen`` and ``rejected`` are turns, or strings of dictionaries."""
    question = dictionary_of(row.fields["question"])
    chosen, rejected = (dictionary_of(row.fields.get(name)) for name in ("chosen", "rejected"))
    asked = question.get("value") if isinstance(question, Mapping) else question
    yield _preference(
        row,
        conversation(row, asked),
        answer(row, chosen, "chosen"),
        answer(row, rejected, "rejected"),
    )


def vlfeedback(row: Row, choices: Choices) -> Converted:
    """VLFeedback: several answers with GPT-4V's ratings; the mean of an answer's ratings orders them."""
    messages = conversation(row, row.text("prompt"))
    answers, scores = [], {}
    for index, completion in enumerate(completions_of(row)):
        answers.append(answer(row, completion.get("response"), "response"))
        score = mean_rating(completion.get("annotations"))
        if score is None:
            yield Dropped(f"{record_id(row)}/{index}", "its ratings cannot be read")
        else:
            scores[index] = score
    pairs = ranked_pairs(scores, choices.pairing)
    if not pairs:
        yield Dropped(record_id(row), "no two answers with different ratings")
    for pair in pairs:
        yield _preference(
            row,
            messages,
            answers[pair.chosen],
            answers[pair.rejected],
            scores={"chosen": scores[pair.chosen], "rejected": scores[pair.rejected]},
            suffix=f"/{pair.chosen}-{pair.rejected}",
        )


def gemini_scored(rows: Sequence[Row], choices: Choices) -> Converted:
    """2402.10884's scored answers: ``image``, ``question``, ``Output`` and five scores of 0 to 4.

    Answers to one question on one picture make one pair; the rejected one is drawn by seed and question.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((_picture_key(row), row.text("question")), []).append(row)
    for (image, question), members in groups.items():
        scored = []
        for row in members:
            values = [number_of(row.fields.get(name)) for name in SCORED_FOR]
            if None in values:
                yield Dropped(record_id(row), f"no {', '.join(SCORED_FOR)} that can be read")
            else:
                scored.append((row, sum(value for value in values if value is not None)))
        found = candidates([score for _, score in scored])
        if found is None:
            yield Dropped(record_id(members[0]), "the scores of its answers are too close")
            continue
        rng = Random(f"{choices.seed}/{image}/{question}")
        chosen, best = scored[found.chosen]
        rejected, worse = scored[rng.choice(found.rejected)]
        yield _preference(
            chosen,
            conversation(chosen, question),
            chosen.text("Output"),
            rejected.text("Output"),
            scores={"chosen": best, "rejected": worse},
        )


@dataclass(frozen=True)
class Format:
    """How a format is known and read.

    Attributes:
        fields: what every record of it has.
        convert: a record's pairs, or for ``grouped`` formats those of all records.
        also: a further sign, where fields alone do not tell.
    """

    fields: tuple[str, ...]
    convert: Callable[..., Converted]
    grouped: bool = False
    also: Callable[[Mapping[str, Any]], bool] = lambda fields: True


FORMATS: Mapping[str, Format] = {
    "vlfeedback": Format(("prompt", "completions"), vlfeedback),
    "gemini_scored": Format(("question", "Output", *SCORED_FOR), gemini_scored, grouped=True),
    "mllm_dpo": Format(
        ("question", "chosen", "rejected"),
        mllm_dpo,
        also=lambda fields: isinstance(dictionary_of(fields["chosen"]), Mapping),
    ),
    "rlhf_v": Format(("image", "text"), rlhf_v, also=lambda fields: "chosen" not in fields),
    "llava_rlhf": Format(("conversations", "output_1", "output_2", "preference"), llava_rlhf),
    "povid": Format(("conversations", "rejected_conversations"), povid),
    "llava": Format(("conversations",), povid),
    "mdpo": Format(("img_path", "prompt", "chosen", "rejected"), mdpo),
    "swift": Format(("messages",), swift),
    "plain": Format(("chosen",), plain),
}
"""The first one that fits a set's first record is taken. ``plain`` reads RLAIF-V and MMPR, too."""


def _preference(
    row: Row,
    messages: tuple[Message, ...],
    chosen: str,
    rejected: str | None,
    *,
    spans: Spans | None = None,
    scores: Mapping[str, float] | None = None,
    suffix: str = "",
) -> Preference | Dropped:
    id = record_id(row) + suffix
    rejected_pictures = row.pictures("rejected_images", "rejected_image", "retrieved_image")
    if not chosen.strip() or (rejected is not None and not rejected.strip()):
        return Dropped(id, "an answer is empty")
    if chosen == rejected and not rejected_pictures:
        return Dropped(id, "chosen and rejected are the same")
    source = row.fields.get("source") or row.fields.get("origin_dataset") or ""
    return Preference(
        id,
        messages,
        chosen,
        rejected,
        rejected_pictures,
        spans,
        scores or {},
        source if isinstance(source, str) else "",
    )


def record_id(row: Row) -> str:
    """The record's own id, or its line or row."""
    given = row.fields.get("id", row.fields.get("idx"))
    return str(given) if isinstance(given, str | int) and given != "" else str(row.number)


def _picture_key(row: Row) -> str:
    """The same for rows about one picture: its path, or its content where it lies in the data set."""
    value = row.fields.get("image")
    if isinstance(value, str):
        return value
    return " ".join(picture.digest for picture in row.pictures("image"))


def _but_answers(told: Sequence[Message]) -> list[tuple[str, str]]:
    return [(turn.role, "" if turn.role == "assistant" else turn.text) for turn in told]
