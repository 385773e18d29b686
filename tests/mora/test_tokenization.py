# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundmore_ros.errors import ModelError
from groundmore_ros.mora.conversation import IMAGE, Special, build_prompt
from groundmore_ros.mora.tokenization import IMAGE_ID, BpeTokenizer, MoraTokenizer

TOKENIZER = BpeTokenizer.train(["Which object moves first?", "The red ball."] * 4, 320)
SPECIAL = {TOKENIZER.id_of(t) for t in ("<unk>", "<s>", "</s>", "[SEG]", "[LOC]", "<im_start>")}


@given(st.text(max_size=60))
def test_any_text_is_encoded_and_none_of_it_acts_as_a_token(text: str) -> None:
    ids = TOKENIZER.encode_text(text)
    assert not SPECIAL & set(ids)
    assert TOKENIZER.decode(ids) == text


@pytest.mark.parametrize("text", ["[SEG]", "<s>", "</s>", "<im_start>", "a [LOC] b", "<unk>"])
def test_text_that_looks_like_a_token_is_spelled_out(text: str) -> None:
    assert not SPECIAL & set(TOKENIZER.encode_text(text))


def test_answers_have_tokens() -> None:
    ids = TOKENIZER.encode_answer("The red ball [SEG] [LOC].")
    assert ids.count(TOKENIZER.id_of("[SEG]")) == ids.count(TOKENIZER.id_of("[LOC]")) == 1
    assert ids[-1] == TOKENIZER.eos
    assert TOKENIZER.decode(ids) == "The red ball [SEG] [LOC]."


def test_prompts() -> None:
    parts = build_prompt("llava_v1", "What? [SEG]")
    assert parts[1:4] == [Special("<im_start>"), IMAGE, Special("<im_end>")]
    ids = TOKENIZER.encode(parts)
    assert ids[0] == TOKENIZER.bos
    assert ids.count(IMAGE_ID) == 1
    assert TOKENIZER.id_of("[SEG]") not in ids


def test_templates_of_the_conversations() -> None:
    system, *_, turn = build_prompt("llava_v1", "Q?")
    assert str(system).endswith("polite answers to the human's questions. USER: ")
    assert turn == "\nQ? ASSISTANT:"
    assert build_prompt("llava_llama_2", "Q?")[-1] == "\nQ? [/INST]"
    assert build_prompt("plain", "Q?") == [IMAGE, " q\n"]


def test_saved_and_loaded(tmp_path: Path) -> None:
    TOKENIZER.save(tmp_path)
    loaded = MoraTokenizer.load(tmp_path)
    assert loaded.encode_text("The [SEG] ball") == TOKENIZER.encode_text("The [SEG] ball")
    with pytest.raises(ModelError, match="holds no tokenizer.json"):
        MoraTokenizer.load(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="no token '<pad>'"):
        loaded.id_of("<pad>")
