"""What an answer gets right and what it makes up, for oracles that grade answers.

Facts are read off the answer and the correct one (``benchmarks.pocket.facts``), and what the answer
says beyond is checked against the picture's content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.pocket import language as say
from benchmarks.pocket.facts import ANY_OBJECT, Fact, facts, kinds_in

MAX_TOLD = 5
"""So many made-up facts a reply names."""


@dataclass(frozen=True)
class Grade:
    """An answer, fact by fact.

    Attributes:
        wanted: what the question asks for.
        right: those of them that the answer gives.
        wrong: what the answer says and the picture does not bear out, sorted.
        more: what the answer says rightly beyond question and correct answer.
    """

    wanted: frozenset[Fact]
    right: frozenset[Fact]
    wrong: tuple[Fact, ...]
    more: frozenset[Fact]

    @property
    def share(self) -> float:
        """How much of the answer and of what was asked for agree, from 0 to 1."""
        n = len(self.wanted) + len(self.wrong)
        return len(self.right) / n if n else 1.0

    @property
    def told(self) -> str:
        """The grade in a sentence or two."""
        told = f"Of {len(self.wanted)} facts asked for, the answer gives {len(self.right)}."
        if self.wrong:
            listed = ", ".join(" ".join(fact) for fact in self.wrong[:MAX_TOLD])
            told += f" Made up: {listed}."
        return told


def grade(content: Sequence[str], question: str, correct: str, answer: str) -> Grade:
    """Compare an answer with the correct one.

    Args:
        content: the place and the things in the picture, one entry each.
    """
    kinds = kinds_in(question)
    subject = kinds[0] if len(kinds) == 1 else ""
    wanted = facts(correct, subject) - {("object", kind) for kind in kinds}
    said = facts(answer, subject)
    picture = Known.of(content, question, wanted)
    wrong = tuple(sorted(fact for fact in said if not picture.bears_out(fact)))
    known = {("object", kind) for kind in kinds_in(f"{question} {correct}")}
    beyond = said - wanted - known - frozenset(wrong)
    more = frozenset(fact for fact in beyond if fact[0] != "verdict")
    return Grade(wanted, wanted & said, wrong, more)


@dataclass(frozen=True)
class Known:
    """What a judge knows of a picture.

    Attributes:
        n_of: how many there are of each kind.
        described: the facts of each entry of the picture's content.
        named: kinds that the question names. To name them claims nothing; what is said of them
            does.
        settled: the facts that the correct answer gives.
    """

    n_of: Mapping[str, int]
    described: frozenset[Fact]
    named: tuple[str, ...]
    settled: frozenset[Fact]

    @classmethod
    def of(cls, content: Sequence[str], question: str, wanted: frozenset[Fact]) -> Known:
        described = frozenset(fact for entry in content for fact in facts(entry))
        n_of = Counter(kind for entry in content for kind in kinds_in(entry))
        n_of[ANY_OBJECT] = n_of.total()
        return cls(n_of, described, kinds_in(question), wanted)

    def bears_out(self, fact: Fact) -> bool:
        """Whether a claim is true. Where the correct answer says how it is, that decides."""
        name, kind, value = fact[0], fact[1], fact[-1]
        rivals = {other for other in self.settled if other[:-1] == fact[:-1]}
        if name in ("number", "verdict", "unusual") and rivals:
            return fact in rivals
        if name == "object":
            return kind in self.n_of or kind in self.named
        if name == "absent":
            return kind not in self.n_of
        if name == "number":
            return value == str(self.n_of.get(kind, 0))
        if name == "use":
            return say.USES.get(kind) == value
        # A verdict or something unusual that was not asked for cannot be checked.
        return name in ("verdict", "unusual") or fact in self.described
