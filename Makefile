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
# To compile all tests anew in each process of each part costs more than half of what the unit tests do.
unexport PYTHONDONTWRITEBYTECODE
# What coverage measures, in whatever directory.
export MTA_STS_CHECKOUT := $(CURDIR)
# What became of each test, part by part.
export MTA_STS_RESULTS := $(CURDIR)/.ansible/results

.PHONY: help setup packages demo test lint sanity unit branches coverage simulation fuzz integration molecule bench docs site clean lock
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: setup ## roll MTA-STS out to real servers in containers, and look at the result
	tests/lab/demo.sh

test: setup packages .collections-community/.complete ## everything that CI runs; each part shows what it said when it has ended
	# Side by side, as whole hosts and servers are mostly waited for; what only computes takes the time that is left.
	rm -rf $(MTA_STS_RESULTS)
	$(MAKE) --no-print-directory --jobs=4 --keep-going --output-sync=target BEHIND=.ci/behind molecule-1 molecule-2 integration lint branches simulation sanity || \
	  { .ci/failures $(MTA_STS_RESULTS); exit 1; }

lint: setup ## ruff, mypy, yamllint, ansible-lint, documentation, changelog
	ruff check .
	ruff format --check .
	mypy -p ansible_collections.postmaster.mta_sts.plugins
	mypy tests
	mypy molecule
	yamllint --strict .
	$(BEHIND) ansible-lint --strict
	antsibull-changelog lint
	reuse lint --quiet || reuse lint
	.ci/in-collection antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs dependent \
	  --disallow-unknown-collection-refs .
	.ci/in-collection .ci/site $(CURDIR)/.site
	.ci/packages graphviz
	.ci/pictures --check
	.ci/findings --check
	.ci/inventory --check

unit: setup ## tests of the pure parts
	$(BEHIND) python -m pytest --numprocesses=auto tests/unit

# Data of earlier runs would tell of code that is not there any more.
COVERAGE_DATA := tests/output/coverage
branches: setup ## the same, and that they take every branch of the pure files
	rm -rf $(COVERAGE_DATA)
	mkdir -p $(COVERAGE_DATA)
	$(BEHIND) coverage run -m pytest --junitxml=$(MTA_STS_RESULTS)/unit.xml --numprocesses=auto tests/unit
	.ci/coverage pure

coverage: branches packages .collections-community/.complete ## what unit and integration tests take of all plugins, file by file; takes long
	coverage run -m pytest tests/integration
	.ci/coverage all

simulation: setup ## the promises in a simulated world; more of it: make simulation MTA_STS_EXAMPLES=20000
	$(BEHIND) python -m pytest --junitxml=$(MTA_STS_RESULTS)/simulation.xml --numprocesses=auto tests/simulation

fuzz: setup ## each parser with broken input for 10 minutes; less of it: make fuzz SECONDS=30 PARSERS="policy report"
	python tests/fuzz/fuzz.py --seconds $(or $(SECONDS),600) $(PARSERS)

sanity: setup ## ansible-test sanity, on every Python that it finds and supports
	# What is in the package; ruff, mypy and yamllint look after the tests. 'nox -s sanity' looks at these, too.
	$(BEHIND) .ci/in-collection .ci/sanity --exclude tests/ --exclude molecule/

# The packages are no prerequisite: make goes on to other parts while it waits for one, and does not come back to this for long.
integration: setup .collections-community/.complete ## each module against the real servers that it talks to
	.ci/packages $(PACKAGES)
	python -m pytest --junitxml=$(MTA_STS_RESULTS)/integration.xml tests/integration

# Two lanes, each with a lab of its own. What is not in the first is in the second.
SCENARIOS := $(filter-out default,$(patsubst molecule/%/molecule.yml,%,$(wildcard molecule/*/molecule.yml)))
LANE_1 := crashes inbox lifecycle probes refusals rollout upgrade
LANE_2 = $(filter-out $(LANE_1),$(SCENARIOS))
# Those that send mail; only a lane with one of them has the host for it.
WITH_SENDER := mail mx reuse

molecule: setup ## whole hosts: the playbooks and roles on a lab of real servers; one of them: make molecule SCENARIO=rollout
	$(MAKE) --no-print-directory $(if $(SCENARIO),LANE_1=$(SCENARIO) molecule-1,--jobs=2 --output-sync=target molecule-1 molecule-2)

molecule-%: setup
	# What molecule remembers of an earlier run may no longer be true; the lab itself is looked at anew.
	rm -rf $(ANSIBLE_HOME)/lane-$*
	LAB_WITH=$(if $(filter $(WITH_SENDER),$(LANE_$*)),out1) \
	  MTA_STS_LAB=test$* ANSIBLE_HOME=$(ANSIBLE_HOME)/lane-$* MOLECULE_GLOB='molecule/*/molecule.yml' \
	  molecule -c molecule/config.yml test $(addprefix --scenario-name=,$(LANE_$*)) --report

bench: setup $(VENV)-peers/.complete .collections-community/.complete ## what rollouts and verifications cost, beside other tools; a quick look: make bench SIZES="1 100"
	python tests/bench/bench.py --peers $(VENV)-peers/bin/python --dest docs $(if $(SIZES),--sizes $(SIZES))

docs: setup ## the pictures of the guides, the guide to the findings and the inventory reference, from their sources
	.ci/packages graphviz
	.ci/pictures
	.ci/findings
	.ci/inventory

site: setup ## the documentation for a browser: .site/index.html
	.ci/in-collection .ci/site $(CURDIR)/.site

clean: ## remove labs, images, environments and caches
	if [ -d .lab ]; then python3 tests/lab/lab.py purge; fi
	rm -rf .venv .venv-peers .collections .collections-community .site .ansible .hypothesis .mypy_cache .pytest_cache .ruff_cache tests/output mta-sts-run

lock: ## requirements/dev.txt from requirements/dev.in
	tmp=$$(mktemp -d) && $(PYTHON) -m venv $$tmp && $$tmp/bin/pip install --quiet -r requirements/dev.in && \
	  { sed -n '1,2p' requirements/dev.in; echo; echo "# Written by 'make lock' from dev.in. Do not edit."; \
	    $$tmp/bin/pip freeze; } > requirements/dev.txt; rm -rf $$tmp

# Collections of others, for examples that use them.
.collections-community/.complete: requirements/community.txt .ci/community | setup
	rm -rf $(@D)
	.ci/community $(@D)
	touch $@

PACKAGES := bind9 chromium graphviz iproute2 knot nginx nsd pdns-backend-sqlite3 pdns-server postfix prometheus unbound
packages: setup
	.ci/packages $(PACKAGES)

setup: $(VENV)/.complete .collections/ansible_collections/postmaster/mta_sts ## the virtual environment

$(VENV)/.complete: requirements/dev.txt
	$(PYTHON) -m venv --clear $(VENV) || { echo "Python with venv is needed: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	touch $@

# Other tools that ours are measured beside.
$(VENV)-peers/.complete: requirements/peers.txt
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/peers.txt
	touch $@

.collections/ansible_collections/postmaster/mta_sts:
	mkdir -p $(@D)
	ln -sfn ../../.. $@
