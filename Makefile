# `make` alone lists the targets.
.DEFAULT_GOAL := help
NODE_MODULES := testdata/node/node_modules/.package-lock.json
AZURITE := testdata/stores/node_modules/.package-lock.json
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
RACE ?= -race
TEST_TIMEOUT ?= 6h
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
.PHONY: help run audit test check bench parity interop browser storage ops release-dry release-files windows fuzz build soak golden clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

run: build ## evaluate the test users against the embedded API; results in out/
	@mkdir -p out
	@# Exit code 3: three of the test users have no id, and fail as they should.
	bin/rollcall snapshot testdata/users.csv --server embedded --flag-configs testdata/flags.json --overwrite \
		--out out/assignments.csv --out out/assignments.parquet --out out/assignments.jsonl || test $$? -eq 3

audit: build ## from a user list to a verdict: snapshot, verify, report, check, diff; results in out/audit/
	@rm -rf out/audit && mkdir -p out/audit && ln -s ../../testdata out/audit/testdata
	@sed -n '/^<!-- make audit/,/^```$$/p' README.md | sed '1,2d;$$d' >out/audit/audit.sh
	cd out/audit && PATH="$(CURDIR)/bin:$$PATH" sh -ex audit.sh

build: ## build bin/rollcall
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.released=$(VERSION)" -o bin/rollcall ./cmd/rollcall

test: ## run all tests, with the race detector (a C compiler; RACE= goes without)
	@# All that tests run is built before: what a loaded machine makes slow is then not in a test's time. The limit
	@# only ends a test that hangs.
	go build ./... && go build -o /dev/null testdata/generate.go
	go test $(RACE) -timeout $(TEST_TIMEOUT) ./...
	@# What is killed, and fails, at every file operation: the tag faultfs builds it, so without the race detector.
	go test -tags faultfs -timeout $(TEST_TIMEOUT) -run '^TestCrash' ./cmd/rollcall ./pipeline/durable ./pipeline/journal

check: ## gofmt, vet, staticcheck, and that go.mod is tidy
	@test -z "$$(gofmt -l cmd pipeline sinks sources testdata)" || { echo "gofmt would change:"; gofmt -l cmd pipeline sinks sources testdata; exit 1; }
	go vet ./...
	go vet -tags faultfs ./cmd/rollcall ./pipeline/durable ./pipeline/journal
	go vet -tags interop,browser,storage,ops,release ./testdata/interop ./testdata/browser ./testdata/storage ./testdata/ops ./testdata/release
	go run $(STATICCHECK) ./...
	go run $(STATICCHECK) -tags interop,browser,storage,ops,release ./testdata/interop ./testdata/browser ./testdata/storage ./testdata/ops ./testdata/release
	go mod tidy -diff

# What rollcall is compared with, from npm: Amplitude's engine and clients, and DuckDB. The command itself needs neither.
$(NODE_MODULES): testdata/node/package-lock.json
	@# Not npm ci: it refuses a lock file without the entries of DuckDB's packages for other machines.
	npm install --no-save --prefix testdata/node --no-audit --no-fund --loglevel=error
	@touch $@

parity: $(NODE_MODULES) ## compare the engine, hosted and node, with references on random flags and users (PARITY=2000000)
	go run ./cmd/parity -pairs $${PARITY:-2000000}

interop: $(NODE_MODULES) ## DuckDB reads what rollcall writes, and rollcall what it writes; Amplitude's clients ask serve
	go build ./cmd/... && go test -count=1 -timeout $(TEST_TIMEOUT) -tags interop ./testdata/interop

browser: ## look at the report's page with headless Chromium (Debian's package, installed where it is missing)
	testdata/browser/install.sh
	go build ./cmd/... && go test -count=1 -timeout $(TEST_TIMEOUT) -tags browser ./testdata/browser

$(AZURITE): testdata/stores/package-lock.json
	npm ci --prefix testdata/stores --no-audit --no-fund --loglevel=error
	@touch $@

# The servers are a Go module of their own, so that go.mod does not grow by them.
storage: $(AZURITE) ## object stores: conformance, and the command (ROLLCALL_STORAGE=all kills it at every request)
	cd testdata/stores && go build -o bin/ github.com/versity/versitygw/cmd/versitygw ./gcs
	@# The stores side by side: most of the time their tests wait, for leases that end, and for stores that do not answer.
	go build ./cmd/... && printf '%s\n' S3 GCS Azure Kubernetes | xargs -P 4 -I STORE \
		go test -count=1 -timeout $(TEST_TIMEOUT) -tags storage -run '^TestSTORE' ./testdata/storage

# What checks the recipes is a Go module of its own, too: it has the code of Kubernetes' API server.
ops: ## the recipes, checked and run; PostgreSQL runs what load prints (Debian's packages, installed where they are missing)
	testdata/ops/install.sh
	cd testdata/ops/tools && go build -o bin/ ./kubecheck github.com/rhysd/actionlint/cmd/actionlint
	go build ./cmd/... && go test -count=1 -timeout $(TEST_TIMEOUT) -tags ops ./testdata/ops

# The files of a release that are not binaries, from the binary itself. goreleaser calls it: see .goreleaser.yaml.
release-files: build
	rm -rf out/release && mkdir -p out/release/man out/release/completions
	bin/rollcall man out/release/man && gzip -9n out/release/man/*
	bin/rollcall completion bash >out/release/completions/rollcall.bash
	bin/rollcall completion zsh >out/release/completions/_rollcall
	bin/rollcall completion fish >out/release/completions/rollcall.fish
	cp /etc/ssl/certs/ca-certificates.crt out/release/

release-dry: ## make a release in out/dist and try it, but for uploads and signatures; and vet the code of Windows
	testdata/release/install.sh
	GOOS=windows go vet -trimpath ./...
	go test -count=1 -timeout $(TEST_TIMEOUT) -tags release -v ./testdata/release

windows: ## the tests of what Windows does differently, under Wine (Debian's package, installed where it is missing)
	testdata/release/wine.sh ./pipeline/durable ./pipeline/journal

bench: $(NODE_MODULES) ## each figure beside what is wanted of it and beside its peer; Go benchmarks (BENCHTIME=200ms)
	go run ./cmd/benchjob
	go test -run '^$$' -bench . -benchmem -benchtime $${BENCHTIME:-200ms} ./...

# FUZZTIME=500x runs each target so many times instead: then a slow machine takes longer, and finds nothing else.
fuzz: ## run each fuzz target for a minute (FUZZTIME=60s)
	@grep -rHoE '^func Fuzz[A-Za-z0-9]+' --include='*_test.go' cmd pipeline sinks sources | sort | while IFS=: read -r file target; do \
		echo "./$${file%/*} $${target#func }"; \
		go test -run '^$$' -fuzz "^$${target#func }\$$" -fuzztime $${FUZZTIME:-60s} -fuzzminimizetime 10x "./$${file%/*}" || exit 1; \
	done

soak: ## kill the command 1,000 times at random and resume it (SOAK=1000)
	ROLLCALL_SOAK=$${SOAK:-1000} go test -tags faultfs -count=1 -timeout 0 -run TestCrashKilledAtRandom -v ./cmd/rollcall

golden: ## write the golden files anew; look at the diff
	go test ./sinks ./cmd/rollcall -update
	go test ./pipeline/audit/report ./pipeline/audit/check ./pipeline/audit/diff ./pipeline/audit/page -update

clean: ## remove what the other targets made
	rm -rf out bin testdata/node/node_modules testdata/stores/bin testdata/stores/node_modules testdata/ops/tools/bin
