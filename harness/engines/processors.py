"""Loading a checkpoint's processor, also where torchvision is absent, and remembering its work.

Nothing here imports torch or transformers before it is called.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from benchmarks.base import PlumblineError

PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")

# How the library says that a package is missing.
_MISSING = re.compile(
    r"pip install ([\w.\-]+)|requires the (\w+) library|requires `(\w+)` to be installed"
    r"|Missing optional dependencies: (\w+)"
)


@contextmanager
def explained(where: Path, part: str) -> Iterator[None]:
    """Turn the library's errors about a checkpoint into one that names the place and the remedy."""
    from safetensors import SafetensorError

    try:
        yield
    except (
        ImportError,
        OSError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        RuntimeError,
        SafetensorError,
        UnpicklingError,
    ) as error:
        brief = " ".join(str(error).split())[:500] or type(error).__name__
        problem = f"{where}: the {part} cannot be loaded: {brief}"
        if found := _MISSING.search(brief):
            package = next(name for name in found.groups() if name).lower()
            problem = (
                f"{where}: the {part} needs a package that is not installed: "
                f"pip install {package} ({brief})"
            )
        raise PlumblineError(problem) from error


def load_tokenizer(folder: Path, gguf_file: str | None, trust_remote_code: bool) -> Any:
    """The tokenizer of a text model. Raises PlumblineError when the folder has none."""
    from transformers import AutoTokenizer

    if gguf_file is not None:
        with explained(folder / gguf_file, "tokenizer"):
            return AutoTokenizer.from_pretrained(folder, gguf_file=gguf_file)
    if not any((folder / name).exists() for name in TOKENIZER_FILES):
        raise PlumblineError(
            f"{folder}: there is no tokenizer ({', '.join(TOKENIZER_FILES)}); copy the tokenizer "
            "files of the model that this one was trained from into the folder"
        )
    with explained(folder, "tokenizer"):
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)


def load_processor(folder: Path, config: Any, trust_remote_code: bool) -> Any:
    """The processor of an image-text model. Raises PlumblineError when it cannot be had."""
    from transformers import AutoProcessor, ProcessorMixin

    if not has_processor(folder):
        raise PlumblineError(
            f"{folder}: there is no processor ({' or '.join(PROCESSOR_FILES)}); copy the processor "
            "and tokenizer files of the model that this one was trained from into the folder"
        )
    load_tokenizer(folder, None, trust_remote_code)
    with explained(folder, "processor"):
        pictures_only = None if find_spec("torchvision") else _without_videos(folder, config)
        if pictures_only is not None:
            processor = pictures_only.from_pretrained(folder, trust_remote_code=trust_remote_code)
        else:
            processor = AutoProcessor.from_pretrained(folder, trust_remote_code=trust_remote_code)
    if not isinstance(processor, ProcessorMixin):
        raise PlumblineError(
            f"{folder}: only a {type(processor).__name__} was found where a processor for pictures "
            "and text is needed; add processor_config.json of the model that this one comes from"
        )
    return processor


def has_processor(folder: Path) -> bool:
    """Whether a folder holds a processor for pictures."""
    return any((folder / name).exists() for name in PROCESSOR_FILES)


def _without_videos(folder: Path, config: Any) -> Any | None:
    """A subclass of the checkpoint's processor that asks for no video part, or None if not needed.

    A video part can only be constructed with torchvision, and without it the library refuses the
    whole processor, although pictures are prepared with PIL alone.
    """
    known = _processor_class(folder, config)
    if known is None or known.get_attributes()[-1] != "video_processor":
        return None

    def get_attributes(cls: type) -> list[str]:
        return [name for name in known.get_attributes() if name != "video_processor"]

    def get_arguments(cls: type, *args: Any, **kwargs: Any) -> list[Any]:
        parts = known._get_arguments_from_pretrained.__func__(cls, *args, **kwargs)
        return [*parts, None]

    members: dict[str, Any] = {
        "get_attributes": classmethod(get_attributes),
        "_get_arguments_from_pretrained": classmethod(get_arguments),
    }
    return type(known.__name__, (known,), members)


def _processor_class(folder: Path, config: Any) -> Any | None:
    import transformers
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    for name in (*PROCESSOR_FILES, "tokenizer_config.json"):
        path = folder / name
        if path.exists():
            class_name = json.loads(path.read_text(encoding="utf-8")).get("processor_class")
            if class_name and hasattr(transformers, class_name):
                return getattr(transformers, class_name)
    return PROCESSOR_MAPPING.get(type(config), None)


def builds_prompts(processor: Any) -> bool:
    """Whether a processor puts the picture's tokens before a plain text by itself."""
    from PIL import Image

    try:
        inputs = processor(text="?", images=[[Image.new("RGB", (32, 32))]])
    except (ValueError, TypeError, KeyError):
        return False
    return processor.image_token_id in inputs["input_ids"][0]


class PictureMemo:
    """Prepares the pictures of one group once, however many prompts the processor is given.

    It stands in for one image processor's ``preprocess`` and remembers the last few results, keyed
    by the picture objects themselves; the objects are held, so that a key cannot be taken over by
    another.
    """

    def __init__(self, image_processor: Any, size: int = 8) -> None:
        self._preprocess = image_processor.preprocess
        self._size = size
        self._kept: dict[tuple[Any, ...], tuple[Any, Any]] = {}
        # Set on the instance: the library's __call__ looks it up there before the class.
        image_processor.preprocess = self

    def __call__(self, images: Any, *args: Any, **kwargs: Any) -> Any:
        key = (_identity(images), repr(args), repr(sorted(kwargs.items())))
        if key not in self._kept:
            while len(self._kept) >= self._size:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = (images, self._preprocess(images, *args, **kwargs))
        features = self._kept[key][1]
        # Processors pop entries from what they get, so each caller has its own dictionary.
        return type(features)(data=dict(features))


def _identity(images: Any) -> Any:
    if isinstance(images, Sequence):
        return tuple(_identity(image) for image in images)
    return id(images)
