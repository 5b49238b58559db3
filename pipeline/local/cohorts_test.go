package local_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/local"
)

// What a user's cohorts are, with and without the input's own. It needs no memory.
func TestMembership(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.txt")
	if err := os.WriteFile(path, []byte("u1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := cohort.Load(t.Context(), cohort.Options{Files: map[string]string{"x": path, "unused": path}})
	if err != nil {
		t.Fatal(err)
	}
	m := local.NewMembership(set, []engine.CohortUse{{Flag: "f", ID: "x"}, {Flag: "f", ID: "y"}})
	for _, test := range []struct{ name, userID, context, want string }{
		{"member", "u1", `{"city":"B","country":"DE"}`, `{"city":"B","cohort_ids":["x"],"country":"DE"}`},
		{"member, nothing else", "u1", `{}`, `{"cohort_ids":["x"]}`},
		{"member, last", "u1", `{"city":"B"}`, `{"city":"B","cohort_ids":["x"]}`},
		{"not a member", "u2", `{"country":"DE"}`, `{"cohort_ids":[],"country":"DE"}`},
		{"the file wins", "u2", `{"cohort_ids":["x","y"],"os":"i"}`, `{"cohort_ids":["y"],"os":"i"}`},
		{"a device", "", `{"cohort_ids":["y"]}`, `{"cohort_ids":["y"]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			v, err := pipeline.ParseJSON(test.context)
			if err != nil {
				t.Fatal(err)
			}
			u := &pipeline.User{UserID: test.userID, DeviceID: "d", Context: v.Members}
			var s local.Scratch
			told := m.Tell(u, &s)
			got := pipeline.Value{Kind: pipeline.Object, Members: told.Context}
			if text := string(got.AppendJSON(nil)); text != test.want || told.UserID != u.UserID || told.DeviceID != "d" {
				t.Errorf("Tell(%q, %s) = %+v, context %s; want %s", test.userID, test.context, told, text, test.want)
			}
			if text := string(v.AppendJSON(nil)); text != test.context {
				t.Errorf("Tell(%q, %s) changed the user: %s", test.userID, test.context, text)
			}
			if n := testing.AllocsPerRun(100, func() { m.Tell(u, &s) }); n > 0 {
				t.Errorf("Tell(%q, %s): %g allocations, want 0", test.userID, test.context, n)
			}
		})
	}
}
