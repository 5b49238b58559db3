package engine_test

import (
	"cmp"
	"encoding/csv"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

// benchUsers are the users of testdata/users.csv.
func benchUsers(b *testing.B) []*pipeline.User {
	b.Helper()
	f, err := os.Open("../../testdata/users.csv")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		b.Fatal(err)
	}
	header := rows[0]
	users := []*pipeline.User{}
	for _, row := range rows[1:] {
		u := &pipeline.User{UserID: row[0], DeviceID: row[1]}
		properties := pipeline.Value{Kind: pipeline.Object}
		for i, text := range row {
			name, value := header[i], pipeline.StringValue(text)
			switch field, property, deep := strings.Cut(name, "."); {
			case text == "":
			case deep && field == "user_properties":
				properties.Members = append(properties.Members, pipeline.Member{Name: property, Value: value})
			case deep: // groups.org
				list := pipeline.Value{Kind: pipeline.List, Members: []pipeline.Member{{Value: value}}}
				groups := pipeline.Value{Kind: pipeline.Object, Members: []pipeline.Member{{Name: property, Value: list}}}
				u.Context = append(u.Context, pipeline.Member{Name: field, Value: groups})
			case slices.Contains([]string{"country", "city", "language", "platform", "os", "version"}, name):
				u.Context = append(u.Context, pipeline.Member{Name: name, Value: value})
			}
		}
		byName := func(a, b pipeline.Member) int { return cmp.Compare(a.Name, b.Name) }
		slices.SortFunc(properties.Members, byName)
		u.Context = append(u.Context, pipeline.Member{Name: "user_properties", Value: properties})
		slices.SortFunc(u.Context, byName)
		users = append(users, u)
	}
	return users
}

func benchEngine(b *testing.B, semantics engine.Semantics) *engine.Engine {
	b.Helper()
	configs, err := os.ReadFile("../../testdata/flags.json")
	if err != nil {
		b.Fatal(err)
	}
	e, err := engine.Parse(configs, semantics)
	if err != nil {
		b.Fatal(err)
	}
	return e
}

// bothSemantics runs a benchmark for each, and for hosted as a run evaluates: compared with node.
func bothSemantics(b *testing.B, do func(b *testing.B, e *engine.Engine, compared bool)) {
	for _, semantics := range []engine.Semantics{engine.Hosted, engine.Node} {
		b.Run(semantics.String(), func(b *testing.B) { do(b, benchEngine(b, semantics), false) })
	}
	b.Run("compared", func(b *testing.B) { do(b, benchEngine(b, engine.Hosted), true) })
}

func benchmarkFlags(b *testing.B, e *engine.Engine, flags []string, n int) {
	benchmarkAppend(b, e.Plan(flags).Append, n)
}

func benchmarkCompared(b *testing.B, e *engine.Engine, flags []string, n int) {
	c, err := e.Plan(flags).Compare()
	if err != nil {
		b.Fatal(err)
	}
	var differ []int
	benchmarkAppend(b, func(dst []*engine.Variant, u *pipeline.User) []*engine.Variant {
		dst, differ = c.Append(dst, differ[:0], u)
		return dst
	}, n)
}

func benchmarkAppend(b *testing.B, evaluate func([]*engine.Variant, *pipeline.User) []*engine.Variant, n int) {
	users := benchUsers(b)
	var variants []*engine.Variant
	i, start := 0, cpuTime()
	b.ReportAllocs()
	for b.Loop() {
		variants = evaluate(variants[:0], users[i])
		if i++; i == len(users) {
			i = 0
		}
	}
	// others may use the machine too
	b.ReportMetric(float64((cpuTime()-start).Nanoseconds())/float64(b.N)/float64(n), "cpu-ns/flag")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/flag")
}

// Ten realistic flags: the first ten test flags, two groups and what depends on them among them. The goal is
// 55 ns a flag and user, and no allocation.
func BenchmarkAppend(b *testing.B) {
	bothSemantics(b, func(b *testing.B, e *engine.Engine, compared bool) {
		var flags []string
		for _, f := range e.Flags()[:10] {
			flags = append(flags, f.Key)
		}
		if compared {
			benchmarkCompared(b, e, flags, len(flags))
		} else {
			benchmarkFlags(b, e, flags, len(flags))
		}
	})
}

// All fifteen: those that read lists, groups and regular expressions too.
func BenchmarkDeployment(b *testing.B) {
	bothSemantics(b, func(b *testing.B, e *engine.Engine, compared bool) {
		if compared {
			benchmarkCompared(b, e, nil, 15)
		} else {
			benchmarkFlags(b, e, nil, 15)
		}
	})
}

// One flag alone, with what it depends on, shows what its kind costs; "none" is what a user costs.
func BenchmarkFlag(b *testing.B) {
	e := benchEngine(b, engine.Hosted)
	b.Run("none", func(b *testing.B) { benchmarkFlags(b, e, []string{}, 1) })
	for _, f := range e.Flags() {
		b.Run(f.Key, func(b *testing.B) { benchmarkFlags(b, e, []string{f.Key}, 1) })
	}
}

// Twenty flags alike, of the kind that most are.
func BenchmarkTargeted(b *testing.B) { benchmarkFlags(b, parseConfigs(b, realisticConfigs()), nil, 20) }
