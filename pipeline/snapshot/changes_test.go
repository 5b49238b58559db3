package snapshot_test

import (
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

func TestCompareFlags(t *testing.T) {
	type flags = map[string]pipeline.FlagVersion
	one, two := pipeline.FlagVersion{Version: "1", SHA256: "aaaaaaaaaaaa"}, pipeline.FlagVersion{Version: "2", SHA256: "b"}
	plain, other := pipeline.FlagVersion{SHA256: "cccccccccc"}, pipeline.FlagVersion{SHA256: "dddddddddd"}
	for _, tt := range []struct {
		name          string
		before, after pipeline.FlagVersions
		asked, got    []string
		state         snapshot.FlagState
		says          string // what changed, or the reason why that is not known
	}{
		{"nobody asked", pipeline.FlagVersions{}, pipeline.FlagVersions{Flags: flags{}}, nil, nil, snapshot.FlagsUnknown,
			"nobody asked before the first user"},
		{"unknown before", pipeline.FlagVersions{Unknown: "status 503"}, pipeline.FlagVersions{Flags: flags{}}, nil, nil,
			snapshot.FlagsUnknown, "before the first user: status 503"},
		{"unknown after", pipeline.FlagVersions{Flags: flags{}}, pipeline.FlagVersions{Unknown: "status 503"}, nil, nil,
			snapshot.FlagsUnknown, "after the last user: status 503"},
		{"the same", pipeline.FlagVersions{Flags: flags{"a": one}}, pipeline.FlagVersions{Flags: flags{"a": one}}, nil,
			[]string{"a"}, snapshot.FlagsUnchanged, ""},
		{"no flags at all", pipeline.FlagVersions{Flags: flags{}}, pipeline.FlagVersions{Flags: flags{}}, nil, nil,
			snapshot.FlagsUnchanged, ""},
		{"version", pipeline.FlagVersions{Flags: flags{"a": one}}, pipeline.FlagVersions{Flags: flags{"a": two}}, nil, nil,
			snapshot.FlagsChanged, "a (version 1, now 2)"},
		{"content, without a version", pipeline.FlagVersions{Flags: flags{"a": plain}},
			pipeline.FlagVersions{Flags: flags{"a": other}}, nil, nil, snapshot.FlagsChanged,
			"a (content cccccccc, now content dddddddd)"},
		{"a version appears", pipeline.FlagVersions{Flags: flags{"a": plain}},
			pipeline.FlagVersions{Flags: flags{"a": two}}, nil, nil, snapshot.FlagsChanged,
			"a (content cccccccc, now version 2)"},
		{"new, all are asked for", pipeline.FlagVersions{Flags: flags{}}, pipeline.FlagVersions{Flags: flags{"a": one}}, nil,
			nil, snapshot.FlagsChanged, "a (new: version 1)"},
		{"new, and asked for", pipeline.FlagVersions{Flags: flags{}}, pipeline.FlagVersions{Flags: flags{"a": one}},
			[]string{"a"}, nil, snapshot.FlagsChanged, "a (new: version 1)"},
		{"new, and not asked for", pipeline.FlagVersions{Flags: flags{"b": one}},
			pipeline.FlagVersions{Flags: flags{"a": one, "b": one}}, []string{"b"}, nil, snapshot.FlagsUnchanged, ""},
		{"gone", pipeline.FlagVersions{Flags: flags{"a": one}}, pipeline.FlagVersions{Flags: flags{}}, nil, nil,
			snapshot.FlagsChanged, "a (version 1, now gone)"},
		{"gone with the flags of remote mode", pipeline.FlagVersions{Flags: flags{"a": one}},
			pipeline.FlagVersions{Flags: flags{}, Partial: true}, nil, nil, snapshot.FlagsUnknown,
			"the server gave flags of remote evaluation mode only once"},
		{"somebody got another", pipeline.FlagVersions{Flags: flags{"a": one}},
			pipeline.FlagVersions{Flags: flags{"a": one}}, nil, []string{"a", "b\x1b"}, snapshot.FlagsUnknown,
			"the server gave no configuration of b\\x1b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := snapshot.CompareFlags(tt.before, tt.after, tt.asked, tt.got)
			if said := got.Text(5) + got.Reason; got.State != tt.state || said != tt.says {
				t.Errorf("CompareFlags(%+v, %+v): %s, %q; want %s, %q", tt.before, tt.after, got.State, said, tt.state, tt.says)
			}
		})
	}
}
