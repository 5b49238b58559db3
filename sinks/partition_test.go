package sinks

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

var partitionCarry = []pipeline.Column{{Name: "country"}, {Name: "age", Type: pipeline.TypeInt},
	{Name: "beta", Type: pipeline.TypeBool}, {Name: "since", Type: pipeline.TypeDate},
	{Name: "price", Type: pipeline.TypeDecimal, Precision: 4, Scale: 1}, {Name: "score", Type: pipeline.TypeFloat},
	{Name: "tags", Type: pipeline.TypeJSON}, {Name: "seen", Type: pipeline.TypeTimestamp}}

// partitionOutcomes returns outcomes whose carried values are few, and some of them odd.
func partitionOutcomes(random *rand.Rand, n int) []pipeline.Outcome {
	outcomes := encodeUsers(random.Uint64(), n)
	pick := func(values ...pipeline.Value) pipeline.Value { return values[random.IntN(len(values))] }
	null, text := pipeline.Value{}, pipeline.StringValue
	object := pipeline.Value{Kind: pipeline.Object, Members: []pipeline.Member{{Name: "a", Value: pipeline.IntValue(1)}}}
	list := pipeline.Value{Kind: pipeline.List, Members: []pipeline.Member{{Value: text(`"x`)}, {}}}
	for i := range outcomes {
		outcomes[i].Row.User.DeviceID = []string{"", "tablet"}[random.IntN(2)]
		outcomes[i].Row.Carry = []pipeline.Value{
			pick(null, text(""), text("DE"), text("FR"), text("../.."), text("a/b=c%"), text("São Paulo\n"),
				text(pipeline.NullPartition), text("=1")),
			pick(null, pipeline.IntValue(-1), pipeline.IntValue(0), pipeline.IntValue(1<<62)),
			pick(null, pipeline.BoolValue(true), pipeline.BoolValue(false)),
			pick(null, pipeline.Value{Kind: pipeline.Date, Text: "2026-01-02", Num: 20455}),
			pick(null, text("-1.5"), text("123.0")),
			pick(null, pipeline.FloatValue(0.5)),
			pick(null, object, list, text("x"), pipeline.Value{Kind: pipeline.Number, Text: "1e3"}),
			pick(null, pipeline.Value{Kind: pipeline.Timestamp, Text: "2026-01-02T00:00:00Z", Num: 1767312000000000}),
		}
	}
	return outcomes
}

// readTable reads a file of any format.
func readTable(t *testing.T, name string) pipelinetest.Table {
	t.Helper()
	format, err := Format(name)
	if err != nil {
		t.Fatal(err)
	}
	var table pipelinetest.Table
	switch base, _, _ := strings.Cut(format, "."); base {
	case "csv":
		table, err = readCSV(name, ',')
	case "tsv":
		table, err = readCSV(name, '\t')
	case "jsonl":
		table, err = readJSONL(name)
	default:
		table, err = readArrow(name)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return table
}

// writePartitioned writes, closes and publishes.
func writePartitioned(t *testing.T, p *Partitioned, outcomes []pipeline.Outcome) {
	t.Helper()
	for i := range outcomes {
		if err := p.Write(&outcomes[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	for _, f := range p.Files() {
		if err := errors.Join(os.MkdirAll(filepath.Dir(f.Path), 0o777), os.Rename(f.Temp, f.Path)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPartitionsAreTheOutput: the files of a partition are the rows of the undivided output that have its values, in
// their order, whatever the bounds of memory and files.
func TestPartitionsAreTheOutput(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	for n := range 12 {
		format := []string{"csv", "tsv.gz", "jsonl", "jsonl.zst", "parquet"}[random.IntN(5)]
		spec := Spec{Carry: partitionCarry, EscapeFormulas: random.IntN(2) == 0}
		columns := []string{"country", "age", "beta", "since", "price", "device_id", "flag_key", "variant", "outcome",
			"experiment_key", "value"}
		spec.Include = []string{"value", "metadata", "cache", "evaluation_id"}
		if random.IntN(3) == 0 {
			spec.Wide, spec.Flags, spec.Include = true, benchFlags, []string{"payload"}
			columns = append(columns[:6:6], benchFlags[0], benchFlags[2])
		}
		random.Shuffle(len(columns), func(i, j int) { columns[i], columns[j] = columns[j], columns[i] })
		parts := Partitioning{By: columns[:random.IntN(4)], RowsPerFile: []int64{0, 1, 7, 50}[random.IntN(4)]}
		if !parts.Enabled() {
			parts.By = columns[:1]
		}
		what := fmt.Sprintf("seed %d, test %d: %s, wide %v, by %q, %d rows a file", seed, n, format, spec.Wide, parts.By,
			parts.RowsPerFile)
		outcomes := partitionOutcomes(random, 1+random.IntN(120))
		dir := t.TempDir()
		undivided, err := Create(filepath.Join(dir, "all."+format), spec)
		writeFile(t, undivided, err, outcomes)
		if _, err := CreatePartitioned(t.Context(), filepath.Join(dir, "out", "part."+format), spec, parts); err == nil {
			t.Fatalf("%s: there is no directory, and it was created", what)
		}
		if err := os.Mkdir(filepath.Join(dir, "out"), 0o777); err != nil {
			t.Fatal(err)
		}
		p, err := CreatePartitioned(t.Context(), filepath.Join(dir, "out", "part."+format), spec, parts)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		p.spill.memory, p.spill.block = 1+random.IntN(20_000), 1+random.IntN(2000)
		writePartitioned(t, p, outcomes)

		whole, got := readTable(t, undivided.Info().Path), map[string][][]pipelinetest.Cell{}
		for i, f := range p.Files() {
			table := readTable(t, f.Path)
			if int64(len(table.Rows)) != f.Rows || parts.RowsPerFile == 1 && !spec.Wide && len(table.Rows) > len(benchFlags) ||
				parts.RowsPerFile > int64(len(benchFlags)) && f.Rows > parts.RowsPerFile {
				t.Fatalf("%s: %s has %d rows, and its Info says %d", what, f.Below, len(table.Rows), f.Rows)
			}
			key := path.Dir(f.Below)
			before := strings.Count(seriesOf(p.Files()[:i]), "\n"+key+"\n")
			if want := path.Join(key, PartName("part."+format, before)); want != f.Below {
				t.Fatalf("%s: got the file %s, want %s", what, f.Below, want)
			}
			got[key] = append(got[key], table.Rows...)
		}
		want := map[string][][]pipelinetest.Cell{}
		var by []int
		for _, name := range parts.By {
			by = append(by, slices.Index(whole.Columns, name))
		}
		for _, row := range whole.Rows {
			var names []string
			for i, at := range by {
				text := row[at].Text
				if spec.EscapeFormulas && (strings.HasPrefix(text, "'=") || strings.HasPrefix(text, "'@")) {
					text = text[1:]
				}
				names = append(names, string(pipeline.AppendPartition(nil, parts.By[i], text)))
			}
			var rest []pipelinetest.Cell
			for i := range row {
				if !slices.Contains(by, i) {
					rest = append(rest, row[i])
				}
			}
			key := path.Join(append(names, ".")...)
			want[key] = append(want[key], rest)
		}
		if diff := cmp.Diff(want, got); diff != "" && !(len(whole.Rows) == 0) {
			t.Fatalf("%s (-want +got):\n%s", what, diff)
		}
		var files []string
		entries, err := os.ReadDir(filepath.Join(dir, "out"))
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") {
				files = append(files, e.Name())
			}
		}
		if err != nil || len(files) > 0 {
			t.Fatalf("%s: left %q, %v", what, files, err)
		}
		if rows := p.Info().Rows; rows != int64(len(whole.Rows)) {
			t.Fatalf("%s: Info has %d rows, want %d", what, rows, len(whole.Rows))
		}
	}
}

// seriesOf returns the directories of the files, each in a line of its own.
func seriesOf(files []Info) string {
	var b strings.Builder
	for _, f := range files {
		b.WriteString("\n" + path.Dir(f.Below) + "\n")
	}
	return b.String()
}

func TestPartitionColumns(t *testing.T) {
	tests := []struct {
		name string
		spec Spec
		by   []string
		want string // error
		hint string
	}{
		{"long", Spec{Carry: partitionCarry}, []string{"country", "flag_key"}, "", ""},
		{"wide", Spec{Wide: true, Flags: []string{"a"}, Carry: partitionCarry}, []string{"country", "a"}, "", ""},
		{"unknown", Spec{}, []string{"country"}, `cannot be partitioned by "country"`, "--carry adds columns"},
		{"row number", Spec{}, []string{"row_number"}, `by "row_number"`, "user_id, device_id, flag_key"},
		{"time", Spec{}, []string{"evaluated_at"}, `by "evaluated_at"`, "the columns are"},
		{"JSON", Spec{}, []string{"payload"}, `by "payload"`, "the columns are"},
		{"float", Spec{Carry: partitionCarry}, []string{"score"}, `by "score"`, "since, price"},
		{"duplicate", Spec{}, []string{"flag_key", "flag_key"}, "duplicated", ""},
		{"hidden", Spec{Carry: []pipeline.Column{{Name: "_x"}}}, []string{"_x"}, `readers skip directories`, ""},
		{"too many", Spec{}, strings.Split("a,b,c,d,e,f,g,h,i", ","), "the most are 8", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := (&Partitioning{By: tt.by}).Check(&tt.spec)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) ||
				!strings.Contains(pipeline.Hint(err), tt.hint) {
				t.Errorf("by %q: %v, hint %q; want %q, hint %q", tt.by, err, pipeline.Hint(err), tt.want, tt.hint)
			}
		})
	}
}

func TestPartitionBounds(t *testing.T) {
	create := func(t *testing.T) *Partitioned {
		p, err := CreatePartitioned(t.Context(), filepath.Join(t.TempDir(), "part.csv"),
			Spec{Carry: []pipeline.Column{{Name: "country"}}}, Partitioning{By: []string{"country"}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	write := func(p *Partitioned, number int64, country string) error {
		row := pipeline.Row{Number: number, Carry: []pipeline.Value{pipeline.StringValue(country)}}
		return p.Write(&pipeline.Outcome{Row: row,
			Assignments: []pipeline.Assignment{{Variant: pipeline.Variant{FlagKey: "a"}}}})
	}
	t.Run("partitions", func(t *testing.T) {
		p := create(t)
		var err error
		n := int64(1)
		for ; err == nil; n++ {
			err = write(p, n, strconv.FormatInt(n, 10))
		}
		const want = "row 10001: there are more than 10000 partitions by country"
		if n-2 != MaxPartitions || !strings.Contains(err.Error(), want) {
			t.Errorf("after %d partitions: %v; want an error after %d", n-2, err, MaxPartitions)
		}
		if again := write(p, n, "1"); again != err || p.Close() != err {
			t.Errorf("the next Write: %v, and Close: %v; want the same error", again, p.Close())
		}
	})
	t.Run("length of a name", func(t *testing.T) {
		p := create(t)
		if err := write(p, 1, strings.Repeat("x", 255-len("country="))); err != nil {
			t.Errorf("a name of 255 bytes: %v", err)
		}
		if err := write(p, 2, strings.Repeat("/", 83)); err == nil || !strings.Contains(err.Error(), "row 2") {
			t.Errorf("a name of 257 bytes: %v; want an error", err)
		}
	})
}

func TestPartitionedLeavesNothing(t *testing.T) {
	for _, parts := range []Partitioning{{By: []string{"country"}}, {RowsPerFile: 5}} {
		for _, closed := range []bool{false, true} {
			t.Run(fmt.Sprintf("by %q, closed %v", parts.By, closed), func(t *testing.T) {
				dir := t.TempDir()
				p, err := CreatePartitioned(t.Context(), filepath.Join(dir, "part.parquet"), Spec{Carry: partitionCarry}, parts)
				if err != nil {
					t.Fatal(err)
				}
				p.spill.memory = 1000
				outcomes := partitionOutcomes(rand.New(rand.NewPCG(1, 1)), 50)
				for i := range outcomes {
					if err := p.Write(&outcomes[i]); err != nil {
						t.Fatal(err)
					}
				}
				if closed {
					if err := p.Close(); err != nil {
						t.Fatal(err)
					}
				}
				for range 2 {
					if err := p.Discard(); err != nil {
						t.Error(err)
					}
				}
				if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
					t.Errorf("left %v, %v", left, err)
				}
			})
		}
	}
}

func TestPartitionedStops(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	dir := t.TempDir()
	p, err := CreatePartitioned(ctx, filepath.Join(dir, "part.csv"), Spec{Carry: partitionCarry},
		Partitioning{By: []string{"country"}})
	if err != nil {
		t.Fatal(err)
	}
	outcomes := partitionOutcomes(rand.New(rand.NewPCG(1, 1)), 50)
	for i := range outcomes {
		if err := p.Write(&outcomes[i]); err != nil {
			t.Fatal(err)
		}
	}
	why := errors.New("interrupted")
	cancel(why)
	if err := p.Close(); !errors.Is(err, why) {
		t.Errorf("Close: %v, want %v", err, why)
	}
	if err := p.Discard(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Errorf("left %v, %v", left, err)
	}
}
