# make demo   photographs completed, a small network trained, all compared: demo_output/
# make test   the default test suite
# make lint   ruff
# Each makes .venv and installs what it needs; set PYTHON to choose an interpreter.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: demo test slow lint format clean

$(VENV)/.installed: setup.cfg constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	    "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.12" or 0)'
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(RUN) -m pip install --quiet --disable-pip-version-check \
	    --constraint constraints.txt --editable '.[test]'
	touch $@

demo: $(VENV)/.installed
	$(RUN) -m launch.tour --output=demo_output

test: $(VENV)/.installed
	$(RUN) -m pytest --numprocesses=auto --dist=loadfile

slow: $(VENV)/.installed
	$(RUN) -m pytest -m slow

lint: $(VENV)/.installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

format: $(VENV)/.installed
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

clean:
	rm -rf $(VENV) demo_output .pytest_cache .ruff_cache
