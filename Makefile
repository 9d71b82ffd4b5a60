# Everything here works on a fresh machine with Go, gcc, make and bash.

SHELL := /bin/bash
GO ?= go
FUZZTIME ?= 20s
BENCH ?= .
BENCHTIME ?= 1s
# The folder with other projects' test vectors. They are read there and never copied.
export VESTIBULE_VECTORS ?=

.DEFAULT_GOAL := help
.PHONY: help run test race fuzz bench bench-hydra bench-growth microbench peers lint docs docs-generate docs-serve attacks interop timing test-portable cover benchgate release lint-workflows faults soak

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

run: ## serve every scheme side by side, on SQLite in a temporary folder
	$(GO) run ./examples/compare

# What takes longest begins first, so that it does not run alone at the end; and more packages run at
# once than there are cores, since tests wait for PostgreSQL and for each other. The collector runs
# less often: memory is there.
SLOW = ./storage/gormstore ./storage/cached ./authn/throttle ./examples/compare ./schemes/oauth2/server ./authn/password
# Modules of their own, so that what they import does not reach users. Tests of benchmarks/postgres
# start no other program.
MODULES = benchmarks/postgres contrib/prometheus contrib/otel contrib/oidclogin examples/observability examples/apikey examples/mcp examples/routers/chi examples/routers/echo examples/routers/gin
GOTEST = GOGC=300 scripts/with-services $(GO) test -timeout 30m -p 4

# Without vet: "make lint" vets the same packages, and CI runs both.
test: ## all tests, on real SQLite and PostgreSQL, and those of the modules in MODULES; "make lint" vets
	@test -d "$(VESTIBULE_VECTORS)" || echo "not run (failing if CI is set): tests that read other projects' vectors; VESTIBULE_VECTORS names no folder"
	{ $(GOTEST) -vet=off $(TESTFLAGS) $(SLOW) ./... && all=0 || all=1; \
	  scripts/with-services sh -c 'all=0; for module in $(MODULES); do (cd $$module && $(GO) test -vet=off $(TESTFLAGS) ./...) || all=1; done; exit $$all' || all=1; [ $$all = 0 ]; } $(TESTOUT)

# The detector makes a password hash ten times as slow, and it is not x/crypto that is tested.
race: ## all tests with the race detector
	$(GOTEST) -race -gcflags='golang.org/x/crypto/...=-race=false' -short $(TESTFLAGS) $(SLOW) ./... $(TESTOUT)

fuzz: ## every fuzz target for FUZZTIME
	scripts/fuzz $(FUZZTIME)

bench: ## everything beside the peers and Django; replaces docs/benchmarks/, unless BENCHFLAGS ask for a part, for fewer than 3 rounds, or for -out DIR; BENCHFLAGS=-h lists them
	cd benchmarks && $(GO) run ./cmd/bench $(BENCHFLAGS)

bench-hydra: ## the authorization server beside Ory Hydra on one PostgreSQL; builds Hydra, takes about 10 minutes, replaces docs/benchmarks/hydra.md; BENCHFLAGS=-h lists flags
	cd benchmarks/postgres && $(GO) run ./cmd/bench-hydra $(BENCHFLAGS)

bench-growth: ## lookups in tables of 10 thousand to 10 million device tokens; needs 8 GB of memory, replaces docs/benchmarks/growth.md; BENCHFLAGS=-h lists flags
	cd benchmarks/postgres && $(GO) run ./cmd/bench-growth $(BENCHFLAGS)

microbench: ## benchmarks that match BENCH, on real SQLite and PostgreSQL
	scripts/with-services $(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem -timeout 60m ./...

peers: ## tests and benchmarks of benchmarks/, a module of its own; with Django where scripts/drf-install has put it
	cd benchmarks && $(GO) vet ./... && $(GO) test -v -bench '$(BENCH)' -benchtime $(BENCHTIME) .

lint: ## format, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { echo "gofmt these:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	for module in examples/oauth2-client internal/interop/clients $(MODULES); do (cd $$module && $(GO) vet ./...) || exit 1; done
	$(GO) tool staticcheck ./...

docs: docs/site/node_modules ## check the documentation and build its site into docs/site/.vitepress/dist (needs node and npm, and the network once)
	$(GO) test ./internal/docs
	cd docs/snippets && $(GO) vet ./... && $(GO) test ./...
	rm -rf docs/site/.vitepress/dist && cd docs/site && npm run --silent build
	$(GO) run ./internal/docs -site docs/site/.vitepress/dist

docs/site/node_modules: docs/site/package-lock.json
	cd docs/site && npm ci --ignore-scripts --no-fund --no-audit
	@touch $@

docs-generate: ## write what the documentation takes from the code: snippets, reference pages, the list of pages
	$(GO) run ./internal/docs

docs-serve: docs/site/node_modules ## serve the site on http://127.0.0.1:5173, with changes as they are saved
	cd docs/site && npm run --silent serve

attacks: ## how many rows of the attack catalogue have tests that pass
ifdef JSON
	scripts/with-services scripts/interop $(GO) test -count=1 -json -tags interop ./internal/interop >>$(JSON); ended=$$?; $(GO) run ./internal/attacks -json $(JSON) && exit $$ended
else
	scripts/with-services scripts/interop $(GO) run ./internal/attacks -tags interop
endif

interop: ## independent clients, gateways and issuers log in (needs node, npm, chromium and Apache; docs/oauth2/interoperability.md lists them)
	scripts/interop

faults: ## three replicas over PostgreSQL and Redis that are killed, stopped and cut off, at most 3 minutes; FAULTFLAGS=-h lists flags
	$(GO) run ./internal/faults $(FAULTFLAGS)

DURATION ?= 60m
COURIER ?= both
soak: ## random faults for DURATION, half of it with each courier, or with COURIER=notify or outbox only; REPORT=FILE writes the result as a page
	$(GO) run ./internal/faults -soak $(DURATION) -courier $(COURIER) $(if $(REPORT),-report $(REPORT)) $(FAULTFLAGS)

timing: ## statistics of login times; decides nothing
	$(GO) test -tags timing -run Timing -count=1 -v ./authn/password

# What the portable tests need is Go and a C compiler: no test of these packages opens PostgreSQL or
# starts another program's server.
test-portable: ## the tests that need no server, for systems other than Linux
	$(GO) vet ./...
	$(GO) test $(TESTFLAGS) $$($(GO) list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' ./... | grep -vE 'internal/(storetest|pgtest|redistest|schemetest|servertest|oauthtest)|examples/|internal/interop' | cut -d' ' -f1)

cover: ## all tests with coverage; dist/coverage.txt has each function's, and the total
	mkdir -p dist
	$(GOTEST) -short -coverprofile=dist/coverage.out -coverpkg=./authn/...,./authz/...,./credential/...,./jose/...,./keys/...,./schemes/...,./storage/... ./...
	$(GO) tool cover -func=dist/coverage.out >dist/coverage.txt
	tail -n 1 dist/coverage.txt

# The packages whose benchmarks need no server.
GATED = ./storage/cached ./authn ./authz ./jose ./schemes/jwt ./schemes/session ./authn/throttle
benchgate: ## compares the speed with that of the commit or tag OLD: more than 15 % slower in two tries fails
	@test -n "$(OLD)" || { echo "benchgate: set OLD to a commit or tag, such as: make benchgate OLD=v0.1.0"; exit 2; }
	old=$$(mktemp -d) && trap 'git worktree remove --force "$$old"' EXIT && git worktree add --detach "$$old" "$(OLD)" >/dev/null && $(GO) run ./internal/benchgate $(GATEFLAGS) "$$old" . $(GATED)

release: ## files of a release in dist/: archive, SBOM, checksums; VERSION=v1.2.3, or without one a dry run
	scripts/release $(or $(VERSION),--dry-run)

lint-workflows: ## check the workflow files with actionlint
	$(GO) tool -modfile=tools/go.mod actionlint
