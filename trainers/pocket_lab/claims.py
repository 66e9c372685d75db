"""What the three papers claim, as comparisons of experiments, and the rule for a verdict.

A claim stands here with where the paper says it and, measure by measure, with what the paper prints. Some are held against
measures that their paper does not print for them: what hallucinates less should do so by any of them.

A verdict follows from the 95 % interval of the difference (positive: in the claim's favour) and from what difference is
worth speaking of, which is fixed for each measure beforehand. Nobody writes a verdict:

* "better": replicated if the interval lies above 0, not replicated if it lies below what is worth speaking of.
* "same": replicated if the interval lies within what is worth speaking of on both sides, not replicated if it lies
  beyond it.
* "not worse": replicated if the interval lies above minus what is worth speaking of, not replicated if it lies below.
* All else is inconclusive.

A "better" that would be not replicated has had "no room" if the other experiment lies so near to the best possible value that
nothing worth speaking of could be gained, unless the interval lies below 0. This rule, and the claims by size, were added
when the first results showed that 640 pairs leave DPO no hallucination in the pocket world. It can only take "not
replicated" away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from trainers.pocket_lab.compare import Found, Measure

Kind = Literal["better", "same", "not worse"]
Verdict = Literal["replicated", "not replicated", "inconclusive", "no room", "not run"]

CHAIR_S = Measure("object_halbench", "CHAIRs_refine", "", "Object HalBench CHAIRs", 0.02, 1)
CHAIR_I = Measure("object_halbench", "CHAIRi", "", "Object HalBench CHAIRi", 0.01, 1)
HAL = Measure("amber", "Hal", "generative", "AMBER Hal", 2.0, 100)
COVER = Measure("amber", "Cover", "generative", "AMBER Cover", 2.0, 100)
MMHAL = Measure("mmhal", "score", "", "MMHal score", 0.1, 6)
MMHAL_RATE = Measure("mmhal", "hallucination_rate", "", "MMHal hallucination rate", 0.02, 1)
POPE = Measure("pope", "mean_f1", "", "POPE F1", 0.01, 1)
MMVET = Measure("mmvet", "total", "", "MM-Vet", 1.0, 100)
LLAVA_BENCH = Measure("llava_bench", "relative_score", "", "LLaVA-Bench", 1.0)
MMBENCH = Measure("mmbench", "circular", "dev", "MMBench", 0.02, 1)
MTBENCH = Measure("mtbench", "average", "", "MT-Bench", 0.1, 10)
ALPACA = Measure("alpacaeval", "win_rate", "", "AlpacaEval win rate", 1.0, 100)

TRUTHFUL = (CHAIR_S, CHAIR_I, HAL, COVER, MMHAL, MMHAL_RATE, POPE)
CAPABLE = (MMVET, LLAVA_BENCH, MMBENCH, MTBENCH, ALPACA)
MEASURES = (*TRUTHFUL, *CAPABLE)


@dataclass(frozen=True)
class Paper:
    """A paper, and the model of the numbers that are quoted from it."""

    name: str
    arxiv: str
    model: str


MDPO = Paper("mDPO", "2406.11839", "Bunny-v1.0-3B")
MLLM_DPO = Paper("Multi-modal preference alignment", "2402.10884", "LLaVA-1.5-13B")
STUDY = Paper("Understanding alignment in multimodal LLMs", "2407.02477", "LLaVA-1.6-7B")

Printed = Mapping[Measure, str]
"""What a paper prints for a measure, of the other and of the subject; "" where it prints no number."""


@dataclass(frozen=True)
class Claim:
    """A claim as a comparison of two experiments.

    Attributes:
        source: where the paper says it.
        subject, other: experiments by name; the claim is about the first.
        remark: what must be known to read the verdict.
    """

    paper: Paper
    text: str
    source: str
    subject: str
    other: str
    measures: Printed
    kind: Kind = "better"
    remark: str = ""


@dataclass(frozen=True)
class RewardClaim:
    """A claim about the sign of the chosen answers' implicit reward at the end of training."""

    paper: Paper
    text: str
    source: str
    subject: str
    sign: Literal[1, -1]


NOT_AT_HAND = (
    "the paper's figure 5 is about the scale of data, but its curves could not be read here."
)

SHORT_OF_WORDS = (
    "SteerLM's request adds 97 tokens to a prompt, in words that the pocket checkpoint has never been taught; asked in this "
    "way before the training, it answers with single words. So this says little about SteerLM."
)

CLAIMS: tuple[Claim | RewardClaim, ...] = (
    Claim(MDPO, "DPO learns as much without the pictures (unconditional preference)",
          "section 1, figure 1", "dpo_blind", "dpo", {CHAIR_S: "", MMHAL: ""}, "same"),
    Claim(MDPO, "mDPO hallucinates less than DPO", "table 1", "mdpo", "dpo",
          {CHAIR_S: "44.3 → 27.0", CHAIR_I: "7.6 → 4.6", HAL: "58.9 → 37.7",
           MMHAL: "2.28 → 2.96", MMHAL_RATE: "0.56 → 0.42"}),
    Claim(MDPO, "mDPO hallucinates less than the base", "table 1", "mdpo", "base",
          {CHAIR_S: "43.0 → 27.0", CHAIR_I: "8.9 → 4.6", HAL: "64.9 → 37.7",
           MMHAL: "2.11 → 2.96", MMHAL_RATE: "0.58 → 0.42"}),
    Claim(MDPO, "mDPO's descriptions still cover as much as the base's (printed so for LLaVA-1.5-7B, not for Bunny)",
          "table 1", "mdpo", "base", {COVER: "LLaVA 51.8 → 52.4, Bunny 75.6 → 67.4"}, "not worse"),
    Claim(MDPO, "the conditional term is needed", "table 2", "mdpo", "mdpo_no_conditional",
          {CHAIR_S: "40.3 → 27.0", MMHAL: "2.36 → 2.96"}),
    Claim(MDPO, "the anchor is needed", "table 2", "mdpo", "mdpo_no_anchor",
          {CHAIR_S: "34.3 → 27.0", MMHAL: "2.50 → 2.96"}),
    Claim(MDPO, "the conditional term matters more than the anchor", "table 2",
          "mdpo_no_anchor", "mdpo_no_conditional", {CHAIR_S: "40.3 → 34.3", MMHAL: "2.36 → 2.50"}),
    Claim(MDPO, "mDPO gains from more pairs", "figure 5", "mdpo_x2", "mdpo_x0.25",
          {CHAIR_S: "", MMHAL: ""}, remark=NOT_AT_HAND),
    *(Claim(MDPO, f"mDPO hallucinates less than DPO with {scale} times the pairs", "figure 5",
            f"mdpo_x{scale}", f"dpo_x{scale}", {CHAIR_S: "", MMHAL: ""}, remark=NOT_AT_HAND)
      for scale in ("0.25", "0.5", "2")),
    RewardClaim(MDPO, "under DPO the chosen answers become less likely", "abstract", "dpo", -1),
    RewardClaim(MDPO, "mDPO keeps the reward of chosen answers positive", "abstract", "mdpo", 1),
    Claim(MLLM_DPO, "DPO on its own scored answers improves following of text instructions",
          "abstract, table 4", "dpo_scored", "base", {MTBENCH: "5.99 → 6.73"}),
    Claim(MLLM_DPO, "it improves answers about pictures, too", "abstract, table 4",
          "dpo_scored", "base", {MMVET: "36.3 → 41.2", LLAVA_BENCH: "73.1 → 79.1"}),
    Claim(MLLM_DPO, "there is hardly an alignment tax on visual knowledge", "abstract, table 4",
          "dpo_scored", "base", {MMBENCH: "67.4 → 66.8", POPE: "85.9 → 87.0"}, "not worse"),
    Claim(MLLM_DPO, "DPO does better than supervising with true answers", "table 4",
          "dpo_scored", "sft",
          {MTBENCH: "5.01 → 6.73", MMVET: "36.5 → 41.2", LLAVA_BENCH: "63.7 → 79.1"}),
    Claim(MLLM_DPO, "DPO does better than rejection sampling", "table 4",
          "dpo_scored", "rejection",
          {MTBENCH: "6.22 → 6.73", MMVET: "38.0 → 41.2", LLAVA_BENCH: "70.6 → 79.1"}),
    Claim(MLLM_DPO, "DPO does better than SteerLM", "table 4", "dpo_scored", "steerlm",
          {MTBENCH: "5.70 → 6.73", MMVET: "35.2 → 41.2", LLAVA_BENCH: "67.0 → 79.1"},
          remark=SHORT_OF_WORDS),
    Claim(STUDY, "offline DPO on corrupted answers makes yes/no answers more reliable",
          "table 2 (POVID's pairs)", "dpo", "base", {POPE: "86.40 → 88.09"}),
    Claim(STUDY, "online DPO improves open answers", "table 2", "online", "base",
          {LLAVA_BENCH: "80.85 → 82.61"}),
    Claim(STUDY, "mixed DPO keeps what offline DPO gains", "table 2", "mixed", "dpo",
          {POPE: "88.09 → 88.03", CHAIR_S: ""}, "not worse"),
    Claim(STUDY, "mixed DPO answers open questions better than offline DPO", "table 2",
          "mixed", "dpo", {LLAVA_BENCH: "78.63 → 82.75"}),
    Claim(STUDY, "mixed DPO is more reliable than online DPO", "table 2", "mixed", "online",
          {POPE: "86.49 → 88.03"}),
    Claim(STUDY, "BDHS, without annotation, reduces hallucination", "abstract, table 2",
          "bdhs", "base", {POPE: "86.40 → 88.75", CHAIR_S: "", HAL: ""}),
    Claim(STUDY, "BDHS competes with given pairs", "abstract, tables 2 and 3 (5k pairs each)",
          "bdhs", "dpo", {POPE: "88.18 → 88.75", CHAIR_S: "", MMHAL: "2.93 → 2.61",
                          LLAVA_BENCH: "81.89 → 86.33"}, "not worse"),
)  # fmt: skip


def verdict_of(found: Found, kind: Kind, worth: float, room: float = math.inf) -> Verdict:
    """The rule above, for a difference in the claim's favour.

    Args:
        room: how much better than the other experiment one can be.
    """
    if found.low is None or found.high is None:
        return "inconclusive"
    if kind == "better":
        yes, no = found.low > 0, found.high < worth
        if no and not yes and room < worth and found.high >= 0:
            return "no room"
    elif kind == "same":
        yes = found.low > -worth and found.high < worth
        no = found.low > worth or found.high < -worth
    else:
        yes, no = found.low > -worth, found.high < -worth
    return "replicated" if yes else "not replicated" if no else "inconclusive"


def verdict_on_sign(found: Found, sign: int) -> Verdict:
    """Replicated if the whole interval has the sign, not replicated if it has the other one."""
    if found.low is None or found.high is None:
        return "inconclusive"
    ends = sorted((sign * found.low, sign * found.high))
    return "replicated" if ends[0] > 0 else "not replicated" if ends[1] < 0 else "inconclusive"
