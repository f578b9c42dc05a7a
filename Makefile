# Python 3.10 to 3.13 is all that a machine needs; `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo_out

# Where a ROS 2 distribution is sourced, its rclpy is used, and the NumPy that its messages are built for stays.
ifneq ($(and $(ROS_DISTRO),$(shell $(PYTHON) -c 'import rclpy' 2>/dev/null && echo yes)),)
ROS := $(ROS_DISTRO)
VENV_FLAGS := --system-site-packages
EXTRAS := dask,demo,evaluation,test
CONSTRAINTS := $(VENV)/constraints.txt
CHECKS := lint
else
ROS := wheels
EXTRAS := ros,dask,demo,evaluation,test
CONSTRAINTS := constraints.txt
# Types are those of the pinned NumPy; an older one describes itself in other words.
CHECKS := lint types
endif
STAMP := $(VENV)/.installed-$(ROS)

# Plugins that a sourced ROS 2 brings for pytest are made for older versions of it, and no test needs one.
export PYTEST_DISABLE_PLUGIN_AUTOLOAD := 1

.PHONY: help venv demo test lint types format generated docs benchmark clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

venv: $(STAMP)  ## environment in .venv, with the executables neural-seg, segmenter and camera in .venv/bin

$(STAMP): setup.py setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || \
		{ echo "error: PYTHON: got $$($(PYTHON) --version 2>&1), accepted: Python 3.10 to 3.13" >&2; exit 2; }
	@test -e $@ || $(PYTHON) -m venv --clear $(VENV_FLAGS) $(VENV) || \
		{ echo "error: $(PYTHON) -m venv failed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }
ifneq ($(CONSTRAINTS),constraints.txt)
	@grep -E '^(torch|pytest|ruff|mypy)==' constraints.txt > $(CONSTRAINTS)
	@$(PYTHON) -c 'import numpy; print("numpy==" + numpy.__version__)' >> $(CONSTRAINTS)
endif
	@echo "installing into $(VENV), once: this takes some minutes"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[$(EXTRAS)]'
	@touch $@

demo: venv  ## the main job on a real clip over real ROS topics, into demo_out; VIDEO=FILE plays another clip
	$(BIN)/neural-seg demo --out $(OUT) $(if $(VIDEO),--video '$(VIDEO)')

test: $(CHECKS)  ## all checks and tests
	$(BIN)/python -m pytest

lint: venv  ## style and format
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check

types: venv  ## static types
	$(BIN)/python -m mypy

format: venv  ## format the code in place
	$(BIN)/python -m ruff check --fix
	$(BIN)/python -m ruff format

generated: venv  ## write docs/interface.md, config/segmenter.yaml and config/sros2_policy.xml from the code
	$(BIN)/python -m neural_seg_ros.ros.generated.interface_md > docs/interface.md
	$(BIN)/python -m neural_seg_ros.ros.generated.parameters_yaml > config/segmenter.yaml
	$(BIN)/python -m neural_seg_ros.ros.generated.sros2_policy > config/sros2_policy.xml

docs: venv  ## a web site from the documentation and the docstrings, into docs/_build/html; Python 3.11 or newer
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: PYTHON: got $$($(BIN)/python --version 2>&1), accepted: Python 3.11 to 3.13" >&2; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[docs]'
	$(BIN)/python -m sphinx -b html -q docs docs/_build/html

benchmark: venv  ## latency, memory and the speed of a step on this machine, into benchmark_out; IMAGE=FILE is another picture
	$(BIN)/neural-seg benchmark latency $(if $(IMAGE),--image '$(IMAGE)') --out benchmark_out/latency
	$(BIN)/neural-seg benchmark step --no-growth --out benchmark_out/step

clean:  ## remove what was made, except .venv
	rm -rf build install log demo_out benchmark_out docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
