# Two commands: `make demo` runs the main job, `make test` passes the tests. Each sets up what it needs.

PYTHON ?= python3
BIN    := .venv/bin
AWS    := .clients/aws/bin/aws
CLIENTS := .clients/sdk2/ready .clients/sdk3/ready .clients/notebook/ready
SHELL  := /bin/bash
.DEFAULT_GOAL := test

.PHONY: demo test coverage test-clients setup lint slow test-ray docs peers constraints clean

demo: .venv/ready
	@command -v bwrap > /dev/null || echo "bubblewrap is not installed: the built-in algorithm runs as a plain process, without a sandbox (apt install bubblewrap)"
	@$(BIN)/groundfog exec --serve --home .demo -- $(BIN)/python walkthroughs/word_pronunciation.py --out .demo/out $(if $(FULL),--full)
	@echo
	@echo "Go on: $(BIN)/groundfog serve --home .demo      the endpoint answers again"
	@echo "       eval \$$($(BIN)/groundfog env --home .demo)   in another terminal, then boto3 or aws as you know them"
	@echo "       docs/guide.md                            what else it can do"

test: lint $(AWS)
	@$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

# The same, counting which lines run, in the server's own processes too: half as long again.
coverage: lint $(AWS)
	@rm -f .coverage*
	@COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml $(BIN)/pytest -n 2 --dist loadfile --cov --cov-report= $(ARGS)
	@$(BIN)/coverage report

setup: .venv/ready

# What a reader would say about the text before running it: format, lint, types, layers.
lint: .venv/ready
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache > .lint-imports.log || { cat .lint-imports.log; exit 1; }
	@rm .lint-imports.log

slow: .venv/ready $(AWS)
	$(BIN)/pytest -m slow --timeout 3600

# A Ray cluster of several nodes on this machine, and one whose machines are network namespaces (as root): minutes.
test-ray: .venv/ready
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[ray]'
	$(BIN)/pytest -m slow --timeout 3600 tests/engine/test_launchers.py tests/engine/test_limits.py tests/stories/test_ray.py tests/stories/test_ray_*.py

docs: .venv/ready
	$(BIN)/python docs/generate.py
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	$(BIN)/python docs/reference.py docs/_build/html/reference
	@echo "docs/_build/html/index.html, and the API reference in docs/_build/html/reference/"

constraints: .venv/ready
	$(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt

.venv/ready: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing what pyproject.toml names into .venv (a few minutes the first time)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# The AWS command line wants other versions of what the documentation is built with, so it lives apart.
$(AWS):
	@$(PYTHON) -m venv .clients/aws
	@.clients/aws/bin/pip install --quiet --disable-pip-version-check awscli==1.46.2

# Amazon's SageMaker Python SDK, both of them and unmodified, and JupyterLab, each in an environment of its own.
test-clients: .venv/ready $(CLIENTS)
	$(BIN)/pytest -m clients --timeout 3600 $(ARGS)

.clients/sdk2/ready:
	@$(PYTHON) -m venv .clients/sdk2
	@.clients/sdk2/bin/pip install --quiet --disable-pip-version-check 'sagemaker>=2.257,<2.258'
	@touch $@

# It asks for torch, without saying which.
.clients/sdk3/ready:
	@$(PYTHON) -m venv .clients/sdk3
	@.clients/sdk3/bin/pip install --quiet --disable-pip-version-check 'sagemaker>=3.27,<4' torch==2.13.0
	@touch $@

.clients/notebook/ready: pyproject.toml
	@$(PYTHON) -m venv .clients/notebook
	@.clients/notebook/bin/pip install --quiet --disable-pip-version-check -e '.[notebook]'
	@touch $@

# What benchmarks/ compares with, each in an environment of its own.
peers: .clients/opennmt/ready .clients/phonetisaurus/ready

.clients/opennmt/ready: benchmarks/seq2seq/peers.txt
	@$(PYTHON) -m venv .clients/opennmt
	@.clients/opennmt/bin/pip install --quiet --disable-pip-version-check -r $<
	@.clients/opennmt/bin/pip install --quiet --disable-pip-version-check --no-deps OpenNMT-py==3.5.1
	@touch $@

.clients/phonetisaurus/ready:
	@$(PYTHON) -m venv .clients/phonetisaurus
	@.clients/phonetisaurus/bin/pip install --quiet --disable-pip-version-check phonetisaurus==0.3.0
	@touch $@

clean:
	rm -rf .venv .clients .demo docs/_build docs/reference .coverage*
