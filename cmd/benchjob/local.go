//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// goalCopy is the CPU of the whole job divided by the CPU of DuckDB's COPY of the same rows.
const goalCopy = 2.5

// loadedRows is the first reply of duckdb.js, after it has read our output.
type loadedRows struct {
	Rows int `json:"rows"`
}

// copied is the reply of duckdb.js to a round, which is a COPY.
type copied struct {
	Seconds float64 `json:"seconds"` // CPU, of all threads
	Bytes   float64 `json:"bytes"`   // of the file
}

// measureLocal compares the whole job without the network with DuckDB, which only writes the same rows from memory. It
// also measures the peak memory of the job with few and with many users.
func (b *bench) measureLocal(ctx context.Context) error {
	few, many := filepath.Join(b.dir, "few.csv"), filepath.Join(b.dir, "many.csv")
	if err := writeInput(few, b.users, allColumns); err != nil {
		return err
	}
	if err := writeInput(many, b.many, allColumns); err != nil {
		return err
	}
	out := filepath.Join(b.dir, "local.parquet")
	run := func(input string) (cost, error) {
		return b.runLocal(ctx, input, "local.parquet", nil, "--flag-configs", configs, "--flags", tenFlags)
	}
	var job, wall, write, fewMB, manyMB []float64
	sides := []func() error{func() error {
		small, err := run(few)
		if err != nil {
			return err
		}
		c, err := run(many)
		if err != nil {
			return err
		}
		job, wall, fewMB, manyMB = append(job, c.cpu), append(wall, c.wall.Seconds()), append(fewMB, small.peakMB),
			append(manyMB, c.peakMB)
		benchLine(os.Stdout, fmt.Sprintf("Local/users=%d", b.many), c.cpu, "cpu-s", c.peakMB, "peak-MB")
		return nil
	}}
	var theirs copied
	if hasNodeModule("@duckdb/node-api") {
		if _, err := run(many); err != nil { // for DuckDB to read
			return err
		}
		var loaded loadedRows
		duckdb, err := startNode(ctx, &loaded, "duckdb.js", out, b.dir)
		if err != nil {
			return err
		}
		defer duckdb.close()
		if want := b.many * len(strings.Split(tenFlags, ",")); loaded.Rows != want {
			return fmt.Errorf("the output has %d rows, want %d", loaded.Rows, want)
		}
		sides = append(sides, func() error {
			if err := duckdb.requestRound("copy", &theirs); err != nil {
				return err
			}
			write = append(write, theirs.Seconds)
			benchLine(os.Stdout, fmt.Sprintf("LocalDuckDBCopy/users=%d", b.many), theirs.Seconds, "cpu-s")
			return nil
		})
	}
	if err := takeTurns(b.rounds, sides...); err != nil {
		return err
	}
	info, err := os.Stat(out)
	if err != nil {
		return err
	}
	rows := []row{
		{"rollcall: CSV, engine, Parquet", 2, job},
		{"its wall time, s", 2, wall},
		{"its file, MB", 1, []float64{float64(info.Size()) / 1e6}},
	}
	var goals []goal
	var figures []figure
	if write != nil {
		ratio := ratios(job, write)
		rows = append(rows, row{"DuckDB: COPY to Parquet alone, 2 threads", 2, write},
			row{"its file, MB", 1, []float64{theirs.Bytes / 1e6}},
			row{"rollcall / DuckDB", 2, ratio})
		goals = append(goals, goal{fmt.Sprintf("at most %.1f times DuckDB's COPY", goalCopy), median(ratio) <= goalCopy})
		figures = append(figures, atMost("CPU / DuckDB's COPY", "%.2f x", median(ratio), goalCopy,
			fmt.Sprintf("%.1f s, %.1f s", median(job), median(write))))
	}
	b.keep(fmt.Sprintf("local: CSV, engine, zstd Parquet, %d users x 10 flags", b.many), append(figures,
		memoryFigures(fewMB, manyMB)...)...)
	rows = append(rows, row{fmt.Sprintf("peak MB with %d users", b.users), 1, fewMB},
		row{fmt.Sprintf("peak MB with %d users", b.many), 1, manyMB})
	printTable(os.Stdout, fmt.Sprintf("local: CPU s for %d users x 10 flags to zstd Parquet", b.many), rows,
		append(goals, memoryGoals(fewMB, manyMB)...),
		"Not counted: DuckDB's reading of our file into the table in memory.")
	return nil
}
