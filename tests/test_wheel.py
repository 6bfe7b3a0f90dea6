"""The built wheel: whole, light, and enough for a notebook that lies alone in an empty folder.

The notebooks run in an environment with the versions of Colab (August 2026) of everything that is
installed in a moment; Python, torch and what has no wheel for both come from the running one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from email.parser import Parser
from pathlib import Path
from runpy import run_path
from zipfile import ZipFile

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
COLAB = Path(__file__).with_name("colab.txt")
LONE = {  # parameters that make a notebook brief
    "00_tour": {"steps": 4},
    "03_stage1_encoding_alignment": {"steps": 20, "count": 2},
    "14_your_own_ablation": {"steps": 2, "prompts": 1, "inference_steps": 2},
    "07_pipeline_vs_end_to_end": {"prompts": 2, "tuning_steps": 4, "inference_steps": 4},
    "10_real_checkpoints_on_colab": {"steps": 1, "inference_steps": 1},
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (path,) = folder.glob("*.whl")
    return path


def committed(*folders: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listed.stdout.splitlines()


def test_it_holds_the_package_and_its_files_byte_for_byte(wheel):
    with ZipFile(wheel) as archive:
        weights = "nextgpt_lite/weights/lite"
        linked = f"{weights}/video/vae"  # to the image's, so that diffusers alone finds it
        for name in committed("nextgpt_lite"):
            if name != linked:
                assert archive.read(name) == (ROOT / name).read_bytes(), name
        for name in committed(f"{weights}/image/vae"):
            assert archive.read(name.replace("image", "video")) == (ROOT / name).read_bytes()
        shipped = committed("data_samples", "results", "configs")
        assert len(shipped) > 100
        for name in [*shipped, "notebooks/00_tour.ipynb"]:
            assert archive.read(f"nextgpt_lite/files/{name}") == (ROOT / name).read_bytes(), name
        assert "nextgpt_lite/py.typed" in archive.namelist()


def test_its_metadata_stand_alone(wheel):
    import nextgpt_lite

    with ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    assert metadata["Version"] == nextgpt_lite.__version__
    assert metadata["Description-Content-Type"] == "text/markdown"
    page = metadata.get_payload()
    assert "# nextgpt_lite" in page
    assert "](docs/" not in page
    assert "](notebooks/" not in page
    core = [r for r in metadata.get_all("Requires-Dist") if "extra ==" not in r]
    heavy = ("jupyter", "ipython", "ipywidgets", "papermill", "nb", "pycocoevalcap", "gradio")
    assert not [requirement for requirement in core if requirement.startswith(heavy)]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("", "words\n![]  pages [a](https://b.c/d) [e](#f)"),
        (
            "https://g/o/r",
            "[words](https://g/o/r/blob/main/docs/x.md)\n![] "
            "![it](https://g/o/r/raw/main/docs/p.png) "
            "[pages](https://g/o/r/blob/main/docs/) [a](https://b.c/d) [e](#f)",
        ),
    ],
)
def test_links_of_the_readme_lead_somewhere_on_pypi(address, expected):
    absolute = run_path(str(ROOT / "hatch_build.py"))["absolute"]
    page = "[words](docs/x.md)\n![] ![it](docs/p.png) [pages](docs/) [a](https://b.c/d) [e](#f)"
    assert absolute(page, address, "main") == expected


@pytest.fixture(scope="module")
def colab(tmp_path_factory) -> dict[str, str]:
    """An environment of Colab's versions, with a kernel "colab": the variables that find it."""
    folder = tmp_path_factory.mktemp("colab")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    purelib = sysconfig.get_path("purelib", "venv", {"base": str(folder)})
    Path(purelib, "zz_rest.pth").write_text(sysconfig.get_path("purelib"))  # last on the path
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--ignore-installed"]
    done = subprocess.run([*pip, "-r", str(COLAB)], capture_output=True, text=True)
    if done.returncode and "CI" not in os.environ:
        pytest.skip(f"Colab's versions cannot be installed: {done.stderr.splitlines()[-1]}")
    assert not done.returncode, done.stderr
    kernel = folder / "share" / "jupyter" / "kernels" / "colab"
    kernel.mkdir(parents=True)
    command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "Colab"}))
    return {"JUPYTER_PATH": str(folder / "share" / "jupyter"), "PYTHONPATH": ""}


@pytest.mark.notebook
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("notebook", LONE)
def test_a_notebook_alone_in_an_empty_folder_runs(notebook, colab, wheel, tmp_path):
    source = ROOT / "notebooks" / f"{notebook}.ipynb"
    (tmp_path / source.name).write_bytes(source.read_bytes())
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", "-k", "colab"]
    for name, value in LONE[notebook].items():
        command += ["-p", name, str(value)]
    environment = {**os.environ, **colab, "NEXTGPT_LITE_SOURCE": str(wheel)}
    done = subprocess.run(
        [*command, source.name, "done.ipynb"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stderr[-4000:].split("Exception encountered")[-1]
    cells = nbformat.read(tmp_path / "done.ipynb", as_version=4).cells
    printed = str([cell.get("outputs") for cell in cells])
    for word in ("transformers 5.15.0", "diffusers 0.39.0", "nextgpt_lite/files/data_samples"):
        assert word in printed
