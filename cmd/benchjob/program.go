//go:build unix

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	goalLinear  = 1.5  // the time for a flag with 1,000 flags divided by that with 10
	goalStartMS = 15.0 // CPU milliseconds of rollcall version
	largestCode = 10   // how many modules the size is broken down to
)

// measureFlatten measures whether the time for a flag grows with the flags when answers are flattened, with
// BenchmarkFlatten of package pipeline.
func (b *bench) measureFlatten(ctx context.Context) error {
	lasts, rounds := "50ms", "3"
	if b.quick {
		lasts, rounds = "1ms", "1"
	}
	args := []string{"test", "-run", "^$", "-bench", "^BenchmarkFlatten$", "-benchtime", lasts, "-count", rounds, "./pipeline"}
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	times := parseFlatten(string(out))
	s := section{title: "flatten: ns a flag with 1,000 flags beside those with 10, 200 and 500"}
	for _, answer := range []string{"all", "half", "reversed"} {
		ns := map[int]float64{}
		for flags, values := range times[answer] {
			ns[flags] = median(values)
		}
		if ns[10] == 0 || ns[1000] == 0 {
			return fmt.Errorf("BenchmarkFlatten has no times for %s:\n%s", answer, out)
		}
		s.figures = append(s.figures, atMost("answers with "+answer+" flags", "%.2f x", ns[1000]/ns[10], goalLinear,
			fmt.Sprintf("%.0f: %.0f %.0f %.0f", ns[1000], ns[10], ns[200], ns[500])))
	}
	b.report(s)
	return nil
}

var flattenLine = regexp.MustCompile(`(?m)^BenchmarkFlatten/(\w+)/flags=(\d+)(?:-\d+)?\s.*\s([0-9.]+) ns/flag`)

// parseFlatten returns the times for a flag in the output of BenchmarkFlatten: answer → flags → all rounds.
func parseFlatten(out string) map[string]map[int][]float64 {
	times := map[string]map[int][]float64{}
	for _, m := range flattenLine.FindAllStringSubmatch(out, -1) {
		flags, err := strconv.Atoi(m[2])
		ns, err2 := strconv.ParseFloat(m[3], 64)
		if err != nil || err2 != nil {
			continue
		}
		if times[m[1]] == nil {
			times[m[1]] = map[int][]float64{}
		}
		times[m[1]][flags] = append(times[m[1]][flags], ns)
	}
	return times
}

// measureStart measures the CPU that the smallest command takes, beside the smallest of the go command.
func (b *bench) measureStart(ctx context.Context) error {
	var ours, theirs []float64
	side := func(ms *[]float64, name string) func() error {
		return func() error {
			cmd := exec.CommandContext(ctx, name, "version")
			cmd.Env = cleanEnv()
			c, err := runSilently(cmd)
			*ms = append(*ms, c.cpu*1e3)
			return err
		}
	}
	if err := takeTurns(8*b.rounds+1, side(&ours, b.rollcall), side(&theirs, "go")); err != nil {
		return err
	}
	b.report(section{"start: CPU ms", []figure{
		atMost("rollcall version", "%.1f ms", median(ours), goalStartMS, fmt.Sprintf("go version %.1f", median(theirs))),
	}, nil})
	return nil
}

// measureSize says what the binary is made of.
func (b *bench) measureSize(ctx context.Context) error {
	stripped, whole := filepath.Join(b.dir, "stripped"), filepath.Join(b.dir, "whole")
	if err := b.build(ctx, whole, "-trimpath"); err != nil { // -s would leave no symbols
		return err
	}
	if err := b.build(ctx, stripped, "-trimpath", "-ldflags", "-s -w"); err != nil {
		return err
	}
	info, err := os.Stat(stripped)
	if err != nil {
		return err
	}
	run := func(args ...string) ([]byte, error) {
		out, err := exec.CommandContext(ctx, "go", args...).Output()
		if err != nil {
			return nil, fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
		}
		return out, nil
	}
	symbols, err := run("tool", "nm", "-size", whole)
	if err != nil {
		return err
	}
	about, err := run("version", "-m", whole)
	if err != nil {
		return err
	}
	code := sumCode(symbols, modulesOf(about))
	total := 0
	for _, bytes := range code {
		total += bytes
	}
	s := section{title: "size: MB of the binary as make build makes it, and of its code", figures: []figure{
		described("binary", fmt.Sprintf("%.1f", float64(info.Size())/1e6), ""),
		described("  code", fmt.Sprintf("%.1f", float64(total)/1e6), "the rest: tables"),
	}}
	names := slices.SortedFunc(maps.Keys(code), func(a, b string) int {
		return cmp.Or(cmp.Compare(code[b], code[a]), cmp.Compare(a, b))
	})
	for _, name := range names[:min(largestCode, len(names))] {
		s.figures = append(s.figures, described("    "+shortenLeft(strings.TrimPrefix(name, "github.com/"), 27), fmt.Sprintf("%.2f", float64(code[name])/1e6),
			fmt.Sprintf("%.1f %% of the code", 100*float64(code[name])/float64(total))))
	}
	b.report(s)
	return nil
}

// modulesOf returns the modules that go version -m names.
func modulesOf(about []byte) []string {
	var modules []string
	for line := range bytes.Lines(about) {
		if f := strings.Fields(string(line)); len(f) > 1 && (f[0] == "mod" || f[0] == "dep") {
			modules = append(modules, f[1])
		}
	}
	return modules
}

// sumCode returns how many bytes of code each module has, in the output of go tool nm -size. The packages of the
// standard library are named by their first element.
func sumCode(symbols []byte, modules []string) map[string]int {
	sizes := map[string]int{}
	for lines := bufio.NewScanner(bytes.NewReader(symbols)); lines.Scan(); {
		f := strings.Fields(lines.Text()) // address, size, type, name
		if len(f) < 4 || f[2] != "T" && f[2] != "t" {
			continue
		}
		if size, err := strconv.Atoi(f[1]); err == nil {
			sizes[moduleOf(f[3], modules)] += size
		}
	}
	return sizes
}

// moduleOf returns the module that a symbol is of (main is of the first), or the first element of a package of the standard library.
func moduleOf(symbol string, modules []string) string {
	symbol, _, _ = strings.Cut(symbol, "[")              // type arguments are other packages
	if i := strings.LastIndexByte(symbol, ':'); i >= 0 { // type:.eq.
		symbol = strings.TrimPrefix(strings.TrimPrefix(symbol[i+1:], ".eq."), ".hash.")
	}
	longest := ""
	for _, m := range modules {
		// In a symbol, a dot in the last element of a package's path is escaped.
		escaped := m[:strings.LastIndexByte(m, '/')+1] + strings.ReplaceAll(m[strings.LastIndexByte(m, '/')+1:], ".", "%2e")
		for _, path := range []string{m, escaped} {
			if rest, ok := strings.CutPrefix(symbol, path); ok && len(m) > len(longest) && (rest == "" || rest[0] == '/' ||
				rest[0] == '.') {
				longest = m
			}
		}
	}
	if longest != "" {
		return longest
	}
	if strings.HasPrefix(symbol, "main.") && len(modules) > 0 {
		return modules[0]
	}
	first, _, _ := strings.Cut(symbol, "/")
	first, _, _ = strings.Cut(first, ".")
	return "std: " + first
}
