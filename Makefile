# Every target installs what it needs. Start with `make demo` or `make test`; `make help` lists the rest.
SHELL := /bin/bash
.DELETE_ON_ERROR:
PYTHON ?= python3

CACHE := $(CURDIR)/.cache
VENV := $(CURDIR)/.venv
# The checkout, seen under the path where Ansible looks for a collection.
LINK := $(CACHE)/collections/ansible_collections/taskqueue/stack
# ansible-test insists on a real directory of that name inside a git repository: a copy of what git sees, one for each
# target, as they run side by side.
TREE = $(CACHE)/tree-$@/ansible_collections/taskqueue/stack
define COPY
	rm -rf $(TREE) && mkdir -p $(TREE)
	git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - | tar -xf - -C $(TREE)
	cd $(TREE) && git init --quiet && git add --all
endef

# Does nothing on an ordinary machine; on a restricted one, what has to be done there.
HOST_ENV := $(CURDIR)/molecule/shared/restricted-host.sh

export PATH := $(VENV)/bin:$(PATH)
export ANSIBLE_COLLECTIONS_PATH := $(CACHE)/collections
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
# Modules must not lean on injected facts: they are deprecated from ansible-core 2.20.
export ANSIBLE_INJECT_FACT_VARS := false

.PHONY: help
help:  ## Show the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: setup
setup: $(VENV)/.ready $(LINK)  ## Install the tools into .venv.

$(VENV)/.ready: tests/requirements.txt
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check uv==0.13.9
	VIRTUAL_ENV=$(VENV) $(VENV)/bin/uv pip install --quiet --requirement tests/requirements.txt
	touch $@

$(LINK):
	mkdir -p $(@D)
	ln -sfn $(CURDIR) $@

.PHONY: lint
lint: setup  ## ansible-lint, profile production.
	ansible-lint

.PHONY: sanity
sanity: setup  ## ansible-test sanity.
	$(COPY)
	cd $(TREE) && $(HOST_ENV) ansible-test sanity --venv --requirements --python 3.11

.PHONY: unit
unit: setup  ## Unit tests, on the controller's Python and on the oldest a host may have.
	$(COPY)
	cd $(TREE) && $(HOST_ENV) ansible-test units --venv --requirements --python 3.11
	$(HOST_ENV) sh -c 'uv python find 3.9 || uv python install 3.9'
	cd $(TREE) && $(HOST_ENV) sh -c 'PATH="$$(dirname "$$(uv python find 3.9)"):$$PATH" \
		ansible-test units --venv --requirements --python 3.9'

# --- Test hosts: containers that boot systemd, reached by SSH.
TESTBED := $(HOST_ENV) python3 $(CURDIR)/molecule/shared/testbed.py
SCENARIOS := $(filter-out shared images,$(notdir $(patsubst %/molecule.yml,%,$(wildcard molecule/*/molecule.yml))))

.PHONY: engine
engine: setup
	$(TESTBED) install

.PHONY: test
test:  ## Everything: lint, documentation, sanity, units, all scenarios; two at a time. What fails is named at the end.
	$(MAKE) setup
	$(MAKE) --jobs=2 --output-sync=target --keep-going lint docs-check sanity unit molecule

.PHONY: molecule
molecule: $(addprefix molecule-,$(SCENARIOS))  ## Every Molecule scenario. One of them: make molecule-default

molecule-%: engine
	tests/run-scenario $*

.PHONY: demo
demo: engine  ## Build two test hosts, Ubuntu and RHEL 9, provision both over SSH, show the smoke test.
	$(TESTBED) up demo examples/inventories/demo.yml
	$(HOST_ENV) ansible-playbook --inventory .cache/testbed/demo/inventory taskqueue.stack.site
	$(HOST_ENV) ansible-playbook --inventory .cache/testbed/demo/inventory taskqueue.stack.smoke_test
	@tests/demo-tour

.PHONY: bench
bench: engine  ## What a run costs, as ratios measured side by side.
	$(HOST_ENV) python3 tests/benchmark/bench.py

.PHONY: shell
shell: engine  ## A shell in which podman, molecule and ansible see the test hosts.
	$(HOST_ENV) $(SHELL)

.PHONY: clean
clean:  ## Remove the test hosts and everything that was built.
	-$(TESTBED) down --all
	rm -rf $(CACHE) $(VENV)

# --- Reference pages: what modules, filters and roles say of themselves. No server is asked.
REFERENCE = antsibull-docs --config-file docs/antsibull-docs.cfg collection --use-current --squash-hierarchy --fail-on-error \
	--output-format simplified-rst --no-add-antsibull-docs-version --cleanup everything --dest-dir $(1) taskqueue.stack

.PHONY: docs
docs: setup  ## Write the reference pages, docs/reference.
	mkdir -p docs/reference
	$(call REFERENCE,docs/reference)

.PHONY: docs-check
docs-check: setup  ## Fail when documentation is malformed, or docs/reference is not what `make docs` writes.
	$(COPY)
	cd $(TREE) && antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs=dependent --disallow-unknown-collection-refs .
	antsibull-changelog lint
	rm -rf $(CACHE)/reference && mkdir $(CACHE)/reference
	$(call REFERENCE,$(CACHE)/reference)
	diff --recursive --unified docs/reference $(CACHE)/reference
