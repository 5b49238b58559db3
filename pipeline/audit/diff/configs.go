package diff

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
)

// Configs is what differs between the flag configurations of the two runs.
type Configs struct {
	// Compared is false where not both runs have kept theirs; Words say why.
	Compared bool           `json:"compared"`
	Words    string         `json:"words"`
	Flags    int            `json:"flags"` // in either
	Changed  []ConfigChange `json:"changed"`
}

// ConfigChange is a flag whose configuration is not what it was.
type ConfigChange struct {
	Flag   string   `json:"flag"`
	Change string   `json:"change"` // added, removed or changed
	Parts  []string `json:"parts"`  // the members of the configuration that differ, such as segments or variants
}

// compareConfigs compares the flag configurations of both runs, and remembers whether they can tell causes.
func (j *join) compareConfigs() Configs {
	c := Configs{Changed: []ConfigChange{}}
	var runs [2]Run
	var flags [2]map[string]map[string]string
	for i, s := range []*side{j.before, j.after} {
		name := []string{"before", "after"}[i]
		runs[i] = Run{s.Manifest, s.manifest}
		switch {
		case s.manifest == nil:
			c.Words = "the flag configurations of the run " + name + " are not known: it has no manifest"
			return c
		case s.manifest.FlagConfigs == nil:
			c.Words = "the run " + name + " asked the API, and did not keep its flag configurations: what made users change is not known"
			return c
		case j.o.Configs == nil:
			c.Words = "the flag configurations were not looked at"
			return c
		}
		data, err := j.o.Configs(runs[i])
		if err == nil {
			flags[i], err = parseConfigs(data)
		}
		if err != nil {
			c.Words = "the flag configurations of the run " + name + " cannot be compared: " + err.Error()
			return c
		}
	}
	c.Compared = true
	all := maps.Clone(flags[0])
	maps.Copy(all, flags[1])
	c.Flags = len(all)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		before, was := flags[0][key]
		after, is := flags[1][key]
		change := ConfigChange{Flag: key, Change: "changed", Parts: []string{}}
		switch {
		case !was:
			change.Change = "added"
		case !is:
			change.Change = "removed"
		default:
			parts := maps.Clone(before)
			maps.Copy(parts, after)
			for _, part := range slices.Sorted(maps.Keys(parts)) {
				if before[part] != after[part] {
					change.Parts = append(change.Parts, part)
				}
			}
			if len(change.Parts) == 0 {
				continue
			}
		}
		c.Changed = append(c.Changed, change)
	}
	c.Words = fmt.Sprintf("%d of %d changed", len(c.Changed), c.Flags)
	if len(c.Changed) == 0 {
		c.Words = "none of " + report.Thousands(int64(c.Flags)) + " changed"
	}
	j.causing, j.runs = j.o.Causes != nil, runs
	return c
}

// parseConfigs is the members of each flag's configuration, in a form in which equal ones are equal.
func parseConfigs(data []byte) (map[string]map[string]string, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	flags := map[string]map[string]string{}
	for i, text := range list {
		v, err := pipeline.ParseJSON(string(text))
		if err != nil {
			return nil, fmt.Errorf("flag %d: %w", i+1, err)
		}
		key := v.Get("key")
		if v.Kind != pipeline.Object || key == nil || key.Kind != pipeline.String {
			return nil, fmt.Errorf("flag %d has no key", i+1)
		}
		if flags[key.Text] != nil {
			return nil, fmt.Errorf("flag %s stands there twice", key.Text)
		}
		members := map[string]string{}
		for _, m := range v.Members {
			if m.Name == "metadata" && m.Value.Kind == pipeline.Object { // flagVersion alone changes with whatever is saved
				for _, mm := range m.Value.Members {
					members["metadata."+mm.Name] = string(mm.Value.AppendJSON(nil))
				}
				continue
			}
			members[m.Name] = string(m.Value.AppendJSON(nil))
		}
		flags[key.Text] = members
	}
	return flags, nil
}
