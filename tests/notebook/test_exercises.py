"""Every judge of an exercise, attacked: wrong answers are refused, right ones accepted in any form.

A `Function` names wrong functions itself, each with its sentence; those here are wrong besides.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from fractions import Fraction
from importlib import import_module
from itertools import product
from math import inf, nan
from pkgutil import iter_modules
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nextgpt_lite.media import Audio
from nextgpt_lite.notebook import answers, build, exercises
from nextgpt_lite.notebook.course import checks
from nextgpt_lite.notebook.exercises import Function
from nextgpt_lite.notebook.numbers import STUDENT, numbers

MODULES = {
    m.name: import_module(f"{answers.__name__}.{m.name}") for m in iter_modules(answers.__path__)
}
FUNCTIONS = {
    f"{module}.{name}": found
    for module, loaded in MODULES.items()
    for name, found in vars(loaded).items()
    if isinstance(found, Function)
}
NUMBERS = numbers()
VARIED = [name for name, number in NUMBERS.items() if number.vary]
MISTAKES = [(name, sentence) for name, judge in FUNCTIONS.items() for sentence in judge.mistakes]
each_function = pytest.mark.parametrize("name", FUNCTIONS)
each_number = pytest.mark.parametrize("name", NUMBERS)


def plain(judge: Function) -> bool:
    """Whether a result is numbers as it is, so that others in its place can be made of it."""
    ways = (bool, Function.__dataclass_fields__["read"].default)
    return judge.read in ways and not isinstance(judge.right, type)


def judged(name: str, answer: Any) -> str | None:
    """What `check` would say; an answer that raises is told so there."""
    try:
        return exercises._find(name)(answer)
    except Exception as error:
        return f"raised {type(error).__name__}"


@each_function
def test_the_right_function_is_right_in_every_form(name):
    judge = FUNCTIONS[name]
    if not plain(judge):
        assert judge(judge.right) is None
        return

    def array(*arguments: Any) -> np.ndarray:
        return exercises.numbers_of(judge.read(judge.right(*arguments)))

    forms: dict[str, Callable[..., Any]] = {
        "itself": judge.right,
        "numpy": array,
        "torch": lambda *a: torch.tensor(array(*a)),
        "torch, learning": lambda *a: torch.tensor(array(*a), requires_grad=True),
        "float32": lambda *a: array(*a).astype(np.float32),
        "lists": lambda *a: array(*a).tolist(),
    }
    if judge.read is not bool:
        forms["one more axis"] = lambda *a: array(*a)[None] if not array(*a).ndim else array(*a)
        forms["tuple"] = lambda *a: tuple(np.atleast_1d(array(*a)))
        if np.isfinite(array(*judge.draw(np.random.default_rng(0)))).all():
            forms["fractions"] = lambda *a: np.vectorize(Fraction)(array(*a)).tolist()
    found = {form: judge(function) for form, function in forms.items()}
    assert found == dict.fromkeys(forms)


@pytest.mark.parametrize(("name", "sentence"), MISTAKES)
def test_every_known_mistake_gets_its_own_sentence(name, sentence):
    assert FUNCTIONS[name](FUNCTIONS[name].mistakes[sentence]) == sentence


@each_function
def test_constants_echoes_and_what_is_nearly_right_are_refused(name):
    judge = FUNCTIONS[name]
    first = judge.draw(np.random.default_rng(0))
    once = judge.use(judge.right, *deepcopy(first))

    def damaged(change: Callable[[np.ndarray], np.ndarray]) -> Callable[..., Any]:
        return lambda *a: change(exercises.numbers_of(judge.right(*a)))

    wrong: dict[str, Any] = {
        "always what the first trial gives": lambda *a: once,
        "nothing": lambda *a: None,
        "no function": 3,
        "words": lambda *a: "right",
        "what it was given": lambda *a: a[0],
    }
    if plain(judge):
        wrong |= {"zeros": damaged(np.zeros_like), "ones": damaged(np.ones_like)}
    if plain(judge) and judge.read is not bool:
        wrong |= {
            "NaN": damaged(lambda x: np.full_like(x, nan)),
            "infinity": damaged(lambda x: np.full_like(x, inf)),
            "minus": damaged(lambda x: -x - 0.5),
            "one tenth more": damaged(lambda x: 1.1 * x + 0.1),
            "one number off": damaged(lambda x: x + np.eye(1, x.size).reshape(x.shape)),
            "flat": damaged(lambda x: x.reshape(-1)[:1]),
        }
        if np.ndim(exercises.numbers_of(judge.read(once))) == 0:
            del wrong["flat"]  # of a single number that is the number
    passed = [kind for kind, answer in wrong.items() if judged(name, answer) is None]
    assert not passed


def drops(ids: dict[str, list[int]], logits: torch.Tensor, value: float) -> torch.Tensor:
    logits[[x for block in ids.values() for x in block[1:]]] = value
    return logits


def bootstrap(low: float, high: float, share: float = 1, of: Any = np.mean) -> Callable[..., Any]:
    return lambda v, random, n: np.percentile(
        of(random.choice(v, (n, int(share * len(v)))), 1), [low, high]
    )


WRONG: list[tuple[str, Any]] = [
    ("pipeline.bootstrap", bootstrap(5, 95)),
    ("pipeline.bootstrap", bootstrap(2.5, 95)),
    ("pipeline.bootstrap", bootstrap(3, 97)),
    ("pipeline.bootstrap", bootstrap(2, 98)),
    ("pipeline.bootstrap", lambda v, r, n: np.array([-1.96, 1.96]) * v.std() / len(v) ** 0.5),
    ("pipeline.bootstrap", bootstrap(2.5, 97.5, share=0.5)),  # too few are drawn: too wide
    ("pipeline.bootstrap", bootstrap(2.5, 97.5, of=np.median)),
    ("pipeline.bootstrap", lambda v, r, n: v.mean() + np.array([-1.96, 1.96]) * v.std()),
    ("editing.blend", lambda latents, kept, mask: mask * latents),
    ("editing.blend", lambda latents, kept, mask: latents),
    ("editing.blend", lambda latents, kept, mask: (latents + kept) / 2),
    ("stage3.merge", lambda w, a, b, alpha: w + 4 * b @ a),
    ("stage3.merge", lambda w, a, b, alpha: torch.zeros(6, 5)),
    ("inference.close", lambda logits, ids, allowed: drops(ids, logits.clone(), -inf)),
    ("inference.close", lambda logits, ids, allowed: drops(ids, logits, -inf)),
    ("inference.close", lambda logits, ids, allowed: torch.full_like(logits, nan)),
    ("modality.fetch", lambda query, kept: 1),
    ("modality.fetch", lambda query, kept: ((kept - query) ** 2).sum(1).argmin()),
    ("encoders.median_rank", lambda similar: 1),
    ("encoders.median_rank", lambda similar: similar.argmax(1).median()),
    ("encoders.info_nce", lambda items, texts, t: F.cosine_similarity(items, texts).mean()),
    ("scale.rows", lambda lengths, room: round(sum(lengths) / room)),
    ("stage1.widen", lambda labels, places, K: [-100] * (len(labels) + (K - 1) * len(places))),
    ("evaluation.frechet", lambda m1, v1, m2, v2: (m1 - m2) ** 2 + abs(v1 - v2)),
    ("stage1.assemble", lambda ids, labels, at, x, table, w, b: (table[torch.tensor(ids)], labels)),
    ("stage1.caption_loss", lambda logits, labels: F.cross_entropy(logits[0], labels[0])),
    ("stage2.ask", lambda queries, states, weights: queries),
    ("stage2.ask", lambda q, s, w: F.scaled_dot_product_attention(q, s, s)),
    ("stage3.LoRA", lambda base, rank, alpha: base),
    ("stage3.LoRA", torch.nn.Linear),
    ("stage3.LoRA", lambda base, rank, alpha: unregistered(base, rank, alpha)),
    ("inference.write", lambda logits, blocks, end: []),
    ("inference.write", lambda logits, blocks, end: [x for ids in blocks.values() for x in ids]),
    ("decoder.ddim", lambda denoise, noise, shares, scale: noise),
    ("decoder.ddim", lambda denoise, noise, shares, scale: noise - denoise(noise, 0, True)),
    ("world.verifier", lambda picture, reading: dict.fromkeys(MODULES["world"].JUDGED, True)),
    ("world.verifier", lambda picture, reading: {"kind": True}),
    ("tour.stages", {1, 2, 3}),
    ("tour.stages", {2}),
    ("tour.stages", {2, 3, 4}),
    ("tour.stages", {"2", "3"}),
    ("tour.stages", 23),
    ("tour.request", "a reply"),
    ("pipeline.blame", "decoder"),
    ("pipeline.blame", ["words"]),
    ("ablation.fair", {"distance", "steps"}),
    ("ablation.fair", 2),
    ("ablation.factors", (65.0, 50.0, 70.0)),
    ("ablation.factors", (nan, nan, nan)),
    ("ablation.factors", (65.0, 71.43, nan)),
    ("ablation.factors", ("65", "71.43", "70")),
    ("ablation.factors", None),
    ("tour.stages", "23"),
    ("tour.stages", {2, 3, nan}),
    ("tour.share", 1.0),
    ("tour.share", 1.05),
    ("stage1.assemble", lambda *given: flat(*given)),
    ("ablation.factors", (0.65, 0.71, 0.7)),
    ("ablation.factors", (65.0, 71.4, 91.0)),
    ("ablation.factors", 65.0),
    ("messengers.chance", 1 / 9),
    ("messengers.best", lambda conditions: conditions.sum(0)),
    ("world.blame", {"count"}),
    ("world.blame", {"count", "place", "size"}),
    ("world.blame", "count, place"),
    ("world.half", {"kind", "count", "relation", "colour"}),
    ("inference.history", []),
    ("inference.history", ["What is this?", "A dog barks twice in a low pitch.", "Draw it."]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "answer"), WRONG)
def test_named_wrong_answers_are_refused(name, answer):
    assert judged(name, answer)


def flat(*given: Any) -> tuple[torch.Tensor, list[int]]:
    """The right numbers in no rows."""
    inputs, labels = FUNCTIONS["stage1.assemble"].right(*given)
    return inputs.flatten(), labels


def unregistered(base: torch.nn.Linear, rank: int, alpha: float) -> torch.nn.Module:
    """LoRA that learns, but of which no optimiser will know."""
    layer = Tuned(base, rank, alpha)
    for name in "AB":
        plain = getattr(layer, name).detach().requires_grad_()
        delattr(layer, name)
        setattr(layer, name, plain)
    return layer


def asked(queries: torch.Tensor, states: torch.Tensor, weights: Any) -> torch.Tensor:
    """Attention by torch's own function, scaled."""
    joined = F.linear(states, weights.in_proj_weight, weights.in_proj_bias).chunk(3, -1)
    q = F.linear(queries, weights.in_proj_weight.chunk(3)[0], weights.in_proj_bias.chunk(3)[0])
    heads = (x.unflatten(-1, (weights.num_heads, -1)).transpose(1, 2) for x in (q, *joined[1:]))
    read = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(-2)
    return F.linear(read, weights.out_proj.weight, weights.out_proj.bias)


class Tuned(torch.nn.Linear):
    """LoRA as a linear layer that takes another's place."""

    def __init__(self, base: torch.nn.Linear, rank: int, alpha: float) -> None:
        super().__init__(base.in_features, base.out_features)
        self.weight, self.bias = base.weight, base.bias
        self.requires_grad_(False)
        self.A = torch.nn.Parameter(torch.ones(rank, base.in_features))
        self.B = torch.nn.Parameter(torch.zeros(base.out_features, rank))
        self.scale = alpha / rank

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight + self.scale * self.B @ self.A, self.bias)


RIGHT: list[tuple[str, Any]] = [
    ("stage2.ask", asked),
    ("stage3.LoRA", Tuned),
    (
        "stage1.caption_loss",
        lambda logits, labels: -logits[:, :-1].log_softmax(-1)[labels[:, 1:] != -100][
            torch.arange(int((labels[:, 1:] != -100).sum())),
            labels[:, 1:][labels[:, 1:] != -100],
        ].mean(),
    ),
    ("tour.share", 1.06),
    ("tour.share", 1.056),
    ("tour.share", np.float32(1.0556)),
    ("modality.chance", 3.333),
    ("modality.chance", torch.tensor([[3.3333]])),
    ("tour.stages", np.array([2, 3])),
    ("tour.stages", torch.tensor([3, 2])),
    ("tour.stages", range(2, 4)),
    ("world.blame", np.array(["place", "count"])),
    ("world.blame", {"place": 0, "count": 0}.keys()),
    ("ablation.factors", torch.tensor([65.0, 71.43, 70.0])),
    ("ablation.factors", [Fraction(65), Fraction(500, 7), Fraction(70)]),
    ("stage1.chance", Fraction(1, 8)),
    ("stage1.chance", (0.125,)),
    ("tour.stages", (2, 3)),
    ("tour.stages", [3, 2]),
    ("pipeline.blame", " Words "),
    ("ablation.fair", ["schedule", "distance"]),
    ("ablation.factors", (65.0, 71.43, 70.0)),
    ("world.blame", ["place", "count"]),
    ("world.blame", frozenset({"place", "count"})),
    ("stage3.merge", lambda w, a, b, alpha: (w + alpha / a.shape[0] * (b @ a)).numpy()),
    ("editing.blend", lambda latents, kept, mask: kept + mask * (latents - kept)),
    ("modality.fetch", lambda query, kept: F.cosine_similarity(kept, query[None]).argmax()),
    ("scale.whole", lambda means, counts: np.average(means, weights=counts)),
    (
        "pipeline.bootstrap",  # with a generator of its own, and as a tuple
        lambda values, random, rounds: tuple(
            bootstrap(2.5, 97.5)(values, np.random.default_rng(7), rounds)
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_odd_right_answers_are_accepted(name, answer):
    assert judged(name, answer) is None


def solutions() -> dict[str, str]:
    """The code of every folded solution that is a function or a class, by its exercise."""
    notebooks = [build.read_source(path) for path in (build.NOTEBOOKS / "src").glob("*.py")]
    cells = [c.source for each in notebooks for c in build.with_solutions(each).cells
             if "solution" in c.metadata.get("tags", [])]  # fmt: skip
    return {name: code for code in cells for name, _ in checks(code) if name in FUNCTIONS}


@pytest.mark.parametrize(("name", "code"), solutions().items())
def test_the_folded_solution_is_right(name, code):
    said = []
    here = {"torch": torch, "np": np, "F": F}
    exec(code, here | {"check": lambda name, answer: said.append(judged(name, answer))})
    assert said == [None]


def test_what_follows_an_exercise_waits_until_it_is_right():
    for answer, right in ((..., False), (0.5, False), (0.125, True), (0.5, False)):
        exercises.check("stage1.chance", answer)
        assert exercises.solved("stage1.chance") is right
    assert not exercises.solved("stage1.chance", "stage1.parameters")


def test_a_history_is_judged_by_its_parts():
    sound = Audio(np.zeros((1, 160), np.float32), 16000)
    asked = [{"type": "audio", "data": sound}, {"type": "text", "text": "What is this?"}]
    right = [
        {"role": "user", "content": asked},
        {"role": "assistant", "content": "A dog barks twice in a low pitch."},
        {"role": "user", "content": [{"type": "text", "text": "Draw it."}]},
    ]
    assert judged("inference.history", right) is None
    assert judged("inference.history", tuple(right)) is None
    for at, key, value in (
        (0, "content", [*asked, asked[0]]),
        (0, "content", "What is this?"),
        (1, "role", "user"),
        (1, "content", [asked[0], {"type": "text", "text": right[1]["content"]}]),
        (2, "content", [asked[0], {"type": "text", "text": "Draw it."}]),
        (2, "content", "Paint it."),
    ):
        wrong = deepcopy(right)
        wrong[at][key] = value
        assert judged("inference.history", wrong), (at, value)


@each_number
def test_a_right_number_is_right_in_every_form_and_rounded(name):
    truth, _ = NUMBERS[name].solved(NUMBERS[name].given)
    forms = [
        truth, float(truth), np.float64(truth), np.array([truth]), (truth,), [truth],
        torch.tensor(truth, dtype=torch.float64), Fraction(truth), Decimal(truth),
    ]  # fmt: skip
    if truth % 1:
        forms.append(float(f"{truth:.3g}"))
    assert [judged(name, form) for form in forms] == [None] * len(forms)


@each_number
def test_every_wrong_number_is_refused_and_each_hint_is_reached(name):
    truth, hints = NUMBERS[name].solved(NUMBERS[name].given)
    assert {hint: judged(name, value) for value, hint in hints.items()} == {
        h: h for h in hints.values()
    }
    for wrong in (
        1.1 * truth + 0.1,
        -truth - 1,
        inf,
        -inf,
        nan,
        str(truth),
        None,
        (truth, truth),
        {truth},
    ):
        assert judged(name, wrong), wrong


@pytest.mark.parametrize("name", VARIED)
def test_every_student_has_a_question_that_can_be_answered(name):
    number = NUMBERS[name]
    texts = [build.read_source(path).cells for path in (build.NOTEBOOKS / "src").glob("*.py")]
    found = [number.reworded(cell.source, number.given)[1] for cells in texts for cell in cells]
    assert sum(found) == 1, "its words must stand in one place of one notebook"
    for combination in product(*number.vary.values()):
        values = {**number.given, **dict(zip(number.vary, combination, strict=True))}
        truth, hints = number.solved(values)
        assert exercises.expect(truth, truth, hints, number.tolerance) is None
        assert [exercises.expect(wrong, truth, hints) for wrong in hints] == [*hints.values()]


def test_students_have_numbers_of_their_own(monkeypatch):
    number, name = NUMBERS["stage3.parameters"], "stage3.parameters"
    drawn = {who: number.of(name, who)["r"] for who in ("ada", "ben", "eve", "kim", "lin")}
    assert len(set(drawn.values())) > 2
    assert number.of(name, "ada") == number.of(name, "ada")
    other = next(who for who in drawn if drawn[who] != drawn["ada"])
    right = number.solved(number.of(name, "ada"))[0]
    monkeypatch.setenv(STUDENT, "ada")
    assert judged(name, right) is None
    monkeypatch.setenv(STUDENT, other)
    assert judged(name, right)


def test_a_function_that_changes_what_it_was_given_is_told_so():
    def grows(means: list[float], counts: list[int]) -> float:
        right = np.average(means, weights=counts)
        means.append(0.0)
        return float(right)

    assert judged("scale.whole", grows) == "it changed what it was given: work on a copy"
    assert "it changed" in str(judged("editing.blend", lambda new, kept, mask: new.mul_(mask)))


def test_a_wrong_function_without_a_known_mistake_is_shown_one_case():
    said = judged("evaluation.frechet", lambda m1, v1, m2, v2: 7.0)
    assert said is not None
    assert said.endswith("yours gives 7.0")
    assert said.startswith("for (")
