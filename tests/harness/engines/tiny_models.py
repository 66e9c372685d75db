"""Tiny random checkpoints, built by code and saved as a user's checkpoint would be.

Nothing is downloaded. Weights are drawn wide, so that greedy choices are decided by a margin far
above rounding and an answer depends on the picture.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL = ["<pad>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>", "<image>"]
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}IMAGE\n"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def chat_template(image: str = "<image>") -> str:
    """A chat template whose picture marker is ``image``."""
    return CHAT_TEMPLATE.replace("IMAGE", image)


def byte_tokenizer(
    extra: tuple[str, ...] = (), learn_from: Sequence[str] = (), **named: str
) -> hf.PreTrainedTokenizerFast:
    """A tokenizer with one token per byte, the special tokens above, and ``extra`` ones.

    From ``learn_from`` it learns tokens for whole words.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*SPECIAL, *extra]
    vocabulary = {token: index for index, token in enumerate([*tokens, *alphabet])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, normalized=False) for token in tokens])
    if learn_from:
        trainer = trainers.BpeTrainer(
            vocab_size=2000, special_tokens=tokens, initial_alphabet=alphabet, show_progress=False
        )
        backend.train_from_iterator(learn_from, trainer)
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=list(extra) or None,
        **named,
    )


def randomise(model: hf.PreTrainedModel, scale: float, seed: int = 0) -> None:
    """Draw every matrix with a standard deviation of ``scale`` over the root of its inputs."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() > 1:
            parameter.data = noise * scale / parameter[0].numel() ** 0.5
        elif parameter.numel() == 1:
            # A closed gate would keep the picture out.
            parameter.data = torch.ones_like(parameter)
        elif parameter.std() > 0:
            # Drawn without a seed when the model was made: CLIP's class embedding.
            parameter.data = noise


def save(folder: Path, model: hf.PreTrainedModel, processor: Any, scale: float = 2.0) -> Path:
    """Randomise and write a checkpoint: model, generation config and processor."""
    randomise(model, scale)
    model.generation_config.eos_token_id = 2
    model.generation_config.pad_token_id = 0
    model.generation_config.bos_token_id = 1
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def text_sizes(tokenizer: hf.PreTrainedTokenizerFast, **changes: Any) -> dict[str, Any]:
    """The sizes of a language model with two layers and grouped queries."""
    sizes: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 12,
        "max_position_embeddings": 1024,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "tie_word_embeddings": False,
    }
    return sizes | changes


VISION_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


def build_llama(folder: Path) -> Path:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = chat_template()
    model = hf.LlamaForCausalLM(hf.LlamaConfig(**text_sizes(tokenizer)))
    return save(folder, model, tokenizer)


def build_llava(folder: Path) -> Path:
    tokenizer = byte_tokenizer()
    images = hf.CLIPImageProcessorPil(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}
    )
    processor = hf.LlavaProcessor(
        images,
        tokenizer,
        patch_size=7,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat_template(),
    )
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(**VISION_SIZES, image_size=28, patch_size=7),
        text_config=hf.LlamaConfig(**text_sizes(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        image_seq_length=16,
    )
    return save(folder, hf.LlavaForConditionalGeneration(config), processor)


def build_llava_next(folder: Path) -> Path:
    tokenizer = byte_tokenizer()
    grid = [[28, 56], [56, 28], [56, 56]]
    images = hf.LlavaNextImageProcessorPil(
        size={"shortest_edge": 28},
        crop_size={"height": 28, "width": 28},
        image_grid_pinpoints=grid,
    )
    processor = hf.LlavaNextProcessor(
        images,
        tokenizer,
        patch_size=7,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat_template(),
    )
    config = hf.LlavaNextConfig(
        vision_config=hf.CLIPVisionConfig(**VISION_SIZES, image_size=28, patch_size=7),
        text_config=hf.LlamaConfig(**text_sizes(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        image_grid_pinpoints=grid,
        image_seq_length=16,
    )
    return save(folder, hf.LlavaNextForConditionalGeneration(config), processor)


def build_idefics3(folder: Path) -> Path:
    marks = ("<fake_token_around_image>", "<global-img>", "<end_of_utterance>")
    rows = tuple(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))
    tokenizer = byte_tokenizer(marks + rows)
    images = hf.Idefics3ImageProcessorPil(
        size={"longest_edge": 112}, max_image_size={"longest_edge": 56}
    )
    processor = hf.Idefics3Processor(
        images, tokenizer, image_seq_len=4, chat_template=chat_template()
    )
    config = hf.Idefics3Config(
        vision_config={
            **VISION_SIZES,
            "image_size": 56,
            "patch_size": 14,
            "model_type": "idefics3_vision",
        },
        text_config=hf.LlamaConfig(**text_sizes(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    return save(folder, hf.Idefics3ForConditionalGeneration(config), processor)


def build_paligemma(folder: Path) -> Path:
    tokenizer = byte_tokenizer()
    images = hf.SiglipImageProcessorPil(size={"height": 28, "width": 28})
    images.image_seq_length = 16
    processor = hf.PaliGemmaProcessor(images, tokenizer)
    config = hf.PaliGemmaConfig(
        vision_config=hf.SiglipVisionConfig(
            **VISION_SIZES, image_size=28, patch_size=7, vision_use_head=False
        ),
        text_config=hf.GemmaConfig(**text_sizes(tokenizer)),
        image_token_index=processor.image_token_id,
        tie_word_embeddings=False,
        projection_dim=48,
        hidden_size=48,
    )
    return save(folder, hf.PaliGemmaForConditionalGeneration(config), processor)


def build_gemma3(folder: Path) -> Path:
    tokenizer = byte_tokenizer(
        ("<start_of_image>", "<end_of_image>"),
        image_token="<image>",
        boi_token="<start_of_image>",
        eoi_token="<end_of_image>",
    )
    images = hf.Gemma3ImageProcessorPil(size={"height": 28, "width": 28}, image_seq_length=4)
    processor = hf.Gemma3Processor(
        images, tokenizer, chat_template=chat_template("<start_of_image>"), image_seq_length=4
    )
    config = hf.Gemma3Config(
        vision_config=hf.SiglipVisionConfig(
            **VISION_SIZES, image_size=28, patch_size=7, vision_use_head=False
        ),
        text_config=hf.Gemma3TextConfig(
            **text_sizes(tokenizer), sliding_window=512, query_pre_attn_scalar=12
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=False,
        boi_token_index=tokenizer.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<end_of_image>"),
        mm_tokens_per_image=4,
    )
    return save(folder, hf.Gemma3ForConditionalGeneration(config), processor)


def save_parts(
    folder: Path, model: hf.PreTrainedModel, images: Any, tokenizer: Any, processor: dict[str, Any]
) -> Path:
    """Write a checkpoint whose processor wants a video part, which needs torchvision to exist.

    The layout is that of such checkpoints on the hub: the parts, and the class by its name.
    """
    save(folder, model, tokenizer)
    images.save_pretrained(folder)
    template = processor.pop("chat_template")
    (folder / "chat_template.jinja").write_text(template)
    (folder / "processor_config.json").write_text(json.dumps(processor))
    return folder


QWEN_MARKS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"


def qwen_ids(tokenizer: hf.PreTrainedTokenizerFast) -> dict[str, int]:
    names = ("vision_start_token_id", "vision_end_token_id", "image_token_id", "video_token_id")
    return dict(zip(names, tokenizer.convert_tokens_to_ids(list(QWEN_MARKS)), strict=True))


def build_qwen2_5_vl(folder: Path) -> Path:
    tokenizer = byte_tokenizer(QWEN_MARKS)
    images = hf.Qwen2VLImageProcessorPil(
        size={"shortest_edge": 28 * 28, "longest_edge": 28 * 28 * 16},
        patch_size=14,
        temporal_patch_size=2,
        merge_size=2,
    )
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 2, 2]}
    config = hf.Qwen2_5_VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 4,
            "out_hidden_size": 48,
            "patch_size": 14,
            "window_size": 56,
            "fullatt_block_indexes": [1],
        },
        text_config=text_sizes(tokenizer, rope_parameters=rope),
        **qwen_ids(tokenizer),
    )
    model = hf.Qwen2_5_VLForConditionalGeneration(config)
    template = chat_template(QWEN_IMAGE)
    return save_parts(
        folder,
        model,
        images,
        tokenizer,
        {"processor_class": "Qwen2_5_VLProcessor", "chat_template": template},
    )


def build_qwen3_vl(folder: Path) -> Path:
    tokenizer = byte_tokenizer(QWEN_MARKS)
    images = hf.Qwen2VLImageProcessorPil(
        size={"shortest_edge": 32 * 32, "longest_edge": 32 * 32 * 16},
        patch_size=16,
        temporal_patch_size=2,
        merge_size=2,
    )
    rope = {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "mrope_section": [2, 2, 2],
        "mrope_interleaved": True,
    }
    config = hf.Qwen3VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 4,
            "out_hidden_size": 48,
            "patch_size": 16,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
        text_config=text_sizes(tokenizer, rope_parameters=rope),
        **qwen_ids(tokenizer),
    )
    model = hf.Qwen3VLForConditionalGeneration(config)
    template = chat_template(QWEN_IMAGE)
    return save_parts(
        folder,
        model,
        images,
        tokenizer,
        {"processor_class": "Qwen3VLProcessor", "chat_template": template},
    )


def build_internvl(folder: Path) -> Path:
    marks = ("<img>", "</img>", "<IMG_CONTEXT>", "<video>")
    names = ("start_image_token", "end_image_token", "context_image_token", "video_token")
    tokenizer = byte_tokenizer(marks, **dict(zip(names, marks, strict=True)))
    images = hf.GotOcr2ImageProcessorPil(
        size={"height": 28, "width": 28}, crop_to_patches=True, min_patches=1, max_patches=4
    )
    config = hf.InternVLConfig(
        vision_config={**VISION_SIZES, "image_size": [28, 28], "patch_size": [7, 7]},
        text_config=hf.Qwen2Config(**text_sizes(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    model = hf.InternVLForConditionalGeneration(config)
    template = chat_template("<IMG_CONTEXT>")
    return save_parts(
        folder,
        model,
        images,
        tokenizer,
        {"processor_class": "InternVLProcessor", "image_seq_length": 4, "chat_template": template},
    )


def build_mllama(folder: Path) -> Path:
    tokenizer = byte_tokenizer(("<|image|>",))
    images = hf.MllamaImageProcessorPil(size={"height": 28, "width": 28}, max_image_tiles=2)
    processor = hf.MllamaProcessor(images, tokenizer, chat_template=chat_template("<|image|>"))
    config = hf.MllamaConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 4,
            "image_size": 28,
            "patch_size": 7,
            "max_num_tiles": 2,
            "intermediate_layers_indices": [0],
            "vision_output_dim": 64,
            "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
        },
        text_config=text_sizes(
            tokenizer, num_hidden_layers=3, cross_attention_layers=[1], hidden_size=48
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<|image|>"),
    )
    return save(folder, hf.MllamaForConditionalGeneration(config), processor)


def build_lfm2(folder: Path) -> Path:
    """A text model with a convolution among its layers: its state is no sequence of keys."""
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = chat_template()
    sizes = text_sizes(tokenizer, layer_types=["conv", "full_attention"], block_ff_dim=96)
    return save(folder, hf.Lfm2ForCausalLM(hf.Lfm2Config(**sizes)), tokenizer)


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "llama": build_llama,
    "llava": build_llava,
    "llava_next": build_llava_next,
    "idefics3": build_idefics3,
    "paligemma": build_paligemma,
    "gemma3": build_gemma3,
    "qwen2_5_vl": build_qwen2_5_vl,
    "qwen3_vl": build_qwen3_vl,
    "internvl": build_internvl,
    "mllama": build_mllama,
    "lfm2": build_lfm2,
}


def tiny_folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of a checkpoint by the name of its architecture; each is built when first asked for."""
    hf.logging.disable_progress_bar()
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            torch.manual_seed(0)
            made[name] = BUILDERS[name](tmp_path_factory.mktemp(name))
        return made[name]

    return get
