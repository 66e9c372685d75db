"""Which option an answer chooses: MMBench's rules.

Official code: open-compass/VLMEvalKit at e8e78f05f3080fe28154f2130321f17951c3be94,
``vlmeval/utils/matching_util.py`` (``can_infer``, ``can_infer_option``, ``can_infer_text``), with
the environment variable VERBOSE unset.

First comes the letter: tokens are what is left between blanks and ``. ( ) [ ] , : ; ! * # { }``,
and the only option's letter among them is the choice. Only where that says nothing comes the text:
the only option whose text occurs in the answer, whatever the case of letters.

Published numbers depend on the version of the rules:

* "current": the letter must be first met among the last four tokens; otherwise "answer is B" (in
  any case of letters, A to D, even as the beginning of a word) says it; and the text must not be
  longer than twice the options together.
* "before_2025_08" (before commit c3371551 of 2025-08-04): none of these three. "B" with an
  explanation below it is B; today it goes to the matcher.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, get_args

Rule = Literal["current", "before_2025_08"]
RULES: tuple[Rule, ...] = get_args(Rule)

NONE_OF_THEM = "Z"
"""The letter of an answer that refuses or fits no option; it is never right."""

API_FAILURE = "Failed to obtain answer via API"
"""What VLMEvalKit writes in place of an answer or of a matcher's reply that did not come."""

REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)

LAST_TOKENS = 4
"""Among so many tokens at the end the current rule looks for the letter."""

_SEPARATORS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_STATEMENT = re.compile(r"answer\s+is\s+\**([ABCD])", re.IGNORECASE)


def matched_letter(answer: str, options: Mapping[str, str], rule: Rule = "current") -> str | None:
    """The letter that an answer chooses; None where the rules cannot tell.

    Args:
        answer: what the model said. A missing one is officially the text "nan" or "None", in which
            an option such as "no" is found.
        options: text by letter.
        rule: which version of the rules.

    Returns:
        A letter of ``options``, or NONE_OF_THEM for a refusal.
    """
    return _by_letter(answer, options, rule) or _by_text(answer, options, rule)


def _by_letter(answer: str, options: Mapping[str, str], rule: Rule) -> str | None:
    if API_FAILURE in answer:
        return None
    if any(refusal in answer for refusal in REFUSALS):
        return NONE_OF_THEM
    tokens = answer.translate(_SEPARATORS).split()
    present = [letter for letter in options if letter in tokens]
    if len(present) == 1:
        is_late = tokens.index(present[0]) >= len(tokens) - LAST_TOKENS
        if is_late or rule == "before_2025_08":
            return present[0]
    elif not present and NONE_OF_THEM in tokens:
        return NONE_OF_THEM
    stated = _STATEMENT.search(answer) if rule == "current" else None
    letter = stated[1].upper() if stated else None
    return letter if letter in options else None


def _by_text(answer: str, options: Mapping[str, str], rule: Rule) -> str | None:
    said = answer.lower()
    if rule == "current" and len(said) > 2 * sum(map(len, options.values())):
        return None
    found = [letter for letter, text in options.items() if text.lower() in said]
    return found[0] if len(found) == 1 else None
