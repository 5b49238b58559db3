package engine

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// measureAllocated is how many bytes f allocates. It tells work that grows with the square of the flags without a
// clock.
func measureAllocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestWorkIsLinear is about deployments of very many flags: what is done for each of them must not look at all.
func TestWorkIsLinear(t *testing.T) {
	const n = 4000
	chain := make([]flagConfig, n) // each depends on the next, and the last cannot run here
	var text strings.Builder
	for i := range n {
		key := fmt.Sprintf("f%d", i)
		chain[i] = flagConfig{Key: &key, Dependencies: []string{fmt.Sprintf("f%d", i+1)}}
		fmt.Fprintf(&text, `,{"key":%q,"variants":{"on":{"key":"on"}},"segments":[{"variant":"on"}],"metadata":{"evaluationMode":"remote"}}`, key)
	}
	chain[n-1].Segments = []segmentConfig{{Conditions: [][]conditionConfig{{{Op: "regex match",
		Values: []string{"(?=x)"}}}}}}
	e, err := Parse([]byte("["+text.String()[1:]+"]"), Node)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		do   func() int
	}{
		{"Unknowable", func() int { return len(e.Unknowable(nil)) }},
		{"leaveUnanswered", func() int { return len(leaveUnanswered(chain, &rulesOf[Node])) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found := 0
			bytes := measureAllocated(func() { found = tt.do() })
			if found != n {
				t.Errorf("%s found %d flags, want all %d", tt.name, found, n)
			}
			if bytes > n*n/4 { // with a byte for each pair it would be n*n
				t.Errorf("%s allocated %d bytes for %d flags, want a few hundred for each", tt.name, bytes, n)
			}
		})
	}
}
