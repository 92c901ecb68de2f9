# Two commands for a newcomer: `make demo` and `make test`. Both set up .venv first and need nothing installed by hand.
.DEFAULT_GOAL := help
.PHONY: help demo test lint train clean

python := .venv/bin/python
RECIPE ?= builtin

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

demo:  ## set up, then drive the built-in model through unseen houses; results in runs/demo
	@scripts/setup.sh demo
	@$(python) -m nvila_edge.cli demo --out runs/demo

test:  ## set up, then run the tests (no GPU needed); ARGS="-k name" picks some
	@scripts/setup.sh test
	@OMP_NUM_THREADS=1 $(python) -m pytest $(ARGS)

lint:  ## check format, style and types
	@scripts/setup.sh test
	@$(python) -m ruff format --check .
	@$(python) -m ruff check .
	@$(python) -m pyright

train:  ## train a recipe: make train RECIPE=builtin
	@scripts/setup.sh test
	@$(python) -m nvila_edge.cli train $(RECIPE)

clean:  ## remove the environment, caches and build leftovers; runs/ stays
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
