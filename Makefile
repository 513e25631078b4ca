# Every target works on a bare checkout: it makes its own virtual environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
LOCK := $(COMPILE) pyproject.toml
AUDIT := .cache/audit
SHORT := not soak and not nightly and not openstack and not guest
# What ARGS names may all be in the other half of the tests; without ARGS none is a failure.
NONE := { [ $$? -eq 5 ] && [ -n "$(ARGS)" ]; }

.PHONY: run ansible test test-openstack nightly lint audit bench bench-parts soak lock clean

run: $(VENV)/.local ## the whole local cloud
	@$(BIN)/skylens up

ansible: $(VENV)/.deploy ## what the playbooks need, see docs/deploy.md

test: $(VENV)/.dev ## every test but the soaks, the longest plays and the real Nova guest
	@$(BIN)/pytest -n 3 --dist loadfile -m "$(SHORT) and not system" $(ARGS) || $(NONE)
	@$(BIN)/pytest -n 2 --dist loadfile -m "$(SHORT) and system" $(ARGS) || $(NONE)

test-openstack: $(VENV)/.dev ## the private side on a real OpenStack: root on Debian 12, half an hour
	@VIRT=libvirt tests/openstack/cloud/up.sh
	@VIRT=libvirt $(BIN)/pytest -m guest -s $(ARGS)
	@tests/openstack/cloud/down.sh --purge

nightly: test soak audit test-openstack ## all there is; some hours, root on Debian 12
	@VIRT=fake tests/openstack/cloud/up.sh
	@$(BIN)/pytest -m "nightly or openstack" $(ARGS)

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/codespell
	@$(BIN)/yamllint --strict .
	@cd playbooks && PATH="$(CURDIR)/$(BIN):$$PATH" ansible-lint
	@cd playbooks && ../$(BIN)/ansible-playbook --syntax-check -i inventories/example $$(ls *.yml | grep -v requirements)

audit: $(AUDIT)/.made ## known faults of everything that is locked, where api.osv.dev can be asked
	@if $(AUDIT)/bin/python -c 'import urllib.request as u; u.urlopen("https://api.osv.dev/v1/query", \
			b"{\"package\":{\"name\":\"pip\",\"ecosystem\":\"PyPI\"}}", timeout=20)' 2>/dev/null; then \
		failed=0; for lock in requirements/*.txt; do echo "== $$lock"; \
			$(AUDIT)/bin/pip-audit --progress-spinner off --vulnerability-service osv --disable-pip --require-hashes -r $$lock || failed=1; \
		done; exit $$failed; \
	else echo "Not audited: api.osv.dev cannot be reached from here"; fi

bench: $(VENV)/.dev ## one table: limit, engine, worker, whole system, and its peers; half an hour and 2 GB the first time
	@$(BIN)/python bench/peers.py $(ARGS)

bench-parts: $(VENV)/.dev ## every other measurement; each script prints medians and ratios
	@failed=0; for script in $(filter-out bench/peers.py,$(wildcard bench/*.py)); do \
		echo "== $$script"; $(BIN)/python $$script || failed=1; done; exit $$failed

soak: $(VENV)/.dev ## the long runs
	@$(BIN)/pytest -m soak -s $(ARGS)

lock: ## write requirements/*.txt anew from pyproject.toml (needs uv)
	$(LOCK) --extra local --extra plots --extra openstack --extra oidc --group build --group deploy --group dev -o requirements/dev.txt
	$(LOCK) --extra local --extra plots --group build -c requirements/dev.txt -o requirements/local.txt
	$(LOCK) --extra openstack --group build --group deploy -c requirements/dev.txt -o requirements/deploy.txt
	$(LOCK) --extra openstack --extra oidc -c requirements/dev.txt -o requirements/web.txt
	$(LOCK) --extra worker -c requirements/dev.txt -o requirements/worker.txt
	$(COMPILE) --group audit -o requirements/audit.txt

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Skylens needs Python 3.11 or newer; set PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "No venv module: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }

$(VENV)/.local: requirements/local.txt pyproject.toml | $(BIN)/python
	@echo "Installing what the local cloud needs (once, about a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/local.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.deploy: requirements/deploy.txt pyproject.toml | $(BIN)/python
	@echo "Installing Ansible and its collections (once, about a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/deploy.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.local
	@echo "Installing what the tests need (once, about a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

$(AUDIT)/.made: requirements/audit.txt | $(BIN)/python
	@echo "Installing pip-audit beside everything else (once) ..."
	@$(PYTHON) -m venv --clear $(AUDIT)
	@$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/audit.txt
	@touch $@

clean:
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
