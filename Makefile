# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later

# make demo    roll MTA-STS out to a lab of real servers, and look at the result
# make test    everything that CI runs
# make help    all targets

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin

# The checkout is reached as ansible_collections/postmaster/mta_sts through a link of its own, and
# nothing of the user's own Ansible configuration or collections takes part.
export PATH := $(BIN):$(PATH)
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.collections
export ANSIBLE_HOME := $(CURDIR)/.ansible
export ANSIBLE_CONFIG := $(CURDIR)/tests/lab/ansible.cfg
export PYTHONPATH := $(CURDIR)/.collections

.PHONY: help setup
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.complete .collections/ansible_collections/postmaster/mta_sts ## the virtual environment

$(VENV)/.complete: requirements/dev.txt
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	touch $@

.collections/ansible_collections/postmaster/mta_sts:
	mkdir -p $(@D)
	ln -sfn ../../.. $@
