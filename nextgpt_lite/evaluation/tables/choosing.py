"""Questions with fixed answers: Tables 12 and 13 of the paper.

Knows: how a model chooses, and each benchmark's score. Leaves to others: the files
(`evaluation.benchmarks`), losses (`ranking`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from tqdm.auto import tqdm

from nextgpt_lite.evaluation.benchmarks.choices import (
    YES_NO,
    Choice,
    read_mmbench,
    read_mme,
    read_seed_bench,
)
from nextgpt_lite.evaluation.tables.ranking import answer_losses
from nextgpt_lite.evaluation.tables.sheet import Sheet
from nextgpt_lite.model.nextgpt import NextGPT
from nextgpt_lite.world.benchmarks.choices import (
    write_mmbench,
    write_mme,
    write_seed_bench,
)

if TYPE_CHECKING:
    from nextgpt_lite.evaluation.tables.run import Setting

MME_COLUMNS = (
    "existence", "count", "color", "posters", "celebrity", "scene", "commonsense_reasoning",
    "numerical_calculation", "text_translation",
)  # fmt: skip
ABILITIES = {  # MMBench's names of its level-2 abilities -> the paper's
    "logic_reasoning": "LR", "attribute_reasoning": "AR", "relation_reasoning": "RR",
    "finegrained_perception (instance-level)": "FP-S",
    "finegrained_perception (cross-instance)": "FP-C", "coarse_perception": "CP",
}  # fmt: skip


class Answered(NamedTuple):
    """A question and the index of the answer taken."""

    choice: Choice
    taken: int

    @property
    def right(self) -> bool:
        return self.taken == self.choice.answer


def measure(number: int, model: NextGPT, setting: Setting) -> Sheet:
    """Table 12 or 13."""
    with TemporaryDirectory() as folder:
        return (_table_12 if number == 12 else _table_13)(model, setting, Path(folder))


def take(model: NextGPT, choices: Sequence[Choice]) -> list[Answered]:
    """The likeliest option of each question, the medium before it, options not listed.

    Protocol: the option with the least mean cross-entropy a token, as a whole reply; of Yes and No
    the one that likelier begins the reply. As the prompt lists no options, their order plays no
    part, and MMBench's circular evaluation would ask the same thing again.
    """
    taken = []
    for choice in tqdm(choices, desc="questions", leave=False):
        content = [
            {"type": choice.modality, "data": choice.media()},
            {"type": "text", "text": choice.question},
        ]
        whole = choice.options != YES_NO
        losses = answer_losses(model, content, choice.options, whole=whole)
        taken.append(Answered(choice, losses.index(min(losses))))
    return taken


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


def mme_results(answered: Sequence[Answered], folder: Path) -> None:
    """Writes `SUBTASK.txt` as MME's own scorer reads it: picture, question, truth, answer."""
    folder.mkdir(parents=True, exist_ok=True)
    for task in dict.fromkeys(each.choice.category for each in answered):
        lines = [
            "\t".join(
                (Path(str(c.source)).name, c.question, c.options[c.answer or 0], c.options[taken])
            )
            for c, taken in answered
            if c.category == task
        ]
        (folder / f"{task}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _table_12(model: NextGPT, setting: Setting, scratch: Path) -> Sheet:
    source = setting.data or write_mme(scratch, setting.count, setting.seed)
    answered = take(model, read_mme(source))
    row = tuple(
        mme_score(found) if (found := [a for a in answered if a.choice.category == task]) else None
        for task in MME_COLUMNS
    )
    protocol = (
        f"N = {len(answered)} questions of {_where(setting)} in MME's files; Yes or No by the "
        "likelier beginning of the reply; 100 (acc + acc+), 75 by guessing."
    )
    return Sheet(12, {"NExT-GPT": row}, protocol)


def _table_13(model: NextGPT, setting: Setting, scratch: Path) -> Sheet:
    mmbench: list[Answered] = []
    seed_bench: list[Answered] = []
    if setting.data is None:
        tsv = write_mmbench(scratch / "mmbench.tsv", setting.count, setting.seed)
        mmbench = take(model, read_mmbench(tsv))
        path = write_seed_bench(scratch / "seed_bench.json", setting.count, setting.seed)
        seed_bench = take(model, read_seed_bench(path))
    elif setting.data.suffix == ".json":
        seed_bench = take(model, read_seed_bench(setting.data, setting.media))
    else:
        mmbench = take(model, read_mmbench(setting.data))

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
        f"{_where(setting)}; the option of least loss a token as the whole reply, options not "
        "listed; accuracy in per cent, 25 by guessing."
    )
    return Sheet(13, {"NExT-GPT": row}, protocol)


def _where(setting: Setting) -> str:
    return "the lite world" if setting.data is None else str(setting.data)
