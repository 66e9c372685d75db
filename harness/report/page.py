"""One file that needs no network, and in which nothing runs but our own script.

A policy in the page forbids every connection and every script but the one whose hash it names, and lets no script turn text
into markup (trusted types). Data are compressed JSON in elements that browsers do not interpret; the script unpacks a
piece when it is first looked at and puts texts into text nodes only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

STYLES = ("base.css", "overview.css", "samples.css", "media.css")
SCRIPTS = (
    "dom.js",
    "data.js",
    "filter.js",
    "list.js",
    "marks.js",
    "answers.js",
    "detail.js",
    "plots.js",
    "app.js",
)
COMPRESSION = 6
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Categories of characters that are shown by their code point."""

KEPT = "\n\t\u200c\u200d\ufe0f"
"""Of these, those that texts need."""


class Blocks:
    """Named pieces of data, each as an element of the page."""

    def __init__(self) -> None:
        self._encoded: dict[str, str] = {}

    def add(self, name: str, value: Any) -> None:
        """Add a piece: what ``json.dumps`` takes, without NaN."""
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
        packed = zlib.compress(text.encode("ascii"), COMPRESSION)
        self._encoded[name] = base64.b64encode(packed).decode("ascii")

    def add_lines(self, name: str, lines: Iterable[str]) -> None:
        """Add texts of base64 and digits as they are, one a line: pictures are compressed already."""
        self._encoded[name] = "\n".join(lines)

    @property
    def n_bytes(self) -> int:
        return sum(map(len, self._encoded.values()))

    def __contains__(self, name: str) -> bool:
        return name in self._encoded

    def __iter__(self) -> Iterator[tuple[str, Markup]]:
        """Name and content of each; there is nothing in the content that HTML could take for markup."""
        return iter((name, Markup(content)) for name, content in self._encoded.items())


def render(manifest: Mapping[str, Any], blocks: Blocks, **facts: Any) -> bytes:
    """The page.

    Args:
        manifest: what the script needs from the start.
        facts: what the template shows.
    """
    style, script = ("\n".join(map(_template, names)) for names in (STYLES, SCRIPTS))
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["visible"] = visible
    page = environment.from_string(_template("page.html")).render(
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        manifest=_inert(manifest),
        blocks=blocks,
        **facts,
    )
    return page.encode("utf-8", errors="backslashreplace")


def _policy(style: str, script: str) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _inert(value: Any) -> Markup:
    """JSON in which no character means anything to HTML."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def visible(text: object) -> str:
    """A text with what could hide or reorder its characters shown by code point: ⟨U+202E⟩."""
    return "".join(
        f"⟨U+{ord(c):04X}⟩" if c not in KEPT and unicodedata.category(c) in INVISIBLE else c
        for c in str(text)
    )


@cache
def _template(name: str) -> str:
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")
