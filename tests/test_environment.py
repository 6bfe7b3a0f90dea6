"""The three descriptions of the environment agree, and say everything the code imports."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
DECLARED = [
    requirement
    for listed in (
        PROJECT["dependencies"],
        *map(EXTRAS.get, ("notebooks", "eval", "demo", "data", "site", "dev")),
    )
    for requirement in listed
    if not requirement.startswith("nextgpt-lite[")
]
# Imported only where a user has installed them, and only after asking whether they are there.
OPTIONAL = {"sentencepiece", "bitsandbytes", "imagebind", "pycocoevalcap", "faiss", "torchmetrics"}
IMPORT_NAMES = {"pillow": "PIL", "ipython": "IPython", "pyyaml": "yaml"}


def name_of(requirement: str) -> str:
    return re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0].lower()


def test_developers_have_what_the_extras_they_test_need():
    assert EXTRAS["dev"][0] == "nextgpt-lite[notebooks,eval,demo,data,site]"


def imported(source: str) -> set[str]:
    """Top-level packages that the code imports, other than relative imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def declared_imports() -> set[str]:
    names = {name_of(requirement) for requirement in DECLARED}
    return {IMPORT_NAMES.get(name, name).replace("-", "_") for name in names}


def test_conda_environment_equals_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    listed = environment["dependencies"][-1]["pip"]
    assert [line for line in listed if not line.startswith("-")] == DECLARED
    assert [line for line in listed if line.startswith("-")] == ["-c constraints.txt", "-e ."]


def test_every_dependency_is_pinned_at_an_allowed_version():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.lower().split("==") for line in lines if not line.startswith("#"))
    for requirement in DECLARED + EXTRAS["smol"]:
        version = pins[name_of(requirement)]
        least = re.search(r">=([\d.]+)", requirement)
        assert least, f"{requirement} has no lower bound"
        assert numbers(version) >= numbers(least[1]), f"{requirement} excludes the pin {version}"
        if below := re.search(r"<([\d.]+)", requirement):
            assert numbers(version) < numbers(below[1]), f"{requirement} excludes {version}"


def numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def test_package_and_tests_import_only_what_is_declared():
    allowed = declared_imports() | OPTIONAL | set(sys.stdlib_module_names)
    allowed |= {"nextgpt_lite", "tests", "benchmarks"}
    for folder in ("nextgpt_lite", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            unknown = imported(path.read_text()) - allowed
            assert not unknown, f"{path.relative_to(ROOT)} imports undeclared {sorted(unknown)}"


def test_checkpoints_are_never_unpickled_freely():
    """torch.load only with weights_only=True: a checkpoint must not be able to run code."""
    for path in (ROOT / "nextgpt_lite").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                safe = [k for k in node.keywords if k.arg == "weights_only"]
                assert safe and ast.unparse(safe[0].value) == "True", f"{path}:{node.lineno}"


def test_readme_names_files_that_exist():
    readme = (ROOT / "README.md").read_text()
    tree = readme.split("## Files")[1].split("```")[1].strip("\n").splitlines()
    assert len(tree) > 10
    folder = ""
    for line in tree:
        name = line.split()[0]
        if line.startswith("  "):
            name = folder + name
        elif name.endswith("/"):
            folder = name
        assert (ROOT / name).exists(), f"README.md names {name}, which does not exist"
