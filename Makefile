# Two targets are all the set-up a fresh machine needs: `make demo` and `make test`.
#
#   PYTHON=python3.12     another interpreter (3.11 or newer)
#   PIP_ARGS="..."        extra arguments for pip, such as the index of PyTorch's CPU builds
#   FUZZ_SECONDS=60       seconds of each target of `make fuzz`; FUZZ_JOBS=2: targets at a time
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

PYTHON ?= python3
PIP_ARGS ?=
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
EXTRAS := cpu,train,bench,dev
SYSTEM_PACKAGES := g++ cmake python3-dev python3-venv libsimdjson-dev
SOURCES := $(shell find src engine kernels export bench cpp -type f \( -name '*.py' -o -name '*.cpp' -o -name '*.hpp' -o -name '*.cmake' -o -name 'py.typed' \))
CPP_SOURCES := $(wildcard cpp/*.cpp cpp/*.hpp cpp/scoring/*.cpp cpp/scoring/*.hpp cpp/fuzz/*.cpp cpp/fuzz/*.hpp cpp/instructions/*.cpp cpp/instructions/*.hpp)
FUZZ_SECONDS ?= 600
FUZZ_JOBS ?= 1

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | column -t -s "$$(printf '\t')"

.PHONY: demo
demo: install  ## generate traffic, train, export, score a 1,000,000-row file, evaluate
	@"$(BIN)/python" -m netsieve.bench.demo --folder demo

.PHONY: test
test: lint types pytest  ## ruff, mypy and pytest: what CI runs

.PHONY: lint
lint: $(VENV)/.dependencies
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .

# The installed package is checked, from outside the repository, so that folders here cannot shadow it.
.PHONY: types
types: install
	@mkdir -p build/types
	cd build/types && "$(BIN)/mypy" --config-file ../../pyproject.toml -p netsieve

.PHONY: pytest
pytest: install
	"$(BIN)/pytest" -m "not slow"

.PHONY: test-slow
test-slow: install  ## the suites of more than ten seconds each: memory bounds, long streams
	"$(BIN)/pytest" -m slow

.PHONY: test-random
test-random: install  ## the tests with random examples: run it now and then, and keep what it finds as @example
	HYPOTHESIS_PROFILE=random "$(BIN)/pytest" -m "not slow"

# Python itself is built without the sanitizers, so that theirs and the C++ library must be there before it
SANITIZED := $(CURDIR)/build/sanitized
SANITIZED_TESTS ?= $(wildcard tests/kernels/test_scoring_kernels.py tests/kernels/test_forest.py tests/scoring/test_native*.py)
.PHONY: test-sanitized
test-sanitized: install  ## the scoring kernels of every instruction set under the address and undefined behaviour sanitizers
	"$(BIN)/pip" install --quiet --no-deps --no-build-isolation --upgrade --target "$(SANITIZED)" \
	  --config-settings=cmake.define.NETSIEVE_SANITIZE=ON --config-settings=build-dir=build/sanitizing $(PIP_ARGS) .
	LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libstdc++.so)" ASAN_OPTIONS=detect_leaks=0 \
	  PYTHONPATH="$(SANITIZED)" "$(BIN)/pytest" $(SANITIZED_TESTS)

.PHONY: fuzz
fuzz: | system-packages  ## the native readers under sanitizers, ten minutes of fuzzing each (cpp/fuzz/README.md)
	$(MAKE) --no-print-directory -C cpp/fuzz
	"$(PYTHON)" cpp/fuzz/run.py --seconds $(FUZZ_SECONDS) --jobs $(FUZZ_JOBS)

# Not part of test: the counts depend on the compiler
.PHONY: test-instructions
test-instructions: SYSTEM_PACKAGES += valgrind
test-instructions: | system-packages  ## instructions of kernels and readers under callgrind against the recorded counts (docs/native.md)
	"$(PYTHON)" cpp/instructions/run.py

.PHONY: results
results: install  ## detection quality on the real data sets; writes docs/results.md
	"$(BIN)/python" -m netsieve.bench.results

.PHONY: bench
bench: install peers  ## measure this machine; writes benchmarks/*.json (an hour on a quiet machine)
	mkdir -p benchmarks
	"$(BIN)/python" -m netsieve.bench.pipelines --rows 1000000 --rounds 5 --json benchmarks/pipelines-1M.json
	"$(BIN)/python" -m netsieve.bench.pipelines --rows 10000000 --rounds 3 --without student --json benchmarks/pipelines-10M.json
	"$(BIN)/python" -m netsieve.bench.stages --json benchmarks/stages.json
	"$(BIN)/python" -m netsieve.bench.memory --json benchmarks/memory.json
	"$(BIN)/python" -m netsieve.bench.scoring --threads 1 --json benchmarks/scoring-1-thread.json
	"$(BIN)/python" -m netsieve.bench.scoring --threads 2 --json benchmarks/scoring-2-threads.json
	"$(BIN)/python" -m netsieve.bench.native --json benchmarks/native.json
	"$(BIN)/python" -m netsieve.bench.native_ensemble --json benchmarks/native-ensemble.json
	"$(BIN)/python" -m netsieve.bench.native_forest --json benchmarks/native-forest.json
	"$(BIN)/python" -m netsieve.bench.startup --json benchmarks/startup.json
	"$(MAKE)" bench-readers

# 2: files of twice the size. Megabytes of the event file. With these some ten minutes on a quiet machine.
READERS_SIZE ?= 1
READERS_ROUNDS ?= 3
EVENT_MEGABYTES ?= 1000
.PHONY: bench-readers
bench-readers: install  ## the part of bench that reads files: logs, captures, a 1 GB event file, neighbour features
	mkdir -p benchmarks
	for format in eve zeek pcap; do \
	  "$(BIN)/python" -m netsieve.bench.reading $$format --size $(READERS_SIZE) --rounds $(READERS_ROUNDS) --json benchmarks/reading-$$format.json || exit 1; \
	done
	"$(BIN)/python" -m netsieve.bench.event_job --megabytes $(EVENT_MEGABYTES) --rounds $(READERS_ROUNDS) --json benchmarks/event-job.json
	"$(BIN)/python" -m netsieve.bench.neighbours --speed --rounds $(READERS_ROUNDS) --json benchmarks/neighbour-speed.json

.PHONY: bench-large
bench-large: install  ## score 100,000,000 rows (10 GB of disk, some ten minutes)
	"$(BIN)/python" -m netsieve.bench.pipelines --rows 100000000 --rounds 1 --without student --without expert \
	  --without "expert, scores only" --json benchmarks/pipelines-100M.json

.PHONY: bench-suites
bench-suites: install peers  ## the same parts as pytest-benchmark suites, for comparing two revisions
	"$(BIN)/pytest" bench/suites --benchmark-enable --benchmark-only --benchmark-json build/benchmark-suites.json

.PHONY: peers
peers: $(VENV)/.peers  ## install what scoring is compared with beside the rest: skl2onnx, OpenVINO, isotree (five minutes to compile)

$(VENV)/.peers: $(VENV)/.dependencies
	"$(BIN)/python" .ci/requirements.py peers > $(VENV)/peers.txt
	"$(BIN)/pip" install --quiet --constraint constraints.txt --requirement $(VENV)/peers.txt $(PIP_ARGS)
	@touch $@

.PHONY: performance
performance: install  ## turn benchmarks/*.json into docs/performance.md
	"$(BIN)/python" -m netsieve.bench.performance --readme README.md

.PHONY: format
format: $(VENV)/.dependencies  ## ruff and clang-format in place
	"$(BIN)/ruff" check --fix .
	"$(BIN)/ruff" format .
	"$(BIN)/clang-format" -i $(CPP_SOURCES)

.PHONY: install
install: $(VENV)/.package  ## the virtual environment with netsieve and everything the targets need

$(VENV)/.package: $(VENV)/.dependencies CMakeLists.txt README.md $(SOURCES)
	"$(BIN)/pip" install --quiet --no-deps --no-build-isolation --force-reinstall $(PIP_ARGS) .
	@touch $@

# The dependencies are installed from the metadata alone, so that a changed source line reinstalls no package.
$(VENV)/.dependencies: pyproject.toml constraints.txt | system-packages
	"$(PYTHON)" -m venv $(VENV)
	"$(BIN)/python" .ci/requirements.py $(EXTRAS) > $(VENV)/requirements.txt
	"$(BIN)/pip" install --quiet --constraint constraints.txt --requirement $(VENV)/requirements.txt $(PIP_ARGS)
	@touch $@

.PHONY: system-packages
system-packages:
	@if command -v dpkg-query > /dev/null; then \
	  missing=""; \
	  for package in $(SYSTEM_PACKAGES); do \
	    dpkg-query --show --showformat='$${Status}' $$package 2> /dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	  done; \
	  if [ -n "$$missing" ]; then \
	    if [ "$$(id -u)" = 0 ]; then \
	      apt-get update --quiet && DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends $$missing; \
	    else \
	      echo "netsieve needs these packages:$$missing. Install them with"; \
	      echo "    sudo apt-get install$$missing"; \
	      exit 1; \
	    fi; \
	  fi; \
	else \
	  echo "Not a Debian system: a C++20 compiler, cmake, Python headers and simdjson are expected to be here."; \
	fi

.PHONY: clean
clean:  ## remove what the targets made
	rm -rf $(VENV) build demo
