package snapshot

import (
	"encoding/json"
	"testing"
)

func TestEngineSemantics(t *testing.T) {
	for _, tt := range []struct{ name, manifest, want string }{
		{"it says so", `{"format":2,"semantics":"hosted","flag_configs":{"path":"flags.json"}}`, "hosted"},
		{"older local run", `{"format":2,"flag_configs":{"path":"flags.json"}}`, "node"},
		{"older embedded run", `{"format":2,"options":{"server":"embedded"}}`, "node"},
		{"the API", `{"format":2,"options":{"server":"us"}}`, "hosted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m Manifest
			if err := json.Unmarshal([]byte(tt.manifest), &m); err != nil {
				t.Fatal(err)
			}
			if got := m.EngineSemantics(); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.manifest, got, tt.want)
			}
		})
	}
}
