# make demo         set everything up and run the main job on embedded data (a second run reuses the environment)
# make test         set everything up and pass the tests, lint among them
# make lint         ruff (rules and format) and mypy alone
# make test-newest  the tests with the newest versions of everything that pyproject.toml admits, in .venv-newest
# make lock         write locks/ anew: the versions that demo and test use; PYTHONS names the Pythons
# make bench        measure throughput
# make mutants      200 small changes of the code: does a test notice? Hours; goes on where it was stopped
# make docs         build the documentation to docs/_build/html, in .venv-docs; a warning is an error
# make validation   recompute the published measurements and write docs/validation.md; DATA has MNIST and the LSNN
PYTHON ?= python3
PYTHONS ?= $(PYTHON)
VENV ?= .venv
DATA ?= ../shared/data
# Two test files run at a time, the long ones first (tests/conftest.py); within a file the tests keep their order and
# share their fixtures.
PYTEST := -m pytest -n 2 --dist loadfile --no-loadscope-reorder
READY := $(VENV)/.ready
MUTANTS := .venv-mutants/.ready
NEWEST := .venv-newest/.ready

.PHONY: demo test test-newest lint lock bench mutants docs validation clean

demo: $(READY)
	$(VENV)/bin/scmrl demo --out runs/demo --force

test: $(READY)
	$(VENV)/bin/python $(PYTEST)

test-newest: $(NEWEST)
	.venv-newest/bin/python $(PYTEST)

lint: $(READY)
	$(VENV)/bin/python -m ruff check
	$(VENV)/bin/python -m ruff format --check
	$(VENV)/bin/python -m mypy

lock:
	$(PYTHON) scripts/lock.py $(PYTHONS)

bench: $(READY)
	$(VENV)/bin/python benchmarks/throughput.py --out runs/bench --force

mutants: $(READY) $(MUTANTS)
	.venv-mutants/bin/python benchmarks/mutants.py --python $(VENV)/bin/python

docs: .venv-docs/.ready
	.venv-docs/bin/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

validation: $(READY)
	$(VENV)/bin/scmrl validate --data-dir "$(DATA)" --write docs/validation.md --force

$(READY): pyproject.toml scripts/setup.sh $(wildcard locks/*.txt)
	sh scripts/setup.sh "$(PYTHON)" "$(VENV)"
	touch $(READY)

$(NEWEST): pyproject.toml scripts/setup.sh
	rm -rf .venv-newest
	sh scripts/setup.sh "$(PYTHON)" .venv-newest newest
	touch $(NEWEST)

$(MUTANTS): pyproject.toml
	"$(PYTHON)" -m venv .venv-mutants
	.venv-mutants/bin/python -m pip --disable-pip-version-check install --quiet --editable ".[mutants]"
	touch $(MUTANTS)

.venv-docs/.ready: pyproject.toml
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip --disable-pip-version-check install --quiet --editable ".[docs]"
	touch .venv-docs/.ready

clean:
	rm -rf $(VENV) .venv-newest .venv-mutants .venv-docs runs build docs/_build *.egg-info
