# `make help` lists the targets. The packages are not installed: everything runs from this folder.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO := data/demo

MODEL ?=
MODEL_BASE ?=
IMAGES ?=
QUESTIONS ?=
RUN ?=
CONV_MODE ?=
NUM_SAMPLES ?= -1
DTYPE ?= auto
DEVICE ?= auto
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo train-demo extract plots summary export-pt test check bench bench-plots clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' Makefile

# Two environments in one: the laptop's (plots, tables), and all of it. The second holds the first.
$(VENV)/.laptop: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	@touch $@

$(VENV)/.all: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[extract,legacy,dev]'
	@touch $(VENV)/.laptop $@

setup: $(VENV)/.all  ## install everything into .venv

demo: $(VENV)/.all  ## the whole path on a tiny trained model and its pictures, into runs/demo
	$(BIN)/python -m extract --model-path $(DEMO)/tiny-llava --image-folder $(DEMO)/images \
		--question-file $(DEMO)/MME_test.json --output-dir runs/demo --overwrite
	$(BIN)/python -m analyze validate runs/demo
	$(BIN)/python -m analyze summary runs/demo
	$(BIN)/python -m analyze plots runs/demo

train-demo: $(VENV)/.all  ## train the demo's model anew, and draw its pictures: an hour on 2 cores
	$(BIN)/python -m data.scenes --out $(DEMO)
	$(BIN)/python -m data.train_demo --out $(DEMO)/tiny-llava $(ARGS)

# What is missing is said before anything is installed
.PHONY: needs-model needs-run
needs-model:
	@$(if $(and $(MODEL),$(IMAGES),$(QUESTIONS),$(RUN)),,\
		echo 'make extract needs MODEL=checkpoint IMAGES=folder QUESTIONS=MME_test.json RUN=runs/name' >&2; exit 2)
needs-run:
	@$(if $(RUN),,echo 'make $(MAKECMDGOALS) needs RUN=runs/name, the directory of a run' >&2; exit 2)

extract: needs-model $(VENV)/.all  ## run a model: MODEL=... IMAGES=... QUESTIONS=... RUN=... [MODEL_BASE CONV_MODE NUM_SAMPLES DTYPE DEVICE ARGS]
	$(BIN)/python -m extract --model-path '$(MODEL)' $(if $(MODEL_BASE),--model-base '$(MODEL_BASE)') \
		--image-folder '$(IMAGES)' --question-file '$(QUESTIONS)' --output-dir '$(RUN)' \
		$(if $(CONV_MODE),--conv-mode $(CONV_MODE)) --num-samples $(NUM_SAMPLES) --dtype $(DTYPE) --device $(DEVICE) $(ARGS)

plots: needs-run $(VENV)/.laptop  ## draw a run: RUN=... [ARGS]
	$(BIN)/python -m analyze plots '$(RUN)' $(ARGS)

summary: needs-run $(VENV)/.laptop  ## tables of a run, and its MME score: RUN=... [ARGS]
	$(BIN)/python -m analyze summary '$(RUN)' $(ARGS)

export-pt: needs-run $(VENV)/.all  ## write the earlier tool's .pt: RUN=... [ARGS]
	$(BIN)/python -m analyze export-pt '$(RUN)' $(ARGS)

test: $(VENV)/.all  ## run the tests
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.all  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.all  ## measure what observing costs, on a GPU where there is one: [ARGS]
	$(BIN)/python -m tests.bench $(ARGS)

bench-plots: $(VENV)/.all  ## measure plots at the size of MME, and ten times that: [ARGS]
	$(BIN)/python -m tests.bench_plots $(ARGS)

clean:  ## remove the environment and caches; runs stay
	rm -rf $(VENV) *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
