// Benchjob measures what rollcall costs beside what it has to hold its own against; `make bench` runs it.
//
//	go run ./cmd/benchjob [-only engine,local,serve,remote] [-rounds 5] [-quick]
//
// Its parts, each a table at the end of its rounds:
//
//   - engine: CPU nanoseconds a flag and user, ten flags and all users of testdata, in this process; beside Amplitude's
//     own engine on Node with the same users. Both must have answered the same to be compared.
//   - local: CPU seconds of the whole job with `--evaluator local`: CSV in, ten flags for a million users, Parquet
//     out; beside what DuckDB takes to write those ten million rows, from memory, to zstd Parquet. And peak memory.
//   - serve: requests a second of `rollcall serve` on one core, and its CPU a request; beside a net/http server that
//     always says the same. The load comes from load.go in another process.
//   - remote: CPU seconds of the whole job against a server in another process that answers every user with the
//     same 300 bytes: five flags, 64 in flight; beside a bare loop: 64 goroutines, net/http with 64 idle
//     connections, encoding/json, nothing written (bare.go: what a competent engineer writes in an afternoon). And
//     peak memory. It is plain HTTP: what TLS costs, both sides would pay.
//
// CPU is user + system, as the kernel counted it for the process. The sides take turns, and who goes first changes
// every round, so that what else the machine does hits both. Figures of one machine compare only with figures of the
// same machine, so what counts is the ratio, which is taken round by round. The lines that begin with "Benchmark"
// are for benchstat:
//
//	go run ./cmd/benchjob > old.txt; …; go run ./cmd/benchjob > new.txt; benchstat old.txt new.txt
//
// Node and the npm packages (testdata/node, installed by `make bench`) are needed for the comparisons with them
// alone: engine.js, duckdb.js. Everything stays on this machine. Unix only: the figures come from getrusage.
package main
