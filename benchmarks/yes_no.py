"""A reader's yes or no: what a person would take an answer for."""

from __future__ import annotations

import re
from typing import Literal

Answer = Literal["yes", "no"]

_YES = re.compile(r"\b(?:yes|yeah|yep)\b")
_NO = re.compile(r"\A\W*no\b|\b(?:no|nope)\b(?![ \t-]*\w)")
_DOUBT = re.compile(
    r"\b(?:not sure|unsure|uncertain|unclear|unanswerable|impossible|maybe|perhaps|possibly"
    r"|(?:cannot|can't|not) (?:be )?(?:tell|told|say|determined?))\b"
)
_ABSENCE = re.compile(r"\b(?:no|not|none|never|nothing|cannot|without)\b|n't\b")
_PRESENCE = re.compile(
    r"\b(?:there is|there are|there's|see|visible|present|shows?|contains?|features?|includes?)\b"
)


def lenient_answer(text: str) -> Answer | None:
    """Yes, no, or None when it cannot be told. Plumbline's own rule, in any case of letters:

    1. "yes" (yeah, yep) anywhere is a verdict; "no" (nope) is one as the first word, or where no
       other word follows it on its line ("The answer is no.", not "there is no dog"). Verdicts that
       agree are the answer; if they conflict, there is none.
    2. Without a verdict, a phrase of doubt ("not sure", "impossible", "maybe") means none.
    3. Otherwise the first sentence decides that speaks of absence (not, none, cannot, isn't, "there
       is no dog") or else of presence ("there is", "I see", "the image shows").
    """
    text = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    says_yes, says_no = _YES.search(text) is not None, _NO.search(text) is not None
    if says_yes != says_no:
        return "yes" if says_yes else "no"
    if says_yes or _DOUBT.search(text):
        return None
    for sentence in re.split(r"[.!?\n]", text):
        if _ABSENCE.search(sentence):
            return "no"
        if _PRESENCE.search(sentence):
            return "yes"
    return None
