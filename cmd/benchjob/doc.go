// Benchjob measures the cost of rollcall and of its peers, side by side; `make bench` runs it.
//
//	go run ./cmd/benchjob [-only engine,local,serve,remote] [-rounds 5] [-quick]
//
// It has four parts, which each print a table after their rounds:
//
//   - engine: CPU nanoseconds for each flag and user, for ten flags and all users of testdata, in this process; beside
//     Amplitude's own engine on Node with the same users. Both must give the same answers.
//   - local: CPU seconds of the whole job with `--evaluator local`: CSV in, ten flags for a million users, Parquet
//     out; beside DuckDB, which writes the same ten million rows from memory to zstd Parquet. And peak memory.
//   - serve: requests a second of `rollcall serve` on one core, and CPU for each request; beside a net/http server with
//     a constant answer. The load comes from load.go in another process.
//   - remote: CPU seconds of the whole job against a server in another process that answers every user with the
//     same 300 bytes: five flags, 64 in flight; beside a bare loop: 64 goroutines, net/http with 64 idle
//     connections, encoding/json, no output (bare.go, which a competent engineer could write in an afternoon). And
//     peak memory. Both sides use plain HTTP: they would pay the same for TLS.
//
// CPU is user + system time, as the kernel counts it for the process. The sides take turns, and another one goes first
// in every round, so that other work of the machine affects both. Figures compare only with figures of the same
// machine, so the result is the ratio of each round. The lines that begin with "Benchmark"
// are for benchstat:
//
//	go run ./cmd/benchjob > old.txt; …; go run ./cmd/benchjob > new.txt; benchstat old.txt new.txt
//
// Node and the npm packages (testdata/node, installed by `make bench`) are needed only for the comparisons with
// engine.js and duckdb.js. Nothing leaves this machine. Benchjob needs Unix: the figures come from getrusage.
package main
