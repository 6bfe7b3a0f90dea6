"""Checks of a reader's answers that say what is wrong, not only that something is.

An exercise is a callable in `nextgpt_lite/notebook/answers/NOTEBOOK.py` that takes the answer
and returns None when it is right, or one sentence that leads on. Where the answer is a function it
is a `Function`, which compares it with the right one on drawn arguments; where it is a number, an
entry of `answers/numbers.yaml`. Notebooks call `check("NOTEBOOK.exercise", answer)`. An open or
wrong answer never stops a notebook.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from html import escape
from importlib import import_module
from typing import Any

import numpy as np
import torch
from IPython.display import display
from numpy.typing import NDArray
from torch import Tensor

from nextgpt_lite.display import MIME, Bundle
from nextgpt_lite.notebook.numbers import numbers, student

Exercise = Callable[[Any], str | None]
Array = NDArray[np.float64]
SIGNS = {"open": ("○", "#888888"), "right": ("✔", "#1b9e5a"), "wrong": ("✘", "#d95f02")}
SHOWN = 160  # characters of a value in a diagnosis
_solved: set[str] = set()


@dataclass(frozen=True)
class Function:
    """An exercise whose answer is a function: it must do as the right one does.

    Attributes:
        right: the right function; the package's own, or made of it, where there is one.
        draw: arguments from a random generator, new ones for each trial.
        mistakes: a sentence for each wrong function that a known misconception leads to.
        use: what is done with an answer and the arguments; an answer may be a class.
        read: what of a result is compared, as numbers.
        near: how far results may be apart, relative to the size of the right one.
        trials: how many sets of arguments are drawn.
    """

    right: Callable[..., Any]
    draw: Callable[[np.random.Generator], tuple[Any, ...]]
    mistakes: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    use: Callable[..., Any] = lambda answer, *arguments: answer(*arguments)
    read: Callable[[Any], Any] = lambda result: result
    near: float = 1e-4
    trials: int = 20

    def __call__(self, answer: Any) -> str | None:
        """None when the answer does as `right` in every trial, else the first thing wrong."""
        if not callable(answer):
            return f"a function is asked for, not {type(answer).__name__}"
        drawn = [self.draw(np.random.default_rng(trial)) for trial in range(self.trials)]
        results = []
        for arguments in drawn:
            given = deepcopy(arguments)
            if (result := self.use(answer, *given)) is None:
                return "it gives nothing back: end it with return"
            results.append(numbers_of(self.read(result)))
            if _written(given) != _written(arguments):
                return "it changed what it was given: work on a copy"
        truths = self._results(self.right, drawn)
        alike = list(map(self._like, results, truths))
        if all(alike):
            return None
        for sentence, mistake in self.mistakes.items():
            if all(map(self._like, results, self._results(mistake, drawn))):
                return sentence
        first = alike.index(False)
        return _apart(drawn[first], results[first], truths[first])

    def _results(self, function: Callable[..., Any], drawn: list[tuple[Any, ...]]) -> list[Array]:
        return [
            numbers_of(self.read(self.use(function, *deepcopy(arguments)))) for arguments in drawn
        ]

    def _like(self, result: Array, truth: Array) -> bool:
        if result.shape != truth.shape:
            return False
        finite = np.abs(truth[np.isfinite(truth)])
        return np.allclose(result, truth, self.near, self.near * finite.max(initial=1e-6), True)


def check(asked: str | Exercise, answer: Any) -> None:
    """Judges the answer to an exercise and says why.

    Args:
        asked: its name, for instance "stage1.weights", or a function of the notebook's own.
        answer: `...` stands for "not answered yet". An exception inside it is reported, not raised.

    Raises:
        LookupError: there is no exercise of that name (a mistake of the notebook's author).
    """
    name = asked if isinstance(asked, str) else asked.__name__
    exercise = _find(asked) if isinstance(asked, str) else asked
    if answer is ...:
        state, message = "open", "not answered yet: replace the ... above and run this cell again"
    else:
        try:
            diagnosis = exercise(answer)
        except Exception as error:
            diagnosis = f"your answer raised {type(error).__name__}: {error}"
        state, message = ("right", "right") if diagnosis is None else ("wrong", diagnosis)
    (_solved.add if state == "right" else _solved.discard)(name)
    sign, colour = SIGNS[state]
    display(
        Bundle(
            {
                "text/plain": f"{name}: {message}",
                "text/html": f'<span style="color: {colour}; font-weight: bold">{sign}</span> '
                f"{escape(name)}: {escape(message)}",
                MIME: {"kind": "check", "name": name, "state": state},
            }
        )
    )


def solved(*names: str) -> bool:
    """Whether these exercises were judged right, each the last time it was checked."""
    return _solved.issuperset(names)


def check_shape(x: Any, shape: tuple[int, ...]) -> None:
    """Asserts the shape of an array or tensor, naming both when they differ."""
    actual = tuple(x.shape)
    assert actual == shape, f"expected shape {shape}, found {actual}"


def expect(
    answer: Any, truth: float, hints: Mapping[Any, str] | None = None, tolerance: float = 1e-6
) -> str | None:
    """The diagnosis of a numeric answer: None when it is within relative `tolerance` of `truth`.

    Args:
        hints: a sentence for each wrong value that a known misconception leads to.

    A number that is no whole one may be rounded to three digits or more.
    """
    try:
        (value,) = numbers_of(answer).reshape(-1)
    except (TypeError, ValueError):
        return f"a number is asked for, not {type(answer).__name__}"
    if not math.isfinite(value):
        return f"a finite number is asked for, not {value:g}"

    def meant(number: float) -> bool:
        rounded = {float(f"{number:.{digits}g}") for digits in range(3, 8)} if number % 1 else ()
        return value in rounded or math.isclose(value, number, rel_tol=tolerance, abs_tol=1e-12)

    if meant(truth):
        return None
    for wrong, hint in (hints or {}).items():
        if meant(wrong):
            return hint
    return f"{value:g} is too {'small' if value < truth else 'large'}"


def numbers_of(answer: Any) -> Array:
    """An answer in any form that numbers come in, as an array; a single number has shape ()."""
    if isinstance(answer, Tensor):
        answer = answer.detach().cpu().double()
    if isinstance(answer, set) or np.asarray(answer).dtype.kind in "US":
        raise TypeError(f"numbers are asked for, not {type(answer).__name__}")
    numbers = np.asarray(answer, dtype=float)  # of fractions, decimals, tensors in a list too
    return numbers.reshape(()) if numbers.size == 1 else numbers


def _written(arguments: tuple[Any, ...]) -> list[str]:
    kept = [a for a in arguments if not isinstance(a, np.random.Generator)]
    return [repr(a.tolist() if hasattr(a, "tolist") else a) for a in kept]


def _apart(arguments: tuple[Any, ...], result: Array, truth: Array) -> str:
    if result.shape != truth.shape:
        return f"the result should have shape {truth.shape}, yours has {result.shape}"
    shown = [", ".join(map(str, arguments)), str(truth.tolist()), str(result.tolist())]
    if max(map(len, shown)) <= SHOWN:
        return "for ({}) it should give {}, yours gives {}".format(*shown)
    if not np.array_equal(np.isfinite(result), np.isfinite(truth)):
        return "infinite numbers stand in other places than they should, or NaNs among them"
    with np.errstate(invalid="ignore"):
        away = np.abs(result - truth)
    return (
        f"the shape is right, but {np.mean(~(away <= 1e-6)):.0%} of the numbers are not: the "
        f"largest difference is {np.nanmax(away):.3g}"
    )


def normal(random: np.random.Generator, *shape: int) -> Tensor:
    """float32 numbers of a standard normal distribution, for `Function.draw`."""
    return torch.from_numpy(random.normal(size=shape)).float()


def _find(name: str) -> Exercise:
    if (number := numbers().get(name)) is not None:
        truth, hints = number.solved(number.of(name, student()))
        return lambda answer: expect(answer, truth, hints, number.tolerance)
    notebook, _, exercise = name.partition(".")
    folder = f"{__package__}.answers"
    try:
        found: Exercise = getattr(import_module(f"{folder}.{notebook}"), exercise)
    except (ImportError, AttributeError):
        raise LookupError(
            f'no exercise "{name}": define {exercise}() in {folder}.{notebook}, or enter a number '
            "in answers/numbers.yaml"
        ) from None
    return found
