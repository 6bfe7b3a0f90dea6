"""People who type: what they say is wide and seeded, means what it should, and never leaks."""

from __future__ import annotations

import re
from itertools import islice
from random import Random
from typing import Any

import pytest

from nextgpt_lite.model import modality
from nextgpt_lite.world.dialogue import records
from nextgpt_lite.world.dialogue.parts import DEFAULTS
from nextgpt_lite.world.dialogue.typed import keyboard, lexicon, outside, phrasing, reading, wishes
from nextgpt_lite.world.dialogue.typed.phrasing import Deed, Said, Things
from nextgpt_lite.world.dialogue.typed.records import MAKERS, reworded, typed_corpus, typed_record
from nextgpt_lite.world.dialogue.typed.reword import put, reword, tell_story
from nextgpt_lite.world.scene import COLOURS, KINDS, SIZES, is_held_out
from nextgpt_lite.world.suite import typed as examination
from nextgpt_lite.world.suite.typed import agrees, filled, read_scene, right_words

# What the world's own corpus begins with, for the weights that are shipped.
TODAY = "Hi, how are you?"
FORMS = (
    lambda rng: records.t2m(rng, "any"),
    lambda rng: records.mosit(rng, "any"),
    lambda rng: records.about_given(rng, "any"),
    lambda rng: records.understand(rng, "any"),
    lambda rng: records.text(rng, "any"),
    lambda rng: records.pair(rng, rng.choice(("image", "audio", "video")), "any"),
    lambda rng: records.skill_record(rng.choice(records.SKILLS), rng, "any"),
)


def said(messages: Any) -> list[str]:
    return [part["text"] for m in messages[::2] for part in m["content"] if part["type"] == "text"]


def test_the_same_seed_types_the_same() -> None:
    first, again, other = (list(islice(typed_corpus(Random(seed)), 40)) for seed in (3, 3, 4))
    assert first == again != other


def test_there_are_thousands_of_words() -> None:
    assert len(lexicon.known_words()) >= 3000
    frames = {f for ways in lexicon.load("frames").values() for f in ways}
    assert len(frames) + sum(len(q["say"]) for q in lexicon.load("questions")) >= 1500


@pytest.mark.parametrize("form", FORMS)
def test_rewording_leaves_scenes_and_replies_as_they_are(form: Any) -> None:
    for seed in range(60):
        before, after = form(Random(seed)), reworded(form(Random(seed)), Random(seed))
        assert before.messages[1::2] == after.messages[1::2]
        scenes = [
            [part.get("scene") for part in m["content"] if part["type"] != "text"]
            for record in (before, after)
            for m in record.messages
        ]
        assert scenes[: len(before.messages)] == scenes[len(before.messages) :]


def test_nearly_everything_that_the_worlds_users_say_is_understood() -> None:
    texts = [t for seed in range(300) for t in said(FORMS[seed % 7](Random(seed)).messages) if t]
    lost = [text for text in texts if put(text, Random(0)) is None]
    assert len(lost) < 0.02 * len(texts), lost


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("wording", ["train", "held_out"])
def test_every_sort_of_conversation_is_drawn(name: str, wording: Any) -> None:
    for seed in range(25):
        record = MAKERS[name](Random(seed), "train", wording, 1.0)
        scenes = [p["scene"] for m in record.messages for p in m["content"] if "scene" in p]
        assert not any(is_held_out(scene) for scene in scenes)
        assert not any("{" in text.replace("{}", "") for text in said(record.messages))


def named(text: str, ways: dict[str, list[str]]) -> set[str]:
    """The keys one of whose names is in the text, the longest names first."""
    found = set()
    pairs = ((lexicon.singular(name), key) for key, names in ways.items() for name in names)
    names = sorted(pairs, key=lambda pair: -len(pair[0]))
    for name, key in names:
        for form in (lexicon.plural(name), name):
            if re.search(rf"\b{re.escape(form)}\b", text):
                text = re.sub(rf"\b{re.escape(form)}\b", "", text)
                found.add(key)
    return found


def test_phrases_name_what_is_meant_and_nothing_else() -> None:
    rng = Random(0)
    for _ in range(400):
        kind = rng.choice(KINDS)
        colour = rng.choice([c for c in COLOURS if c != DEFAULTS.colours[kind]])
        text = phrasing.thing(Said(kind, rng.randint(1, 7), "small", colour), rng)
        assert named(text, lexicon.words("sizes")) >= {"small"}, text
        assert kind in named(text, lexicon.words("kinds")), text
        assert colour in named(text, lexicon.words("colours")), text


def test_only_what_is_meant_anyway_is_left_unsaid() -> None:
    told = Said("dog", 1, DEFAULTS.size, DEFAULTS.colours["dog"])
    texts = [phrasing.thing(told, Random(seed)) for seed in range(60)]
    assert any(not named(text, lexicon.words("sizes")) for text in texts)
    other = Said("dog", 1, next(s for s in SIZES if s != DEFAULTS.size), "green")
    texts = [phrasing.thing(other, Random(seed)) for seed in range(60)]
    assert all(named(text, lexicon.words("sizes")) for text in texts)


def test_the_worlds_own_phrases_are_read() -> None:
    assert reading.things("a small red car left of two dogs in the garden") is not None
    assert reading.things("A huge pink man under one cat, and an apple") == Things(
        (Said("man", 1, "large", "pink"), Said("cat"), Said("apple")), "below"
    )
    assert reading.deed("a dog bark twice in a high voice") == Deed("dog", 2, "high")
    assert reading.deed("3 low notes of a woman") == Deed("woman", 3, "low")
    assert reading.moving("a black bell getting smaller up in the sky") == (
        Things((Said("bell", 1, None, "black"),), None, "sky"), "shrinks",
    )  # fmt: skip
    assert reading.things("a house") is None


def test_both_signs_of_a_story_keep_their_sum() -> None:
    texts = {
        "I have three small dogs and find 3 more. How many are there now?": "plus",
        "There are 5 cats and two go away. Draw the rest.": "minus",
    }
    for text, sign in texts.items():
        ways = [w for key in (f"story_{sign}", "eat_minus") for w in lexicon.load("frames")[key]]
        words = {w for way in ways for w in re.findall(r"[a-z]+", way)}
        for seed in range(20):
            told = put(text, Random(seed))
            assert told and set(re.findall(r"[a-z]+", told)) & words
            own = tell_story(Said("dog", 5), sign, 2, True, Random(seed), "train")
            assert re.search(r"\b(two|2)\b", own)


@pytest.mark.parametrize("key", sorted(lexicon.load("frames")))
def test_held_out_frames_are_not_in_training(key: str) -> None:
    ways = tuple(lexicon.load("frames")[key])
    train, kept = lexicon.entries(ways, False), lexicon.entries(ways, True)
    assert set(train).isdisjoint(kept) or set(kept) == set(ways) or set(train) == set(ways)
    rng = Random(0)
    assert all(lexicon.frame(key, "train", rng) in train for _ in range(50))


def test_held_out_words_and_slips_are_not_in_training() -> None:
    rng = Random(0)
    for split in ("train", "held_out"):
        for _ in range(300):
            word = outside.unknown_noun(rng, split)  # type: ignore[arg-type]
            assert lexicon.held_out(word.replace(" ", "-")) == (split == "held_out")
            wrong = keyboard.slip("picture", rng, split)  # type: ignore[arg-type]
            assert wrong == "picture" or lexicon.held_out(wrong) == (split == "held_out")


def test_a_slip_never_makes_another_known_word() -> None:
    for word in ("car", "cat", "man", "two", "bell", "four", "left", "red"):
        slips = {keyboard.slip(word, Random(seed), "train") for seed in range(200)} - {word}
        assert len(slips) > 3
        assert slips.isdisjoint(lexicon.known_words())


def test_all_manners_of_typing_occur() -> None:
    texts = [reword("Show me a small red car.", Random(seed)) for seed in range(400)]
    assert any(text.isupper() for text in texts)
    assert any(text.islower() for text in texts)
    assert any(text[-1].isalnum() for text in texts)
    assert len(set(texts)) > 390


def test_what_is_outside_is_admitted_in_one_sentence_without_media() -> None:
    sentences = {}
    for seed in range(600):
        asked, answer = outside.outside(Random(seed))
        assert examination.ADMITS.search(answer), answer
        assert len(re.findall(r"[.!?](\s|$)", answer)) == 1, answer
        sentences[re.sub(r'".*?"', "", answer)] = asked
        if name := re.search(r'"(.+?)"', answer):  # of "salute", "saluting" may be said
            plain = re.sub(r"[^a-z0-9]", "", asked.lower())
            assert re.sub(r"[^a-z0-9]", "", name[1].split()[-1])[:3] in plain, (asked, answer)
    assert len(sentences) >= 10


def test_wishes_mean_what_they_say() -> None:
    for seed in range(200):
        text, scenes = wishes.wish(Random(seed), "train", "train")
        assert text and scenes and not any(is_held_out(scene) for scene in scenes)


def test_the_corpus_for_today_is_drawn_as_before() -> None:
    from nextgpt_lite.world.pretraining.llm import corpus

    plain = list(islice(corpus(Random(0)), 30))
    none = list(islice(corpus(Random(0), typed=0.0), 30))
    wide = list(islice(corpus(Random(0), typed=1.0), 30))
    assert plain == none != wide
    assert plain[0][0]["content"] == TODAY


def test_a_typed_record_is_a_record() -> None:
    record = typed_record(Random(0), "train", "train", 1.0)
    assert [m["role"] for m in record.messages[:2]] == ["user", "assistant"]


def test_no_modality_of_a_readers_own_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(modality.MODALITIES, "thermal", modality.MODALITIES["image"])
    for index in range(20):
        MAKERS["description"](Random(index), "train", "train", 1.0)


def test_a_wider_tokenizer_keeps_every_id_and_the_model_its_rows() -> None:
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    from nextgpt_lite.model.config import WEIGHTS
    from nextgpt_lite.world.pretraining.llm import widened
    from nextgpt_lite.world.pretraining.tokenizers import extended

    folder = WEIGHTS / "lite" / "llm"
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    texts = ["zephyrine quokkas and a jujube", "zephyrine quokkas", "quokkas?"] * 9
    wider = extended(tokenizer, texts, len(tokenizer) + 12)
    assert len(wider) == len(tokenizer) + 12
    assert tokenizer.get_vocab().items() <= wider.get_vocab().items()
    text = "A zephyrine, 12 quokkas & <Img> a red car </Img> Ünïcode."
    ids = wider.encode(text, add_special_tokens=False)
    assert wider.decode(ids) == text
    assert len(ids) < len(tokenizer.encode(text, add_special_tokens=False))
    own = "Here is a large red car left of a small green bird."
    assert wider.encode(own) == tokenizer.encode(own)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    larger = widened(model, tokenizer, wider).eval()
    given = torch.tensor([tokenizer.encode(own)])
    with torch.no_grad():
        before, after = model.eval()(given).logits, larger(given).logits
    assert torch.equal(before, after[..., : len(tokenizer)])


# ---- the examination by hand


def test_the_examination_is_large_and_of_every_manner() -> None:
    asked = examination.requests()
    assert len(asked) >= 300
    assert {"terse", "polite", "typos", "synonyms", "capitals", "texting"} <= {
        request.manner for request in asked
    }
    assert sum(request.wanted.admits for request in asked) >= 40


def test_an_oracle_is_right_and_a_shuffled_one_is_not() -> None:
    asked = examination.requests()

    def tell(wanted: examination.Wanted) -> str:
        if wanted.admits:
            return 'I do not know "house".'
        if wanted.words:
            return " ".join(ways[0] for ways in wanted.words)
        from nextgpt_lite.world.dialogue.parts import telling

        return " ".join(telling(filled(scene)) for scene in wanted.scenes)

    told = [tell(request.wanted) for request in asked]
    assert all(right_words(r.wanted, t) for r, t in zip(asked, told, strict=True))
    moved = told[57:] + told[:57]
    assert sum(right_words(r.wanted, t) for r, t in zip(asked, moved, strict=True)) < 12


def test_scenes_in_short() -> None:
    wanted = read_scene("img: 2 small red dog left of cat @garden")
    assert agrees(wanted, filled(wanted))
    assert agrees(read_scene("img: dog + cat"), filled(read_scene("img: cat + dog")))
    assert not agrees(
        read_scene("img: dog left of cat"), filled(read_scene("img: cat left of dog"))
    )
    assert agrees(read_scene("img: dog left of cat"), filled(read_scene("img: cat right of dog")))
    assert not agrees(read_scene("aud: dog x3"), filled(read_scene("aud: dog x2")))


def test_a_medium_is_right_when_it_shows_what_was_named() -> None:
    from nextgpt_lite.world.render import render

    shown = filled(read_scene("img: small red car + blue dog @street"))
    assert examination.right_medium(read_scene("img: red car + dog"), render(shown))
    assert not examination.right_medium(read_scene("img: green car + dog"), render(shown))
    heard = filled(read_scene("aud: dog x3 high"))
    assert examination.right_medium(read_scene("aud: dog x3"), render(heard))
    assert not examination.right_medium(read_scene("aud: dog x2"), render(heard))
    moving = filled(read_scene("vid: small cat up"))
    assert examination.right_medium(read_scene("vid: cat up"), render(moving))
    assert not examination.right_medium(read_scene("vid: cat down"), render(moving))


def test_scripts_for_the_layout_before_find_their_names() -> None:
    from nextgpt_lite.world import dialogue_parts
    from nextgpt_lite.world.dialogue import parts

    assert dialogue_parts.telling is parts.telling
    assert dialogue_parts.DEFAULTS is parts.DEFAULTS
