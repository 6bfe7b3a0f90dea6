"""Caption metrics, as the COCO caption evaluation defines them (paper, Tables 5, 6, 7 and 11).

Knows: BLEU-4, ROUGE-L, CIDEr(-D) and the METEOR of 2005 in exact Python, words as the COCO
evaluation counts them, and how to ask the Java programs of `pycocoevalcap` where they are.
Leaves to others: whose captions these are (`evaluation.tables`).

Every metric takes N candidates and, for each, its references; it gives fractions (CIDEr: 0 to 10)
where the paper prints BLEU, METEOR and the CIDEr of pictures times 100. CIDEr weighs words by how
rare they are among the references given, so that a value belongs to its whole set.
"""

from __future__ import annotations

import math
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.util import find_spec

Words = list[str]
References = Sequence[Sequence[str]]

ORDERS = range(1, 5)  # n-grams of one to four words
_CLITIC = re.compile(r"(n't|'(?:s|re|ve|d|ll|m))\b")
_WORD = re.compile(r"n't|'(?:s|re|ve|d|ll|m)\b|[^\W_]+(?:[-.][^\W_]+)*")


def words_of(text: str) -> Words:
    """Lower-case words without punctuation; "isn't" is two, as the Penn Treebank has it.

    The COCO evaluation calls Stanford's Java tokenizer for this; on plain captions both agree.
    """
    return _WORD.findall(_CLITIC.sub(r" \1", text.lower()))


def bleu_4(candidates: Sequence[str], references: References) -> float:
    """BLEU with up to four words, of the whole set, in [0, 1] (Papineni et al., 2002).

    Protocol: counts are clipped by the most any one reference has and added up over the set; the
    reference length is the closest one (the shorter of two); the geometric mean of the four
    precisions times the brevity penalty. No smoothing: without a common run of four words it is 0.
    """
    right, made = Counter[int](), Counter[int]()
    length = wanted = 0
    for candidate, texts in _paired(candidates, references):
        length += len(candidate)
        wanted += min((abs(len(r) - len(candidate)), len(r)) for r in texts)[1]
        for n in ORDERS:
            most: Counter[tuple[str, ...]] = Counter()
            for reference in texts:
                most |= _runs(reference, n)
            right[n] += (_runs(candidate, n) & most).total()
            made[n] += max(0, len(candidate) - n + 1)
    if not all(right[n] for n in ORDERS):
        return 0.0
    logarithm = sum(math.log(right[n] / made[n]) for n in ORDERS) / len(ORDERS)
    return math.exp(logarithm + min(0.0, 1 - wanted / length))


def rouge_l(candidates: Sequence[str], references: References, beta: float = 1.2) -> float:
    """ROUGE-L in [0, 1]: mean F of the longest common subsequence (Lin, 2004).

    Protocol: the best precision and the best recall over the references, each for itself, with
    recall weighing `beta` squared times as much.
    """
    scores = []
    for candidate, texts in _paired(candidates, references):
        common = [_longest_common(candidate, reference) for reference in texts]
        precision = max(common) / max(1, len(candidate))
        recall = max(c / max(1, len(r)) for c, r in zip(common, texts, strict=True))
        both = recall + beta**2 * precision
        scores.append((1 + beta**2) * precision * recall / both if both else 0.0)
    return _mean(scores)


def cider(candidates: Sequence[str], references: References) -> float:
    """CIDEr in [0, 10], the variant CIDEr-D that every table prints (Vedantam et al., 2015).

    Protocol: see `cider_each`.
    """
    return _mean(cider_each(candidates, references))


def cider_each(candidates: Sequence[str], references: References) -> list[float]:
    """CIDEr-D of each candidate.

    Protocol: n-gram counts weighed by log(N / items whose references have the n-gram); cosine of
    candidate and reference with the candidate's weights clipped to the reference's, times
    exp(-d^2 / 72) for a difference of d words; mean over references and over n = 1 to 4, times 10.
    No stemming. One item alone scores 0, for all its words are equally common.
    """
    pairs = _paired(candidates, references)
    seen = Counter(
        run for _, texts in pairs for run in {r for t in texts for n in ORDERS for r in _runs(t, n)}
    )

    def weights(text: Words, n: int) -> dict[tuple[str, ...], float]:
        counts = _runs(text, n)
        return {run: c * math.log(len(pairs) / max(1, seen[run])) for run, c in counts.items()}

    scores = []
    for candidate, texts in pairs:
        score = 0.0
        for n in ORDERS:
            ours = weights(candidate, n)
            for reference in texts:
                theirs = weights(reference, n)
                size = _norm(ours) * _norm(theirs)
                shared = sum(min(w, theirs[run]) * theirs[run] for run, w in ours.items()
                             if run in theirs)  # fmt: skip
                longer = max(0, len(candidate) - 1) - max(0, len(reference) - 1)
                score += shared / size * math.exp(-(longer**2) / 72) if size else 0.0
        scores.append(10 * score / (len(ORDERS) * len(texts)))
    return scores


def meteor_2005(candidates: Sequence[str], references: References) -> float:
    """METEOR as first published, equal words only, in [0, 1] (Banerjee and Lavie, 2005).

    Protocol: F = 10PR / (R + 9P) times 1 - (chunks / matches)^3 / 2, the best reference of each
    item, mean over items. Words are aligned by their longest common runs first. The paper's tables
    use METEOR 1.5, which also matches stems, synonyms and paraphrases and has other weights:
    `meteor_1_5`. The two are not comparable.
    """
    return _mean(
        [max(_meteor(c, r) for r in texts) for c, texts in _paired(candidates, references)]
    )


def _meteor(candidate: Words, reference: Words) -> float:
    ours: list[str | None] = [*candidate]
    theirs: list[str | None] = [*reference]
    matches = chunks = 0
    while run := _longest_run(ours, theirs):
        length, i, j = run
        ours[i : i + length] = theirs[j : j + length] = [None] * length
        matches += length
        chunks += 1
    if not matches:
        return 0.0
    precision, recall = matches / len(candidate), matches / len(reference)
    return 10 * precision * recall / (recall + 9 * precision) * (1 - (chunks / matches) ** 3 / 2)


def _longest_run(
    ours: Sequence[str | None], theirs: Sequence[str | None]
) -> tuple[int, int, int] | None:
    """(length, start, start) of the longest common run of words not yet aligned; None: no more."""
    best = (0, 0, 0)
    before = [0] * (len(theirs) + 1)
    for i, word in enumerate(ours):
        here = [0] * (len(theirs) + 1)
        for j, other in enumerate(theirs):
            if word is not None and word == other:
                here[j + 1] = before[j] + 1
                if here[j + 1] > best[0]:
                    best = (here[j + 1], i - here[j + 1] + 1, j - here[j + 1] + 1)
        before = here
    return best if best[0] else None


def meteor_1_5(candidates: Sequence[str], references: References) -> float:
    """METEOR 1.5 in [0, 1], by the Java program of `pycocoevalcap`.

    Raises:
        ModuleNotFoundError: that package or Java is missing.
    """
    _need_java("METEOR 1.5")
    from pycocoevalcap.meteor.meteor import Meteor

    return float(Meteor().compute_score(*_as_coco(candidates, references))[0])


def spice(candidates: Sequence[str], references: References) -> list[float]:
    """SPICE of each candidate in [0, 1], by the Java program of `pycocoevalcap`.

    Its first use downloads Stanford CoreNLP: on a machine without a network it cannot run.

    Raises:
        ModuleNotFoundError: that package or Java is missing.
    """
    _need_java("SPICE")
    from pycocoevalcap.spice.spice import Spice

    found = Spice().compute_score(*_as_coco(candidates, references))[1]
    return [float(entry["All"]["f"]) for entry in found]


def spider(
    candidates: Sequence[str],
    references: References,
    meaning: Callable[[Sequence[str], References], list[float]] = spice,
) -> float:
    """SPIDEr: the mean of CIDEr and SPICE (Liu et al., 2017), as Table 5 prints it.

    Args:
        meaning: what stands for SPICE: scores of each candidate in [0, 1]. In the lite world
            `lite_spice` reads the same kinds of facts without Java.
    """
    both = zip(cider_each(candidates, references), meaning(candidates, references), strict=True)
    return _mean([(words + facts) / 2 for words, facts in both])


def has_java(package: str = "pycocoevalcap") -> bool:
    """Whether the Java programs of the COCO evaluation can run here."""
    return find_spec(package) is not None and shutil.which("java") is not None


def _need_java(metric: str) -> None:
    if not has_java():
        raise ModuleNotFoundError(
            f"{metric} runs in Java: install Java and `pip install pycocoevalcap`, or use the "
            "metrics that need neither (BLEU-4, ROUGE-L, CIDEr, meteor_2005, lite_spice)."
        )


def _as_coco(
    candidates: Sequence[str], references: References
) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """(references, candidates) by number, as words with spaces between."""
    pairs = list(enumerate(_paired(candidates, references)))
    return (
        {index: [" ".join(text) for text in texts] for index, (_, texts) in pairs},
        {index: [" ".join(candidate)] for index, (candidate, _) in pairs},
    )


def _paired(candidates: Sequence[str], references: References) -> list[tuple[Words, list[Words]]]:
    if len(candidates) != len(references):
        raise ValueError(
            f"{len(candidates)} candidates but references for {len(references)}: give one list of "
            "references for each candidate."
        )
    if not all(references):
        raise ValueError(
            f"Candidate {[*map(bool, references)].index(False)} has no reference: give one or more."
        )
    return [
        (words_of(candidate), [words_of(text) for text in texts])
        for candidate, texts in zip(candidates, references, strict=True)
    ]


def _runs(words: Words, n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _norm(weights: dict[tuple[str, ...], float]) -> float:
    return math.sqrt(sum(w * w for w in weights.values()))


def _longest_common(first: Words, second: Words) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for j, other in enumerate(second, start=1):
            diagonal, row[j] = row[j], diagonal + 1 if word == other else max(row[j], row[j - 1])
    return row[-1]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
