package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"

	"github.com/rollcall-cli/rollcall/sinks"
)

// reseal gives the manifest the file's size and checksum, and what edit says.
func reseal(t *testing.T, manifest, name string, edit func(m *Manifest)) {
	t.Helper()
	m, err := ReadManifest(nil, manifest)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(filepath.Dir(manifest), name))
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Outputs {
		if f := &m.Outputs[i]; filepath.Base(f.Path) == name {
			sum := sha256.Sum256(data)
			f.Bytes, f.SHA256 = int64(len(data)), hex.EncodeToString(sum[:])
		}
	}
	if edit != nil {
		edit(m)
	}
	if data, err = m.Marshal(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(manifest, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestVerifyFindsInText: what no sink writes, in files whose checksums are right.
func TestVerifyFindsInText(t *testing.T) {
	row := func(n string) string { return "\n" + n + "," }
	for _, tt := range []struct {
		name, run, file string
		old, new        string
		edit            func(m *Manifest)
		want            string
		last            bool // the last of old, not the first
	}{
		{"another id in a user's second row", "flags asked for", "a.csv", "\n15,u7,,Zeta", "\n15,u8,,Zeta", nil,
			"a.csv order: row 15: its records differ in column user_id", false},
		{"row 0", "wide", "a.csv", row("1"), row("0"), nil, "a.csv order: row number 0 is not valid", false},
		{"a device", "wide", "a.csv", "\n3,,only,", "\n3,,other,", nil,
			"agreement: row 3, column device_id: a.parquet and a.csv differ", false},
		{"nobody asked", "all flags", "a.jsonl", `"outcome":"assigned","variant":"treatment"`,
			`"outcome":"not_assigned","variant":null`, nil,
			"a.jsonl outcomes: row 1, flag \"Zeta flag\": it is not_assigned, though no flags were asked for", false},
		{"quotes are text", "wide", "a.jsonl", `"text"}`, `"\"text\""}`, nil,
			"column \"any thing, Else\": a.parquet and a.jsonl differ", true},
		{"null is no NaN", "wide", "a.jsonl", `"seats":-9223372036854775808,"score":0.1`,
			`"seats":-9223372036854775808,"score":null`, nil, "agreement: row 1, column score: a.parquet and a.jsonl differ",
			false},
		{"a flag's row", "flags asked for", "a.csv", "not_assigned,,,,", "assigned,x,,,", nil,
			"a.csv counts: flag b-flag: 32 users are not assigned, the manifest says 33", false},
		{"more users", "all flags", "a.csv", "", "", func(m *Manifest) { m.Users.Answered = 1 },
			"a.csv rows: it has 100 users, the manifest says that 1 were answered", false},
		{"rows of errors", "wide", "a.errors.csv", "", "", func(m *Manifest) { m.Outputs[len(m.Outputs)-1].Rows++ },
			"a.errors.csv rows: it has 10 rows, the manifest says 11", false},
		{"row 0 of errors", "wide", "a.errors.csv", row("7"), row("0"), nil, "a.errors.csv rows: row number 0 is not valid",
			false},
		{"errors that are none", "wide", "a.errors.csv", `,"message",`, `,"massage",`, nil,
			"a.errors.csv rows: a.errors.csv: its columns are not those of error records", false},
		{"errors cut short", "wide", "a.errors.csv", "\n7,", "\n7", nil, "a.errors.csv rows: ", false},
		{"a flag twice", "wide", "a.csv", "", "", func(m *Manifest) { m.Flags = append(m.Flags, m.Flags[0]) },
			"a.parquet.manifest.json manifest: flag =a is duplicated", false},
		{"a flag less", "wide", "a.csv", "", "", func(m *Manifest) { m.Flags = m.Flags[1:] },
			"a.parquet.manifest.json manifest: flag =a was asked for and is not counted", false},
		{"a flag more", "wide", "a.csv", "", "", func(m *Manifest) {
			m.Flags = append(m.Flags,
				FlagCount{Flag: "x", NotAssigned: m.Users.Answered})
		},
			"a.parquet.manifest.json manifest: 3 flags were asked for, 4 are counted", false},
		{"time", "wide", "a.csv", "", "", func(m *Manifest) { m.FinishedAt = m.StartedAt.Add(-1) },
			"a.parquet.manifest.json manifest: it finished before it started", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := *runs()[tt.run]
			r.formats, r.outcomes = []string{"parquet", "csv", "jsonl"}, r.outcomes[:110]
			manifest := r.write(t, t.TempDir())
			path := filepath.Join(filepath.Dir(manifest), tt.file)
			if tt.run != "wide" {
				path = strings.Replace(path, "errors.csv", "errors.jsonl", 1)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			at := bytes.Index(data, []byte(tt.old))
			if tt.last {
				at = bytes.LastIndex(data, []byte(tt.old))
			}
			if at < 0 {
				t.Fatalf("%s has no %q", tt.file, tt.old)
			}
			data = slices.Concat(data[:at], []byte(tt.new), data[at+len(tt.old):])
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			reseal(t, manifest, filepath.Base(path), tt.edit)
			found := findings(t, manifest)
			if !slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, tt.want) }) {
				t.Errorf("no finding has %q; there are:\n%s", tt.want, strings.Join(found, "\n"))
			}
		})
	}
}

// TestVerifyFindsOtherSchemas: Parquet with the right columns and other types.
func TestVerifyFindsOtherSchemas(t *testing.T) {
	r := run{formats: []string{"parquet"}, errors: "jsonl", spec: sinks.Spec{}}
	manifest := r.write(t, t.TempDir())
	path := filepath.Join(filepath.Dir(manifest), "a.parquet")
	columns := func(millis schema.LogicalType, flag parquet.Repetition, row parquet.Type) (fields schema.FieldList) {
		for i, name := range longNames {
			physical, logical, repetition := parquet.Types.ByteArray, schema.LogicalType(schema.StringLogicalType{}),
				parquet.Repetitions.Optional
			switch i {
			case colRow:
				physical, logical, repetition = row, schema.NoLogicalType{}, parquet.Repetitions.Required
			case colAt:
				physical, logical, repetition = parquet.Types.Int64, millis, parquet.Repetitions.Required
			case colFlag, colOutcome:
				repetition = flag
			}
			node, err := schema.NewPrimitiveNodeLogical(name, repetition, logical, physical, -1, -1)
			if err != nil {
				t.Fatal(err)
			}
			fields = append(fields, node)
		}
		return fields
	}
	millis, micros := schema.NewTimestampLogicalType(true, schema.TimeUnitMillis),
		schema.NewTimestampLogicalType(true, schema.TimeUnitMicros)
	required, int64s := parquet.Repetitions.Required, parquet.Types.Int64
	for _, tt := range []struct {
		name   string
		fields schema.FieldList
		by     string
		want   string
	}{
		{"as it should be", columns(millis, required, int64s), "rollcall version 1",
			"it is of run \"\", the manifest is of run r1"},
		{"another writer", columns(millis, required, int64s), "other", "it was not created by rollcall but by other"},
		{"microseconds", columns(micros, required, int64s), "rollcall", "column evaluated_at is not in milliseconds"},
		{"nanoseconds", columns(schema.NewTimestampLogicalType(true, schema.TimeUnitNanos), required, int64s), "rollcall",
			"a timestamp in another unit"},
		{"no time", columns(schema.NoLogicalType{}, required, int64s), "rollcall",
			"column evaluated_at has the type int (INT64), want timestamp"},
		{"nullable", columns(millis, parquet.Repetitions.Optional, int64s), "rollcall",
			"column flag_key: nullable is true, want false"},
		{"a list", columns(millis, parquet.Repetitions.Repeated, int64s), "rollcall", "column \"flag_key\" is nested"},
		{"INT96", columns(millis, required, parquet.Types.Int96), "rollcall",
			"column \"row_number\" has the type INT96, which rollcall never writes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, tt.fields, -1)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			w := file.NewParquetWriter(&b, root, file.WithWriterProps(parquet.NewWriterProperties(parquet.WithCreatedBy(tt.by))))
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			reseal(t, manifest, "a.parquet", nil)
			if found := strings.Join(findings(t, manifest), "\n"); !strings.Contains(found, tt.want) {
				t.Errorf("%s: no finding has %q; there are:\n%s", tt.name, tt.want, found)
			}
		})
	}
}

// TestReaderBounds: what a file can make it hold is bounded.
func TestReaderBounds(t *testing.T) {
	one := strings.Split(csvRow, ",")
	endless := func(change func(i int, cells []string), n int) string {
		var b strings.Builder
		b.WriteString(csvHead)
		for i := range n {
			cells := slices.Clone(one)
			change(i, cells)
			b.WriteString(strings.Join(cells, ","))
		}
		return b.String()
	}
	path := filepath.Join(t.TempDir(), "a.csv")
	for want, text := range map[string]string{
		"more or longer records": endless(func(int, []string) {}, maxUserRecords+2),
		"more different flags and variants": endless(func(i int, c []string) { c[0] = strconv.Itoa(i); c[5] = "v" + c[0] },
			maxKeys+2),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := OpenReader(nil, path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var u User
		for err == nil {
			err = r.Next(&u)
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
		if again := r.Next(&u); again != err {
			t.Errorf("and then %v; want it again", again)
		}
		r.Close() //nolint:errcheck // only read
	}
}
