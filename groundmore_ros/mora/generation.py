# SPDX-License-Identifier: Apache-2.0
"""What the language model says: generated word by word, or a fixed answer read in one pass.

Shape legend: B sequences, L tokens, E the language model's width, A tokens of an answer.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from groundmore_ros.errors import BadQuestionError
from groundmore_ros.mora.conversation import Part
from groundmore_ros.mora.modeling import MoraForCausalLM
from groundmore_ros.mora.tokenization import IMAGE_ID, MoraTokenizer

__all__ = ["BATCH", "Said", "generate", "prefill", "prompt_embeddings"]

BATCH = 8  # sequences at a time


class Said(NamedTuple):
    """One answer.

    Attributes:
        ids: A tokens, the end of the sentence included where it was reached.
        states: (A, E), the states that predict them.
        log_chances: (A,) of each token.
        likeliest: (A,) the token that each state finds likeliest.
    """

    ids: list[int]
    states: Tensor
    log_chances: Tensor
    likeliest: list[int]


def prompt_embeddings(
    model: MoraForCausalLM, tokenizer: MoraTokenizer, parts: list[Part], tokens: Tensor
) -> Tensor:
    """A prompt (B, L, E) with visual tokens (B, V, E) where the picture stands.

    Raises:
        BadQuestionError: prompt and answer are more than the model's positions.
    """
    ids = tokenizer.encode(parts)
    split = ids.index(IMAGE_ID)
    embed = model.get_input_embeddings()
    before, after = (
        embed(torch.tensor(part, device=tokens.device, dtype=torch.long)).expand(
            len(tokens), -1, -1
        )
        for part in (ids[:split], ids[split + 1 :])
    )
    prompt = torch.cat([before, tokens.to(before.dtype), after], dim=1)
    most = model.config.text_config.max_position_embeddings
    room = model.config.max_new_tokens
    if prompt.shape[1] + room > most:
        raise BadQuestionError(
            f"clip and question take {prompt.shape[1]} tokens and the answer up to {room}; the "
            f"model has {most} positions"
        )
    return prompt


def generate(
    model: MoraForCausalLM, tokenizer: MoraTokenizer, prompts: Sequence[Tensor]
) -> list[Said]:
    """Answers to prompts, each (L, E) of a length of its own: the likeliest token each time."""
    said: list[Said] = []
    for batch, mask in _batches(prompts):
        out = model.generate(
            inputs_embeds=batch,
            attention_mask=mask,
            max_new_tokens=model.config.max_new_tokens,
            do_sample=False,
            eos_token_id=tokenizer.eos,
            pad_token_id=tokenizer.eos,
            return_dict_in_generate=True,
            output_hidden_states=True,
            output_logits=True,
        )
        states = torch.stack([step[0][:, -1] for step in out.hidden_states], dim=1)  # (b, A, E)
        logits = torch.stack(out.logits, dim=1)  # (b, A, words)
        for ids, state, logit in zip(out.sequences, states, logits, strict=True):
            length = _length(ids.tolist(), tokenizer.eos)
            said.append(_said(ids[:length], state[:length], logit[:length]))
    return said


def prefill(
    model: MoraForCausalLM, tokenizer: MoraTokenizer, prompts: Sequence[Tensor], answer: str
) -> list[Said]:
    """The same fixed answer behind prompts (L, E): its states, in one pass without decoding."""
    device = prompts[0].device
    ids = torch.tensor(tokenizer.encode_answer(answer), device=device)  # (A,)
    words = model.get_input_embeddings()(ids[:-1])
    said: list[Said] = []
    for x, mask in _batches([torch.cat([prompt, words]) for prompt in prompts]):
        hidden = model.language_model(
            inputs_embeds=x,  # (b, L + A - 1, E)
            attention_mask=mask,
            position_ids=(mask.cumsum(1) - 1).clamp(min=0),
            use_cache=False,
        ).last_hidden_state
        states = hidden[:, -len(ids) :]  # the first is the prompt's last
        said += [_said(ids, s, model.lm_head(s)) for s in states]
    return said


def _batches(prompts: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Prompts (L, E) as batches (b, L, E), padded at their left, and masks (b, L) of them."""
    for first in range(0, len(prompts), BATCH):
        some = prompts[first : first + BATCH]
        longest = max(len(p) for p in some)
        batch = torch.stack([functional.pad(p, (0, 0, longest - len(p), 0)) for p in some])
        lengths = torch.tensor([len(p) for p in some], device=batch.device)
        places = torch.arange(longest, device=batch.device)
        yield batch, (places >= longest - lengths[:, None]).long()


def _length(ids: list[int], eos: int) -> int:
    return ids.index(eos) + 1 if eos in ids else len(ids)


def _said(ids: Tensor, states: Tensor, logits: Tensor) -> Said:
    chances = logits.float().log_softmax(-1)
    return Said(
        ids.tolist(), states, chances.gather(1, ids[:, None])[:, 0], chances.argmax(-1).tolist()
    )
