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

func benchEngine(b *testing.B) *engine.Engine {
	b.Helper()
	configs, err := os.ReadFile("../../testdata/flags.json")
	if err != nil {
		b.Fatal(err)
	}
	return parseConfigs(b, string(configs))
}

func benchmarkFlags(b *testing.B, e *engine.Engine, flags []string, n int) {
	users := benchUsers(b)
	plan := e.Plan(flags)
	var variants []*engine.Variant
	i, start := 0, cpuTime()
	b.ReportAllocs()
	for b.Loop() {
		variants = plan.Append(variants[:0], users[i])
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
	e := benchEngine(b)
	var flags []string
	for _, f := range e.Flags()[:10] {
		flags = append(flags, f.Key)
	}
	benchmarkFlags(b, e, flags, len(flags))
}

// All fifteen: those that read lists, groups and regular expressions too.
func BenchmarkDeployment(b *testing.B) { benchmarkFlags(b, benchEngine(b), nil, 15) }

// One flag alone, with what it depends on, shows what its kind costs; "none" is what a user costs.
func BenchmarkFlag(b *testing.B) {
	e := benchEngine(b)
	b.Run("none", func(b *testing.B) { benchmarkFlags(b, e, []string{}, 1) })
	for _, f := range e.Flags() {
		b.Run(f.Key, func(b *testing.B) { benchmarkFlags(b, e, []string{f.Key}, 1) })
	}
}

// Twenty flags alike, of the kind that most are.
func BenchmarkTargeted(b *testing.B) { benchmarkFlags(b, parseConfigs(b, realisticConfigs()), nil, 20) }
