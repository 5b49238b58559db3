//go:build !faultfs

package durable

import (
	"os"
	"testing"
)

// TestNoFaultsWithoutTheTag: what is shipped looks at none of the variables that let file operations fail.
func TestNoFaultsWithoutTheTag(t *testing.T) {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, child := range []string{"publish", "log"} {
		if out, err := childCommand(t, binary, child, t.TempDir(), "ROLLCALL_KILL_AT=1",
			"ROLLCALL_FAIL_FROM=1").CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", child, err, out)
		}
	}
}
