"""What a task asks about a document: turns of text and pictures, decoded when they are needed.

lmms-eval has two ways to make a prompt, and a task is loaded for one of them. *chat* takes the turns of
``doc_to_messages`` (or ``doc_to_visual`` and ``doc_to_text`` where a task has none); it is what lmms-eval takes
for models with a chat wrapper, ``llava_hf`` among them. *simple* (its ``--force_simple``) takes ``doc_to_visual`` and
the text with the task's description and examples; pictures stand before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.base import Picture, PictureError, PlumblineError, Role
from harness.lmms.calls import calling, failing_as

if TYPE_CHECKING:
    from PIL.Image import Image

MARKER = "<image>"
"""Where a picture stands in a simple prompt, for those of lmms-eval's model wrappers that read it."""


class Turn(NamedTuple):
    """One message: its pictures, as RGB, stand before its text."""

    role: Role
    text: str
    images: Sequence[Image]


def is_chat(task: Any) -> bool:
    """Whether the task was loaded for chat prompts."""
    return hasattr(task, "doc_to_messages")


def turns_of(task: Any, document: int) -> list[Turn]:
    """What the task asks about a document.

    Raises:
        PictureError: a picture cannot be decoded.
        PlumblineError: the task's code fails, or asks what our messages cannot say.
    """
    place = f"lmms:{task.config.task}, document {document}"
    with failing_as(place), calling(place):
        try:
            if is_chat(task):
                messages = task.doc_to_messages(task.eval_docs[document])
                if not messages:
                    raise _not_asked(place, "it has no message")
                return [_chat_turn(place, message) for message in messages]
            text = plain_text(task, document)
            return [_turn(place, "user", text, task.doc_to_visual(task.eval_docs[document]) or [])]
        except OSError as error:
            raise PictureError(f"{place}: a picture cannot be decoded ({error})") from error


def plain_text(task: Any, document: int) -> str:
    """A simple prompt's text, without the markers of pictures that stand before it anyway."""
    shown = task.eval_docs_no_media[document]
    text: str = task.fewshot_context(shown, task.config.num_fewshot or 0)
    while text.lstrip().startswith(MARKER):
        text = text.lstrip().removeprefix(MARKER).lstrip()
    return text


def _chat_turn(place: str, message: Mapping[str, Any]) -> Turn:
    kinds = [part["type"] for part in message["content"]]
    shown = [part["url"] for part in message["content"] if part["type"] == "image"]
    if strangers := sorted({*kinds} - {"image", "text"}):
        raise _not_asked(place, f"it shows a {strangers[0]}, not a picture")
    if kinds[len(shown) :] != ["text"]:
        raise _not_asked(
            place,
            "its message is not one text behind its pictures. With --set lmms.prompts=simple lmms-eval "
            "puts the pictures first",
        )
    return _turn(place, message["role"], message["content"][-1]["text"], shown)


def _turn(place: str, role: Role, text: Any, shown: Iterable[Any]) -> Turn:
    from PIL.Image import Image

    shown = list(shown)
    if strangers := [type(one).__name__ for one in shown if not isinstance(one, Image)]:
        raise _not_asked(place, f"it shows a {strangers[0]}, not a picture")
    if not isinstance(text, str):
        raise _not_asked(place, f"its question is a {type(text).__name__}, not a text")
    if shown and MARKER in text:
        raise _not_asked(place, f"its pictures stand between words ({text[:60]!r})")
    return Turn(role, text, [image.convert("RGB") for image in shown])


def _not_asked(place: str, reason: str) -> PlumblineError:
    return PlumblineError(f"{place} cannot be asked: {reason}")


@dataclass(frozen=True)
class DocumentPicture:
    """A picture that a task makes of a document. Equal pixels are one picture, wherever they stand.

    Attributes:
        digest: SHA-256 of the pixels.
        task: lmms-eval's task.
        document: its number.
        index: the picture's place among those of the document.
    """

    digest: str
    task: Any = field(compare=False, repr=False)
    document: int = field(compare=False)
    index: int = field(compare=False)

    @property
    def name(self) -> str:
        return f"{self.task.config.task}/{self.document}.{self.index}"

    def load(self) -> Image:
        turns = turns_of(self.task, self.document)
        return [image for turn in turns for image in turn.images][self.index]


@dataclass(frozen=True)
class UnreadablePicture:
    """In place of a document's pictures when one cannot be decoded: its item fails, and no other."""

    name: str
    reason: str

    @property
    def digest(self) -> str:
        raise PictureError(self.reason)

    def load(self) -> Image:
        raise PictureError(self.reason)


def as_pictures(
    task: Any, document: int, turns: Sequence[Turn], known: dict[str, DocumentPicture]
) -> tuple[Picture, ...]:
    """The pictures of a document, one object for equal ones.

    Args:
        task: lmms-eval's task.
        document: its number.
        turns: what the task asks about it.
        known: pictures of earlier documents by digest; new ones are added.
    """
    found = []
    for index, image in enumerate(image for turn in turns for image in turn.images):
        size = f"RGB {image.width}x{image.height} "
        digest = hashlib.sha256(size.encode() + image.tobytes()).hexdigest()
        found.append(known.setdefault(digest, DocumentPicture(digest, task, document, index)))
    return tuple(found)
