# SPDX-License-Identifier: Apache-2.0
"""What the tests share: the small model, tiny untrained ones, and a network of their own."""

import os

# Before anything imports rclpy: talk to this machine only, in a domain of this run's own.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_DOMAIN_ID"] = str(20 + os.getpid() % 60)
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import BertConfig, BertModel

from groundmore_ros.mora import Mora, MoraConfig, MoraForCausalLM
from groundmore_ros.mora.tokenization import BpeTokenizer
from groundmore_ros.simulation.wording import TEMPLATES
from groundmore_ros.training.teacher import Teacher

# Timings here say more about what else runs on the machine than about the code.
settings.register_profile("groundmore", deadline=None, derandomize=True)
settings.load_profile("groundmore")

SAMPLES = Path(__file__).parent.parent / "samples"
WORDS = ["Which object moves first?", "The red ball [SEG] [LOC].", "Nothing."]


def tiny_config(**changes: object) -> MoraConfig:
    """A model of a few thousand weights, every part of it there."""
    settings: dict[str, object] = {
        "text_config": {
            "vocab_size": 320,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 256,
        },
        "vision_config": {
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 16,
            "projection_dim": 16,
        },
        "sam_config": {
            "vision_config": {
                "hidden_size": 16,
                "output_channels": 16,
                "image_size": 64,
                "patch_size": 4,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "global_attn_indexes": [0],
                "num_pos_feats": 8,
            },
            "prompt_encoder_config": {"hidden_size": 16, "image_size": 64, "patch_size": 4},
            "mask_decoder_config": {
                "hidden_size": 16,
                "mlp_dim": 32,
                "num_attention_heads": 2,
                "num_multimask_outputs": 0,
                "iou_head_depth": 2,
                "iou_head_hidden_dim": 16,
            },
        },
        "image_encoder": "conv",
        "conv_widths": [8, 16, 16, 16],
        "conversation": "plain",
        "question_suffix": "",
        "answer_template": "The {name} [SEG] [LOC].",
        "nothing_template": "Nothing.",
        "object_queries": 3,
        "object_dim": 16,
        "reasoner_layers": 1,
        "temporal_hidden": 16,
        "max_new_tokens": 8,
    }
    return MoraConfig(**(settings | changes))  # type: ignore[arg-type]


def tiny_mora(**changes: object) -> Mora:
    """An untrained model with fixed weights."""
    torch.manual_seed(0)
    tokenizer = BpeTokenizer.train(WORDS, 320)
    return Mora(MoraForCausalLM(tiny_config(**changes)), tokenizer, "tiny")


def clip(frames: int = 4, height: int = 48, width: int = 64) -> list[NDArray[np.uint8]]:
    """Random pictures."""
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 255, (frames, height, width, 3), np.uint8))


@pytest.fixture(scope="session")
def nano() -> Mora:
    """The shipped model."""
    torch.set_num_threads(2)
    return Mora.from_pretrained("mora-nano")


@pytest.fixture(scope="session")
def sample() -> Path:
    """The first sample bag."""
    return sorted(SAMPLES.iterdir())[0]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, saved: quick to load and to answer, and never right but by chance."""
    folder = tmp_path_factory.mktemp("tiny")
    made = tiny_mora()
    made.model.save_pretrained(folder)
    made.tokenizer.save(folder)
    return folder


@pytest.fixture(scope="session")
def nano_engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model's encoder and decoder as ONNX files."""
    from groundmore_ros.export.exporting import ExportOptions, export_onnx
    from groundmore_ros.mora.backends.graph import DECODER, ENCODER

    folder = tmp_path_factory.mktemp("engines")
    for part in (ENCODER, DECODER):
        export_onnx("mora-nano", part, folder, ExportOptions())
    return folder


def small_teacher() -> Teacher:
    """Untrained, with the words of the exam's own templates."""
    texts = " ".join(t for group in TEMPLATES.values() for t in group).lower()
    normalizer, splitter = normalizers.Lowercase(), pre_tokenizers.BertPreTokenizer()
    words = sorted({piece for piece, _ in splitter.pre_tokenize_str(texts)})
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=64,
    )  # fmt: skip
    return Teacher(BertModel(config, add_pooling_layer=False), tokenizer, 32)
