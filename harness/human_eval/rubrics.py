"""What annotators are asked, and which verdicts there are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """A verdict.

    Attributes:
        value: what stands in a cell.
        label: what a button says.
        meaning: when to choose it.
        keys: on the keyboard, in lower case.
        tone: of the button: "good", "bad" or "".
    """

    value: str
    label: str
    meaning: str
    keys: tuple[str, ...]
    tone: str = ""


@dataclass(frozen=True)
class Rubric:
    """A question to annotators.

    Attributes:
        sides: the names of the responses that are shown together.
        task: instructions, a paragraph each.
        options: in the order of the buttons.
        scale: the verdicts from worst to best, as they are coded for agreement: 0, 1, 2, …
    """

    name: str
    title: str
    sides: tuple[str, ...]
    task: tuple[str, ...]
    options: tuple[Option, ...]
    scale: tuple[str, ...]

    def read(self, cell: str) -> str | None:
        """The verdict in a cell, however a spreadsheet or a person spelled it; "" for an empty cell.

        None when it is no verdict of this rubric.
        """
        text = " ".join(cell.split()).casefold()
        text = text.removesuffix(".0")  # a spreadsheet's number
        if not text:
            return ""
        spellings = {
            spelling.casefold(): option.value
            for option in self.options
            for spelling in (option.value, option.label)
        }
        return spellings.get(text)


A, TIE, B = "A", "tie", "B"

PREFERENCE = Rubric(
    "preference",
    "Which response is better?",
    ("A", "B"),
    (
        "Look at the picture first, then read the question and both responses.",
        "The better response says what is true of the picture: something made up counts more than "
        "something left out. Between two that are equally true, the one that answers the question "
        "better and more fully is better; style decides last.",
        "Choose a tie when neither is better, whether both are good or both are bad.",
    ),
    (
        Option(A, "A is better", "Response A is better", ("a", "1")),
        Option(TIE, "Tie", "Neither is better", ("t", "2")),
        Option(B, "B is better", "Response B is better", ("b", "3")),
    ),
    scale=(B, TIE, A),
)
"""Two models' answers to one question, as in the human study of mDPO (arXiv 2406.11839, section 4.3),
where experts said which answer is better. The order of the criteria is ours; the paper states none."""

HALLUCINATED_BELOW = 3
"""Ratings below it say that something is made up, as in MMHal-Bench's script."""

HALLUCINATION = Rubric(
    "hallucination",
    "Rate the response",
    ("",),
    (
        "Look at the picture first, then read the question and the response.",
        "Decide whether the response says anything that the picture, or what is generally known, does not "
        "bear out. If so the rating is 0 to 2, otherwise 3 to 6.",
        "Then decide how much of what was asked for it gives. A response that goes along with a false "
        "assumption of the question makes something up; one that rejects it does not.",
    ),
    (
        Option("6", "6", "Nothing made up; all that was asked for, and well analysed", ("6",), "good"),
        Option("5", "5", "Nothing made up; very informative", ("5",), "good"),
        Option("4", "4", "Nothing made up; somewhat informative", ("4",), "good"),
        Option("3", "3", "Nothing made up; not informative", ("3",), "good"),
        Option("2", "2", "Something made up; very informative otherwise", ("2",), "bad"),
        Option("1", "1", "Something made up; somewhat informative otherwise", ("1",), "bad"),
        Option("0", "0", "Something made up; not informative", ("0",), "bad"),
    ),
    scale=("0", "1", "2", "3", "4", "5", "6"),
)  # fmt: skip
"""MMHal-Bench's rating (Sun et al., arXiv 2309.14525) by people who see the picture: the levels are those
of its judge's prompt, in our words."""

RUBRICS = {rubric.name: rubric for rubric in (PREFERENCE, HALLUCINATION)}
