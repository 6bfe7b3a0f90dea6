"""One family of errors: what users can cause is of it, and each is the built-in error expected."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import nextgpt_lite
from nextgpt_lite import errors

PACKAGE = Path(nextgpt_lite.__file__).parent
FAMILY = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, errors.NextGPTError)
]
# Raised for mistakes of whoever writes code here, by Python's own rules.
PROGRAMMING = {"AssertionError", "AttributeError", "KeyError", "LookupError", "TypeError"}
# Typer's, gradio's, a KeyboardInterrupt, and a kind of DataError that never leaves its builder.
OTHERS = {"BadParameter", "Exit", "Error", "Stopped", "Refused"}


@pytest.mark.parametrize("error", FAMILY)
def test_each_is_public_and_documented(error: type[Exception]) -> None:
    assert getattr(nextgpt_lite, error.__name__) is error
    assert error.__doc__
    if error is not errors.NextGPTError:
        named = {base.__name__ for base in error.__mro__ if base.__module__ == "builtins"}
        assert named - {"Exception", "BaseException", "object"}
        assert str(error("says what to do")) == "says what to do"


def raised(path: Path) -> set[str]:
    """Names of the errors that a module raises by calling their classes."""
    calls = (
        n.exc
        for n in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(n, ast.Raise)
    )
    names = (ast.unparse(c.func).split(".")[-1] for c in calls if isinstance(c, ast.Call))
    return {name for name in names if name[:1].isupper()}


def test_the_package_raises_no_other() -> None:
    allowed = {error.__name__ for error in FAMILY} | PROGRAMMING | OTHERS
    for path in PACKAGE.rglob("*.py"):
        other = raised(path) - allowed
        assert not other, f"{path.relative_to(PACKAGE)} raises {sorted(other)}"
