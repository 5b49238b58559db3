package sinks

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// TestCreateRows writes a table of any columns, in the text formats; Parquet is read back.
func TestCreateRows(t *testing.T) {
	columns := []pipeline.Column{{Name: "who"}, {Name: "n", Type: pipeline.TypeInt},
		{Name: "payload", Type: pipeline.TypeJSON}}
	object, err := pipeline.ParseJSON(`{"b":[1.50,null],"a":"x"}`)
	if err != nil {
		t.Fatal(err)
	}
	rows := [][]pipeline.Value{
		{pipeline.StringValue("=ana"), pipeline.IntValue(-3), object},
		{{}, {}, {}},
		{pipeline.StringValue("ü"), pipeline.IntValue(1), pipeline.StringValue("text")},
	}
	write := func(name string, spec Spec) string {
		path := filepath.Join(t.TempDir(), name)
		out, err := CreateRows(path, columns, spec)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if err := out.Write(&pipeline.Outcome{Row: pipeline.Row{Carry: row}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(out.Close(), os.Rename(out.Info().Temp, path)); err != nil {
			t.Fatal(err)
		}
		if got := out.Info().Rows; got != 3 {
			t.Errorf("%s: %d rows, want 3", name, got)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	want := `{"who":"=ana","n":-3,"payload":{"a":"x","b":[1.50,null]}}` + "\n" + `{"who":null,"n":null,"payload":null}` +
		"\n" + `{"who":"ü","n":1,"payload":"text"}` + "\n"
	if diff := cmp.Diff(want, write("a.jsonl", Spec{})); diff != "" {
		t.Errorf("JSONL (-want +got):\n%s", diff)
	}
	if got := write("a.parquet", Spec{}); got[:4] != "PAR1" {
		t.Errorf("Parquet begins with %q", got[:4])
	}
	if _, err := CreateRows(filepath.Join(t.TempDir(), "a.csv"), append(columns, columns[0]), Spec{}); err == nil {
		t.Error("a duplicated column: want an error")
	}
	if _, err := CreateRows(filepath.Join(t.TempDir(), "a.csv"), nil, Spec{}); err == nil {
		t.Error("no columns: want an error")
	}
	out, err := CreateRows(filepath.Join(t.TempDir(), "a.csv"), columns, Spec{})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Discard() //nolint:errcheck // in the test's directory
	if err := out.Write(&pipeline.Outcome{Row: pipeline.Row{Carry: rows[0][:2]}}); err == nil {
		t.Error("a missing cell: want an error")
	}
}
