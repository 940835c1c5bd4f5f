# The same words for people and for CI. `make help` lists the targets.

# Packages and tests without clusters of real processes, for `check` and `coverage`.
CORE := -p engine -p raft-node -p http-api -p holdfast -p client -p jepsen
CORE_TESTS := --lib --bins --test it --test api --test http --test wire
SEEDS ?= 1000
FROM ?= 1
SECONDS_EACH ?= 60

COMPOSE := docker compose -f deploy/compose.yaml
# What `seed` runs. Without Docker: HOLDFAST_URL=http://127.0.0.1:8080 make seed RUN=holdfast
RUN ?= $(COMPOSE) exec -T holdfast-1 holdfast

.PHONY: help check test gate dev bench sim fuzz coverage hooks deb sbom setup up down logs seed db-reset

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

deb: ## Build the Debian package in target/deb
	cargo build --locked --profile dist -p holdfast
	deploy/deb/build target/dist/holdfast

sbom: ## Write what the program is made of (CycloneDX) to target/holdfast.cdx.json
	mkdir -p target && deploy/sbom > target/holdfast.cdx.json

setup: up seed ## Start nodes in Docker and create sample products

up: ## Start three nodes, Prometheus and Grafana in Docker
	$(COMPOSE) up --build --detach --wait

down: ## Stop what `make up` started; the data stays
	$(COMPOSE) down

logs: ## Follow the logs of the nodes in Docker
	$(COMPOSE) logs --follow holdfast-1 holdfast-2 holdfast-3

seed: ## Create sample products there; products that exist stay as they are
	$(RUN) import --format csv /dev/stdin <deploy/seed.csv

db-reset: ## Stop what `make up` started and delete its data
	$(COMPOSE) down --volumes
