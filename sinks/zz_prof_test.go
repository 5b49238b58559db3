package sinks

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
)

func TestZZProf(t *testing.T) {
	dir := t.TempDir()
	p, err := CreatePartitioned(t.Context(), filepath.Join(dir, "part."+os.Getenv("EXT")), Spec{Carry: []pipeline.Column{{Name: "country"}}}, Partitioning{By: []string{"country", "flag_key"}})
	if err != nil {
		t.Fatal(err)
	}
	outcomes := benchOutcomes(1000)
	var m runtime.MemStats
	for i := range 600000 {
		o := &outcomes[i%1000]
		o.Row.Number = int64(i + 1)
		o.Row.User.UserID = fmt.Sprintf("user-%08d", i)
		o.Row.Carry = []pipeline.Value{pipeline.StringValue(fmt.Sprintf("C%03d", i*7919%200))}
		if err := p.Write(o); err != nil {
			t.Fatal(err)
		}
		if i%100000 == 99999 {
			runtime.GC()
			runtime.ReadMemStats(&m)
			fmt.Println(i, m.HeapAlloc>>20, "MB live", p.spill.held>>20, "held")
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	fmt.Println(len(p.Files()), p.Info().Bytes)
}
