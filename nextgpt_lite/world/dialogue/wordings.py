"""What people say to the model, and what it answers: sentence frames as tables.

Knows: frames by subject, for "train" and for "held_out" apart; a held-out frame is never used in
training. Slots stand in braces and are filled by the other `dialogue_*` files.
Leaves to others: scenes, truth and order of turns.
"""

from __future__ import annotations

from random import Random
from typing import Final

from nextgpt_lite.world.scene import Split, wordings_of

Frames = dict[str, tuple[str, ...]]

# A user gives one thing to look at or listen to and wants it described.
DESCRIBE: Final[dict[str, Frames]] = {
    "image": {
        "train": (
            "What is in the picture?", "Describe the picture.", "What do you see?",
            "What does this picture show?", "Tell me what is in this image.",
            "Please describe this image.", "What is this?",
        ),
        "held_out": (
            "What does the image show?", "Please tell me what you see.",
            "Can you describe the picture?",
        ),
    },
    "audio": {
        "train": (
            "What do you hear?", "Describe the sound.", "What is this sound?",
            "What can be heard here?", "Tell me what you hear.", "Please describe this sound.",
            "What is this?",
        ),
        "held_out": (
            "What can you hear?", "Please tell me what this sound is.",
            "Can you describe the sound?",
        ),
    },
    "video": {
        "train": (
            "What happens in the clip?", "Describe the clip.", "What do you see?",
            "What does this video show?", "Tell me what happens in this clip.",
            "Please describe this video.", "What is this?",
        ),
        "held_out": (
            "What does the clip show?", "Please tell me what happens here.",
            "Can you describe the video?",
        ),
    },
}  # fmt: skip

# Requests for one medium. {things} is a noun phrase, {look}/{do} agree with it.
DRAW: Final[Frames] = {
    "train": (
        "Draw {things}.", "Please draw {things}.", "Show me {things}.",
        "Show me a picture of {things}.", "Paint {things}.", "Can you draw {things}?",
        "I would like a picture of {things}.", "I want to see {things}.",
        "Make an image of {things}.", "Give me a drawing of {things}.",
        "A picture of {things}, please.", "I'd like to see {things}.",
        "I wonder what {things} {look} like.", "What {do} {things} look like?",
        "I have never seen {things}.", "Picture this: {things}.",
    ),
    "held_out": (
        "I would like to see {things}.", "Please make a drawing of {things}.",
        "Can you show me an image of {things}?", "I want a picture of {things}, please.",
        "I have always wanted to see {things}.",
    ),
}  # fmt: skip
# {infinitive}: "a dog bark twice"; {gerund}: "a dog barking twice"; {noises}: "two barks of a dog".
HEAR: Final[Frames] = {
    "train": (
        "Let me hear {infinitive}.", "I want to hear {infinitive}.",
        "I'd like to hear {infinitive}.", "Play the sound of {gerund}.",
        "Give me the sound of {gerund}.", "Can I hear {infinitive}?", "Play {noises}.",
        "Please play {noises}.", "I would like to hear {noises}.", "Make the sound of {gerund}.",
        "I wonder how it sounds when {finite}.",
    ),
    "held_out": (
        "Please let me hear {infinitive}.", "Can you play the sound of {gerund}?",
        "I want to listen to {gerund}.", "I would like the sound of {noises}.",
    ),
}  # fmt: skip
HEAR_BARE: Final[Frames] = {
    "train": (
        "Let me hear {thing}.", "What does {thing} sound like?", "I wonder how {thing} sounds.",
        "Play the sound of {thing}.", "I want to hear {thing}.", "What sound does {thing} make? "
        "Let me hear it.", "I have never heard {thing}.",
    ),
    "held_out": (
        "Please let me hear {thing}.", "I wonder what {thing} sounds like.",
        "Can you play {thing}?",
    ),
}  # fmt: skip
FILM: Final[Frames] = {
    "train": (
        "Show me a clip of {gerund}.", "Make a video of {gerund}.", "Let me watch {infinitive}.",
        "I want to see {infinitive}.", "I'd like a clip of {gerund}.", "Animate {gerund}.",
        "Film {gerund}.", "Can I watch {infinitive}?", "A video of {gerund}, please.",
        "Give me a clip of {gerund}.", "I wonder how it looks when {finite}.",
        "Show me how {finite}.",
    ),
    "held_out": (
        "Please let me watch {infinitive}.", "I would like a video of {gerund}.",
        "Can you make a clip of {gerund}?", "Please show me how {finite}.",
    ),
}  # fmt: skip
FILM_BARE: Final[Frames] = {
    "train": (
        "Show me a clip of {thing}.", "Make a video of {thing}.", "Animate {thing}.",
        "I'd like a clip of {thing}.", "Film {thing}.", "A video of {thing}, please.",
    ),
    "held_out": ("Can you animate {thing}?", "I would like a video of {thing}."),
}  # fmt: skip
# Requests for several media at once; the key lists them in the order of the answer.
SEVERAL: Final[dict[tuple[str, ...], Frames]] = {
    ("image", "video", "audio"): {
        "train": (
            "Show, animate and let me hear {thing}.", "I want to see, watch and hear {thing}.",
            "Give me a picture, a clip and the sound of {thing}.",
            "Draw {thing}, make it move and let me hear it.",
        ),
        "held_out": (
            "Let me see, watch and hear {thing}.",
            "A picture, a clip and the sound of {thing}, please.",
        ),
    },
    ("image", "audio"): {
        "train": (
            "Draw {thing} and let me hear it.", "I want to see and hear {thing}.",
            "Give me a picture and the sound of {thing}.",
        ),
        "held_out": ("Let me see and hear {thing}.", "Show me {thing} and play its sound."),
    },
    ("image", "video"): {
        "train": (
            "Give me a picture and a clip of {thing}.", "Draw {thing} and make it move.",
            "Draw and animate {thing}.",
        ),
        "held_out": ("A picture and a clip of {thing}, please.", "Show me and animate {thing}."),
    },
    ("video", "audio"): {
        "train": (
            "Give me a clip and the sound of {thing}.", "Animate {thing} and let me hear it.",
            "I want to watch and hear {thing}.",
        ),
        "held_out": ("Let me watch and hear {thing}.", "Film {thing} and play its sound."),
    },
}  # fmt: skip

# Follow-ups about what was shown last. {it}: "it", "them" or "the dog".
RECOLOUR: Final[Frames] = {
    "train": ("Make {it} {colour}.", "Now make {it} {colour}.", "I want {it} {colour}."),
    "held_out": ("Please make {it} {colour}.", "Can you make {it} {colour}?"),
}
RECOLOUR_ALONE: Final[Frames] = {
    "train": ("The same but {colour}.", "Now in {colour}.", "The same in {colour}, please."),
    "held_out": ("The same again, but in {colour}.", "Now the same in {colour}."),
}
RESIZE: Final[Frames] = {
    "train": ("Make {it} {size}.", "Now make {it} {size}.", "I want {it} {size}."),
    "held_out": ("Please make {it} {size}.", "Can you make {it} {size}?"),
}
REPLACE: Final[Frames] = {
    "train": ("The same with {thing}.", "Now {thing} instead.", "Make it {thing}."),
    "held_out": ("Please make it {thing}.", "The same but with {thing} instead."),
}
RECOUNT: Final[Frames] = {
    "train": ("Now {number} of them.", "Make it {number}.", "Draw {number} of them."),
    "held_out": ("Now draw {number} of them.", "I want {number} of them."),
}
ADD_MORE: Final[Frames] = {
    "train": ("Add {number} more.", "Draw {number} more.", "{Number} more, please."),
    "held_out": ("Please add {number} more.", "Now {number} more."),
}
TAKE_AWAY: Final[Frames] = {
    "train": ("Take {number} away.", "Draw {number} fewer.", "Now take away {number}."),
    "held_out": ("Please take {number} away.", "Now draw {number} fewer."),
}
PLACE_IT: Final[Frames] = {
    "train": ("Put {it} {place}.", "Now {place}.", "The same {place}."),
    "held_out": ("Please put {it} {place}.", "Now the same {place}."),
}
SWAP_PLACES: Final[Frames] = {
    "train": ("Swap them.", "Swap their places.", "Now the other way round."),
    "held_out": ("Please swap them.", "Now swap their places."),
}
SWAP_COLOURS: Final[Frames] = {
    "train": ("Swap their colours.", "Now swap the colours.", "Let them swap colours."),
    "held_out": ("Please swap their colours.", "Now let them swap colours."),
}
ADD_THING: Final[Frames] = {
    "train": ("Add {thing}.", "Now add {thing}.", "Put {thing} in, too."),
    "held_out": ("Please add {thing}.", "Add {thing}, too."),
}
ADD_BESIDE: Final[Frames] = {
    "train": ("Put {thing} {relation} it.", "Add {thing} {relation} it."),
    "held_out": ("Please put {thing} {relation} it.", "Now add {thing} {relation} it."),
}
REMOVE: Final[Frames] = {
    "train": ("Take {it} away.", "Now take {it} away.", "Remove {it}."),
    "held_out": ("Please take {it} away.", "Please remove {it}."),
}
HEAR_IT: Final[Frames] = {
    "train": (
        "Let me hear {it}.", "What does {it} sound like?", "Now let me hear {it}.",
        "I want to hear {it}.", "Play the sound of {it}.",
    ),
    "held_out": ("Please let me hear {it}.", "Can I hear {it}?"),
}  # fmt: skip
# Times and pitch of a sound that was just heard.
HEAR_TIMES: Final[Frames] = {
    "train": ("Now {times}.", "Let me hear it {times}.", "The same {times}, please."),
    "held_out": ("Now let me hear it {times}.", "I want it {times}."),
}
HEAR_PITCH: Final[Frames] = {
    "train": ("{Higher}, please.", "Make it {higher}.", "The same in a {high} pitch."),
    "held_out": ("Please make it {higher}.", "Now in a {high} pitch."),
}
MOVE_IT: Final[Frames] = {
    "train": (
        "Make {it} {move}.", "Now make {it} {move}.", "Let {it} {move}.", "Let me watch {it} "
        "{move}.",
    ),
    "held_out": ("Now let {it} {move}.", "I want to watch {it} {move}."),
}  # fmt: skip
TURN_ROUND: Final[Frames] = {
    "train": ("Now the opposite.", "And now the opposite way."),
    "held_out": ("Now do the opposite.",),
}
DRAW_IT: Final[Frames] = {
    "train": (
        "Draw it.", "Show me a picture of it.", "Now draw it.", "What does it look like?",
        "Let me see it in a picture.",
    ),
    "held_out": ("Please draw it.", "Give me a picture of it."),
}  # fmt: skip
DRAW_IT_IN: Final[Frames] = {
    "train": ("Draw it in {colour}.", "Show me a picture of it in {colour}."),
    "held_out": ("Please draw it in {colour}.",),
}
FILM_IT: Final[Frames] = {
    "train": ("Show me a clip of it.", "Animate it.", "Make a video of it."),
    "held_out": ("Please animate it.", "Give me a clip of it."),
}
ALL_OF_IT: Final[Frames] = {
    "train": ("Show it, animate it and let me hear it.", "Draw it, animate it and play its sound."),
    "held_out": ("Let me see it, watch it and hear it.",),
}

# Sums as stories. {many}: "7 red apples"; {n}: a number; {lose}, {gain}, {leave}, {come}: verbs.
LOSSES: Final = (("lose", "lost"), ("give away", "gave away"), ("sell", "sold"))
EATING: Final = (("eat", "ate"),)
GAINS: Final = (("get", "got"), ("buy", "bought"), ("find", "found"))
STORY: Final[dict[tuple[str, str], Frames]] = {
    ("owned", "minus"): {
        "train": (
            "I have {many} and {lose} {n}.",
            "I have {many}. I {lose} {n} of them.",
            "I had {many} and {lost} {n}.",
        ),
        "held_out": ("I own {many}, but I {lose} {n}.", "I have {many}. Now I {lose} {n}."),
    },
    ("owned", "plus"): {
        "train": (
            "I have {many} and {gain} {n} more.",
            "I have {many}. Then I {gain} {n} more.",
            "I had {many} and {gained} {n} more.",
        ),
        "held_out": (
            "I own {many}, and I {gain} {n} more.",
            "I have {many}. Now I {gain} {n} more.",
        ),
    },
    ("alive", "minus"): {
        "train": ("There {be} {many} and {n} {leave}.", "I see {many}. Then {n} {leave}."),
        "held_out": ("Here {be} {many}, but {n} {leave}.", "I count {many}, and then {n} {leave}."),
    },
    ("alive", "plus"): {
        "train": ("There {be} {many} and {n} more {come}.", "I see {many}. Then {n} more {come}."),
        "held_out": (
            "Here {be} {many}, and {n} more {come}.",
            "I count {many}, and {n} more {come}.",
        ),
    },
}
STORY_DRAW: Final[dict[str, Frames]] = {
    "minus": {
        "train": ("Draw the rest.", "Draw what is left.", "Show me the rest."),
        "held_out": ("Show me what is left.", "Please draw the rest."),
    },
    "plus": {
        "train": ("Draw them all.", "Show me all of them.", "Draw all of them."),
        "held_out": ("Show me them all.", "Please draw all of them."),
    },
}
WHAT_IF: Final[Frames] = {
    "train": ("How many are left if {n} {go} away?", "How many are left when {n} {go} away?"),
    "held_out": ("If {n} {go} away, how many are left?",),
}
VOICE: Final[Frames] = {
    "train": ("What sound {does} {it} make?", "Which sound {does} {it} make?"),
    "held_out": ("Tell me what sound {it} {make}.",),
}
STORY_ASK: Final[Frames] = {
    "train": ("How many are there now?", "How many does that make?"),
    "held_out": ("So how many are there now?",),
}
# A relation told one way, to be drawn the other way round. {first} and {second} are things.
REWORD: Final[Frames] = {
    "train": (
        "{First} is {relation} {second}. Draw it with the {kind} first.",
        "{First} is {relation} {second}. Begin with the {kind} and draw it.",
        "{First} is {relation} {second}. Draw this beginning with the {kind}.",
    ),
    "held_out": (
        "{First} is {relation} {second}. Please draw it, the {kind} first.",
        "{First} is {relation} {second}. Now draw it and begin with the {kind}.",
    ),
}

BRIEF: Final[dict[str, tuple[str, ...]]] = {
    "image": ("Here is the picture.", "Here you are."),
    "audio": ("Here is the sound.", "Here you are."),
    "video": ("Here is the clip.", "Here you are."),
    "several": ("Here they are.", "Here you are."),
}


def say(frames: Frames, split: Split, rng: Random, **slots: object) -> str:
    """One frame of the split, its slots filled."""
    return rng.choice(frames[wordings_of(split)]).format(**slots)
