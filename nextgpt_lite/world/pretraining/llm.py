"""The lite language model: a small Llama that knows the lite world and is then frozen.

Knows: its size, its loss, how it is trained, exported and examined.
Leaves to others: the conversations (`world.dialogue`), rows of ids (`llm_data`), the steps
(`training.part`).
"""

from __future__ import annotations

import copy
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerBase as Tokenizer

from nextgpt_lite.messages import Message
from nextgpt_lite.training.part import PartTrainer
from nextgpt_lite.world.describe import caption, paraphrase
from nextgpt_lite.world.dialogue.corpus import RESTATE
from nextgpt_lite.world.dialogue.parts import sentence
from nextgpt_lite.world.dialogue.records import llm_corpus
from nextgpt_lite.world.dialogue.typed.records import typed_corpus
from nextgpt_lite.world.pretraining.llm_data import LOOSE, Batch, Reader, batches, embed
from nextgpt_lite.world.pretraining.llm_scores import scores, table
from nextgpt_lite.world.pretraining.parts import HOW, How, begin, write_card
from nextgpt_lite.world.pretraining.tokenizers import extended, llm_tokenizer
from nextgpt_lite.world.scene import MODALITIES, sample_scene

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPS = 1800
ROWS = 16  # a step
RATE = 1.5e-3  # of both optimizers
TYPED_VOCABULARY = 4096  # ids where people type; the first are those of the world's own words
CAPTIONS = 0.12  # share of conversations that are a caption in other words
TOKENIZER_CONVERSATIONS = 20_000


def corpus(rng: Random, typed: float = 0.0) -> Iterator[list[Message]]:
    """Endless conversations: those of the world, and now and then a caption in other words.

    Args:
        typed: share of conversations whose user types as people do; without any, the draws are
            those of the shipped weights.
    """
    talk, people = llm_corpus(rng), typed_corpus(rng)
    while True:
        if typed and rng.random() < typed:
            yield next(people)
            continue
        if rng.random() > CAPTIONS:
            yield next(talk)
            continue
        scene = sample_scene(rng.choice(MODALITIES), rng, "any", None)
        wording = sentence(paraphrase(scene, rng))
        if rng.random() < 0.4 and not typed:  # words alone, as in the second stage
            asked, answer = "", wording
        else:
            asked, answer = RESTATE + wording, sentence(caption(scene))
        yield [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]


def _typed_texts() -> Iterator[str]:
    """What people type, for the further merges of the tokenizer."""
    for messages in islice(typed_corpus(Random(0)), TOKENIZER_CONVERSATIONS):
        yield from (str(message["content"]) for message in messages[::2])


def build_tokenizer() -> Tokenizer:
    """The tokenizer of the lite LLM; always the same for the same corpus."""

    def words() -> Iterator[str]:
        for messages in islice(corpus(Random(0)), TOKENIZER_CONVERSATIONS):
            for asked, answer in zip(messages[::2], messages[1::2], strict=True):
                yield f"USER: {asked['content']} ASSISTANT: {answer['content']}"

    return llm_tokenizer(words())


def widened(model: LlamaForCausalLM, former: Tokenizer, tokenizer: Tokenizer) -> LlamaForCausalLM:
    """The model for a tokenizer that `extended` its own: each new row begins as a mean of the
    pieces that it stands for."""
    wider = begin("llm", vocab_size=len(tokenizer))
    state = wider.state_dict()
    names = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    for name, values in model.state_dict().items():
        state[name][: len(values)] = values
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        for index in range(len(former), len(tokenizer)):
            pieces = [t.id for t in former.backend_tokenizer.model.tokenize(names[index])]
            state[name][index] = state[name][pieces].mean(0)
    wider.load_state_dict(state)
    return wider


def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
    """Cross-entropy of what the assistant says; conversations in one row do not see each other."""
    assert isinstance(model, LlamaForCausalLM)
    batch = Batch(*(tensor.to(model.device) for tensor in batch))
    same = batch.document[:, :, None] == batch.document[:, None, :]  # (B, S, S)
    hidden = model.get_decoder()(
        inputs_embeds=embed(model.get_input_embeddings().weight, batch, generator),
        attention_mask=torch.where(same.tril(), 0.0, -1e4)[:, None],  # (B, 1, S, S)
        position_ids=batch.position,
        use_cache=False,
    ).last_hidden_state  # (B, S, D)
    said = batch.said[:, 1:]
    logits = model.get_output_embeddings()(hidden[:, :-1][said])  # (P, V)
    return {"words": F.cross_entropy(logits.float(), batch.ids[:, 1:][said])}


def train(
    output: str | Path,
    how: How = HOW,
    *,
    steps: int = STEPS,
    start: str | Path | None = None,
    typed: float = 0.0,
) -> Path:
    """Trains the model in `output` and writes it, examined, to `output/export`, returned.

    Args:
        start: a model folder whose weights and tokenizer to go on with.
        typed: share of conversations whose user types as people do.
    """
    output = Path(output)
    trainer, tokenizer = _trainer(output, steps, how, start, typed)
    trainer.run(how.resume)
    export(trainer, tokenizer, output / "export")
    return output / "export"


def _trainer(
    output: Path, steps: int, how: How = HOW, start: str | Path | None = None, typed: float = 0.0
) -> tuple[PartTrainer, Tokenizer]:
    saved = output / "tokenizer"
    if start is not None and not saved.is_dir():
        tokenizer = AutoTokenizer.from_pretrained(start, local_files_only=True)
        if typed and len(tokenizer) < TYPED_VOCABULARY:
            tokenizer = extended(tokenizer, _typed_texts(), TYPED_VOCABULARY)
        tokenizer.save_pretrained(saved)
    elif not saved.is_dir():
        build_tokenizer().save_pretrained(saved)
    tokenizer = AutoTokenizer.from_pretrained(saved, local_files_only=True)
    torch.manual_seed(how.seed)
    model = begin("llm", start, vocab_size=len(tokenizer))
    if start is not None and len(tokenizer) > model.config.vocab_size:
        former = AutoTokenizer.from_pretrained(start, local_files_only=True)
        model = widened(model, former, tokenizer)
    model.set_attn_implementation("eager")  # a quarter faster than sdpa on short rows on a CPU
    reader = Reader(tokenizer, loose=LOOSE if typed else 0.0)
    data = batches(reader, partial(corpus, typed=typed), ROWS)
    blocks = model.get_decoder().layers
    matrices = [p for p in blocks.parameters() if p.ndim == 2]
    trainer = how.trainer(
        model, loss, data, output, matrices,
        steps=steps, learning_rate=RATE, warmup=80, weight_decay=0.05,
    )  # fmt: skip
    return trainer, tokenizer


def export(trainer: PartTrainer, tokenizer: Tokenizer, folder: Path, count: int = 200) -> None:
    """Writes the averaged weights as float16 with tokenizer and card.md.

    The scores are those of the float16 weights, so that the card speaks of what is shipped.
    """
    model = trainer.average
    assert isinstance(model, LlamaForCausalLM)
    half = copy.deepcopy(model).half()
    half.set_attn_implementation("sdpa")
    half.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    found = scores(half.float().cpu().eval(), tokenizer, count)
    exact = "Exact answers, greedy, held-out wordings with pairs never seen in an image or video:"
    write_card(folder, "llm", {"LLM": trainer}, f"\n{exact}\n\n{table(found)}")
