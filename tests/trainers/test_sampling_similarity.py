"""How alike two answers are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.base import PlumblineError
from tests.harness.engines.tiny_models import byte_tokenizer
from trainers.sampling.similarity import Texts, ngram_cosine, open_similarity


@given(st.text(max_size=60), st.text(max_size=60))
def test_it_is_symmetric_and_from_0_to_1(first: str, second: str) -> None:
    value = ngram_cosine(first, second)
    assert 0 <= value <= 1 + 1e-9
    assert value == pytest.approx(ngram_cosine(second, first))
    assert ngram_cosine(first, first) == 1.0


def test_one_word_matters_less_in_a_long_text() -> None:
    assert ngram_cosine("The cup is red.", "the cup is RED") == 1.0
    assert ngram_cosine("Yes", "No") == 0.0
    short = ngram_cosine("The cup is red.", "The cup is blue.")
    words = " ".join(f"word{number}" for number in range(60))
    assert short == pytest.approx(5 / 7)
    assert short < 0.97 < ngram_cosine(f"{words} red", f"{words} blue") < 1.0
    assert ngram_cosine("a b c", "c b a") < 1.0


def test_an_embedding_model_pools_its_tokens(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=64,
    )  # fmt: skip
    model = transformers.BertModel(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    texts = [Texts("A cup.", "A much longer sentence."), Texts("Same.", "Same.")]
    found = open_similarity(str(tmp_path))(texts)
    assert found[1] == pytest.approx(1.0)
    means = [
        model(**tokenizer(text, return_tensors="pt")).last_hidden_state.mean(1) for text in texts[0]
    ]
    assert found[0] == pytest.approx(torch.cosine_similarity(*means).item(), abs=1e-5)


def test_a_name_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlumblineError, match="write ngrams, or"):
        open_similarity("words")
    with pytest.raises(PlumblineError, match="embedding model cannot be loaded"):
        open_similarity(str(tmp_path))
