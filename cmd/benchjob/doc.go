// Benchjob measures what the whole job costs beside the loop that it has to beat; `make bench` runs it.
//
//	go run ./cmd/benchjob [-users 100000] [-rounds 5] [-rss-users 1000000] [-quick]
//
// In one run and side by side it takes the CPU (user + system, as the kernel counted it for the finished process)
// per 100,000 users of
//
//   - the whole job: rollcall, built from this tree, CSV in, five flags, 64 in flight, Parquet out;
//   - a bare loop: 64 goroutines, net/http with 64 idle connections, encoding/json, nothing written
//     (bare.go: what a competent engineer writes in an afternoon);
//
// both against the same server in a third process on loopback, which answers every user with the same 300 bytes.
// The two take turns, and who goes first changes every round, so that what else the machine does hits both.
// Then it takes the peak memory of the whole job with few users and with many.
//
// Figures of one machine compare only with figures of the same machine, so what counts is the ratio. The lines that
// begin with "Benchmark" are for benchstat:
//
//	go run ./cmd/benchjob > old.txt; …; go run ./cmd/benchjob > new.txt; benchstat old.txt new.txt
//
// Everything stays on this machine. Unix only: the peak memory comes from getrusage.
package main
