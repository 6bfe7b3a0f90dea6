"""From a sentence to what arrives when people type it.

Knows: fillers around a request, words as in messages, missing articles and marks, letter case,
and errors of the fingers. Leaves to others: what is said (`reword`).

An error never makes a word that means something else here; one word in eight is mistyped only in
held-out wordings (`lexicon.held_out` of the mistyped word).
"""

from __future__ import annotations

import re
from random import Random
from typing import Final

from nextgpt_lite.world.dialogue.typed.lexicon import held_out, known_words, load, words
from nextgpt_lite.world.scene import Split

ROWS: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
MANNERS: Final = ("plain", "lower", "capitals", "title", "wild")
CASES: Final = (36, 45, 12, 3, 1)
TYPOS: Final = 0.5  # share of messages with at least one error


def typed(text: str, rng: Random, split: Split, decorated: bool = True, keep: str = "") -> str:
    """The text as one person in one mood types it; the words of `keep` without errors."""
    if decorated:
        text = decorate(text, rng)
    if rng.random() < 0.09:
        text = _as_in_messages(text, rng, keep)
    if rng.random() < 0.14:
        text = re.sub(r"\b(an?|the) (?=\w)", "", text) or text
    if rng.random() < 0.12:
        text = text.replace("'", "")
    if rng.random() < 0.3:
        text = _american(text)
    if rng.random() < TYPOS:
        text = mistype(text, rng, split, rng.choice((1, 1, 2, 2, 3)), keep)
    return marks(cased(text, rng), rng)


def decorate(text: str, rng: Random) -> str:
    """Politeness, fillers and sentences that do not matter, around the request."""
    extras = load("extras")
    if rng.random() < 0.24:
        text = f"{rng.choice(extras['openers'])} {text}"
    if rng.random() < 0.2:
        mark = "" if text[-1] in "?!" else rng.choice((",", "", " -"))
        text = f"{text}{mark} {rng.choice(extras['tails'])}"
    if rng.random() < 0.06:
        text = f"{rng.choice(extras['before'])} {text}"
    if rng.random() < 0.04:
        text = f"{text.rstrip('.')}{'' if text[-1] in '?!' else '.'} {rng.choice(extras['after'])}"
    return text


def cased(text: str, rng: Random) -> str:
    """One of the manners to use capitals."""
    match rng.choices(MANNERS, CASES)[0]:
        case "plain":
            text = re.sub(r"(^|[.?!]\s+)([a-z])", lambda found: found[1] + found[2].upper(), text)
            return re.sub(r"\bi\b", "I", text)
        case "capitals":
            return text.upper()
        case "title":
            return text.title()
        case "wild":
            return "".join(rng.choice((c.upper(), c.lower())) for c in text)
    return text


def marks(text: str, rng: Random) -> str:
    """The end of the message, and marks within it."""
    if rng.random() < 0.2:
        text = text.replace(",", "")
    chance = rng.random()
    if text.endswith("?"):
        return text if chance < 0.6 else text.rstrip("?") + rng.choice(("", "", "??", " ?", "."))
    if text[-1:] in ".!:)" or not text:
        return text
    if chance < 0.85:
        return text if chance < 0.5 else f"{text}."
    return text + rng.choice(("!", "!!", "...", " .", "!!!"))


def mistype(text: str, rng: Random, split: Split, errors: int, keep: str = "") -> str:
    """Some words with an error of the fingers each."""
    pieces = re.split(r"([a-z]+)", text)
    places = [i for i in range(1, len(pieces), 2) if len(pieces[i]) > 2 and pieces[i] not in keep]
    for place in rng.sample(places, min(errors, len(places))):
        pieces[place] = slip(pieces[place], rng, split)
    return "".join(pieces)


def slip(word: str, rng: Random, split: Split) -> str:
    """The word with one error: swapped, dropped, doubled or neighbouring letters.

    The word itself where no error will do.
    """
    for _ in range(40):
        wrong = _one_error(word, rng)
        ours = held_out(wrong) == (split == "held_out")
        if ours and wrong != word and wrong not in known_words():
            return wrong
    return word


def _one_error(word: str, rng: Random) -> str:
    at = rng.randrange(len(word))
    match rng.choice(("swap", "swap", "drop", "double", "near", "near", "extra")):
        case "swap":
            at = min(at, len(word) - 2)
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        case "drop" if len(word) > 3:
            return word[:at] + word[at + 1 :]
        case "double":
            return word[:at] + word[at] + word[at:]
        case "near":
            return word[:at] + _neighbour(word[at], rng) + word[at + 1 :]
        case "extra" if len(word) > 3:
            return word[:at] + _neighbour(word[at], rng) + word[at:]
    return word


def _neighbour(letter: str, rng: Random) -> str:
    for row in ROWS:
        if letter in row:
            at = row.index(letter)
            return rng.choice([row[i] for i in (at - 1, at + 1) if 0 <= i < len(row)])
    return letter


def _as_in_messages(text: str, rng: Random, keep: str) -> str:
    def short(found: re.Match[str]) -> str:
        ways = words("texting").get(found[0])
        changes = ways and found[0] not in keep and rng.random() < 0.7
        return str(rng.choice(ways)) if changes else found[0]

    return re.sub(r"[a-z]+", short, text)


def _american(text: str) -> str:
    for british, american in words("british").items():
        text = re.sub(rf"\b{british}\b", american, text)
    return text
