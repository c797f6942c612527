# Everything happens in .venv and .matrix; the machine needs only Python 3.11 or newer, make and a package index.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python -m
# What follows a command: make bench ARGS="--help"
ARGS ?=
READY := .venv/ready
# Processes start by the thousand, and each would compile all of Heliograph.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo demo-check demo-celery demo-celery-check test test-all lint types imports tests docs matrix test-django test-django-all test-crash test-browser screenshots bench bench-outbox load journeys format pins release-check clean

help:  ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 18

demo: .demo/ready  ## Run the example shop and show what its receivers do
	.demo/bin/python examples/shop/manage.py demo $(ARGS)

demo-check: $(READY)  ## Run the example shop and check what came of it: ARGS="--kills 200"
	$(BIN)/python examples/shop/manage.py demo --check $(ARGS)

# The same code on PostgreSQL, whose server and user are those of psql, with workers of Celery.
demo-celery demo-celery-check: export PGHOST ?= 127.0.0.1
demo-celery demo-celery-check: export SHOP_POSTGRESQL ?= heliograph_shop
demo-celery demo-celery-check: export SHOP_BROKER ?= amqp://guest:guest@127.0.0.1//

demo-celery: .demo/celery  ## Run the example shop on PostgreSQL, with workers of Celery on RabbitMQ
	.demo/bin/python examples/shop/manage.py demo $(ARGS)

demo-celery-check: $(READY)  ## Run it so and check what came of it: ARGS="--kills 20"
	$(BIN)/python examples/shop/manage.py demo --check $(ARGS)

test: lint types imports tests docs demo-check  ## Check and test everything on this Python

test-all: $(READY)  ## Test everything that CI does: every Python, Django and database, Django's own tests, crashes
	@$(RUN) tools.everything

lint: $(READY)  ## Check style and formatting, and that what a user sees is in changes.d
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(RUN) tools.fragments

types: $(READY)  ## Check types
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

imports: $(READY)  ## Check that arrows between the parts run one way
	$(BIN)/lint-imports

tests: $(READY)  ## Run the tests on each database that answers, and check their coverage
	$(RUN) tools.suite $(ARGS)
	$(RUN) tools.coverage_gates

docs: $(READY)  ## Build the documentation into .build/docs
	$(BIN)/sphinx-build -W --keep-going -q -d .build/doctrees docs .build/docs

matrix: $(READY)  ## Run the tests on every Python and Django, and with every Django on every database
	$(RUN) tools.matrix $(ARGS)

test-django: $(READY)  ## Run Django's own tests of what signals touch with Heliograph: ARGS="--django 5.2", ARGS=signals
	$(RUN) tools.django_suite $(ARGS)

test-django-all: $(READY)  ## Run all of Django's own tests with Heliograph
	$(RUN) tools.django_suite --all $(ARGS)

test-crash: $(READY)  ## Kill senders, workers, databases and brokers, and count what is lost
	$(RUN) tools.crash $(ARGS)

test-browser: $(READY) docs  ## Use the pages of the example shop and of the documentation in a browser
	$(RUN) tools.browser $(ARGS)

screenshots: export HELIOGRAPH_SCREENSHOTS = 1
screenshots: test-browser  ## Do the same, and take the pictures of the documentation anew

bench: $(READY)  ## Run the benchmarks
	$(RUN) tools.bench $(ARGS)

bench-outbox: $(READY)  ## Run the benchmarks of the outbox, beside Celery, procrastinate and django-tasks
	$(RUN) tools.bench_outbox $(ARGS)

load: $(READY)  ## Load the example shop with orders, and check each total: ARGS="--seconds 20 --users 8"
	$(RUN) tools.load $(ARGS)

journeys: $(READY)  ## Count the calls of five journeys through Heliograph: ARGS="--trace save" prints those of one
	$(RUN) tools.journeys $(ARGS)

format: $(READY)  ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

pins: $(READY)  ## Renew requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --group dev --group bench-bulk \
		--group bench-outbox --group load --no-emit-package django --no-annotate --custom-compile-command "make pins" \
		--output-file requirements/dev.txt

release-check: $(READY)  ## Say what keeps this commit from being released
	@$(RUN) tools.deprecations
	@$(RUN) tools.release

clean:  ## Remove all environments and everything that was built
	rm -rf .venv .demo .matrix .build .hypothesis .ruff_cache .import_linter_cache dist

# The demonstration has an environment of its own, with nothing but the package and what the shop needs of it.
.demo/ready: pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Heliograph needs Python 3.11 or newer: make demo PYTHON=python3.12"; exit 1; }
	@echo "Making an environment in .demo"
	@$(PYTHON) -m venv .demo
	@echo "Installing Heliograph and Django into it"
	@.demo/bin/python -m pip install --quiet --no-compile --disable-pip-version-check --editable ".[webhooks]"
	@touch $@

.demo/celery: .demo/ready
	@echo "Installing Celery and psycopg into it"
	@.demo/bin/python -m pip install --quiet --no-compile --disable-pip-version-check --editable ".[celery,webhooks]" "psycopg[binary]"
	@touch $@

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Heliograph needs Python 3.11 or newer: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

# The newest Django that this Python has; the matrix tests the others.
$(READY): pyproject.toml requirements/dev.txt | $(BIN)/uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python \
		--group dev --constraint requirements/dev.txt --editable .
	@touch $@
