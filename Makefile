# make demo   set everything up and run the main job on embedded data (a second run reuses the environment)
# make test   set everything up and pass the tests
PYTHON ?= python3
VENV ?= .venv
READY := $(VENV)/.ready

.PHONY: demo test bench clean

demo: $(READY)
	$(VENV)/bin/scmrl demo --out runs/demo

test: $(READY)
	$(VENV)/bin/python -m pytest

bench: $(READY)
	$(VENV)/bin/python benchmarks/throughput.py --out runs/bench

$(READY): pyproject.toml scripts/setup.sh
	sh scripts/setup.sh "$(PYTHON)" "$(VENV)"
	touch $(READY)

clean:
	rm -rf $(VENV) runs build *.egg-info
