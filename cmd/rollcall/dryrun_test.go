package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// TestEstimateTime: a dry run says how long a run takes at least, and names what it cannot know; it uses what an
// earlier run found out.
func TestEstimateTime(t *testing.T) {
	const unknown = "\n              not known before a run: how fast the API answers and what rate it takes"
	for _, tt := range []struct {
		name     string
		rate     float64
		burst    int
		requests int64
		earlier  *snapshot.Requests
		want     string
	}{
		{"the first run", 100, 1, 1_000_000, nil, "; at most 100/s, so at least 2h46m" + unknown},
		{"a burst", 100, 50, 1050, nil, "; at most 100/s, so at least 10s" + unknown},
		{"fewer than the burst", 100, 50, 20, nil, "; at most 100/s, so at least 0s" + unknown},
		{"no rate", 0, 1, 1000, nil, unknown},
		{"slower than asked", 100, 1, 100_000, &snapshot.Requests{PerSecond: 19.8, Latency: snapshot.Latency{P50: 1003}},
			"; at most 100/s, so at least 16m40s\n              the last run of these outputs reached 20/s, and an answer " +
				"took 1s\n              at 20/s: about 1h24m"},
		{"refused", 100, 1, 100_000, &snapshot.Requests{PerSecond: 48.3, FoundRate: 49.7, Latency: snapshot.Latency{P50: 60}},
			"; at most 100/s, so at least 16m40s\n              the last run of these outputs reached 48/s, and an answer " +
				"took 60ms\n              the API took about 50/s\n              at 48/s: about 34m30s"},
		{"a lower rate than then", 10, 1, 1000, &snapshot.Requests{PerSecond: 99.9, Latency: snapshot.Latency{P50: 60}},
			"; at most 10/s, so at least 1m40s\n              the last run of these outputs reached 100/s, and an answer " +
				"took 60ms\n              at 10/s: about 1m40s"},
		{"no rate, and an earlier run", 0, 1, 1000, &snapshot.Requests{PerSecond: 500, Latency: snapshot.Latency{P50: 60}},
			"\n              the last run of these outputs reached 500/s, and an answer took 60ms\n              " +
				"at 500/s: about 2s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &snapshotOptions{rate: tt.rate, burst: tt.burst}
			if diff := cmp.Diff(tt.want, estimateTime(o, tt.requests, tt.earlier)); diff != "" {
				t.Errorf("%d requests at --rate %g --burst %d after %+v (-want +got):\n%s", tt.requests, tt.rate, tt.burst,
					tt.earlier, diff)
			}
		})
	}
}

// TestReadEarlier: only a run that asked an API for long enough says how fast it is.
func TestReadEarlier(t *testing.T) {
	long := snapshot.Requests{Sent: 1000, PerSecond: 100}
	for _, tt := range []struct {
		name     string
		manifest *snapshot.Manifest
		want     bool
	}{
		{"none", nil, false},
		{"a run", &snapshot.Manifest{Requests: long}, true},
		{"embedded", &snapshot.Manifest{NoTrack: string(embedded), Requests: long}, false},
		{"local", &snapshot.Manifest{}, false},
		{"too short", &snapshot.Manifest{Requests: snapshot.Requests{Sent: 100, PerSecond: 100 / (minRated - 1)}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := ""
			if tt.manifest != nil {
				path = filepath.Join(t.TempDir(), "a.csv.manifest.json")
				tt.manifest.Format, tt.manifest.StartedAt = snapshot.ManifestFormat, time.Unix(0, 0)
				data, err := tt.manifest.Marshal()
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := readEarlier(nil, path); (got != nil) != tt.want {
				t.Errorf("readEarlier of %+v: %+v, want something: %t", tt.manifest, got, tt.want)
			}
		})
	}
	if got := readEarlier(nil, filepath.Join(t.TempDir(), "absent")); got != nil {
		t.Errorf("readEarlier of an absent manifest: %+v", got)
	}
}
