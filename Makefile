# Every target makes the environment it needs: .venv, and .venv-mindspore beside it.
PYTHON ?= python3
PROMPT ?= 一张红色海报，中间写着“春天”
export PROMPT
BIN := .venv/bin
# Python compiles what it imports; all of PyTorch would take a minute more.
INSTALL := pip install --no-compile -c constraints.txt
WORK := build/pipeline
DATA := build/data

# What both frameworks must pass by themselves; the other tests run on PyTorch, and compare with
# MindSpore where they need to.
SHARED := tests/backend tests/models tests/flow tests/dataset/test_records.py

CORE := tests/backend tests/models tests/flow tests/prompt tests/dataset tests/render

.PHONY: help poster test wheel test-wheel test-slow pipeline data lint bench bench-full clean

help:
	@echo "make poster     draw poster.png; PROMPT='…' says what"
	@echo "make test       the quick tests, on PyTorch and, where it has a wheel, on MindSpore"
	@echo "make wheel      build dist/moyin-*.whl, with the default checkpoint inside"
	@echo "make test-wheel install the wheel with the newest numpy 2, draw with it, test the core"
	@echo "make test-slow  the heavy checks"
	@echo "make pipeline   from nothing to an image: prepare, train five stages, generate"
	@echo "make data       20,000 images from four sources, filtered, with a report"
	@echo "make lint       ruff and mypy"
	@echo "make bench      timings against peers"
	@echo "make bench-full GLM-Image's full size in 8 GB of memory; takes 33 GiB of disk for a while"
	@echo "make clean      remove what these made, the environments included"

poster: .venv/light
	$(BIN)/moyin generate "$$PROMPT" --out poster.png --force

test: .venv/full .venv-mindspore/python
	MOYIN_MINDSPORE_PYTHON="$$(cat .venv-mindspore/python)" OMP_NUM_THREADS=1 \
		$(BIN)/python -m pytest -n 2 -m "not slow"
	@python="$$(cat .venv-mindspore/python)"; \
	if [ -n "$$python" ]; then \
		MOYIN_BACKEND=mindspore OMP_NUM_THREADS=1 "$$python" -m pytest -n 2 -m "not slow" $(SHARED); \
	else \
		echo "MindSpore has no wheel for this platform: its tests are left out"; \
	fi

wheel:
	rm -rf dist
	$(PYTHON) -m venv build/wheel-venv
	build/wheel-venv/bin/pip wheel --no-deps -w dist .

# What a user gets: the wheel in an environment of its own, in another folder, without a network; and
# the tests of the core with the newest numpy 2, which constraints.txt does not name.
test-wheel: .venv-wheel/bin/moyin
	rm -rf build/elsewhere && mkdir -p build/elsewhere
	cd build/elsewhere && HF_HUB_OFFLINE=1 ../../.venv-wheel/bin/moyin generate "$$PROMPT"
	cd build/elsewhere && HF_HUB_OFFLINE=1 ../../.venv-wheel/bin/moyin doctor
	OMP_NUM_THREADS=1 .venv-wheel/bin/python -m pytest -n 2 -m "not slow" $(CORE)

test-slow: .venv/full .venv-mindspore/python
	MOYIN_MINDSPORE_PYTHON="$$(cat .venv-mindspore/python)" $(BIN)/python -m pytest -m slow

# Each line goes on where it stopped, so the whole does too. A stage's weights/ hold its own
# network and all those before it, which is why one stage's result is the next one's checkpoint.
pipeline: .venv/full
	$(BIN)/moyin prepare smoke/images --out $(WORK)/dataset
	$(BIN)/moyin train smoke/autoencoder data=$(WORK)/dataset out=$(WORK)/autoencoder
	$(BIN)/moyin train smoke/glyph data=$(WORK)/dataset out=$(WORK)/glyph \
		checkpoint=$(WORK)/autoencoder/weights
	$(BIN)/moyin train smoke/semantic data=$(WORK)/dataset out=$(WORK)/semantic \
		checkpoint=$(WORK)/glyph/weights
	$(BIN)/moyin train smoke/generator data=$(WORK)/dataset out=$(WORK)/generator \
		checkpoint=$(WORK)/semantic/weights
	$(BIN)/moyin train smoke/decoder data=$(WORK)/dataset out=$(WORK)/decoder \
		checkpoint=$(WORK)/generator/weights
	$(BIN)/moyin generate "$$PROMPT" --steps 20 --checkpoint $(WORK)/decoder/weights --force \
		--out $(WORK)/image.png
	$(BIN)/python -c 'from moyin.train.curves import report; report("$(WORK)")'

# Clip art, photographs and a mixture with broken files, 290 MiB out of Debian's packages, and
# 12,300 rendered images. It goes on where it stopped.
data: .venv/full
	$(BIN)/python benchmarks/images.py $(DATA)
	$(BIN)/moyin prepare nano/data --out $(DATA)/dataset --report \
		inputs=$(DATA)/clip-art,$(DATA)/photographs,$(DATA)/mixed \
		count=12300 renderer.size=256 resize.size=256

lint: .venv/full
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: .venv/full
	$(BIN)/python benchmarks/decoder_step.py
	$(BIN)/python benchmarks/pipeline.py --size both
	$(BIN)/python benchmarks/quantization.py
	$(BIN)/python benchmarks/sampler_error.py

bench-full: .venv/full
	$(BIN)/python benchmarks/full.py

clean:
	rm -rf .venv .venv-mindspore .venv-wheel build dist poster.png *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv-wheel/bin/moyin: pyproject.toml constraints.txt $(shell git ls-files moyin checkpoints)
	rm -rf .venv-wheel build/wheel
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/pip wheel --no-deps -w build/wheel .
	grep -v '^numpy==' constraints.txt > build/wheel/constraints.txt
	.venv-wheel/bin/pip install --no-compile -c build/wheel/constraints.txt 'numpy>=2' \
		"$$(echo build/wheel/moyin-*.whl)[torch]" pytest pytest-xdist hypothesis

.venv/light: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/$(INSTALL) -e '.[torch]'
	@touch $@

.venv/full: .venv/light
	$(BIN)/$(INSTALL) -e '.[torch,train,ocr,ray,test]'
	@touch $@

# MindSpore has an environment of its own. The file holds the path of its Python, or nothing where
# there is no wheel; any other failure to install is an error.
.venv-mindspore/python: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-mindspore
	@echo "installing MindSpore"
	@if .venv-mindspore/bin/$(INSTALL) -e '.[mindspore]' pytest pytest-xdist \
		hypothesis > .venv-mindspore/log 2>&1; then \
		echo "$(CURDIR)/.venv-mindspore/bin/python" > $@; \
	elif grep -q "No matching distribution found for mindspore" .venv-mindspore/log; then \
		: > $@; \
	else \
		cat .venv-mindspore/log; exit 1; \
	fi
