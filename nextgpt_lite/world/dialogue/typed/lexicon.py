"""The words people type: lists from the YAML files beside this one, and how they are bent.

Knows: the lists, which of their entries are kept out of training, plurals and verb forms.
Leaves to others: how words become phrases (`phrasing`) and sentences (`reword`).

Kept out of training is every eighth frame, unknown word and typing error, by a checksum of its
letters: whatever is added to a list later moves no other entry.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final, Literal, TypeVar

from nextgpt_lite.reading import read_yaml
from nextgpt_lite.world.scene import Split

T = TypeVar("T")
Form = Literal["finite", "infinitive", "gerund"]
FORMS: Final[dict[str, Form]] = {"inf": "infinitive", "ger": "gerund", "fin": "finite"}  # slots
HELD_OUT_SHARE: Final = 8  # every eighth entry
_FOLDER = Path(__file__).parent


@cache
def load(name: str) -> Any:
    """One of the lists, by the name of its file."""
    return read_yaml(_FOLDER / f"{name}.yaml", Any)


@cache
def held_out(text: str) -> bool:
    """Whether an entry is kept out of training."""
    return zlib.crc32(text.encode()) % HELD_OUT_SHARE == 0


@cache
def entries(texts: tuple[str, ...], kept_out: bool) -> tuple[str, ...]:
    """Those of the split; all of them where the list has none of it."""
    return tuple(text for text in texts if held_out(text) == kept_out) or texts


def choose(texts: Sequence[str], split: Split, rng: Random) -> str:
    """One entry of the split."""
    return rng.choice(entries(tuple(texts), split == "held_out"))


def frame(key: str, split: Split, rng: Random) -> str:
    """One way to ask for `key` (frames.yaml)."""
    return choose(load("frames")[key], split, rng)


@cache
def unknown(sort: str) -> tuple[str, ...]:
    """Words of a sort that the world does not have (unknown.yaml); a hyphen is a blank."""
    return tuple(dict.fromkeys(load("unknown")[sort].split()))


def words(*path: str) -> Any:
    """What words.yaml has under these keys."""
    found = load("words")
    for key in path:
        found = found[key]
    return found


def pick(texts: Sequence[T], rng: Random) -> T:
    """One of a list whose first third is common: half the time one of these."""
    return rng.choice(texts[: len(texts) // 3] if rng.random() < 0.5 and len(texts) > 5 else texts)


def plural(noun: str) -> str:
    """ "puppy" to "puppies"; "taxi|taxis" names its own."""
    if "|" in noun:
        return noun.split("|")[1]
    if re.search(r"(^|\b|gentle|mr )man$|woman$", noun):
        return f"{noun[:-2]}en"
    if re.search(r"[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    if noun == "wife" or noun == "housewife":
        return f"{noun[:-2]}ves"
    return f"{noun}{'es' if re.search(r'(s|x|z|ch|sh)$', noun) else 's'}"


def singular(noun: str) -> str:
    """The noun itself, without the plural it may name."""
    return noun.split("|")[0]


def bend(verb: str, form: Form) -> str:
    """A verb and what follows it, in a form: "go up", "goes up", "going up"."""
    first, _, rest = verb.partition(" ")
    bent: str = load("verbs")[form].get(first, "")
    if form == "infinitive":
        bent = first
    elif form == "gerund":
        bent = bent or (f"{first[:-1]}ing" if re.search(r"[^eo]e$", first) else f"{first}ing")
    elif re.search(r"[^aeiou]y$", first):
        bent = bent or f"{first[:-1]}ies"
    else:
        bent = bent or f"{first}{'es' if re.search(r'(s|x|z|ch|sh|o)$', first) else 's'}"
    return f"{bent} {rest}".strip()


def article(words_: str) -> str:
    """Behind "a" or "an"."""
    return f"an {words_}" if words_[:1].lower() in "aeiou" else f"a {words_}"


@cache
def known_words() -> frozenset[str]:
    """Every word with a meaning here: what an error in typing must not turn another word into."""
    found: set[str] = set()

    def collect(value: Any) -> None:
        if isinstance(value, str):
            found.update(re.findall(r"[a-z]+", value.lower()))
        elif isinstance(value, dict):
            for key, inner in value.items():
                collect(key if isinstance(key, str) else "")
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)

    for name in ("words", "frames", "extras", "unknown", "questions", "outside"):
        collect(load(name))
    for nouns in words("kinds").values():
        found.update(w for noun in nouns for w in plural(noun).split())
    for verbs in [d["verbs"] for d in words("deeds").values()]:
        for verb in verbs:
            found.update(bend(verb, "finite").split() + bend(verb, "gerund").split())
    return frozenset(found)
