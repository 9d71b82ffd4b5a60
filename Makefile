# Everything here works on a fresh machine with Go, gcc, make and bash.

SHELL := /bin/bash
GO ?= go
FUZZTIME ?= 20s
BENCH ?= .
BENCHTIME ?= 1s
# The folder with other projects' test vectors. They are read there and never copied.
export VESTIBULE_VECTORS ?=

.DEFAULT_GOAL := help
.PHONY: help run test race fuzz bench microbench peers lint docs docs-generate docs-serve attacks interop timing

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 15

run: ## serve every scheme side by side, on SQLite in a temporary folder
	$(GO) run ./examples/compare

# What takes longest begins first, so that it does not run alone at the end; and more packages run at
# once than there are cores, since tests wait for PostgreSQL and for each other. The collector runs
# less often: memory is there.
SLOW = ./storage/gormstore ./storage/cached ./authn/throttle ./examples/compare ./schemes/oauth2/server ./authn/password
GOTEST = GOGC=300 scripts/with-services $(GO) test -timeout 30m -p 4

test: ## all tests, on real SQLite and PostgreSQL, and those of examples/apikey, a module of its own; "make lint" vets
	@test -d "$(VESTIBULE_VECTORS)" || echo "not run (failing if CI is set): tests that read other projects' vectors; VESTIBULE_VECTORS names no folder"
	{ $(GOTEST) $(TESTFLAGS) $(SLOW) ./... && all=0 || all=1; \
	  (cd examples/apikey && $(GO) test $(TESTFLAGS) ./...) && [ $$all = 0 ]; } $(TESTOUT)

# The detector makes a password hash ten times as slow, and it is not x/crypto that is tested.
race: ## all tests with the race detector
	$(GOTEST) -race -gcflags='golang.org/x/crypto/...=-race=false' -short $(TESTFLAGS) $(SLOW) ./... $(TESTOUT)

fuzz: ## every fuzz target for FUZZTIME
	scripts/fuzz $(FUZZTIME)

bench: ## everything beside the peers and Django; replaces docs/benchmarks/, unless BENCHFLAGS ask for a part, for fewer than 3 rounds, or for -out DIR; BENCHFLAGS=-h lists them
	cd benchmarks && $(GO) run ./cmd/bench $(BENCHFLAGS)

microbench: ## benchmarks that match BENCH, on real SQLite and PostgreSQL
	scripts/with-services $(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem -timeout 60m ./...

peers: ## tests and benchmarks of benchmarks/, a module of its own; with Django where scripts/drf-install has put it
	cd benchmarks && $(GO) vet ./... && $(GO) test -v -bench '$(BENCH)' -benchtime $(BENCHTIME) .

lint: ## format, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { echo "gofmt these:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	cd examples/oauth2-client && $(GO) vet ./...
	cd examples/apikey && $(GO) vet ./...
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

interop: ## independent clients and issuers: npm's jose, oauth4webapi, openid-client and oidc-provider, go-oidc, Chromium (needs node, npm and chromium)
	scripts/interop

timing: ## statistics of login times; decides nothing
	$(GO) test -tags timing -run Timing -count=1 -v ./authn/password
