"""Without the extras: everything but the notebooks imports, answers and trains."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from nextgpt_lite.errors import PackageError, extra
from tests.test_environment import EXTRAS, IMPORT_NAMES, name_of

CODE = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[2:]))  # None in the place of a module: not installed
import importlib, pkgutil
import nextgpt_lite
for module in pkgutil.walk_packages(nextgpt_lite.__path__, "nextgpt_lite."):
    if not module.name.startswith("nextgpt_lite.notebook") and "__main__" not in module.name:
        importlib.import_module(module.name)
model = nextgpt_lite.NextGPT.from_pretrained("lite")
reply = model.chat("Draw a large red car in the garden.", seed=0, num_inference_steps=1)
assert reply.images and reply._repr_mimebundle_()
nextgpt_lite.train(1, sys.argv[1], steps=1, batch_size=2)
from nextgpt_lite.evaluation.metrics import cider_each
try:
    cider_each(["a car"], [["a car"]])
except nextgpt_lite.PackageError as error:
    assert 'pip install "nextgpt-lite[eval]"' in str(error), error
else:
    raise AssertionError("pycocoevalcap was there")
"""


def test_the_core_needs_no_extra(tmp_path):
    names = {name_of(r) for listed in ("notebooks", "eval") for r in EXTRAS[listed]}
    missing = {IMPORT_NAMES.get(name, name) for name in names} | {"traitlets", "nbclient"}
    subprocess.run([sys.executable, "-c", CODE, str(tmp_path / "run"), *missing], check=True)


WORDS = """
import sys
from nextgpt_lite.cli import main
assert main(["chat", "Hi", "--output", sys.argv[1]]) == 0
print(*{name.partition(".")[0] for name in sys.modules})
"""
NOT_FOR_WORDS = {"diffusers", "av", "matplotlib", "IPython", "datasets", "sklearn", "pandas",
                 "gradio", "torchvision", "nltk"}  # fmt: skip


def test_an_answer_in_words_loads_no_decoder_and_nothing_that_reads_or_shows_media(tmp_path):
    command = [sys.executable, "-c", WORDS, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert not NOT_FOR_WORDS & {*done.stdout.split()}
    loaded = subprocess.run([sys.executable, "-c", "import nextgpt_lite, sys; print(*sys.modules)"],
                            check=True, capture_output=True, text=True).stdout.split()  # fmt: skip
    assert not {"torch", "transformers", "numpy"} & {*loaded}, "the package's parts come when named"


def test_a_missing_package_is_named_with_its_extra():
    with pytest.raises(PackageError, match=r"needs nowhere_to_be.*nextgpt-lite\[eval\]"):
        extra("eval")(import_module)("nowhere_to_be")
