package diff

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Configs is what differs between the flag configurations of the two runs.
type Configs struct {
	// Compared is false where not both runs have kept theirs; Words says why.
	Compared bool           `json:"compared"`
	Words    string         `json:"words"`
	Flags    int            `json:"flags"` // in either
	Changed  []ConfigChange `json:"changed"`

	// Semantics are the engines that evaluated them in BEFORE and in AFTER, if they are different: hosted or node.
	Semantics []string `json:"semantics,omitempty"`
}

// ConfigChange is a flag whose configuration is not what it was.
type ConfigChange struct {
	Flag   string   `json:"flag"`
	Change string   `json:"change"` // added, removed or changed
	Parts  []string `json:"parts"`  // the members of the configuration that differ, such as segments or variants
}

// compareConfigs compares the flag configurations of both runs. Where they can be, causes can be found.
func (c *comparison) compareConfigs(ctx context.Context) (Configs, error) {
	out := Configs{Changed: []ConfigChange{}}
	var flags [2]map[string]map[string]string
	for i, s := range c.sides() {
		run := s.files[0].Run
		if run.Manifest == nil || run.Manifest.FlagConfigs == nil {
			out.Words = configsMissing(s)
			return out, nil
		}
		var err error
		if c.configs[i], err = run.FlagConfigs(ctx); err == nil {
			flags[i], err = parseConfigs(c.configs[i])
		}
		if ctx.Err() != nil {
			return out, context.Cause(ctx)
		}
		if err != nil {
			out.Words = configsUnreadable(s, err)
			return out, nil
		}
	}
	all := maps.Clone(flags[0])
	maps.Copy(all, flags[1])
	out.Compared, out.Flags, c.causes = true, len(all), true
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
		out.Changed = append(out.Changed, change)
	}
	before, after := c.before.files[0].Run.Manifest, c.after.files[0].Run.Manifest
	if b, a := before.EngineSemantics(), after.EngineSemantics(); b != a {
		out.Semantics = []string{b, a}
	}
	out.Words = configsCompared(&out)
	return out, nil
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
			return nil, fmt.Errorf("flag %s is duplicated", key.Text)
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
