"""Caption metrics, as the COCO caption evaluation defines them (paper, Tables 5, 6, 7 and 11).

Knows: words as the COCO evaluation counts them, how its scorers (`pycocoevalcap`) are asked, and
the METEOR of 2005. Leaves to others: whose captions these are (`evaluation.tables`).

Every metric takes N candidates and, for each, its references; it gives fractions (CIDEr: 0 to 10)
where the paper prints BLEU, METEOR and the CIDEr of images times 100. CIDEr weighs words by how
rare they are among the references given, so that a value belongs to its whole set.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np

from nextgpt_lite.errors import DataError, PackageError, extra

References = Sequence[Sequence[str]]

# What the Penn Treebank's tokens are where they are no plain words.
_ALIKE = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"'} | {
    sign: f" -{name}- "  # left in by the COCO evaluation, which looks for capitals
    for sign, name in zip("()[]{}", ("lrb", "rrb", "lsb", "rsb", "lcb", "rcb"), strict=True)
})  # fmt: skip
_JOINED = re.compile(  # "cannot" and "'tis" are two words
    r"\b(?:can(?=not\b)|(?:gon|wan)(?=na\b)|got(?=ta\b)|(?:lem|gim)(?=me\b)|y'(?=all\b))"
    r"|'t(?=is\b|was\b)"
)
_CLITIC = re.compile(r"n't\b|'(?:s|re|ve|d|ll|m)\b|'n'")
_WORD = re.compile(
    r"n't\b|'n'|'(?:s|re|ve|d|ll|m|t)\b|y'(?=\s)|(?<!\d)'\d\ds?\b|-[lr][rsc]b-"
    r"|(?<!\w)(?:[^\W\d_]\.){2,}|\b(?:mr|mrs|ms|dr|prof|st|jr|sr)\."
    # Inside a word: hyphens, thousands and clock times, the apostrophe of "o'clock".
    r"|[^\W_]+(?:(?:[-./@]|(?<=\d)[,:](?=\d)|(?<=[^\W\d_])'(?=[^\W\d_]))[^\W_]+)*"
    r"|[^\w\s.,?!:;'\"`-]"
)


def words_of(text: str) -> list[str]:
    """Lower-case words without punctuation; "isn't" is two, as the Penn Treebank has it.

    The COCO evaluation calls Stanford's Java tokenizer for this; a test holds both to the same
    words on captions with apostrophes, numbers, abbreviations and brackets.
    """
    plain = _JOINED.sub(r"\g<0> ", text.lower().translate(_ALIKE))
    return _WORD.findall(_CLITIC.sub(r" \g<0> ", plain))


@extra("eval")
def bleu_4(candidates: Sequence[str], references: References) -> float:
    """BLEU with up to four words, of the whole set, in [0, 1] (Papineni et al., 2002).

    Protocol: counts are clipped by the most any one reference has and added up over the set; the
    reference length is the closest one (the shorter of two); the geometric mean of the four
    precisions times the brevity penalty. No smoothing: without a common run of four words it is 0.
    """
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer

    scorer = BleuScorer(n=4)
    for candidate, texts in _paired(candidates, references):
        scorer += (candidate, texts)
    if not any(each["correct"][3] for each in scorer.ctest):
        return 0.0  # where the scorer puts 1e-15 in the place of nothing
    return float(scorer.compute_score(option="closest")[0][3])


@extra("eval")
def rouge_l(candidates: Sequence[str], references: References) -> float:
    """ROUGE-L in [0, 1]: mean F of the longest common subsequence (Lin, 2004).

    Protocol: the best precision and the best recall over the references, each for itself, with
    recall weighing 1.2 squared times as much.
    """
    from pycocoevalcap.rouge.rouge import Rouge

    return float(Rouge().compute_score(*_as_coco(candidates, references))[0])


def cider(candidates: Sequence[str], references: References) -> float:
    """CIDEr in [0, 10], the variant CIDEr-D that every table prints (Vedantam et al., 2015).

    Protocol: see `cider_each`.
    """
    return float(np.mean(cider_each(candidates, references)))


@extra("eval")
def cider_each(candidates: Sequence[str], references: References) -> list[float]:
    """CIDEr-D of each candidate.

    Protocol: n-gram counts weighed by log(N / items whose references have the n-gram); cosine of
    candidate and reference with the candidate's weights clipped to the reference's, times
    exp(-d^2 / 72) for a difference of d words; mean over references and over n = 1 to 4, times 10.
    No stemming. One item alone scores 0, for all its words are equally common.
    """
    from pycocoevalcap.cider.cider import Cider

    scores: list[float] = Cider().compute_score(*_as_coco(candidates, references))[1].tolist()
    return scores


def meteor_2005(candidates: Sequence[str], references: References) -> float:
    """METEOR as first published, equal words only, in [0, 1] (Banerjee and Lavie, 2005).

    Protocol: F = 10PR / (R + 9P) times 1 - (chunks / matches)^3 / 2, the best reference of each
    item, mean over items. Words are aligned by their longest common runs first. The paper's tables
    use METEOR 1.5, which also matches stems, synonyms and paraphrases and has other weights:
    `meteor_1_5`. The two are not comparable.
    """
    pairs = _paired(candidates, references)
    return float(np.mean([max(_meteor(c.split(), r.split()) for r in texts) for c, texts in pairs]))


def _meteor(candidate: list[Any], reference: list[Any]) -> float:
    counts = len(candidate), len(reference)
    matches = chunks = 0
    while True:
        i, j, length = SequenceMatcher(None, candidate, reference, False).find_longest_match()
        if not length:
            break
        candidate[i : i + length], reference[j : j + length] = [0] * length, [1] * length  # taken
        matches, chunks = matches + length, chunks + 1
    if not matches:
        return 0.0
    precision, recall = matches / counts[0], matches / counts[1]
    return 10 * precision * recall / (recall + 9 * precision) * (1 - (chunks / matches) ** 3 / 2)


@extra("eval")
def meteor_1_5(candidates: Sequence[str], references: References) -> float:
    """METEOR 1.5 in [0, 1], by the Java program of `pycocoevalcap`.

    Raises:
        PackageError: Java is missing.
    """
    _need_java("METEOR 1.5")
    from pycocoevalcap.meteor.meteor import Meteor

    return float(Meteor().compute_score(*_as_coco(candidates, references))[0])


@extra("eval")
def spice(candidates: Sequence[str], references: References) -> list[float]:
    """SPICE of each candidate in [0, 1], by the Java program of `pycocoevalcap`.

    Raises:
        PackageError: Java is missing, or Stanford CoreNLP, which `pycocoevalcap` would download.
    """
    _need_java("SPICE")
    from pycocoevalcap.spice import get_stanford_models as parser
    from pycocoevalcap.spice.spice import Spice

    if not Path(parser.SPICEDIR, parser.SPICELIB, f"{parser.JAR}.jar").is_file():
        raise PackageError(
            f"SPICE needs {parser.JAR}, which is not here: fetch it once with `python -m "
            f"{parser.__name__}`; the other metrics are measured without it."
        )
    found = Spice().compute_score(*_as_coco(candidates, references))[1]
    return [float(entry["All"]["f"]) for entry in found]


def spider(
    candidates: Sequence[str],
    references: References,
    meaning: Callable[[Sequence[str], References], list[float]] = spice,
) -> float:
    """SPIDEr: the mean of CIDEr and SPICE (Liu et al., 2017), as Table 5 prints it.

    Args:
        meaning: what stands for SPICE: scores of each candidate in [0, 1].
    """
    both = cider_each(candidates, references), meaning(candidates, references)
    return float(np.mean(both))


def has_java() -> bool:
    """Whether the Java programs of the COCO evaluation can run here."""
    return shutil.which("java") is not None


def _need_java(metric: str) -> None:
    if not has_java():
        raise PackageError(
            f"{metric} runs in Java: install Java, or use the metrics that need none (BLEU-4, "
            "ROUGE-L, CIDEr, meteor_2005)."
        )


def _as_coco(
    candidates: Sequence[str], references: References
) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """(references, candidates) by number, as words with spaces between."""
    pairs = list(enumerate(_paired(candidates, references)))
    return (
        {index: texts for index, (_, texts) in pairs},
        {index: [candidate] for index, (candidate, _) in pairs},
    )


def _paired(candidates: Sequence[str], references: References) -> list[tuple[str, list[str]]]:
    """Each candidate with its references, as words with spaces between.

    Raises:
        DataError: there is nothing to judge, or something else than lists of texts.
    """
    for named, some in (("candidates", candidates), ("references", references)):
        if isinstance(some, str) or not isinstance(some, Sequence) or not some:
            raise DataError(f"The {named} are {some!r:.60}: give a list with one entry or more.")
    if len(candidates) != len(references):
        raise DataError(
            f"{len(candidates)} candidates but references for {len(references)}: give one list of "
            "references for each candidate."
        )
    for number, (candidate, texts) in enumerate(zip(candidates, references, strict=True)):
        if isinstance(texts, str) or not isinstance(texts, Sequence) or not texts:
            raise DataError(
                f"The references of candidate {number} are {texts!r:.60}: give a list of texts, "
                "one or more."
            )
        for text in (candidate, *texts):
            if not isinstance(text, str):
                raise DataError(f"Candidate {number} or a reference is {text!r:.60}: give texts.")
    return [
        (" ".join(words_of(candidate)), [" ".join(words_of(text)) for text in texts])
        for candidate, texts in zip(candidates, references, strict=True)
    ]
