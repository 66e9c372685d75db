"""What the three papers claim, as comparisons of experiments, and the rule for a verdict.

A verdict follows from the 95 % interval of the difference (positive: in the claim's favour) and from what difference is
worth speaking of, which is fixed for each measure beforehand. Nobody writes a verdict:

* "better": replicated if the interval lies above 0, not replicated if it lies below what is worth speaking of.
* "same": replicated if the interval lies within what is worth speaking of on both sides, not replicated if it lies
  beyond it.
* "not worse": replicated if the interval lies above minus what is worth speaking of, not replicated if it lies below.
* All else is inconclusive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainers.pocket_lab.compare import Found, Measure

Kind = Literal["better", "same", "not worse"]
Verdict = Literal["replicated", "not replicated", "inconclusive", "not run"]

CHAIR_S = Measure("object_halbench", "CHAIRs_refine", "", "Object HalBench CHAIRs", 0.02)
CHAIR_I = Measure("object_halbench", "CHAIRi", "", "Object HalBench CHAIRi", 0.01)
HAL = Measure("amber", "Hal", "generative", "AMBER Hal", 2.0)
COVER = Measure("amber", "Cover", "generative", "AMBER Cover", 2.0)
MMHAL = Measure("mmhal", "score", "", "MMHal score", 0.1)
MMHAL_RATE = Measure("mmhal", "hallucination_rate", "", "MMHal hallucination rate", 0.02)
POPE = Measure("pope", "mean_f1", "", "POPE F1", 0.01)
MMVET = Measure("mmvet", "total", "", "MM-Vet", 1.0)
LLAVA_BENCH = Measure("llava_bench", "relative_score", "", "LLaVA-Bench", 1.0)
MMBENCH = Measure("mmbench", "circular", "dev", "MMBench", 0.02)
MTBENCH = Measure("mtbench", "average", "", "MT-Bench", 0.1)
ALPACA = Measure("alpacaeval", "win_rate", "", "AlpacaEval win rate", 1.0)

MEASURES = (
    *(CHAIR_S, CHAIR_I, HAL, COVER, MMHAL, MMHAL_RATE),
    *(POPE, MMVET, LLAVA_BENCH, MMBENCH, MTBENCH, ALPACA),
)

MDPO, MLLM_DPO, STUDY = "arXiv 2406.11839", "arXiv 2402.10884", "arXiv 2407.02477"


@dataclass(frozen=True)
class Claim:
    """A claim as a comparison of two experiments.

    Attributes:
        source: where the paper says it.
        subject, other: experiments by name; the claim is about the first.
    """

    paper: str
    text: str
    source: str
    subject: str
    other: str
    measures: tuple[Measure, ...]
    kind: Kind = "better"


@dataclass(frozen=True)
class RewardClaim:
    """A claim about the sign of the chosen answers' implicit reward at the end of training."""

    paper: str
    text: str
    source: str
    subject: str
    sign: Literal[1, -1]


CLAIMS: tuple[Claim | RewardClaim, ...] = (
    Claim(MDPO, "DPO learns as much without the pictures (unconditional preference)",
          "abstract, section 1", "dpo_blind", "dpo", (CHAIR_S, MMHAL), "same"),
    Claim(MDPO, "mDPO hallucinates less than DPO", "table 1",
          "mdpo", "dpo", (CHAIR_S, CHAIR_I, HAL, MMHAL, MMHAL_RATE)),
    Claim(MDPO, "mDPO hallucinates less than the base", "table 1",
          "mdpo", "base", (CHAIR_S, CHAIR_I, HAL, MMHAL, MMHAL_RATE)),
    Claim(MDPO, "mDPO's descriptions cover as much as the base's", "table 1 (AMBER Cover)",
          "mdpo", "base", (COVER,), "not worse"),
    Claim(MDPO, "the conditional term is needed", "table 2",
          "mdpo", "mdpo_no_conditional", (CHAIR_S, MMHAL)),
    Claim(MDPO, "the anchor is needed", "table 2", "mdpo", "mdpo_no_anchor", (CHAIR_S, MMHAL)),
    Claim(MDPO, "the conditional term matters more than the anchor", "table 2",
          "mdpo_no_anchor", "mdpo_no_conditional", (CHAIR_S, MMHAL)),
    Claim(MDPO, "mDPO gains from more pairs", "figure on the scale of data, not checked at the source",
          "mdpo_x2", "mdpo_x0.25", (CHAIR_S, MMHAL)),
    RewardClaim(MDPO, "under DPO the chosen answers become less likely", "abstract", "dpo", -1),
    RewardClaim(MDPO, "mDPO keeps the reward of chosen answers positive", "abstract", "mdpo", 1),
    Claim(MLLM_DPO, "DPO on its own scored answers improves following of text instructions",
          "abstract (MT-Bench)", "dpo_scored", "base", (MTBENCH,)),
    Claim(MLLM_DPO, "it improves answers about pictures, too", "abstract (MM-Vet, LLaVA-Bench)",
          "dpo_scored", "base", (MMVET, LLAVA_BENCH)),
    Claim(MLLM_DPO, "there is hardly an alignment tax on visual knowledge", "abstract",
          "dpo_scored", "base", (MMBENCH, POPE), "not worse"),
    Claim(MLLM_DPO, "DPO does better than supervising with true answers", "abstract",
          "dpo_scored", "sft", (MTBENCH, MMVET, LLAVA_BENCH)),
    Claim(MLLM_DPO, "DPO does better than rejection sampling", "abstract",
          "dpo_scored", "rejection", (MTBENCH, MMVET, LLAVA_BENCH)),
    Claim(MLLM_DPO, "DPO does better than SteerLM", "abstract",
          "dpo_scored", "steerlm", (MTBENCH, MMVET, LLAVA_BENCH)),
    Claim(STUDY, "offline DPO makes answers about what is there more reliable", "table 2 (POPE)",
          "dpo", "base", (POPE,)),
    Claim(STUDY, "online DPO improves open answers", "table 2 (LLaVA-Bench)",
          "online", "base", (LLAVA_BENCH,)),
    Claim(STUDY, "mixed DPO keeps what offline DPO gains", "table 2 (POPE)",
          "mixed", "dpo", (POPE, CHAIR_S), "not worse"),
    Claim(STUDY, "mixed DPO answers open questions better than offline DPO",
          "table 2 (LLaVA-Bench)", "mixed", "dpo", (LLAVA_BENCH,)),
    Claim(STUDY, "mixed DPO is more reliable than online DPO", "table 2 (POPE)",
          "mixed", "online", (POPE,)),
    Claim(STUDY, "BDHS, without annotation, reduces hallucination", "abstract, table 2",
          "bdhs", "base", (POPE, CHAIR_S, HAL)),
    Claim(STUDY, "BDHS competes with given pairs", "abstract, table 2",
          "bdhs", "dpo", (POPE, CHAIR_S, MMHAL), "not worse"),
)  # fmt: skip


def verdict_of(found: Found, kind: Kind, worth: float) -> Verdict:
    """The rule above, for a difference in the claim's favour."""
    if found.low is None or found.high is None:
        return "inconclusive"
    if kind == "better":
        yes, no = found.low > 0, found.high < worth
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
