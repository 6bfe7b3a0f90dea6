"""Questions with fixed answers: Tables 12 and 13 of the paper.

Knows: how a model chooses, by the loss of each answer, and each benchmark's score. Leaves to
others: the files (`benchmarks.choices`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.evaluation.benchmarks.choices import (
    LETTERS,
    YES_NO,
    Choice,
    read_mmbench,
    read_mme,
    read_seed_bench,
)
from nextgpt_lite.evaluation.registry import find, register
from nextgpt_lite.evaluation.tables.kept import in_parts
from nextgpt_lite.evaluation.tables.sheet import Setting, Sheet
from nextgpt_lite.messages import Message, Part
from nextgpt_lite.model.batch import collate
from nextgpt_lite.model.conversation import Encoded
from nextgpt_lite.model.losses import IGNORE

GROUP = 32  # questions after which answers are kept
ROWS = 32  # answers that are read at once
MME_COLUMNS = (
    "existence", "count", "color", "posters", "celebrity", "scene", "commonsense_reasoning",
    "numerical_calculation", "text_translation",
)  # fmt: skip
ABILITIES = {  # MMBench's names of its level-2 abilities -> the paper's
    "logic_reasoning": "LR", "attribute_reasoning": "AR", "relation_reasoning": "RR",
    "finegrained_perception (instance-level)": "FP-S",
    "finegrained_perception (cross-instance)": "FP-C", "coarse_perception": "CP",
}  # fmt: skip


# Parts of the user's message, answers, and whether the reply must end with the answer.
Asked: TypeAlias = tuple[Sequence[Part], Sequence[str], bool]


class Answered(NamedTuple):
    """A question and the index of the answer taken."""

    choice: Choice
    taken: int

    @property
    def right(self) -> bool:
        return self.taken == self.choice.answer


def take(
    model: NextGPT, choices: Sequence[Choice], parts: Path | None = None, name: str = "questions"
) -> list[Answered]:
    """The likeliest option of each question, the medium before it, options not listed.

    Protocol: the option with the least mean cross-entropy a token, as a whole reply; of Yes and No
    the one that likelier begins the reply. As the prompt lists no options, their order plays no
    part, and MMBench's circular evaluation would ask the same thing again.

    Args:
        parts, name: where answers are kept (see `kept`).
    """

    def make(part: range) -> list[int]:
        asked: list[Asked] = []
        for choice in (choices[i] for i in part):
            medium: Part = {"type": choice.modality, "data": choice.media()}
            content: list[Part] = [medium, {"type": "text", "text": choice.question}]
            asked.append((content, choice.options, choice.options != YES_NO))
        found = losses_of(model, asked)
        return [losses.index(min(losses)) for losses in found]

    made = in_parts(parts, name, len(choices), GROUP, make)
    return [Answered(choice, index) for choice, index in zip(choices, made, strict=True)]


def mme_score(answered: Sequence[Answered]) -> float:
    """100 (acc + acc+), 0 to 200: the share of questions answered rightly, and of pictures with
    every question answered rightly; guessing gets 75 of two questions a picture."""
    pictures: dict[str, list[bool]] = {}
    for each in answered:
        pictures.setdefault(each.choice.item, []).append(each.right)
    rights = [right for found in pictures.values() for right in found]
    both = [all(found) for found in pictures.values()]
    return 100 * (sum(rights) / len(rights) + sum(both) / len(both))


def accuracy(answered: Sequence[Answered]) -> float | None:
    """Per cent of the questions whose answer is known; None where there are none."""
    known = [each.right for each in answered if each.choice.answer is not None]
    return 100 * sum(known) / len(known) if known else None


@register("table", "12")
def measure_mme(number: int, model: NextGPT, setting: Setting) -> Sheet:
    """Table 12."""
    with TemporaryDirectory() as folder:
        choices = read_mme(setting.file or _questions("mme", folder, setting))
        answered = take(model, choices[: setting.count] if setting.data else choices, setting.parts)
    row = tuple(
        mme_score(found) if (found := [a for a in answered if a.choice.category == task]) else None
        for task in MME_COLUMNS
    )
    protocol = (
        f"N = {len(answered)} questions of {setting.where} in MME's files; Yes or No by the "
        "likelier beginning of the reply; 100 (acc + acc+), 75 by guessing."
    )
    return Sheet(12, {"NExT-GPT": row}, protocol, files=mme_results(answered))


@register("table", "13")
def measure_mmbench_and_seed_bench(number: int, model: NextGPT, setting: Setting) -> Sheet:
    """Table 13; of the benchmarks' own files, .tsv or .json, those that are given."""
    with TemporaryDirectory() as folder:
        files = setting.data or [
            _questions(name, folder, setting) for name in ("mmbench", "seed_bench")
        ]
        most = setting.count if setting.data else None
        asked: dict[str, list[Choice]] = {"mmbench": [], "seed_bench": []}
        for file in files:
            if file.suffix == ".json":
                asked["seed_bench"] += read_seed_bench(file, setting.media)[:most]
            else:
                asked["mmbench"] += read_mmbench(file)[:most]
        mmbench, seed_bench = (
            take(model, some, setting.parts, name) for name, some in asked.items()
        )

    def of(answered: Sequence[Answered], wanted: Callable[[Choice], bool]) -> float | None:
        return accuracy([each for each in answered if wanted(each.choice)])

    row = (
        accuracy(mmbench),
        *(
            of(mmbench, lambda c, name=name: ABILITIES.get(c.category, c.category) == name)  # type: ignore[misc]
            for name in ABILITIES.values()
        ),
        accuracy(seed_bench),
        *(
            of(seed_bench, lambda c, modality=modality: c.modality == modality)  # type: ignore[misc]
            for modality in ("image", "video")
        ),
    )
    protocol = (
        f"N = {len(mmbench)} questions in MMBench's file and {len(seed_bench)} in SEED-Bench's, of "
        f"{setting.where}; the option of least loss a token as the whole reply, options not "
        "listed; accuracy in per cent, 25 by guessing."
    )
    files_of = {"mmbench_submission.tsv": mmbench_submission(mmbench)} if mmbench else {}
    return Sheet(13, {"NExT-GPT": row}, protocol, files=files_of)


def mme_results(answered: Sequence[Answered]) -> dict[str, str]:
    """Files that MME's own evaluation reads: image, question, truth and answer, one a subtask."""
    files: dict[str, str] = {}
    for choice, taken in answered:
        name = f"mme_results/{choice.category}.txt"
        truth = "" if choice.answer is None else choice.options[choice.answer]
        image = choice.source.name if isinstance(choice.source, Path) else choice.item
        line = "\t".join((image, choice.question, truth, choice.options[taken]))
        files[name] = files.get(name, "") + f"{line}\n"
    return files


def mmbench_submission(answered: Sequence[Answered]) -> str:
    """The table that MMBench's server takes (as TSV): each question with the letter taken."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(("index", "question", *LETTERS, "prediction"))
    for choice, taken in answered:
        options = [*choice.options, *[""] * (len(LETTERS) - len(choice.options))]
        writer.writerow((choice.id, choice.question, *options, LETTERS[taken]))
    return text.getvalue()


def _questions(benchmark: str, folder: str, setting: Setting) -> Path:
    """The plugin's own questions in a benchmark's files."""
    write = find("questions", setting.plugin)
    path: Path = write(benchmark, Path(folder), setting.count, seed=setting.seed)
    return path


def answer_losses(
    model: NextGPT,
    content: Sequence[Part],
    answers: Sequence[str],
    *,
    whole: bool = True,
) -> list[float]:
    """Mean cross-entropy in nats a token of each answer, as the reply to one user turn.

    Args:
        content: parts of the user's message, media as "data".
        answers: texts of replies, at least two.
        whole: the reply must end there; False leaves out the tokens with which all answers end, so
            that a reply may go on ("Yes" of "Yes, it is a dog.").
    """
    return losses_of(model, [(content, answers, whole)])[0]


def losses_of(model: NextGPT, asked: Sequence[Asked]) -> list[list[float]]:
    """`answer_losses` of several questions, read together."""
    found: list[list[float]] = []
    rows = 0
    group: list[Asked] = []
    for each in asked:
        if group and rows + len(each[1]) > ROWS:
            found += _read(model, group)
            group, rows = [], 0
        group.append(each)
        rows += len(each[1])
    return found + (_read(model, group) if group else [])


@torch.inference_mode()
def _read(model: NextGPT, asked: Sequence[Asked]) -> list[list[float]]:
    conversations: list[Encoded] = []
    counts: list[int] = []  # tokens of each reply that count
    for content, answers, whole in asked:
        turn: Message = {"role": "user", "content": [*content]}
        encoded = [
            model.conversation.encode([turn, {"role": "assistant", "content": answer}])
            for answer in answers
        ]
        replies = [[label for label in each.labels if label != IGNORE] for each in encoded]
        end = 0 if whole else _shared_end(replies)
        conversations += encoded
        counts += [len(reply) - end for reply in replies]

    def features(parts: Sequence[Part]) -> Tensor:  # (M, E); that of a question only once
        media = {id(part["data"]): (part["type"], part["data"]) for part in parts}
        rows = dict(zip(media, model.encoder.encode([*media.values()]), strict=True))
        return torch.stack([rows[id(part["data"])] for part in parts])

    batch = collate(
        conversations,
        pad_id=model.llm.tokenizer.pad_token_id or 0,
        width=model.encoder_width,
        features=features,
        conditions=lambda *_: torch.zeros(0),  # answers are words
    ).to(model.device)
    embeddings = model.llm.embed(batch.ids)  # (B, S, D)
    if len(batch.media_rows):
        embeddings = model.splice(
            embeddings, batch.media_rows, batch.media_starts, batch.media_features
        )
    states = model.llm.hidden(embeddings, batch.attention_mask)  # (B, S, D)
    losses = []
    for hidden, labels, count in zip(states, batch.labels[:, 1:], counts, strict=True):
        places = (labels != IGNORE).nonzero()[:count, 0]  # (P,)
        losses.append(float(model.llm.errors(hidden[places], labels[places]).mean()))
    rows = iter(losses)
    return [[next(rows) for _ in answers] for _, answers, _ in asked]


def _shared_end(rows: Sequence[Sequence[int]]) -> int:
    """How many equal tokens all rows end with, leaving each at least one."""
    longest = min(len(row) for row in rows) - 1
    return next((n for n in range(longest) if len({row[-1 - n] for row in rows}) > 1), longest)
