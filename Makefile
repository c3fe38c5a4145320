# Two commands for a newcomer: `make demo` and `make test`. They need python3 (3.11 or newer) and
# make; everything else is fetched once, by hash, into .venv (and .tools, if uv is missing).

PYTHON ?= python3
ORDERS ?= 200000
BIN := .venv/bin
STAMP := .venv/.stamp
KAFKA := .tools/kafka.classpath
QUICKFIXJ := .tools/quickfixj.classpath

.DEFAULT_GOAL := help
.PHONY: help demo stack test check bench install lock clean

help: ## Show what make can do here
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The demo kills a process that reads from Kafka, whose place a dead member has to leave.
demo: $(STAMP) $(if $(STACK),$(KAFKA)) ## Play an opening bell on this machine: make demo ORDERS=200000
	@$(if $(STACK),$(BIN)/python -m tests.servers.stack --needs session_expiry --,) $(BIN)/openbell demo --orders $(ORDERS) $(if $(STACK),--stack,)

stack: $(STAMP) $(KAFKA) ## Run PostgreSQL, Kafka, MongoDB and Redis until Ctrl-C, for a gateway to use
	@$(BIN)/python -m tests.servers.stack $(ARGS)

# The longest test takes some two minutes on two quiet cores: one that takes ten hangs, and is named
# with the line where it stands, instead of the whole run being ended by whoever waits for it.
test: $(STAMP) $(KAFKA) $(QUICKFIXJ) ## Run the tests on two processes: make test ARGS="-k pacer"
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --timeout 600 --timeout-method thread \
		--max-worker-restart 0 $(ARGS)

check: $(STAMP) ## Read the code: ruff, its formatter, mypy
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

bench: $(STAMP) ## Measure accepting and sending, as ratios of what this machine can do
	@$(BIN)/openbell bench intake
	@$(BIN)/openbell bench dispatch

install: $(STAMP) ## Make .venv equal the lock; the others do it by themselves

lock: ## Write the locks again after editing pyproject.toml: make lock ARGS=--upgrade
	@$(PYTHON) .ci/bootstrap.py lock $(ARGS)

clean: ## Remove what make and the tools have made
	@rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	@find app tests migrations .ci -type d -name __pycache__ -prune -exec rm -rf {} +

$(STAMP): requirements.lock pyproject.toml .ci/bootstrap.py
	@$(PYTHON) .ci/bootstrap.py
	@touch $@

# Apache Kafka itself, for tests and the stack, and QuickFIX/J, for tests, where Java and Maven are;
# elsewhere, and where Maven finds no network, a stand-in serves or tests are skipped, so this never
# fails.
$(KAFKA): tests/servers/java/pom.xml
$(QUICKFIXJ): tests/servers/java/quickfixj/pom.xml
$(KAFKA) $(QUICKFIXJ):
	@mkdir -p $(@D)
	@if command -v java >/dev/null && command -v mvn >/dev/null; then \
	  echo "openbell: fetching $(@F)" >&2; \
	  mvn -q -B -ntp -Dmaven.repo.local=$(CURDIR)/.tools/m2 -f $< dependency:build-classpath \
	    -DincludeScope=runtime -Dmdep.outputFile=$(CURDIR)/$@ >$(@:.classpath=.log) 2>&1 && touch $@ \
	  || echo "openbell: no $(@F) (see $(@:.classpath=.log))" >&2; \
	fi
