"""Checks of a reader's answers that say what is wrong, not only that something is.

An exercise is a function in `nextgpt_lite/notebook/answers/NOTEBOOK.py` that takes the answer
and returns None when it is right, or one sentence that leads on; one whose answer is a number is an
entry of `answers/numbers.yaml`. Notebooks call `check("NOTEBOOK.exercise", answer)`. An open or
wrong answer never stops a notebook.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from IPython.display import display

from nextgpt_lite.display import MIME, Bundle

Exercise = Callable[[Any], str | None]


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
    display(
        Bundle(
            {
                "text/plain": f"{name}: {message}",
                MIME: {"kind": "check", "name": name, "state": state},
            }
        )
    )


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
    """
    if not isinstance(answer, int | float) and not hasattr(answer, "item"):
        return f"a number is asked for, not {type(answer).__name__}"
    value = float(answer)
    if math.isclose(value, truth, rel_tol=tolerance, abs_tol=1e-12):
        return None
    for wrong, hint in (hints or {}).items():
        if math.isclose(value, wrong, rel_tol=tolerance, abs_tol=1e-12):
            return hint
    return f"{value:g} is too {'small' if value < truth else 'large'}"


def _find(name: str) -> Exercise:
    if (number := _numbers().get(name)) is not None:
        return lambda answer: expect(answer, **number)
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


@cache
def _numbers() -> dict[str, dict[str, Any]]:
    text = (Path(__file__).parent / "answers" / "numbers.yaml").read_text(encoding="utf-8")
    numbers: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return numbers
