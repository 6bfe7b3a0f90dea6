"""The wordings of the lite world: every word and every sentence frame, as tables.

Knows: number words, plurals, verbs and noises of the things, synonyms, and the frames of captions
and paraphrases, those kept out of training (`"held_out"`) apart from the others.
Leaves to others: how a scene fills a frame, and how a caption is read back (`describe`).

A slot stands in braces. A held-out frame is new as a whole but uses only words of the training
frames, so that a held-out paraphrase asks for understanding and not for an unknown word.
Neither apostrophes nor hyphens occur: a word-level tokeniser would cut words there.
"""

from __future__ import annotations

from typing import Final

NUMBER_WORDS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven")
TIMES_WORDS: Final = {1: "once", 2: "twice", 3: "three times", 4: "four times"}

PLURALS: Final = {
    "apple": "apples", "car": "cars", "dog": "dogs", "cat": "cats", "bird": "birds",
    "bell": "bells", "drum": "drums", "train": "trains", "man": "men", "woman": "women",
}  # fmt: skip

# What a thing does to be heard: it barks; hear it bark; it is barking; one bark, two barks.
VERBS: Final = {
    "apple": "crunches", "car": "hums", "dog": "barks", "cat": "meows", "bird": "chirps",
    "bell": "rings", "drum": "beats", "train": "whistles", "man": "says hello", "woman": "sings",
}  # fmt: skip
INFINITIVES: Final = {
    "apple": "crunch", "car": "hum", "dog": "bark", "cat": "meow", "bird": "chirp",
    "bell": "ring", "drum": "beat", "train": "whistle", "man": "say hello", "woman": "sing",
}  # fmt: skip
GERUNDS: Final = {
    "apple": "crunching", "car": "humming", "dog": "barking", "cat": "meowing",
    "bird": "chirping", "bell": "ringing", "drum": "beating", "train": "whistling",
    "man": "saying hello", "woman": "singing",
}  # fmt: skip
NOISES: Final = {
    "apple": ("crunch", "crunches"), "car": ("hum", "hums"), "dog": ("bark", "barks"),
    "cat": ("meow", "meows"), "bird": ("chirp", "chirps"), "bell": ("ring", "rings"),
    "drum": ("beat", "beats"), "train": ("whistle", "whistles"), "man": ("hello", "hellos"),
    "woman": ("note", "notes"),
}  # fmt: skip

# Of each row the first wording is the canonical one.
PLACE_PHRASES: Final = {
    "plain": ("",),
    "garden": ("in the garden", "in a garden", "out in the garden"),
    "street": ("on the street", "on a street", "out on the street"),
    "table": ("on the table", "on a table", "on top of the table"),
    "sky": ("in the sky", "up in the sky", "high in the sky"),
}
SIZE_WORDS: Final = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
RELATION_WORDS: Final = {
    "left of": ("left of", "to the left of", "on the left of"),
    "right of": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}
# It moves left; see it move left; it is moving left.
MOTION_WORDS: Final = {
    "left": (
        ("moves left", "move left", "moving left"),
        ("moves to the left", "move to the left", "moving to the left"),
        ("goes left", "go left", "going left"),
    ),
    "right": (
        ("moves right", "move right", "moving right"),
        ("moves to the right", "move to the right", "moving to the right"),
        ("goes right", "go right", "going right"),
    ),
    "up": (
        ("moves up", "move up", "moving up"),
        ("goes up", "go up", "going up"),
        ("rises", "rise", "rising"),
    ),
    "down": (
        ("moves down", "move down", "moving down"),
        ("goes down", "go down", "going down"),
        ("sinks", "sink", "sinking"),
    ),
    "grows": (
        ("grows", "grow", "growing"),
        ("gets bigger", "get bigger", "getting bigger"),
        ("becomes larger", "become larger", "becoming larger"),
    ),
    "shrinks": (
        ("shrinks", "shrink", "shrinking"),
        ("gets smaller", "get smaller", "getting smaller"),
        ("becomes smaller", "become smaller", "becoming smaller"),
    ),
}  # fmt: skip
PITCH_PHRASES: Final = (
    "in a {pitch} pitch", "at a {pitch} pitch", "in a {pitch} voice", "with a {pitch} tone",
)  # fmt: skip
TIMES_PHRASES: Final = {
    1: ("once", "one time", "just once"),
    2: ("twice", "two times"),
    3: ("three times",),
    4: ("four times",),
}

PICTURE_FRAMES: Final = {
    "train": (
        "{things} {place}",
        "there {be} {things} {place}",
        "a picture of {things} {place}",
        "an image of {things} {place}",
        "a drawing of {things} {place}",
        "this is a picture of {things} {place}",
        "this picture shows {things} {place}",
        "we see {things} {place}",
        "here {be} {things} {place}",
        "look , {things} {place}",
    ),
    "held_out": (
        "this is a drawing of {things} {place}",
        "here we see {things} {place}",
        "this image shows {things} {place}",
        "look , there {be} {things} {place}",
        "here is a picture of {things} {place}",
    ),
}
# For scenes with a place, and for scenes with a relation, one more order of words each.
PLACED_FRAMES: Final = {
    "train": ("{place} there {be} {things}", "{place} , {things}"),
    "held_out": ("{place} we see {things}", "look , {place} there {be} {things}"),
}
RELATED_FRAMES: Final = {
    "train": ("{relation} {second} there is {first}{third} {place}",),
    "held_out": ("look , {relation} {second} we see {first}{third} {place}",),
}
# What the thing's colour may look like after the noun: "a large car that is red".
COLOUR_AFTER: Final = ("{det} {size} {noun} that {be} {colour}",)

SOUND_FRAMES: Final = {
    "train": (
        "{thing} {verb} {times} {pitch}",
        "{thing} {gerund} {times} {pitch}",
        "the sound of {thing} {gerund} {times} {pitch}",
        "we hear {thing} {infinitive} {times} {pitch}",
        "this is {thing} {gerund} {times} {pitch}",
        "{pitch} , {thing} {verb} {times}",
        "{number} {high} {noises} of {thing}",
        "here {be} {number} {high} {noises} of {thing}",
        "{thing} {verb} {pitch} , {times}",
    ),
    "held_out": (
        "this is the sound of {thing} {gerund} {times} {pitch}",
        "we hear {number} {high} {noises} of {thing}",
        "here is {thing} {gerund} {times} {pitch}",
        "the sound of {number} {high} {noises} of {thing}",
    ),
}
CLIP_FRAMES: Final = {
    "train": (
        "{thing} {moves} {place}",
        "{thing} {moving} {place}",
        "a clip of {thing} {moving} {place}",
        "a video of {thing} {moving} {place}",
        "there is {thing} {moving} {place}",
        "this is a clip of {thing} {moving} {place}",
        "this video shows {thing} {moving} {place}",
        "we see {thing} {move} {place}",
        "here {thing} {moves} {place}",
        "look , {thing} {moves} {place}",
    ),
    "held_out": (
        "this is a video of {thing} {moving} {place}",
        "here we see {thing} {move} {place}",
        "this clip shows {thing} {moving} {place}",
        "look , there is {thing} {moving} {place}",
    ),
}
