# make demo   set everything up and run the main job on embedded data (a second run reuses the environment)
# make test   set everything up and pass the tests
# make validation   recompute the published measurements and write docs/validation.md; DATA has MNIST and the LSNN
PYTHON ?= python3
VENV ?= .venv
DATA ?= ../shared/data
READY := $(VENV)/.ready

.PHONY: demo test bench validation clean

demo: $(READY)
	$(VENV)/bin/scmrl demo --out runs/demo

test: $(READY)
	$(VENV)/bin/python -m pytest

bench: $(READY)
	$(VENV)/bin/python benchmarks/throughput.py --out runs/bench

validation: $(READY)
	$(VENV)/bin/scmrl validate --data-dir "$(DATA)" --write docs/validation.md

$(READY): pyproject.toml scripts/setup.sh
	sh scripts/setup.sh "$(PYTHON)" "$(VENV)"
	touch $(READY)

clean:
	rm -rf $(VENV) runs build *.egg-info
