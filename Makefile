# SPDX-License-Identifier: Apache-2.0
# `make demo` and `make test` set up what they need; `make help` lists the targets.

PYTHON ?= $(or $(shell command -v python3.11),python3)
# The ROS 2 release whose wheels are used: jazzy or kilted.
WHEELS ?= jazzy
VENV := .venv
RUN := $(VENV)/bin/python
# A sourced ROS installation and the wheels' do not mix.
unexport PYTHONPATH AMENT_PREFIX_PATH COLCON_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH RMW_IMPLEMENTATION
# Python's caches beside the sources would look like changes to them.
export PYTHONPYCACHEPREFIX := $(CURDIR)/build/pycache
export HF_HUB_OFFLINE := 1
# setuptools warns of every editable installation.
export PYTHONWARNINGS := ignore::UserWarning

.PHONY: help setup demo test lint format bench benchmarks clean sample-bags
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: $(VENV)/.built ## make .venv, install pinned packages, build the ROS package

$(VENV)/.installed: requirements/ros-$(WHEELS).txt requirements/constraints.txt setup.py pyproject.toml
	@$(PYTHON) scripts/check_tools.py
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --constraint requirements/constraints.txt pip wheel setuptools
	$(RUN) -m pip install --quiet --constraint requirements/constraints.txt \
	  --config-settings editable_mode=compat --requirement requirements/ros-$(WHEELS).txt --editable '.[train,export,sim,ray,dev]'
	@touch $@

$(VENV)/.built: $(VENV)/.installed CMakeLists.txt package.xml $(wildcard msg/*.msg) scripts/build.sh \
  scripts/prepare_prefix.py scripts/executable.py.in $(shell find groundmore_ros config launch models samples -type d)
	sh scripts/build.sh $(VENV)
	@touch $@

demo: setup ## ask a real ROS 2 node about a recorded camera stream
	@$(RUN) -m groundmore_ros demo

test: setup ## run the tests
	$(RUN) -m pytest

lint: setup ## ruff and mypy
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: setup ## let ruff format the code
	$(RUN) -m ruff format .

bench: setup ## measure the node on this machine
	$(RUN) -m groundmore_ros bench node

benchmarks: setup ## run all benchmarks and write docs/benchmarks.md
	$(RUN) scripts/benchmarks.py

sample-bags: setup ## write the sample bags anew
	$(RUN) -m groundmore_ros simulate samples --samples

clean: ## remove all that was built
	rm -rf $(VENV) build install log dist runs .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
