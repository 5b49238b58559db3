// Benchjob measures the cost of rollcall and of its peers, side by side; `make bench` runs it.
//
//	go run ./cmd/benchjob [-only engine,local,rate,memory,…] [-rounds 5] [-quick]
//
// Its parts each print a table after their rounds, and at the end all figures stand beside what is wanted of them:
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
//     peak memory. Both sides use plain HTTP; https has TLS.
//   - https: CPU for each request over plain HTTP, HTTP/1.1 over TLS, and HTTP/2; beside the bare loop, and wrk or
//     h2load if they are installed.
//   - rate: the rate on the wire, at latencies from 60 ms to 5 s, as the server got the requests.
//   - found: what a server takes that refuses more than 50 requests a second, once the run has found its rate.
//   - memory: peak memory with large answers, many flags and many columns, and the CPU beside that of a run without a
//     memory limit.
//   - cores: the wall time of a local run on one core beside that on two, and the share of its CPU that is serial: of
//     goroutines whose code no other goroutine runs at the same time. That is from a CPU profile of a build with
//     testdata/profile.go, which also counts goroutines by the function that they were started for.
//   - verify: CPU seconds of `rollcall verify` beside those of making the file.
//   - replay: CPU seconds of a run that goes on with a journal which has all answers but the last.
//   - flatten: whether the time for each flag grows with the flags: BenchmarkFlatten of package pipeline.
//   - start: CPU of `rollcall version`, beside `go version`.
//   - size: the binary, and its code by module.
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
