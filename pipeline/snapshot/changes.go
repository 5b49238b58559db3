package snapshot

import (
	"maps"
	"slices"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// FlagChanges says whether somebody edited flags while the run went on. The flags are those that were evaluated, and
// those that they depend on; their configurations are compared as they were before the first user and after the last.
type FlagChanges struct {
	State   FlagState    `json:"state"`
	Reason  string       `json:"reason,omitempty"`  // of FlagsUnknown
	From    []string     `json:"from,omitempty"`    // the requests that gave the configurations, or their file
	Changed []FlagChange `json:"changed,omitempty"` // sorted by flag
}

// FlagState is the result of comparing flag configurations.
type FlagState string

// The values of FlagState.
const (
	FlagsUnchanged FlagState = "unchanged"
	FlagsChanged   FlagState = "changed"
	FlagsUnknown   FlagState = "unknown" // the server gave no configurations, before or after
)

// FlagChange is a flag that was edited.
type FlagChange struct {
	Flag   string                `json:"flag"`
	Before *pipeline.FlagVersion `json:"before"` // null: there was no such flag
	After  *pipeline.FlagVersion `json:"after"`  // null: there is none any more
}

// String names the flag and both versions.
func (c FlagChange) String() string {
	switch b, a := c.Before, c.After; {
	case b == nil && a == nil:
		return c.Flag
	case b == nil:
		return c.Flag + " (new: " + describeVersion(a) + ")"
	case a == nil:
		return c.Flag + " (" + describeVersion(b) + ", now gone)"
	case a.Version == b.Version && a.Version != "":
		return c.Flag + " (version " + b.Version + ", now with other content)"
	case a.Version != "" && b.Version != "":
		return c.Flag + " (version " + b.Version + ", now " + a.Version + ")"
	default:
		return c.Flag + " (" + describeVersion(b) + ", now " + describeVersion(a) + ")"
	}
}

func describeVersion(v *pipeline.FlagVersion) string {
	if v.Version != "" {
		return "version " + v.Version
	}
	return "content " + v.SHA256[:min(8, len(v.SHA256))]
}

// Text names the flags that changed, at most most of them.
func (c *FlagChanges) Text(most int) string {
	var names []string
	for _, one := range c.Changed {
		names = append(names, one.String())
	}
	return text.List(names, most)
}

// CompareFlags compares the flag configurations from before a run with those from after it. asked are the flags that
// the run asked for (nil: all), got those that somebody got.
func CompareFlags(before, after pipeline.FlagVersions, asked, got []string) FlagChanges {
	c := FlagChanges{State: FlagsUnknown, From: before.From}
	switch {
	case before.Unknown != "":
		c.Reason = "before the first user: " + before.Unknown
		return c
	case before.Flags == nil:
		c.Reason = "nobody asked before the first user"
		return c
	case after.Unknown != "":
		c.Reason = "after the last user: " + after.Unknown
		return c
	}
	keys := maps.Clone(before.Flags)
	for key, v := range after.Flags { // one that is new counts only if it was asked for
		if asked == nil || slices.Contains(asked, key) {
			keys[key] = v
		}
	}
	sameRequests := before.Partial == after.Partial
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		change := FlagChange{Flag: key}
		if v, ok := before.Flags[key]; ok {
			change.Before = &v
		}
		if v, ok := after.Flags[key]; ok {
			change.After = &v
		}
		switch {
		case change.Before == nil || change.After == nil:
			if !sameRequests { // it may be of remote evaluation mode
				c.Reason = "the server gave flags of remote evaluation mode only once"
				continue
			}
		case *change.Before == *change.After:
			continue
		}
		c.Changed = append(c.Changed, change)
	}
	var missing []string
	for _, key := range got {
		_, was := before.Flags[key]
		_, is := after.Flags[key]
		if !was && !is {
			missing = append(missing, key)
		}
	}
	if len(missing) > 0 {
		c.Reason = "the server gave no configuration of " + text.List(missing, 5)
	}
	switch {
	case len(c.Changed) > 0:
		c.State = FlagsChanged
	case c.Reason == "":
		c.State = FlagsUnchanged
	}
	return c
}
