"""A reader's own instructions from a file, and a judge for them that needs no world.

    {"id": "1", "prompt": "Show me my garden in snow.", "group": "image", "level": "complex",
     "truth": [{"type": "text", "text": "Here it is."},
               {"type": "image", "caption": "a garden in snow", "path": "snow.jpg"}]}

One such line an instruction. "messages" may stand in the place of "prompt"; "group", "level" and
the path of a true medium may be missing; paths are those beside the file.

Knows: these fields, and likeness in the encoder's space. Leaves to others: worlds, whose plugins
have instructions and judges of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired

from torch.nn import functional as F
from typing_extensions import TypedDict

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.errors import ConfigError, DataError
from nextgpt_lite.evaluation.metrics.features import Features
from nextgpt_lite.evaluation.protocols import Answer, Instruction
from nextgpt_lite.evaluation.registry import register
from nextgpt_lite.media import safe_path
from nextgpt_lite.reading import read_lines


class Line(TypedDict):
    """What a line holds; other fields are left alone."""

    id: str
    truth: list[dict[str, Any]]
    prompt: NotRequired[str]
    messages: NotRequired[list[dict[str, Any]]]
    group: NotRequired[str]
    level: NotRequired[str]


def read_instructions(path: str | Path, groups: Sequence[str] | None = None) -> list[Instruction]:
    """The instructions of a file of JSON lines, of all groups or of some.

    Raises:
        MissingError: there is none.
        DataError: it holds none, an id comes twice, or a field is missing or wrong.
        ConfigError: none is of the groups.
    """
    path = Path(path)
    found: dict[str, Instruction] = {}
    for number, line in enumerate(read_lines(path, Line, "correct it"), 1):
        where = f"{path}, instruction {number}"
        if line["id"] in found:
            raise DataError(f"{where}: the id {line['id']!r} comes twice; give another.")
        messages = line.get("messages") or [{"role": "user", "content": line.get("prompt", "")}]
        if not messages[-1].get("content"):
            raise DataError(f"{where}: give a prompt, or messages that end with the user's.")
        for part in line["truth"]:
            if "text" not in part and not (part.get("type") and part.get("caption")):
                raise DataError(f"{where}: a part of its truth has neither text nor a caption.")
        placed: Any = [
            m if isinstance(m["content"], str)
            else {**m, "content": [_placed(part, path.parent) for part in m["content"]]}
            for m in messages
        ]  # fmt: skip
        truth: Any = [{"type": "text", **_placed(part, path.parent)} for part in line["truth"]]
        made = sorted({part["type"] for part in truth} - {"text"})
        group = line.get("group") or "+".join(made) or "none"
        found[line["id"]] = Instruction(line["id"], placed, truth, group, line.get("level", "all"))
    if not found:
        raise DataError(f"{path} holds no whole line: write one instruction a line.")
    asked = [one for one in found.values() if one.group in (groups or {one.group})]
    if not asked:
        raise ConfigError(f"{path} has no instruction of the groups {groups}.")
    return asked


def _placed(part: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return {**part, "path": str(safe_path(folder, part["path"]))} if "path" in part else {**part}


@register("judge", "likeness")
class Likeness:
    """Judges any answer by the model's own encoder, without a world.

    `modality`: 100 where the media are of the kinds that are wanted. `likeness`: 100 times the
    cosine of each medium with the caption it should have, 0 where the kinds differ. `words`: 100
    times ROUGE-L of the words with the true ones. Cosines of one encoder are not CLIP's, and are to
    be compared with each other only.
    """

    aspects: Sequence[str] = ("modality", "likeness", "words")

    def __init__(self, model: NextGPT) -> None:
        self.features = Features.of(model)

    def worth(self, instruction: Instruction, answer: Answer) -> dict[str, float]:
        """See `Judge.worth`."""
        from nextgpt_lite.evaluation.metrics.captioning import rouge_l

        wanted, given = instruction.wanted, answer.media
        alike = [part["type"] for part in wanted] == [part["type"] for part in given]
        likeness = 0.0 if wanted else math.nan
        if wanted and alike:
            pairs = [
                F.cosine_similarity(
                    self.features.media(have["type"], [have["data"]]),
                    self.features.texts([want["caption"]]),
                ).item()
                for want, have in zip(wanted, given, strict=True)
            ]
            likeness = max(0.0, 100 * sum(pairs) / len(pairs))
        said, words = answer.reply.text.strip(), instruction.words.strip()
        agreeing = (100 * rouge_l([said], [[words]]) if said else 0.0) if words else math.nan
        return {"modality": 100.0 * alike, "likeness": likeness, "words": agreeing}
