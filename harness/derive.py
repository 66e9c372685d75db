"""Files that nobody publishes as such: a prompt inside a script, a table made of another file.

A script is parsed and never run: only a string literal that is assigned to a name is taken from it.
"""

from __future__ import annotations

import ast
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.base import PlumblineError


def constant(source: bytes, dotted: str, fields: Sequence[str] = ()) -> str:
    """The text that a script assigns to a name, without running the script.

    Args:
        source: the script.
        dotted: ``"name"`` at module level, or ``"function.name"`` for a function's local variable.
        fields: names for the script's anonymous ``{}`` places, in order: the first ``{}`` becomes
            ``{fields[0]}`` and so on.

    Raises:
        PlumblineError: the script has no such text, or more than one.
    """
    try:
        body: list[ast.stmt] = ast.parse(source).body
    except (SyntaxError, ValueError) as error:
        raise PlumblineError(f"the script cannot be parsed as Python 3 ({error})") from error
    *functions, name = dotted.split(".")
    for function in functions:
        body = _function_body(body, function, dotted)
    values = [value for statement in body if (value := _assigned(statement, name)) is not None]
    if len(values) != 1:
        raise PlumblineError(f"the script assigns {dotted} {len(values)} times; once was expected")
    try:
        text = ast.literal_eval(values[0])
    except ValueError as error:
        raise PlumblineError(f"{dotted} is computed by the script, not a literal text") from error
    if not isinstance(text, str):
        raise PlumblineError(f"{dotted} is a {type(text).__name__} in the script, not a text")
    return _named_fields(text, dotted, fields)


def _function_body(body: list[ast.stmt], function: str, dotted: str) -> list[ast.stmt]:
    for statement in body:
        if isinstance(statement, ast.FunctionDef) and statement.name == function:
            return statement.body
    raise PlumblineError(f"the script has no function {function} (wanted for {dotted})")


def _assigned(statement: ast.stmt, name: str) -> ast.expr | None:
    """The right-hand side, if the statement assigns to ``name``."""
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    else:
        return None
    hit = any(isinstance(target, ast.Name) and target.id == name for target in targets)
    return statement.value if hit else None


def _named_fields(text: str, dotted: str, fields: Sequence[str]) -> str:
    if not fields:
        return text
    pieces = text.split("{}")
    if len(pieces) != len(fields) + 1:
        raise PlumblineError(f"{dotted} has {len(pieces) - 1} places, {len(fields)} were expected")
    named = (f"{{{field}}}{piece}" for field, piece in zip(fields, pieces[1:], strict=True))
    return pieces[0] + "".join(named)


def alpacaeval_instructions(baseline: Path) -> bytes:
    """AlpacaEval's instructions, with the order in which the official annotator shows two outputs.

    The official order is drawn per instruction from a generator that is seeded with a text
    (alpaca_eval, ``annotators/base.py`` and ``processors.py``), so it is the same for every model:
    ``switched`` means that the model's output stands first.
    """
    lines = []
    for index, record in enumerate(json.loads(baseline.read_text(encoding="utf-8"))):
        seed = f"is_switched_outputs{record['instruction']}0"
        row = {
            "index": index,
            "dataset": record["dataset"],
            "instruction": record["instruction"],
            "switched": random.Random(seed).choices([False, True], k=1)[0],
        }
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return "".join(lines).encode("utf-8")


RECIPES: dict[str, Callable[[Path], bytes]] = {"alpacaeval_instructions": alpacaeval_instructions}
