VENV := .venv
PIP_OPTIONS ?=
PYTHON := $(VENV)/bin/python

.PHONY: install demo test lint bench peers clean

install: $(VENV)/installed

# torch comes first and pinned: an unpinned one pulls gigabytes of CUDA.
$(VENV)/installed: pyproject.toml constraints.txt
	python3.11 -m venv $(VENV) || python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet $(PIP_OPTIONS) --constraint constraints.txt torch
	$(PYTHON) -m pip install --quiet --constraint constraints.txt --editable ".[dev,research]"
	touch $@

demo: install
	$(VENV)/bin/sclvi demo

test: install
	$(PYTHON) -m pytest

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bench: install
	$(PYTHON) -m benchmarks.accuracy --data ../shared/data
	$(PYTHON) -m benchmarks.tables

# What `sclvi bench --against patchcore,padim,efficientad --peers-python .venv-peers/bin/python` runs. It needs torchvision,
# which has no CPU build beside every torch: gigabytes of CUDA come along.
peers:
	python3.11 -m venv .venv-peers || python3 -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet $(PIP_OPTIONS) "torch<2.15" "torchvision<0.30" "anomalib==2.7.0"

clean:
	rm -rf $(VENV) build dist sclvi-demo
