package main

import "testing"

// Another --semantics gives other answers, so it binds a run that is resumed, where rollcall itself evaluates.
func TestSemanticsBindRun(t *testing.T) {
	for _, tt := range []struct {
		name, evaluator, server string
		want                    bool
	}{
		{"local", "local", "us", true},
		{"embedded", "remote", "embedded", true},
		{"remote", "remote", "us", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &snapshotOptions{evaluator: tt.evaluator, server: serverOptions{server: tt.server}}
			bound, err := bindingOptions(t.Context(), map[string]string{"semantics": "node"}, o)
			if err != nil {
				t.Fatal(err)
			}
			if _, got := bound["semantics"]; got != tt.want {
				t.Errorf("--semantics binds a run: %v, want %v", got, tt.want)
			}
		})
	}
}
