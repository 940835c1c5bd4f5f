# The same words for people and for CI. `make help` lists the targets.

# Packages and tests without clusters of real processes, for `check` and `coverage`.
CORE := -p engine -p raft-node -p http-api -p holdfast -p client -p jepsen
CORE_TESTS := --lib --bins --test it --test api --test http --test wire
SEEDS ?= 1000
FROM ?= 1
SECONDS_EACH ?= 60

.PHONY: help check test gate dev bench sim fuzz coverage hooks

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: ## Check format and lints, run unit and core tests: what to run before each commit
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings
	.ci/test $(CORE) $(CORE_TESTS)
	.ci/test -p tests --test tidy

test: ## Run all tests, clusters of real processes and 500 simulated lives included
	.ci/test --workspace

gate: ## Run everything that must pass before a change lands; needs root for its last step
	.ci/run

dev: ## Build and start three nodes with sample data on this machine
	cargo run --release -- dev

bench: ## Run the criterion benches
	cargo bench -p benches

sim: ## Run simulated clusters: make sim SEEDS=1000 FROM=1
	cargo run --release -p raft-node --example simulate -- --seeds $(SEEDS) --from $(FROM)

fuzz: ## Fuzz every decoder: make fuzz SECONDS_EACH=60
	.ci/fuzz $(SECONDS_EACH)

coverage: ## Measure line coverage by unit and core tests; the report is target/llvm-cov/html
	.ci/coverage $(CORE) $(CORE_TESTS)

hooks: ## Refuse commits of unformatted sources from now on, in this clone
	git config core.hooksPath .githooks
