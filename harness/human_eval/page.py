"""A handout as one offline page to annotate in.

Texts and pictures are data in it, never markup: the script puts them in as text nodes and as sources of images. A
policy in its head lets nothing run but its own script, and nothing be fetched.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from string import Template

from harness.human_eval.handout import Handout

_HERE = Path(__file__).parent


def page_html(handout: Handout) -> str:
    """The page."""
    style, script = (_source(name) for name in ("page.css", "page.js"))
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return Template(_source("page.html")).substitute(
        policy=policy, style=style, script=script, data=_inert(_data(handout))
    )


def _data(handout: Handout) -> dict[str, object]:
    digests = list(handout.pictures)
    rubric = handout.rubric
    return {
        "sheet": handout.sheet_id,
        "title": handout.title,
        "rubric": {
            "name": rubric.name,
            "title": rubric.title,
            "task": rubric.task,
            "sides": rubric.sides,
            "options": [asdict(option) for option in rubric.options],
        },
        "tasks": [
            {
                "id": row.id,
                "question": row.question,
                "reference": row.reference,
                "responses": row.responses,
                "pictures": [digests.index(digest) for digest in row.pictures],
                "pictureNames": row.picture_names,
            }
            for row in handout.rows
        ],
        "pictures": [handout.pictures[digest].data_uri for digest in digests],
    }


def _inert(data: object) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(data, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(source: str) -> str:
    """What a content security policy calls an inline script or style."""
    digest = hashlib.sha256(source.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _source(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
