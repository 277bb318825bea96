# Tandem. `make help` lists what there is.
#
# ONLY=regexp selects benchmarks, operations, storms, models or scenarios by name; FORMAT=text|json|gobench for bench;
# FOR=duration or KILLS=count say how long a storm lasts.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
ONLY        ?=
FORMAT      ?= text
FOR         ?= 0
KILLS       ?= 0
GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
MODULES     := . bench attack
# go run strips what it builds; the attack finds C functions, and names places, by their symbols.
SYMBOLS     := -ldflags='-s=false -w=false'
# go test, and a line for each test that skipped itself.
TESTS       := $(GO) run -C attack ./cmd/tests
FUZZTIME    ?= 1m

export ONLY FORMAT

.PHONY: help bench bench-full test check format vet lint vuln nocgo race modules without fuzz shortfuzz cross kill kill-full storm storms model scenarios install

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

bench: ## throughput and latency on this machine, beside what you have today (ONLY=, FORMAT=text|json|gobench)
	@cd bench && $(GO) run .

bench-full: ## the same with more and longer repetitions, on 1, 2, 4 ... all processors (ONLY=, FORMAT=)
	@cpus=$$(for r in $$(awk '/^Cpus_allowed_list/ { gsub(",", " ", $$2); print $$2 }' /proc/self/status); do seq $${r%-*} $${r#*-}; done); \
	for ((n = 1, all = $$(wc -w <<<"$$cpus"); ; n = 2 * n < all ? 2 * n : all)); do \
		(cd bench && taskset -c $$(head -n $$n <<<"$$cpus" | paste -sd,) $(GO) run . -reps 27 -rounds 9 -time 120ms); \
		((n < all)) || break; done

test: ## the tests
	@$(TESTS) -- ./...

check: format vet lint vuln nocgo race modules without shortfuzz cross storms scenarios ## what CI runs

format:
	@for m in $(MODULES); do test -z "$$(gofmt -l $$m | tee /dev/stderr)"; done

vet:
	@for m in $(MODULES); do (cd $$m && $(GO) vet ./...); done

lint:
	@for m in $(MODULES); do (cd $$m && $(GO) run $(STATICCHECK) ./...); done

# The database of vulnerabilities may be out of reach; then this says so and checks nothing.
vuln:
	@if out=$$($(GO) run $(GOVULNCHECK) ./... 2>&1); then echo "$$out" | tail -n 1; \
	elif grep -qiE 'dial tcp|no such host|connection refused|timeout|forbidden|unexpected status|fetching vulnerabilities' <<<"$$out"; then echo "SKIPPED govulncheck: its database cannot be reached"; \
	else echo "$$out"; exit 1; fi

nocgo:
	@CGO_ENABLED=0 $(TESTS) -- ./...

race: ## the tests under the race detector
	@if $(GO) env CGO_ENABLED | grep -q 1 && command -v $$($(GO) env CC) >/dev/null; then $(TESTS) -- -race ./...; \
	else echo "SKIPPED the race detector: it needs a C compiler"; fi

modules:
	@$(TESTS) -C ../bench -- ./...
	@$(TESTS) -C . -- -timeout 20m ./...

without: ## the tests with each kernel feature that is probed for forced off, and with none of them
	@$(GO) run -C attack ./cmd/without ./futex ./shm ./ring ./pipe ./process ./cmd/tandem

fuzz: ## every Fuzz function for its share of FUZZTIME, to the first crasher (FUZZTIME=10m, ONLY=name)
	@$(GO) run -C attack ./cmd/fuzz -time $(FUZZTIME) -only '$(ONLY)' .. ../bench .

shortfuzz:
	@$(MAKE) --no-print-directory fuzz FUZZTIME=10s ONLY=

cross:
	@for t in linux/arm64 darwin/arm64 windows/amd64; do \
		for m in $(MODULES); do (cd $$m && GOOS=$${t%/*} GOARCH=$${t#*/} CGO_ENABLED=0 $(GO) vet ./...); done; done

kill: ## kill a process at every point of every operation, and look at what is left (ONLY=operation)
	@cd attack && $(GO) run $(SYMBOLS) ./cmd/sweep -only '$(ONLY)'
	@cd attack && $(GO) run $(SYMBOLS) ./cmd/sweep -mutants -mode kill,stop,resume -only '$(ONLY)'

kill-full: ## the same with every pair of points and every way to strike, nothing sampled: hours (ONLY=operation)
	@cd attack && $(GO) run $(SYMBOLS) ./cmd/sweep -only '$(ONLY)' -mode kill,stop,resume -pairs 1000000000

storm: ## kill processes of living trees at random (ONLY=scenario, FOR=30s each or KILLS=count)
	@cd attack && $(GO) run ./cmd/storm -only '$(ONLY)' -for '$(FOR)' -kills '$(KILLS)'
	@cd attack && $(GO) run ./cmd/storm -mutants -only '$(ONLY)'

# Short ones of every kind.
storms:
	@cd attack && $(GO) run ./cmd/storm -for 10s

model: ## explore the protocols exhaustively, with crashes and stops, and their mutants (ONLY=model)
	@cd attack && $(GO) run ./cmd/model -only '$(ONLY)'

scenarios: ## the conformance scenarios that are claimed: number, test, result (ONLY=number)
	@cd attack && $(GO) run ./cmd/scenarios -only '$(ONLY)'

install: ## tandem, and tandem-bench, which is make bench for machines without this repository, into $GOBIN
	@bin=$$($(GO) env GOBIN); bin=$${bin:-$$($(GO) env GOPATH)/bin}; \
	$(GO) build -o "$$bin/tandem" ./cmd/tandem && echo "$$bin/tandem" && \
	cd bench && $(GO) build -o "$$bin/tandem-bench" . && echo "$$bin/tandem-bench"
