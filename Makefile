# Every target works on a fresh clone: it makes .venv and installs what is missing, once.
#   make demo    a dreamed game beside the real one, an agent trained in the dream and measured in the real game
#   make test    the default test suite, with the games that it can install
#   make check   what a commit must pass before the tests: style, spelling, types
#   make docs    the documentation site in build/docs; a warning is an error
#   make first-hour  builds the wheel and tries it in an empty environment; README's commands in their order
#   make format  puts the code into shape: imports, quotes, line breaks
# Choose another interpreter with `make PYTHON=python3.12 ...`, another torch with `make TORCH=2.12.1 ...`.

NEWEST_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c '$(NEWEST_ENOUGH)' 2>/dev/null && echo $$p && break; done)
TORCH  ?= 2.13.0
BIN    := .venv/bin
STAMP  := .venv/.installed
PLAYABLE := .venv/.games
SITE   := .venv/.docs
DREAM  := build/embedded/dream
PIP    := $(BIN)/python -m pip --disable-pip-version-check
FRAMES ?= 200000
WORLD  ?= snake
MINUTES ?= 60
COMMA := ,
SPACE := $(subst ,, )

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types format docs test-lowest torture first-hour rooms results strips gallery games install train \
	release clean

help:
	@sed -n 's/^#  //p' Makefile; echo '   also: make install, lint, types, guards, test-lowest, torture, rooms, results, strips,'; \
	echo '   gallery, games, train, release WORLD=pong, clean'

demo: $(STAMP)
	$(BIN)/neural-envs demo

test: $(STAMP) $(PLAYABLE)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

# what takes long and guards much: files damaged at random, processes killed, floods, whole runs of a family
guards: $(STAMP) $(PLAYABLE)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m "guard or fuzz"

first-hour: $(STAMP)
	$(BIN)/python -m pytest -m slow tests/test_wheel.py tests/test_readme_order.py

# the default suite with the lowest versions that pyproject.toml allows, in an environment of its own
LOWEST := .venv-lowest/bin
LOWEST_INSTALL := $(LOWEST)/uv pip install --quiet --python $(LOWEST)/python --resolution lowest-direct \
	--editable ".[agents,kid,web,dev]"
test-lowest:
	$(PYTHON) -m venv .venv-lowest
	$(LOWEST)/python -m pip install --quiet uv
	@$(LOWEST_INSTALL) --torch-backend cpu || $(LOWEST_INSTALL)  # without PyTorch's own index: the CUDA build
	$(LOWEST)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

install: $(STAMP)

check: lint types

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

types: $(STAMP)
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# processes killed and interrupted, full and read-only disks, two on one folder; ten minutes, and a table
torture: $(STAMP)
	$(BIN)/python -m tests.torture --minutes 10 --out build/torture.md $(CAMPAIGNS)

# the documentation site, by Sphinx: every warning, a link that leads nowhere among them, is an error
docs: $(STAMP) $(SITE) $(DREAM)/site.json
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs
	@echo "build/docs/index.html"

# the dreams that the first page embeds; where their runtime cannot be fetched the site goes without
$(DREAM)/site.json: $(SITE) $(wildcard neural_envs/web_export/*.py neural_envs/web*/static/* neural_envs/bundles/*/config.json)
	@$(BIN)/neural-envs export-web snake pong coinrun worldmap --out $(DREAM) --overwrite \
		|| echo "the first page of the documentation embeds no dream" >&2

$(SITE): $(STAMP)
	@$(PIP) install --quiet --editable ".[docs,onnx]"
	@touch $@

# the list of modules in docs/architecture.md, from their docstrings
rooms: $(STAMP)
	$(BIN)/python -m tests.room_list

# the tables of README.md and docs/results.md, from the JSON files in agents/results/measured, and docs/envs
results: $(STAMP)
	$(BIN)/python -m agents.results

# deep dreams above the game, for docs/results.md; minutes, and the real games
strips: $(STAMP) $(PLAYABLE)
	$(BIN)/python -m agents.results --strips all

# moving images of dreams beside their games, for README.md and docs/envs; a minute, and the real games
gallery: $(STAMP) $(PLAYABLE)
	$(BIN)/python -m agents.results.gallery

# public games, each dreamed in MINUTES and measured, into the tables of docs/any_game.md; hours, and goes on where it stopped:
# make games MINUTES=60 GAMES="CarRacing-v3 ALE/Breakout-v5"
games: $(STAMP) $(PLAYABLE)
	$(BIN)/python -m agents.results.games $(subst $(SPACE),$(COMMA),$(strip $(GAMES))) --minutes $(MINUTES)
	$(BIN)/python -m agents.results

train: $(STAMP)
	$(BIN)/neural-envs collect snake --frames $(FRAMES) --resume
	$(BIN)/neural-envs train snake

# a released bundle from scratch, by its preset: collect, train, evaluate, card; again goes on where it stopped
release: $(STAMP)
	$(BIN)/neural-envs release $(WORLD)

clean:
	rm -rf .venv .venv-lowest build *.egg-info demo .pytest_cache .ruff_cache .mypy_cache

# The engines of CoinRun, Atari, Box2D and Crafter, which only tests and `make games` want (1 GB). Where there are none for this machine the tests of
# these games are skipped, and the next `make test` tries again.
$(PLAYABLE): $(STAMP)
	@echo "installing the games that the tests play, and OpenVINO"
	@$(PIP) install --quiet --retries 1 --editable ".[fast]" \
		|| echo "OpenVINO cannot be installed here: its tests are skipped" >&2
	@$(PIP) install --quiet --retries 1 --editable ".[coinrun,games]" && touch $@ \
		|| echo "not all games can be installed here: tests of those that are not are skipped" >&2

# Plain `pip install torch` on Linux means several GB of CUDA. Without an NVIDIA card the CPU build is taken: from what pip
# is set up to reach, then from PyTorch's own index; the label +cpu can match no other build. The last resort is the plain
# version (a mirror may serve its CPU build under that name). Everywhere else the range in pyproject.toml decides.
$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "neural-envs needs Python 3.11 or newer: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c '$(NEWEST_ENOUGH)' || { echo "$(PYTHON) is older than Python 3.11" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { echo "on Debian: apt install python3-venv" >&2; exit 1; }
	@if $(BIN)/python -c 'import torch' 2>/dev/null; then echo "torch is there"; \
	elif [ "$$(uname -s)" = Linux ] && ! nvidia-smi >/dev/null 2>&1; then \
		echo "installing the CPU build of torch $(TORCH)"; \
		$(PIP) install --quiet --retries 1 "torch==$(TORCH)+cpu" 2>/dev/null \
		|| $(PIP) install --timeout 20 --retries 1 "torch==$(TORCH)+cpu" --extra-index-url https://download.pytorch.org/whl/cpu \
		|| $(PIP) install "torch==$(TORCH)"; \
	fi
	@echo "installing neural-envs and what it needs"
	$(PIP) install --quiet --editable ".[agents,kid,web,dev]"
	@touch $@
