"""Captions, paraphrases and conversations of the lite world: exact, grammatical, deterministic."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Any

import pytest

from nextgpt_lite.data.records import Record
from nextgpt_lite.world import phrases
from nextgpt_lite.world.describe import caption, paraphrase, parse, tells, vocabulary
from nextgpt_lite.world.dialogue import (
    looks as dialogue_looks,
    records as dialogue,
    wordings as dialogue_wordings,
)
from nextgpt_lite.world.dialogue.parts import DEFAULTS, modality_of
from nextgpt_lite.world.plain import plain_messages
from nextgpt_lite.world.pretraining.encoder_data import alter
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import (
    COLOURS,
    HELD_OUT_COLOURS,
    HELD_OUT_COUNTS,
    KINDS,
    OPPOSITE,
    RELATIONS,
    SIZES,
    Clip,
    Group,
    Picture,
    Scene,
    Sound,
    Split,
    in_order,
    is_held_out,
    sample_clip,
    sample_picture,
    sample_sound,
    swapped,
)
from nextgpt_lite.world.verify import verify

SPLITS: tuple[Split, ...] = ("train", "held_out")
NOUNS = {**{k: k for k in KINDS}, **{v: k for k, v in phrases.PLURALS.items()}}
NUMBERS = {word: n for n, word in enumerate(phrases.NUMBER_WORDS)} | {str(n): n for n in range(8)}
FORMS = {
    "pair": lambda r, s: dialogue.pair(r, r.choice(("image", "audio", "video")), s),
    "caption": lambda r, s: dialogue.caption_record(r, r.choice(("image", "audio", "video")), s),
    "understand": dialogue.understand,
    "t2m": dialogue.t2m,
    "mosit": dialogue.mosit,
    "about given": dialogue.about_given,
    "text": dialogue.text,
}


def scenes(rng: Random, count: int) -> Iterator[Scene]:
    for _ in range(count):
        split = rng.choice(SPLITS)
        yield sample_picture(rng, split)
        yield sample_sound(rng)
        yield sample_clip(rng, split)


def records(form: str, split: Split, count: int = 150) -> list[Record]:
    rng = Random(f"{form} {split}")
    return [FORMS[form](rng, split) for _ in range(count)]


def parts(record: Record, role: str | None = None) -> Iterator[dict[str, Any]]:
    for message in record.messages:
        if role in (None, message["role"]):
            yield from message["content"]


def words_of(record: Record, role: str | None = None) -> str:
    return " ".join(p["text"] for p in parts(record, role) if p["type"] == "text")


def test_parse_inverts_caption() -> None:
    for scene in scenes(Random(0), 2000):
        said = caption(scene)
        assert parse(said) == scene, said
        assert len(said.split()) <= 22


def test_canonical_captions_stay_as_they_are() -> None:
    two = (Group("woman", "red"), Group("man", "blue"))
    dog = Group("dog", "black", "small")
    expected: dict[str, Scene] = {
        "a large red car in the garden": Picture((Group("car", "red"),), None, "garden"),
        "three small blue birds in the sky": Picture(
            (Group("bird", "blue", "small", 3),), None, "sky"
        ),
        "a large red woman right of a large blue man, and a small black dog in the garden": Picture(
            (*two, dog), "right of", "garden"
        ),
        "a dog barks three times in a high pitch": Sound("dog", 3, "high"),
        "a large red car moves left on the street": Clip("car", "red", "left", "large", "street"),
    }
    for words, scene in expected.items():
        assert caption(scene) == words


def test_parse_is_tolerant_of_form_but_not_of_meaning() -> None:
    cars = Picture((Group("car", "red", "large", 2),), None, "garden")
    assert parse("2 large red cars in the garden.") == cars
    assert parse("An apple crunches once in a low pitch.") == Sound("apple", 1, "low")
    assert parse("one large red car") == Picture((Group("car", "red"),))
    for wrong in (
        "", "two large red car", "a red car", "a large red car and", "a dog meows once in a low "
        "pitch", "two large red cars left of a large blue dog", "a large red car in the kitchen",
    ):  # fmt: skip
        assert parse(wrong) is None, wrong


def test_a_caption_tells_a_picture_whichever_thing_comes_first() -> None:
    rng, several = Random(8), 0
    for _ in range(200):
        picture = sample_picture(rng, groups=rng.choice((1, 2, 3)))
        other = in_order(picture)
        if picture.relation is not None:
            assert swapped(swapped(picture)) == picture
            other = swapped(picture)
            several += 1
            # Neither way of telling it says anything that cannot be seen in both.
            assert verify(other, render(picture, 3)).correct
            assert verify(picture, render(other, 3)).correct
        assert in_order(other) == in_order(picture)
        kinds = [KINDS.index(group.kind) for group in in_order(picture).groups[:2]]
        assert kinds == sorted(kinds)
        for told in (picture, other):
            assert tells(caption(told), picture)
        wrong = alter(picture, rng)
        assert not tells(caption(wrong), picture)
        assert not tells("a dog barks once in a low pitch", picture)
    assert several > 80
    assert tells("a dog barks once in a low pitch", Sound("dog"))
    assert not tells("a dog barks twice in a low pitch", Sound("dog"))
    assert not tells("dogs!", Sound("dog"))


def test_given_pictures_are_told_in_one_order_and_often_hold_several_kinds() -> None:
    groups, described = [], 0
    for form in ("pair", "understand"):
        for record in records(form, "train", 300):
            for part in parts(record, "user"):
                if isinstance(scene := part.get("scene"), Picture):
                    assert in_order(scene) == scene
                    groups.append(len(scene.groups))
    assert groups.count(2) > 0.3 * len(groups)
    assert groups.count(3) > 0
    for record in records("mosit", "train", 800):
        given = next((p["scene"] for p in record.messages[0]["content"] if "scene" in p), None)
        said = parse(record.messages[1]["content"][0]["text"])
        if isinstance(given, Picture) and isinstance(said, Picture):
            assert said == in_order(given)
            described += len(given.groups) > 1
    assert described > 3


def test_a_quiz_asks_much_about_one_picture() -> None:
    rng, found, groups = Random(4), Counter[str](), Counter[int]()
    for _ in range(120):
        record = dialogue.quiz(rng)
        (scene,) = (p["scene"] for p in parts(record, "user") if "scene" in p)
        groups[len(scene.groups)] += 1
        asked = [
            words_of(Record("", [m], "text")).lower().strip("?. ") for m in record.messages[::2]
        ]
        assert len(set(asked)) == len(asked) <= dialogue.QUESTIONS
        assert len(record.messages) == 2 * len(asked)
        for words, message in zip(asked, record.messages[1::2], strict=True):
            answer = words_of(Record("", [message], "text"))
            if thing := re.search(r"(?:describe|do|does) the (\w+)(?: look like)?$", words):
                (group,) = (g for g in scene.groups if g.kind == NOUNS[thing[1]])
                assert parse(answer) == Picture((group,))
                found["described"] += 1
            if number := re.match(r"(?:how many|count the) (\w+)", words):
                counts = [g.count for g in scene.groups if g.kind == NOUNS.get(number[1])]
                if number[1] == "things":
                    counts = [g.count for g in scene.groups]
                assert (
                    f" {'no' if not sum(counts) else dialogue_looks.NUMBERS[sum(counts)]} "
                    in answer
                )
                found["number" if counts else "none"] += 1
            if side := re.fullmatch(rf"what is ({'|'.join(RELATIONS)}) the (\w+)", words):
                first, second = scene.groups[:2]
                there = {(scene.relation, second.kind): first.kind,
                         (OPPOSITE[scene.relation], first.kind): second.kind}  # fmt: skip
                kind = there.get((side[1], side[2]))
                assert answer.split()[:2] == (["The", kind] if kind else ["Nothing", "is"])
                found["side" if kind else "empty side"] += 1
            if truth := re.fullmatch(rf"is the (\w+) ({'|'.join(RELATIONS)}) the (\w+)", words):
                from_first = truth[1] == scene.groups[0].kind
                seen = scene.relation if from_first else OPPOSITE[scene.relation]
                assert answer.split(",")[0] == ("Yes" if truth[2] == seen else "No")
                found["truth"] += 1
            look = re.fullmatch(r"(?:what|which thing) is (\w+)(?: and (\w+))?", words)
            if look is None or not {look[1]} & {*COLOURS, *SIZES}:
                continue
            alike = [g for g in scene.groups if {*look.groups()} - {None} <= {g.colour, g.size}]
            assert len(alike) == 1  # a question has one right answer
            assert alike[0].kind in answer or alike[0].count > 1
            found["look"] += 1
    assert {*groups} == {1, 2, 3} and groups[1] < groups[2]
    assert min(found.values()) > 20 and len(found) == 7, found


def test_a_medium_and_a_wish_about_it_come_in_one_message() -> None:
    ways = set()
    for record in records("about given", "train", 300):
        asked, reply = record.messages
        (given,) = (p["scene"] for p in asked["content"] if "scene" in p)
        shown = [p["scene"] for p in reply["content"] if "scene" in p]
        assert shown and shown != [given]
        ways |= {(modality_of(given), modality_of(scene)) for scene in shown}
    assert len(ways) == 9


def test_paraphrases_of_the_splits_never_meet_and_share_their_words() -> None:
    rng = Random(1)
    said: dict[str, set[str]] = {split: set() for split in SPLITS}
    for scene in scenes(rng, 1500):
        for split in SPLITS:
            said[split].add(paraphrase(scene, rng, split))
    assert not said["train"] & said["held_out"]
    words = {s: set(re.findall(r"\w+", " ".join(said[s]))) for s in SPLITS}
    assert words["held_out"] <= words["train"]


def test_vocabulary_covers_captions_and_paraphrases() -> None:
    known, rng = set(vocabulary()), Random(2)
    assert vocabulary() == sorted(known)
    for scene in scenes(rng, 500):
        texts = (caption(scene), *(paraphrase(scene, rng, s) for s in SPLITS))
        for text in texts:
            assert text == text.lower()
            assert set(re.findall(r"\w+|[^\w\s]", text)) <= known, text


def test_frames_of_the_splits_are_disjoint() -> None:
    found = 0
    for table in (dialogue_wordings.FRAMES, phrases.FRAMES):
        for frames in table.values():
            found += 1
            assert not set(frames["train"]) & set(frames["held_out"]), frames
    assert found > 30


def test_defaults_cover_every_kind_and_are_not_held_out() -> None:
    assert set(DEFAULTS.colours) == set(KINDS)
    assert not set(DEFAULTS.colours.items()) & HELD_OUT_COLOURS


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("form", FORMS)
def test_records_are_well_formed_and_deterministic(form: str, split: Split) -> None:
    made = records(form, split)
    assert made == records(form, split)
    for record in made:
        assert record.kind == ("mosit" if form == "about given" else form)
        roles = [m["role"] for m in record.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2) and roles
        for part in parts(record):
            if part["type"] == "text":
                continue
            assert part["type"] == modality_of(part["scene"])
            assert part["caption"] == caption(part["scene"])
        for message in record.messages[1::2]:
            assert any(p["type"] == "text" and p["text"] for p in message["content"])
        assert json.dumps(plain_messages(record.messages))
    shown = {p["type"] for r in made for p in parts(r, "assistant")}
    given = {p["type"] for r in made for p in parts(r, "user")}
    every = {"text", "image", "audio", "video"}
    assert shown == (every if form in ("caption", "t2m", "mosit", "about given") else {"text"})
    assert given == (every if form in ("pair", "understand", "mosit", "about given") else {"text"})


@pytest.mark.parametrize("form", FORMS)
def test_held_out_pairs_stay_out_of_training(form: str) -> None:
    pattern = re.compile(
        rf"\b(?:({'|'.join(NUMBERS)}) )?(?:\w+ )??(?:({'|'.join(COLOURS)}) )?"
        rf"({'|'.join(sorted(NOUNS, key=len, reverse=True))})\b"
    )
    for record in records(form, "train", 300):
        assert not any(is_held_out(p["scene"]) for p in parts(record) if "scene" in p)
        for number, colour, noun in pattern.findall(words_of(record).lower()):
            assert (NOUNS[noun], colour) not in HELD_OUT_COLOURS, words_of(record)
            assert (NOUNS[noun], NUMBERS.get(number)) not in HELD_OUT_COUNTS, words_of(record)
    for record in records(form, "held_out"):
        visible = [p["scene"] for p in parts(record) if p["type"] in ("image", "video")]
        assert not visible or any(is_held_out(s) for s in visible)


@pytest.mark.parametrize("form", ["pair", "caption", "understand", "t2m", "mosit", "about given"])
def test_any_scene_may_be_read_of_in_the_wordings_of_training(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned = 0
    for table in (dialogue_wordings.FRAMES, phrases.FRAMES):
        for frames in table.values():
            monkeypatch.setitem(frames, "held_out", ["POISON"])
            poisoned += 1
    assert poisoned > 30
    made = records(form, "any", 300)
    held = [any(is_held_out(p["scene"]) for p in parts(r) if "scene" in p) for r in made]
    assert 0.05 < sum(held) / len(held) < 0.8
    assert not any("poison" in words_of(record).lower() for record in made)
    if form == "understand":
        assert not any("tell me, " in words_of(record).lower() for record in made)
    assert any("poison" in words_of(r).lower() for r in records(form, "held_out", 20))


def test_a_conversation_has_three_to_seven_turns_and_changes_modality() -> None:
    made = records("mosit", "train", 400)
    assert {len(r.messages) // 2 for r in made} == {3, 4, 5, 6, 7}
    kinds = [{p["type"] for p in parts(r)} - {"text"} for r in made]
    assert sum(len(k) > 1 for k in kinds) > len(made) / 2
    silent = [
        all(p["type"] == "text" for p in m["content"]) for r in made for m in r.messages[1::2]
    ]
    assert 0.2 < sum(silent) / len(silent) < 0.6


@pytest.mark.parametrize("split", SPLITS)
def test_arithmetic_is_right(split: Split) -> None:
    rng = Random(3)
    for _ in range(300):
        record = dialogue.skill_record("arithmetic", rng, split, tells=rng.random())
        asked = words_of(record, "user").lower()
        tokens = re.findall(r"\w+", re.sub(r"\b(one|\d|\w+) of them\b", r"\1", asked))
        before, change = [NUMBERS[t] for t in tokens if t in NUMBERS and t != "zero"]
        sign = 1 if "more" in tokens else -1
        (picture,) = [p["scene"] for p in parts(record, "assistant") if p["type"] == "image"]
        assert picture.groups[0].count == before + sign * change, asked
        assert picture.groups[0].kind in {NOUNS[t] for t in tokens if t in NOUNS}


@pytest.mark.parametrize("split", SPLITS)
def test_a_reworded_relation_shows_the_same_picture(split: Split) -> None:
    sides = {way: rel for rel, ways in phrases.RELATION_WORDS.items() for way in ways}
    side = "|".join(sorted(sides, key=len, reverse=True))
    rng = Random(4)
    for _ in range(200):
        record = dialogue.skill_record("rewording", rng, split)
        asked = words_of(record, "user").lower()
        told = re.match(rf".*?({'|'.join(KINDS)}) is ({side}) .*?({'|'.join(KINDS)})\.", asked)
        assert told, asked
        first, relation, second = told[1], sides[told[2]], told[3]
        (picture,) = [p["scene"] for p in parts(record, "assistant") if p["type"] == "image"]
        begin = re.findall("|".join(KINDS), asked)[-1]
        shown = [g.kind for g in picture.groups]
        assert shown[0] == begin
        straight = shown == [first, second] and picture.relation == relation
        turned = shown == [second, first] and picture.relation == OPPOSITE[relation]
        assert straight or turned, asked


def test_answers_agree_with_the_captions() -> None:
    checked = 0
    for record in records("understand", "train", 2000):
        media = [p for p in parts(record, "user") if p["type"] != "text"]
        if len(media) != 1:
            continue
        seen = media[0]["caption"]
        for asked, reply in zip(record.messages[::2], record.messages[1::2], strict=True):
            question = next(p["text"] for p in asked["content"] if p["type"] == "text").lower()
            answer = reply["content"][0]["text"].lower()
            if many := re.match(r"how many (\w+) (?:are|do)", question):
                if many[1] not in NOUNS:  # "things"
                    continue
                kind = NOUNS[many[1]]
                found = re.search(rf"(\w+) \w+ \w+ (?:{kind}|{phrases.PLURALS[kind]})\b", seen)
                number = "no" if found is None else "one" if found[1] == "a" else found[1]
                assert re.search(rf"there (?:is|are) {number} ", answer), (seen, question, answer)
                checked += 1
            if colour := re.match(r"what colour (?:is|are) the (\w+)", question):
                found = re.search(rf"(\w+) {colour[1]}\b", seen)
                assert found and answer.endswith(f" {found[1]}."), (seen, question, answer)
                checked += 1
    assert checked > 80


@pytest.mark.parametrize("skill", dialogue.SKILLS)
def test_a_skill_ends_with_media(skill: str) -> None:
    rng = Random(5)
    for _ in range(30):
        record = dialogue.skill_record(skill, rng)
        assert any(p["type"] != "text" for p in record.messages[-1]["content"])


def test_changes_do_to_the_latest_picture_what_they_say() -> None:
    seen = {"swap": 0, "sum": 0}
    for record in records("mosit", "train", 800):
        latest: Scene | None = None
        for asked, reply in zip(record.messages[::2], record.messages[1::2], strict=True):
            said = words_of(Record("", [asked], "text")).lower()
            new = next((p["scene"] for p in reply["content"] if "scene" in p), None)
            if isinstance(latest, Picture) and isinstance(new, Picture):
                old, now = latest.groups, new.groups
                if "swap" in said and "colour" in said:
                    assert [g.colour for g in now] == [g.colour for g in old][::-1], said
                    assert [g.kind for g in now] == [g.kind for g in old]
                    assert (new.relation, new.place) == (latest.relation, latest.place)
                    seen["swap"] += 1
                change = re.match(r"(?:add|draw|take|now take away) (\w+)", said)
                if change and change[1] in NUMBERS and re.search("more|fewer|away", said):
                    sign = 1 if "more" in said else -1
                    assert now[0].count == old[0].count + sign * NUMBERS[change[1]], said
                    seen["sum"] += 1
            given = [p["scene"] for p in asked["content"] + reply["content"] if "scene" in p]
            latest = given[-1] if given else latest
    assert min(seen.values()) > 20, seen


def test_requests_answer_with_what_they_say() -> None:
    for record in records("t2m", "train", 400):
        said = words_of(record, "user").lower()
        for part in parts(record, "assistant"):
            match part.get("scene"):
                case Picture(groups):
                    for group in groups:
                        assert group.kind in {
                            NOUNS[w] for w in re.findall(r"\w+", said) if w in NOUNS
                        }
                        assert group.colour in said or (
                            group.colour == DEFAULTS.colours[group.kind]
                        )
                case Sound(kind) | Clip(kind):
                    assert kind in said


def test_sentences_are_grammatical() -> None:
    one = "|".join(set(phrases.PLURALS.values()))
    wrong = re.compile(
        rf"\ba (?:apple|orange)|\ban (?!apple|orange|image)|\b(?:a|one) (?:\w+ )?(?:{one})\b|"
        rf"\b(?:two|three|four|five|six|seven|[2-7]) (?:\w+ )?(?:{'|'.join(KINDS)})\b|  |"
        r"\{|\}| [.,?!]|\bthere is (?:two|three|four|five|six|seven)\b|there are (?:one|a)\b"
    )
    for form in FORMS:
        for split in SPLITS:
            for record in records(form, split):
                for part in parts(record):
                    text = part.get("text", "").lower()
                    assert not wrong.search(text), text


def test_corpus_is_words_alone_and_restates_requests_as_captions() -> None:
    restated = 0
    for messages in islice(dialogue.llm_corpus(Random(6)), 600):
        assert [m["role"] for m in messages] == ["user", "assistant"] * (len(messages) // 2)
        for asked, reply in zip(messages[::2], messages[1::2], strict=True):
            for tag in ("Img", "Aud", "Vid"):
                assert asked["content"].count(f"<{tag}>") == asked["content"].count(f"</{tag}>")
                assert tag not in reply["content"]
            if asked["content"].startswith("Say what to make: "):
                restated += 1
                for line in re.findall(r"[^.]+\.", reply["content"]):
                    assert parse(line), line
    assert restated > 100
    assert list(islice(dialogue.llm_corpus(Random(7)), 5)) == list(
        islice(dialogue.llm_corpus(Random(7)), 5)
    )
