# Every target makes the environment it needs, in .venv and .venv-mindspore.
PYTHON ?= python3
BIN := .venv/bin
MINDSPORE := .venv-mindspore/bin/python
WORK := build/pipeline
PROMPT ?= 一张红色海报，中间写着“春天”

# What both frameworks must pass; all else runs on PyTorch alone.
SHARED_TESTS := tests/backend tests/model tests/flow

.PHONY: help poster test test-torch test-mindspore test-slow pipeline lint bench clean

help:
	@echo "make poster     draw poster.png with the model in checkpoints/nano"
	@echo "make test       all quick tests, on PyTorch and on MindSpore where it has a wheel"
	@echo "make test-slow  the heavy checks"
	@echo "make pipeline   from nothing to a picture: prepare, train five stages, generate"
	@echo "make lint       ruff and mypy"
	@echo "make bench      time what is here against its peers"
	@echo "make clean      remove what these made, the environments included"

poster: .venv/light
	$(BIN)/moyin generate '$(PROMPT)' --out poster.png

test: test-torch test-mindspore

test-torch: .venv/full
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow"

test-mindspore: .venv/full
	@if $(MAKE) --no-print-directory .venv-mindspore/ready; then \
		MOYIN_BACKEND=mindspore $(MINDSPORE) -m pytest -m "not slow" $(SHARED_TESTS); \
	elif grep -qs "No matching distribution found for mindspore" .venv-mindspore/log; then \
		echo "MindSpore has no wheel for this platform: its tests are left out."; \
	else \
		cat .venv-mindspore/log; exit 1; \
	fi
