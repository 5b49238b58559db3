package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

func TestProgressLines(t *testing.T) {
	for _, tt := range []struct {
		mode  string
		quiet bool
		want  string
	}{
		{"auto", false, "rollcall: 1,000 of 4,000 users, 100/s, 1 failed, 30s left\nrollcall: 2,000 of 4,000 users, " +
			"100/s, 1 failed, 20s left\n"},
		{"lines", false, "rollcall: 1,000 of 4,000 users, 100/s, 1 failed, 30s left\nrollcall: 2,000 of 4,000 users, " +
			"100/s, 1 failed, 20s left\n"},
		{"none", false, ""},
		{"lines", true, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			con := newConsole(&env{Stderr: &out})
			if err := con.Configure(tt.quiet, "text"); err != nil {
				t.Fatal(err)
			}
			p := startProgress(con, tt.mode, 4000, &snapshot.Tally{})
			time.Sleep(5 * time.Millisecond) // no outcome at the moment of a line
			for i := range 2000 {
				o := &pipeline.Outcome{}
				if i == 500 {
					o.Err = pipeline.Errorf(pipeline.KindBadRow, "bad")
				}
				if err := p.Write(o); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			for range 2 { // the second does nothing
				if err := p.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if got := out.String(); got != tt.want {
				t.Errorf("--progress %s, quiet %t: it said\n%s\nwant\n%s", tt.mode, tt.quiet, got, tt.want)
			}
		})
	}
}
