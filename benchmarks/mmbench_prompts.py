"""What MMBench asks the model under test, and the matcher.

Sources: ``llava/eval/model_vqa_mmbench.py`` (haotian-liu/LLaVA at
c121f0432da27facab705978f83c4ada465e46fd), ``ImageMCQDataset.build_prompt`` and ``build_prompt``,
``build_prompt_cn`` (open-compass/VLMEvalKit at e8e78f05f3080fe28154f2130321f17951c3be94,
``vlmeval/dataset/image_mcq.py`` and ``vlmeval/dataset/utils/multiple_choice.py``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.base import BadRecordError, sha256_of_file
from benchmarks.data_folder import required_text
from benchmarks.mmbench_files import Pass

MATCHER_PROMPTS = {
    "matcher_prompt_en.txt": "bb51e2c5223f889a7d18ca97fdc2b4cfb326ea2bc72f524a1fdde27ce9563f66",
    "matcher_prompt_cn.txt": "ab090703d1e3a98266f8382d262d53e0a93c93334eec3e33aaa958b1bd8be15c",
}
"""SHA-256 of the official prompts, English and Chinese, by file name."""
FIELDS = ("{question}", "{options}", "{prediction}")

_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def llava_prompt(one: Pass, chinese: bool) -> str:
    """LLaVA-1.5's ``--single-pred-prompt``: the hint, the question, A to D, and what to do.

    Its script takes "nan" and "none" for absent, and options end with the first absent one.
    """
    lines = [] if _is_absent(one.hint) else [one.hint]
    lines.append(one.question)
    for letter in "ABCD":
        text = one.options.get(letter, "")
        if _is_absent(text):
            break
        lines.append(f"{letter}. {text}")
    ask = "Answer with the option's letter from the given choices directly."
    return "\n".join([*lines, "请直接回答选项字母。" if chinese else ask])


def _is_absent(text: str) -> bool:
    return text.lower() in ("", "nan", "none")


def vlmevalkit_prompt(one: Pass, chinese: bool) -> str:
    """VLMEvalKit's prompt for models that bring none of their own; English for any language."""
    hint = [f"Hint: {one.hint}"] if one.hint else []
    listed = [f"{letter}. {text}" for letter, text in one.options.items()]
    ask = "Please select the correct answer from the options above. \n"
    return "\n".join([*hint, f"Question: {one.question}", "Options:", *listed, ask])


PROMPTS: dict[str, Callable[[Pass, bool], str]] = {
    "llava": llava_prompt,
    "vlmevalkit": vlmevalkit_prompt,
}


def matcher_prompt(folder: Path, one: Pass, answer: str, remedy: str) -> str:
    """Which option an answer means; in Chinese if the question has a CJK character.

    Args:
        folder: where the official prompts are.
        remedy: the command that brings them.

    Raises:
        MissingDataError: the prompt is not there.
        BadRecordError: it is not the official one.
    """
    english, chinese = MATCHER_PROMPTS
    path = folder / (chinese if _CHINESE.search(one.question) else english)
    template = required_text(path, remedy)
    if template.count("{") != len(FIELDS) or any(template.count(name) != 1 for name in FIELDS):
        raise BadRecordError(
            f"{path}: {', '.join(FIELDS)} must stand in it once each. Restore the official "
            f"prompt: {remedy}"
        )
    options = "".join(f"{letter}. {text}\n" for letter, text in one.options.items())
    return template.format(
        question=one.question,
        options=f"There are several options: \n{options}",
        prediction=answer,
    )


def matcher_prompts_sha256(folder: Path) -> Mapping[str, str]:
    """Of the prompts that are used; of the official ones before they are fetched.

    Without them no judge can be asked, and fetching them later must not make another measurement of
    answers that are there.
    """
    return {
        name: sha256_of_file(folder / name) if (folder / name).is_file() else official
        for name, official in MATCHER_PROMPTS.items()
    }
