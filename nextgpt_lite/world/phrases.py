"""The wordings of the lite world: every word and every sentence frame, from `phrases.yaml`.

Knows: number words, plurals, verbs and noises of the things, synonyms, and the frames of captions
and paraphrases, those kept out of training (`"held_out"`) apart from the others.
Leaves to others: how a scene fills a frame, and how a caption is read back (`describe`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from nextgpt_lite.reading import read_yaml

TABLES: Final[Any] = read_yaml(Path(__file__).with_suffix(".yaml"), Any)

NUMBER_WORDS: Final[list[str]] = TABLES["numbers"]
TIMES_PHRASES: Final[dict[int, list[str]]] = TABLES["times"]
TIMES_WORDS: Final = {times: ways[0] for times, ways in TIMES_PHRASES.items()}
PLURALS, VERBS, INFINITIVES, GERUNDS = (
    {kind: str(words[form]) for kind, words in TABLES["kinds"].items()}
    for form in ("plural", "verb", "infinitive", "gerund")
)
NOISES: Final[dict[str, list[str]]] = {k: words["noises"] for k, words in TABLES["kinds"].items()}
PLACE_PHRASES: Final[dict[str, list[str]]] = TABLES["places"]
SIZE_WORDS: Final[dict[str, list[str]]] = TABLES["sizes"]
RELATION_WORDS: Final[dict[str, list[str]]] = TABLES["relations"]
MOTION_WORDS: Final[dict[str, list[tuple[str, str, str]]]] = TABLES["motions"]
PITCH_PHRASES: Final[list[str]] = TABLES["pitches"]
FRAMES: Final[dict[str, dict[str, list[str]]]] = TABLES["frames"]  # by sort, then by split
COLOUR_AFTER: Final[list[str]] = TABLES["colour_after"]


def strings(value: Any) -> Iterator[str]:
    """Every text in a table of lists and dicts, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)
