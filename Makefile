# The front door. `make` alone prints the targets; every target may be repeated, and is quick when nothing has changed.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

ARCH := $(if $(filter aarch64,$(shell uname -m)),arm64,x64)
NODE_HOME := $(CURDIR)/node_modules/node-linux-$(ARCH)
NODE := $(NODE_HOME)/bin/node
VITEST := $(NODE) node_modules/vitest/vitest.mjs
export PATH := $(NODE_HOME)/bin:$(CURDIR)/node_modules/.bin:$(PATH)

help: ## Print the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: deps root images ## Everything from nothing, then a shell inside a running distroless pod
	@$(NODE) test/demo/main.ts

test: lint types unit fuzz-short integration e2e ## Everything, then all tests: lint, types, unit, fuzz, integration (real kernel), e2e (real cluster)

cluster: deps root images ## A two-node Kubernetes on this machine with Crashcart in it
	@$(NODE) test/demo/cluster.ts

cluster-down: deps ## Remove that cluster, whole
	@$(NODE) test/cluster/main.ts down

images: deps ## build/images/*.tar, build/bin/kubectl-crashcart, build/bin/crashcart
	@$(NODE) builder/main.ts all

toolbox: deps ## build/toolbox/default.erofs, 650 commands; others by builder/crashcart-build
	@$(NODE) builder/main.ts toolbox

prove: deps root toolbox ## Start every command of the toolbox in four hostile places, and work with them (root)
	@$(NODE) builder/crashcart-build.ts prove

bench: deps root images ## Benchmarks beside kubectl exec and kubectl debug
	@$(NODE) bench/main.ts

bench-toolbox: deps root ## Builds, sizes and starts of the toolbox in every format (root)
	@$(NODE) bench/toolbox.ts

bench-enter: deps root images binaries ## Into a container beside nsenter, placing, and what 200 sessions weigh; four minutes (root)
	@$(NODE) bench/enter/main.ts

bench-scale: deps ## A thousand attached clients, five thousand agents on two gateways; no cluster, a few minutes
	@$(NODE) bench/scale/main.ts

.PHONY: bench-start
bench-start: deps images binaries ## From the start of the plugin to the first byte on the wire, beside kubectl
	@$(NODE) bench/start.ts

soak: deps root images binaries ## A gigabyte in each direction through client-go's own client, on a real cluster (root)
	@CRASHCART_STREAM_MB=1024 $(VITEST) run --project e2e test/e2e/remotecommand.test.ts

kernels: deps root kernel-tools images ## The core of the integration tests in kernels of Debian's, under qemu; writes the table in docs/compatibility.md (root, half an hour)
	@$(NODE) test/kernels/main.ts $(KERNELS)

kill-cycles: deps root images binaries ## 1,000 times: sessions, a kill at any moment, and nothing left on the node (root, half an hour; KILL_CYCLES=n, KILL_SEED=n)
	@CRASHCART_KILL_CYCLES=$${KILL_CYCLES:-1000} $(if $(KILL_SEED),CRASHCART_KILL_SEED=$(KILL_SEED)) $(VITEST) run --project integration test/integration/kill-cycles

lint: deps ## Format, lint rules and import directions
	@node_modules/.bin/biome check --error-on-warnings .

format: deps ## Let Biome rewrite what it can
	@node_modules/.bin/biome check --write .

types: deps ## Type check
	@node_modules/.bin/tsc --noEmit

unit: deps ## Tests without privileges
	@$(VITEST) run --project unit

fuzz: deps ## A million generated inputs for each parser and codec (FUZZ_SEED=n repeats a run)
	@FUZZ_RUNS=$${FUZZ_RUNS:-1000000} $(VITEST) run --project fuzz

fuzz-short: deps
	@$(VITEST) run --project fuzz

binaries: deps ## Kubernetes, containerd, runc and the like for the test nodes, into the cache (the first time about 12 minutes)
	@$(NODE) test/cluster/main.ts build >/dev/null

integration: deps root runtimes images binaries ## Tests on the real kernel (root)
	@$(VITEST) run --project integration

e2e: deps root images binaries ## Tests on a real two-node cluster (root)
	@$(VITEST) run --project e2e

clean: cluster-down ## Remove what was built here (the cache of cluster binaries stays)
	rm -rf build

preflight: ## Check what this machine lacks; as root on Debian, install it
	@./preflight.sh

runtimes:
	@./preflight.sh runtimes

kernel-tools:
	@./preflight.sh kernels

root:
	@[ "$$(id -u)" = 0 ] || { echo "Test nodes need root (namespaces, mounts, cgroups): run this as root, or with sudo." >&2; exit 1; }

# node-pty is compiled at installation; the headers come with the pinned Node, so nothing else is downloaded for it.
# Not `npm ci`: it refuses a lock file that lacks the optional packages of platforms that a mirror does not carry.
deps: node_modules/.package-lock.json
node_modules/.package-lock.json: package.json package-lock.json | preflight
	@echo "Installing the npm packages of package-lock.json ..."
	@npm_config_nodedir=$(NODE_HOME) npm install --no-save --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: help demo test cluster cluster-down images toolbox prove bench bench-toolbox bench-enter bench-scale soak fuzz fuzz-short lint format types unit integration e2e clean preflight runtimes kernel-tools kernels kill-cycles root deps binaries
