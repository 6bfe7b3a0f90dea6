"""Caption metrics against hand-computed values, the COCO evaluation's and those of our own code."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nextgpt_lite.errors import DataError
from nextgpt_lite.evaluation.metrics import captioning
from nextgpt_lite.evaluation.metrics.captioning import words_of

RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text())["captions"]

CANDIDATES = [
    "a large red car drives down the street",
    "two small cats sit on a table next to a bird",
    "a man is playing a guitar",
    "the dog barks",
    " it isn't a dog's bell - but a well-known drum, 3.5 feet wide!",
]
REFERENCES = [
    ["A big red car is driving on the street.", "a red car drives down the street",
     "a car on a road"],
    ["Two small cats are sitting on a table.", "two cats and a bird on the table"],
    ["A man plays the guitar.", "someone is playing a guitar on a stage",
     "a man is playing a guitar"],
    ["a bird sings in the garden"],
    ["It isn't a dog's bell, it's a drum of 3.5 feet.", "the drum is well-known"],
]  # fmt: skip


def test_words_are_those_of_the_penn_treebank() -> None:
    # as Stanford's PTBTokenizer and the COCO evaluation's list of punctuation give them
    assert " ".join(words_of(CANDIDATES[4])) == (
        "it is n't a dog 's bell but a well-known drum 3.5 feet wide"
    )


def test_caption_metrics_equal_the_coco_evaluation() -> None:
    # the right-hand sides were computed by pycocoevalcap 1.2 with its Java tokenizer
    assert captioning.bleu_4(CANDIDATES, REFERENCES) == pytest.approx(0.53366138708, abs=1e-9)
    assert captioning.rouge_l(CANDIDATES, REFERENCES) == pytest.approx(0.71802307085, abs=1e-9)
    each = [3.41382445, 2.16042758, 5.46837787, 0.0, 2.75923495]
    assert captioning.cider_each(CANDIDATES, REFERENCES) == pytest.approx(each, abs=1e-8)
    assert captioning.cider(CANDIDATES, REFERENCES) == pytest.approx(np.mean(each), abs=1e-8)


def test_the_library_gives_what_our_own_code_gave() -> None:
    texts = RECORDED["candidates"], RECORDED["references"]
    assert captioning.bleu_4(*texts) == pytest.approx(RECORDED["bleu"], abs=1e-8)
    assert captioning.rouge_l(*texts) == pytest.approx(RECORDED["rouge"], abs=1e-8)
    assert captioning.cider_each(*texts) == pytest.approx(RECORDED["cider"], abs=1e-8)
    assert captioning.meteor_2005(*texts) == pytest.approx(RECORDED["meteor"], abs=1e-8)
    assert captioning.cider_each(texts[0][:1], texts[1][:1]) == RECORDED["one"] == [0]
    assert captioning.bleu_4(["a b c d"], [["e f g h"]]) == RECORDED["nothing"] == 0


def test_bleu_by_hand() -> None:
    # 5 of 6 words, 3 of 5 pairs, 2 of 4 triples, 1 of 3 fours; one word too short: exp(1 - 7/6)
    value = captioning.bleu_4(["the cat sat on a mat"], [["the cat sat on the mat today"]])
    assert value == pytest.approx((5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25 * math.exp(-1 / 6))
    assert captioning.bleu_4(["the the the the"], [["the cat"]]) == 0


def test_rouge_by_hand() -> None:
    # longest common subsequence "the cat the mat": 4 of 5 and 4 of 6 words
    precision, recall = 4 / 5, 4 / 6
    value = captioning.rouge_l(["the cat saw the mat"], [["the cat sat on the mat"]])
    assert value == pytest.approx(2.44 * precision * recall / (recall + 1.44 * precision))


@pytest.mark.parametrize(
    ("candidate", "value"),
    [
        ("the cat sat on the mat", 1 - 0.5 * (1 / 6) ** 3),
        ("the cat was sat on the mat", 60 / 61 * (1 - 0.5 * (2 / 6) ** 3)),  # 0.9654
        ("on the mat sat the cat", 1 - 0.5 * (3 / 6) ** 3),
        ("nothing of it", 0.0),
    ],
)
def test_meteor_by_hand(candidate: str, value: float) -> None:
    assert captioning.meteor_2005([candidate], [["the cat sat on the mat"]]) == pytest.approx(value)


def test_spider_is_the_mean_of_both_parts() -> None:
    value = captioning.spider(CANDIDATES, REFERENCES, lambda c, _: [0.5] * len(c))
    assert value == pytest.approx((captioning.cider(CANDIDATES, REFERENCES) + 0.5) / 2)


def test_what_needs_java_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captioning.shutil, "which", lambda _: None)
    for metric in (captioning.meteor_1_5, captioning.spice):
        with pytest.raises(ModuleNotFoundError, match="runs in Java: install Java"):
            metric(CANDIDATES, REFERENCES)


def test_nothing_is_fetched_for_spice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parser = pytest.importorskip("pycocoevalcap.spice.get_stanford_models")
    monkeypatch.setattr(captioning.shutil, "which", lambda _: "java")
    monkeypatch.setattr(parser, "SPICEDIR", str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match=r"fetch it once with `python -m pycocoevalcap"):
        captioning.spice(CANDIDATES, REFERENCES)


def test_references_are_asked_for() -> None:
    with pytest.raises(ValueError, match=r"The references of candidate 1 are \[\]: give a list"):
        captioning.bleu_4(["a", "b"], [["a"], []])
    with pytest.raises(ValueError, match="1 candidates but references for 2"):
        captioning.cider(["a"], [["a"], ["b"]])


@pytest.mark.parametrize(
    "metric",
    [
        captioning.bleu_4,
        captioning.rouge_l,
        captioning.cider,
        captioning.meteor_2005,
        lambda c, r: captioning.spider(c, r, lambda c, _: [0.5] * len(c)),
    ],
)
@pytest.mark.parametrize(
    ("candidates", "references", "said"),
    [
        (["a b c d"], ["a b c d"], "The references of candidate 0 are 'a b c d'"),
        (["a b c d"], [["a b c d", None]], "Candidate 0 or a reference is None"),
        ([None], [["a b c d"]], "Candidate 0 or a reference is None"),
        (["a b c d"], [None], "The references of candidate 0 are None"),
        ("a b c d", [["a b c d"]] * 7, "The candidates are 'a b c d'"),
        (["a b c d"], "a", "The references are 'a'"),
        ([], [], "The candidates are"),
        (None, None, "The candidates are None"),
    ],
)
def test_what_would_be_misjudged_is_refused(
    metric: Any, candidates: Any, references: Any, said: str
) -> None:
    with pytest.raises(DataError, match=re.escape(said)):
        metric(candidates, references)


def test_words_with_apostrophes_and_numbers_are_the_reference_tokenizer_s() -> None:
    """The right-hand sides are those of Stanford's PTBTokenizer 3.4.1 in the COCO evaluation."""
    lines = PTB.splitlines()
    for text, words in zip(lines[::2], lines[1::2], strict=True):
        assert " ".join(words_of(text)) == words.strip()


PTB = """\
A man's dog can't find the dogs' toys, isn't it?
    a man 's dog ca n't find the dogs toys is n't it
It costs 1,000 dollars or 12,345,678.90 in 2,5 cases, not 1,2,3.
    it costs 1,000 dollars or 12,345,678.90 in 2,5 cases not 1,2,3
Seven o'clock; ma'am said: 'hello there' and "good bye".
    seven o'clock ma'am said hello there and good bye
I cannot go. You're gonna wanna see it, gotta lemme gimme.
    i can not go you 're gon na wan na see it got ta lem me gim me
'Tis the season, 'twas rock'n'roll in the '90s and 1990's.
    't is the season 't was rock 'n' roll in the '90s and 1990 's
a t-shirt, e-mail, mother-in-law and two--three dogs... yes!
    a t-shirt e-mail mother-in-law and two three dogs yes
The U.S. flag at 3 p.m. by Mr. Smith and Dr. No.
    the u.s. flag at 3 p.m. by mr. smith and dr. no
They've we'll I'd he'd she's I'm y'all shouldn't've
    they 've we 'll i 'd he 'd she 's i 'm y' all should n't 've
It's 3.5 miles, 50% off, $20, #1, 10:30, 4x4, 1/2, 3/4 cup.
    it 's 3.5 miles 50 % off $ 20 # 1 10:30 4x4 1/2 3/4 cup
A man (left) and [right] {both} of them & others
    a man -lrb- left -rrb- and -lsb- right -rsb- -lcb- both -rcb- of them & others
the dog’s tail and the children’s “toys” don’t move
    the dog 's tail and the children 's toys do n't move
café naïve O'Brien d'art l'eau
    café naïve o'brien d'art l'eau
A red/white car at www.example.com and me@example.org
    a red/white car at www.example.com and me@example.org
rock 'n' roll, jack-o'-lantern, 5'10" tall
    rock 'n' roll jack-o lantern 5 10 tall
A dog. A cat. The end.
    a dog a cat the end
women's and men's 2000's Jones' car
    women 's and men 's 2000 's jones car
he said "it's 1,000's of dogs"
    he said it 's 1,000 's of dogs
half-eaten cake; state-of-the-art 3-year-old boy
    half-eaten cake state-of-the-art 3-year-old boy
1,000,00 and 10,000-mile and 1.000,5
    1,000,00 and 10,000-mile and 1.000,5
"""
