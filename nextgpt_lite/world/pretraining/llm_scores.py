"""Examination of the lite language model: exact answers, skill by skill.

Knows: the skills, their questions and the marking. Leaves to others: who writes the conversations
(`world.dialogue`), how they become ids (`llm_data`).

Every answer is greedy and right only when equal to the expected one letter for letter; earlier
turns of a conversation are given as they should be.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase as Tokenizer

from nextgpt_lite.data.records import Record
from nextgpt_lite.messages import Message
from nextgpt_lite.world.dialogue import records as dialogue
from nextgpt_lite.world.dialogue.corpus import in_words
from nextgpt_lite.world.pretraining.llm_data import Batch, Reader, Reading, embed, pack
from nextgpt_lite.world.scene import MODALITIES, Split

LONGEST_ANSWER = 80
AT_ONCE = 50
SPLITS: tuple[Split, ...] = ("train", "held_out")

Messages = list[Message]
Scores = dict[str, dict[str, float]]


def _described(rng: Random, split: Split) -> Record:
    return dialogue.pair(rng, rng.choice(MODALITIES), split)


# Name of the skill: who makes its conversations, and whether alt text is given as soft words.
SKILLS: dict[str, tuple[Callable[[Random, Split], Record], bool]] = {
    **{skill: (partial(dialogue.skill_record, skill), False) for skill in dialogue.SKILLS},
    "dialogue, last turn": (partial(dialogue.mosit, tells=1.0), False),
    "question about alt text": (dialogue.understand, False),
    "caption of alt text": (_described, False),
    "question about soft words": (dialogue.understand, True),
    "caption of soft words": (_described, True),
    "talk and knowledge": (dialogue.text, False),
}


def scores(
    model: LlamaForCausalLM, tokenizer: Tokenizer, count: int = 200, seed: int = 1
) -> Scores:
    """Share of exact answers by skill, for training wordings and for held-out ones.

    Args:
        model: in float32 or bfloat16.
        tokenizer: its own.
        count: questions a skill and split.
        seed: of questions that training, with its own seeds, has not drawn.
    """
    found: Scores = {}
    for skill in SKILLS:
        found[skill] = {}
        for split in SPLITS:
            found[skill][split] = sum(examine(model, tokenizer, skill, split, count, seed)) / count
    return found


def examine(
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    skill: str,
    split: Split,
    count: int,
    seed: int = 1,
) -> list[bool]:
    """Which of `count` questions of a skill are answered exactly."""
    make, soft = SKILLS[skill]
    rng = Random(f"{seed}/{skill}/{split}")
    restated = skill in dialogue.SKILLS
    asked = [in_words(make(rng, split), rng, restated) for _ in range(count)]
    given = answer(model, tokenizer, [m[:-1] for m in asked], rng, soft)
    return [a == m[-1]["content"] for a, m in zip(given, asked, strict=True)]


@torch.inference_mode()
def answer(
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    conversations: list[Messages],
    rng: Random,
    soft: bool = False,
) -> list[str]:
    """Greedy replies to conversations that end with the user's turn."""
    reader = Reader(tokenizer, soft=float(soft))
    readings = [reader.read(messages, rng) for messages in conversations]
    order = sorted(range(len(readings)), key=lambda i: len(readings[i].ids))
    replies = [""] * len(readings)
    for begin in range(0, len(order), AT_ONCE):
        chosen = order[begin : begin + AT_ONCE]
        embeddings, mask = _padded(model, [readings[i] for i in chosen])
        ids = model.generate(
            inputs_embeds=embeddings,
            attention_mask=mask,
            max_new_tokens=LONGEST_ANSWER,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
        )
        texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
        for index, text in zip(chosen, texts, strict=True):
            replies[index] = text.strip()
    return replies


def _padded(model: LlamaForCausalLM, readings: list[Reading]) -> tuple[Tensor, Tensor]:
    """Embeddings (B, S, D) padded on the left, and the mask (B, S)."""
    table = model.get_input_embeddings().weight
    longest = max(len(reading.ids) for reading in readings)
    generator = torch.Generator().manual_seed(0)
    rows = []
    for reading in readings:
        batch = pack(iter([reading]), rows=1, length=len(reading.ids))
        batch = Batch(*(tensor.to(table.device) for tensor in batch))
        rows.append(embed(table, batch, generator)[0])  # (S, D)
    padded = torch.stack([F.pad(row, (0, 0, longest - len(row), 0)) for row in rows])
    lengths = torch.tensor([len(row) for row in rows])[:, None]  # (B, 1)
    mask = torch.arange(longest)[None] >= longest - lengths  # (B, S)
    return padded, mask.long().to(table.device)


def table(found: Scores) -> str:
    """The scores as Markdown rows."""
    rows = ["| skill | seen wordings | held-out wordings |", "|---|---|---|"]
    rows += [f"| {skill} | {s['train']:.1%} | {s['held_out']:.1%} |" for skill, s in found.items()]
    return "\n".join(rows)
