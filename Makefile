# GNU make; needs a Python from 3.11 to 3.13 and nothing else. All that is installed goes into .venv folders here.

PYTHON ?=
PYTEST_ARGUMENTS ?=
TEST = exec $(<D)/bin/python -m pytest
# Unit and integration tests mostly wait, so several run at once, and with them those of the page that need no Airflow. Who is
# done takes tests over from whoever still has many. The other system tests share one Airflow.
UNIT_AND_INTEGRATION = -n 4 --dist worksteal tests/unit tests/integration
WITHOUT_AIRFLOW = $(UNIT_AND_INTEGRATION) tests/system -m 'not airflow'
WITH_AIRFLOW = tests/system -m airflow
# What these are about imports no Airflow, and all that it does import is pinned to one version for each Airflow, but for
# the sandbox's Starlette, with which the other integration tests run on each. So they run once, on the newest Airflow.
SAME_ON_EACH_AIRFLOW = integration/sandbox integration/test_documentation_code.py integration/provider/test_check_elsewhere.py \
	integration/provider/test_check_settings.py unit/api unit/checks unit/receipts unit/recordings unit/sandbox unit/verification \
	unit/test_benchmarks.py unit/test_browser.py unit/test_deadlines.py unit/test_documentation.py unit/test_find_python.py \
	unit/test_make_environment.py unit/test_period.py unit/test_times.py unit/test_words.py \
	unit/user_ids/test_bad_ids.py unit/user_ids/test_batches.py unit/user_ids/test_sealed.py unit/user_ids/test_seal_commands.py \
	unit/user_ids/test_table_files.py unit/user_ids/test_text_files.py unit/user_ids/test_who.py
ON_OLDER_AIRFLOW = $(UNIT_AND_INTEGRATION) $(SAME_ON_EACH_AIRFLOW:%=--ignore=tests/%)
COMPILE = .venv/bin/uv pip compile --python .venv/bin/python --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-header --no-annotate $(if $(UPGRADE),--upgrade)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help venv demo docs pictures test test-distributed test-long test-compatibility test-3.1 test-3.2 browser benchmarks benchmarks-quick \
	lint format requirements clean FORCE

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: .venv/ready ## Make .venv with the pinned Airflow 3.3 and this package

demo: .venv/ready ## Erase 250 made-up people on a real Airflow; REFUSED=2 lets two fail, UI=1 stays up
	@exec .venv/bin/python -m demo.run $(if $(REFUSED),--refused '$(REFUSED)') $(if $(filter-out 0,$(UI)),--ui)

pictures: .venv/ready ## Take the documentation's pictures anew, from runs with made-up people; needs chromium
	@exec .venv/bin/python -m demo.pictures

# Without a browser the tests in it fail; so it is brought if they are among those to be run.
test: .venv/ready $(if $(PYTEST_ARGUMENTS),$(if $(findstring system,$(PYTEST_ARGUMENTS)),browser),browser) ## Run all tests; NO_BROWSER=1 leaves out those in a browser
	@$(TEST) $(or $(PYTEST_ARGUMENTS),$(WITHOUT_AIRFLOW))
	@$(if $(PYTEST_ARGUMENTS),,$(TEST) $(WITH_AIRFLOW))

# Half of these mostly wait, and need no Airflow: they run beside those that share one, and what they say comes at the end.
test-distributed: .venv-distributed/ready .venv-distributed/azurite/ready ## Run the tests on Celery, Postgres, Redis and object stores; needs Debian's servers
ifdef PYTEST_ARGUMENTS
	@$(TEST) $(PYTEST_ARGUMENTS)
else
	@said=$$(mktemp); trap 'rm -f "$$said"' EXIT; status=0; \
	$(<D)/bin/python -m pytest tests/distributed -m 'not airflow' >"$$said" 2>&1 & others=$$!; \
	$(<D)/bin/python -m pytest tests/distributed -m 'airflow and not long' || status=$$?; \
	wait $$others || status=$$?; \
	cat "$$said"; exit $$status
endif

test-long: .venv-distributed/ready ## Run what takes a quarter of an hour: two hundred tasks that share one account's calls
	@$(TEST) -s tests/distributed -m long

test-compatibility: test-3.1 test-3.2 ## Run the tests that depend on Airflow's version, and the demo, on Airflow 3.1 and 3.2

test-3.1: .venv-3.1/ready
	@$(TEST) $(ON_OLDER_AIRFLOW) $(PYTEST_ARGUMENTS)
	@exec $(<D)/bin/python -m demo.run

test-3.2: .venv-3.2/ready
	@$(TEST) $(ON_OLDER_AIRFLOW) $(PYTEST_ARGUMENTS)
	@exec $(<D)/bin/python -m demo.run

browser: .venv/ready
	-@$(if $(filter-out 0,$(NO_BROWSER)),,exec .venv/bin/python -m demo.browser)

benchmarks: .venv-benchmarks/ready ## Measure beside the peers, print tables, and judge by ratios; see benchmarks/README.md
	@exec $(<D)/bin/python -m benchmarks

benchmarks-quick: .venv-benchmarks/ready ## Measure the main ratios in some three minutes, and judge with a wide margin
	@exec $(<D)/bin/python -m benchmarks --quick

docs: .venv/ready ## Build the documentation into build/docs; DOCS_INTERSPHINX=1 links to Python's and Airflow's
	@AIRFLOW_HOME=$(CURDIR)/build/airflow AIRFLOW__LOGGING__LOGGING_LEVEL=WARNING .venv/bin/python -m sphinx --fail-on-warning --keep-going --quiet docs build/docs
	@echo "Open build/docs/index.html"

lint: .venv/ready ## Check style, types and the direction of imports
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy -p airflow_provider_kore -p demo -p benchmarks
	.venv/bin/lint-imports --no-cache --no-logo

format: .venv/ready ## Put the code in shape
	.venv/bin/python -m ruff check --fix .
	.venv/bin/python -m ruff format .

requirements: .venv/bin/uv ## Compile the pinned requirements again; UPGRADE=1 takes newer versions
	$(COMPILE) --output-file requirements/uv.txt requirements/uv.in
	@for version in 3.1 3.2 3.3; do \
		echo "Airflow $$version"; \
		$(COMPILE) --extra sandbox --extra dev --no-emit-package airflow-provider-kore \
			--constraints requirements/airflow-$$version.in \
			--output-file requirements/airflow-$$version.txt pyproject.toml || exit; \
	done
	@echo "Benchmarks"
	@$(COMPILE) --extra sandbox --extra dev --no-emit-package airflow-provider-kore \
		--constraints requirements/airflow-3.3.in \
		--output-file requirements/benchmarks.txt pyproject.toml requirements/benchmarks.in
	@echo "Distributed"
	@$(COMPILE) --extra sandbox --extra dev --no-emit-package airflow-provider-kore \
		--constraints requirements/airflow-3.3.in \
		--output-file requirements/distributed.txt pyproject.toml requirements/distributed.in

clean: ## Remove all that was made here
	rm -rf .venv .venv-3.1 .venv-3.2 .venv-benchmarks .venv-distributed .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/bin/uv .venv-3.1/bin/uv .venv-3.2/bin/uv .venv-benchmarks/bin/uv .venv-distributed/bin/uv: FORCE
	@sh requirements/make-environment $(@D:/bin=) '$(PYTHON)'

.venv/ready: requirements/airflow-3.3.txt .venv/bin/uv
.venv-3.1/ready: requirements/airflow-3.1.txt .venv-3.1/bin/uv
.venv-3.2/ready: requirements/airflow-3.2.txt .venv-3.2/bin/uv
.venv-benchmarks/ready: requirements/benchmarks.txt .venv-benchmarks/bin/uv
.venv-distributed/ready: requirements/distributed.txt .venv-distributed/bin/uv
.venv/ready .venv-3.1/ready .venv-3.2/ready .venv-benchmarks/ready .venv-distributed/ready: pyproject.toml
	@echo "Installing $(filter %.txt,$^) into $(@D)"
	@$(@D)/bin/uv pip sync --quiet --require-hashes --python $(@D)/bin/python $(filter %.txt,$^) || { \
		echo "uv could not install $(filter %.txt,$^), for the reason above. It needs a package index: PyPI, or a mirror" \
			"that UV_DEFAULT_INDEX names; behind a proxy also HTTPS_PROXY." >&2; \
		exit 1; \
	}
	@$(@D)/bin/uv pip install --quiet --no-deps --no-build-isolation --python $(@D)/bin/python --editable .
	@touch $@

# make-environment itself sees whether an environment is still good.
FORCE:

# Azure Blob Storage for the tests of object stores; nothing that was published after the day is installed.
AZURITE = azurite@3.35.0
AZURITE_DAY = 2026-11-01
.venv-distributed/azurite/ready: Makefile | .venv-distributed/ready
	@echo "Installing $(AZURITE) into $(@D)"
	@npm install --silent --no-fund --no-audit --before=$(AZURITE_DAY) --prefix $(@D) $(AZURITE)
	@touch $@
