"""Caption metrics against hand-computed values, the COCO evaluation's and those of our own code."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

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


def test_references_are_asked_for() -> None:
    with pytest.raises(ValueError, match="Candidate 1 has no reference"):
        captioning.bleu_4(["a", "b"], [["a"], []])
    with pytest.raises(ValueError, match="1 candidates but references for 2"):
        captioning.cider(["a"], [["a"], ["b"]])
