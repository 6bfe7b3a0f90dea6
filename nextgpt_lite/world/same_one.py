"""Where words do not suffice: a wish for the thing that was shown, just where it was.

"Show it again", "the same in blue", "the same in the garden": a caption of what is wanted names
kind, colour, size and surroundings, never the pixel. What keeps the pixel came from the picture.

Knows: the wishes, and how far a picture is from what was wished for. Leaves to others: who answers
(`regimes`), reading pictures (`see`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import hypot
from random import Random
from zlib import crc32

from PIL import Image

from nextgpt_lite.data.records import Record
from nextgpt_lite.data.sources import Source
from nextgpt_lite.evaluation.comparison.rows import Row
from nextgpt_lite.world.describe import article, caption, place_words, tidy
from nextgpt_lite.world.dialogue import requests
from nextgpt_lite.world.dialogue.parts import assistant, sentence, telling, user
from nextgpt_lite.world.dialogue.wordings import say
from nextgpt_lite.world.render import layout
from nextgpt_lite.world.rendered import Rendered
from nextgpt_lite.world.scene import COLOURS, PLACES, Picture, is_held_out, sample_picture
from nextgpt_lite.world.verify import verify

AGAIN = ("Show it again.", "The same again, please.", "Once more.")
SORTS = ("again", "in a colour", "somewhere")
UNSEEN = 8  # one picture in so many is never learnt from
KEPT = 5.0  # pixels: things stand 21 apart, and a pixel to either side


@dataclass(frozen=True)
class SameOne:
    """A picture of one thing, what is asked of it, and what should come.

    Attributes:
        sort: one of `SORTS`.
        seed: of both renders, so that the thing stands in one place.
    """

    sort: str
    given: Picture
    request: str
    wanted: Picture
    seed: int

    @property
    def place(self) -> tuple[int, int]:
        """(x, y) in pixels of the thing's middle."""
        return layout(self.given, self.seed)[0][0]

    def record(self, dropped: float = 0.0) -> Record:
        """The conversation; the reply tells what it shows, as the shipped model's do.

        Args:
            dropped: how often its caption has lost an attribute.
        """
        shows = assistant(telling(self.wanted), self.wanted)
        if dropped:
            told = lossy(self.wanted, dropped, Random(self.seed))
            shows = assistant(sentence(f"Here is {told}"), self.wanted)
        messages = [user(self.request, self.given), shows]
        for message, scene in zip(messages, (self.given, self.wanted), strict=True):
            for part in message["content"]:
                if isinstance(part, dict) and "scene" in part:
                    part["source"] = Rendered(scene, seed=self.seed)
                    if dropped and message is shows:
                        part["caption"] = told
        return Record(f"same_{self.seed:010x}", messages, "mosit")

    def worth(self, image: Image.Image) -> Row:
        """`kept`, 0 or 100: the nearest thing is where it was; `error`, its distance in pixels,
        empty where no thing is; `right`: everything that a caption names."""
        verdict = verify(self.wanted, image)
        x, y = self.place
        away = [hypot(thing.x - x, thing.y - y) for thing in verdict.found.things]
        kept = bool(away) and min(away) <= KEPT
        error = round(min(away), 2) if away else ""
        return {"kept": 100 * kept, "error": error, "right": 100 * verdict.correct}


def lossy(scene: Picture, dropped: float, rng: Random) -> str:
    """One thing's caption as people write it: size, colour and place each left out so often."""
    told = caption(scene)
    thing = scene.groups[0]
    place = place_words(scene.place)[0]
    for words in (thing.size, thing.colour, place):
        if words and rng.random() < dropped:
            told = tidy(told.replace(words, "", 1))
    return article(told.removeprefix("a ").strip())


def same_one(rng: Random) -> SameOne:
    """A wish about a picture of one thing; nothing held out."""
    while True:
        given = sample_picture(rng, groups=1)
        thing = given.groups[0]
        sort, wanted = rng.choice(SORTS), given
        if sort == "again":
            request = rng.choice(AGAIN)
        elif sort == "in a colour":
            colour = rng.choice([c for c in COLOURS if c != thing.colour])
            wanted = replace(given, groups=(replace(thing, colour=colour),))
            request = say("recolour_alone", "train", rng, colour=colour)
        else:
            place = rng.choice([p for p in PLACES if p not in ("plain", given.place)])
            wanted = replace(given, place=place)
            words = requests.somewhere(place, rng)
            request = say("place_it", "train", rng, it="it", place=words)
        if thing.count == 1 and not is_held_out(wanted):
            return SameOne(sort, given, request, wanted, rng.getrandbits(31))


class Wishes(Source):
    """Such wishes by number.

    Args:
        unseen: those about pictures that are kept for asking, or those about all others.
        dropped: of `SameOne.record`.
    """

    def __init__(self, unseen: bool, seed: int = 0, dropped: float = 0.0) -> None:
        self.unseen, self.seed, self.dropped = unseen, seed, dropped

    def wish(self, index: int) -> SameOne:
        """Number `index`."""
        rng = Random(f"{self.seed}/{index}")
        while True:
            found = same_one(rng)
            if (crc32(f"{found.given} {found.place}".encode()) % UNSEEN == 0) == self.unseen:
                return found

    def __call__(self, index: int) -> Record:
        return self.wish(index).record(self.dropped)
