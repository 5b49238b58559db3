package main

import (
	"iter"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// shrink makes the deployment as small as possible while differs still returns a difference of the same kind.
func shrink(d *deployment, first *difference, differs func(*deployment) (*difference, error)) (*deployment, *difference,
	error) {
	last := first
	try := func(candidate *deployment) (bool, error) {
		found, err := differs(candidate)
		if err != nil || found == nil || found.kind != first.kind {
			return false, err
		}
		d, last = candidate, found
		return true, nil
	}
	if first.user >= 0 {
		begin := *d
		begin.users = []pipeline.Value{d.users[first.user]}
		if _, err := try(&begin); err != nil {
			return nil, nil, err
		}
	}
	for smaller := true; smaller; {
		smaller = false
		for candidate := range smallerDeployments(d) {
			better, err := try(candidate)
			if err != nil {
				return nil, nil, err
			}
			if better {
				smaller = true
				break // start again with the smaller one
			}
		}
	}
	return d, last, nil
}

// smallerDeployments yields deployments that are a little smaller than d.
func smallerDeployments(d *deployment) iter.Seq[*deployment] {
	return func(yield func(*deployment) bool) {
		with := func(change func(*deployment)) bool {
			c := *d
			change(&c)
			return yield(&c)
		}
		if d.typed && !with(func(c *deployment) { c.typed = false }) || d.keys != nil &&
			!with(func(c *deployment) { c.keys = nil }) ||
			d.bare && !usesInherited(d) && !with(func(c *deployment) { c.bare = false }) {
			return
		}
		for n := len(d.users) / 2; n > 0; n /= 2 { // fewer users
			for from := 0; from+n <= len(d.users); from += n {
				if !with(func(c *deployment) { c.users = slices.Delete(slices.Clone(d.users), from, from+n) }) {
					return
				}
			}
		}
		for v := range yieldSimpler(&d.flags) {
			if v.Kind == pipeline.List && !with(func(c *deployment) { c.flags = v }) {
				return
			}
		}
		for i := range d.users {
			for v := range yieldSimpler(&d.users[i]) {
				if isValidUser(&v) && !with(func(c *deployment) { c.users = slices.Clone(d.users); c.users[i] = v }) {
					return
				}
			}
		}
	}
}

// usesInherited reports whether d has a name that JavaScript's objects inherit.
func usesInherited(d *deployment) bool {
	text := string(d.flags.AppendJSON(nil))
	for i := range d.users {
		text += string(d.users[i].AppendJSON(nil))
	}
	return slices.ContainsFunc(inherited, func(name string) bool { return strings.Contains(text, name) })
}

// isValidUser reports whether a source could have made the user. For other users, the engines may differ.
func isValidUser(v *pipeline.Value) bool {
	if v.Kind != pipeline.Object {
		return false
	}
	for i := range v.Members {
		switch m := &v.Members[i]; m.Name {
		case "user_id", "device_id":
			if m.Value.Kind != pipeline.String || m.Value.Text == "" {
				return false
			}
		case "groups":
			if m.Value.Kind != pipeline.Object || slices.ContainsFunc(m.Value.Members,
				func(m pipeline.Member) bool { return m.Value.Kind != pipeline.List }) {
				return false
			}
		case "group_properties", "group_cohort_ids":
			if m.Value.Kind != pipeline.Object || slices.ContainsFunc(m.Value.Members,
				func(m pipeline.Member) bool { return m.Value.Kind != pipeline.Object }) {
				return false
			}
		}
	}
	return true
}

// yieldSimpler yields values that are a little smaller than v, the smallest first.
func yieldSimpler(v *pipeline.Value) iter.Seq[pipeline.Value] {
	return func(yield func(pipeline.Value) bool) { simplify(v, yield) }
}

func simplify(v *pipeline.Value, yield func(pipeline.Value) bool) bool {
	switch v.Kind {
	case pipeline.String:
		return simplifyText(v.Text, func(s string) bool { return yield(pipeline.StringValue(s)) })
	case pipeline.Number:
		for _, s := range []string{"0", "1", strings.SplitN(v.Text, ".", 2)[0], v.Text[:max(1, len(v.Text)/2)],
			v.Text[:len(v.Text)-1]} {
			if len(s) < len(v.Text) && s != "" && '0' <= s[len(s)-1] && s[len(s)-1] <= '9' &&
				!yield(pipeline.Value{Kind: pipeline.Number, Text: s}) {
				return false
			}
		}
	case pipeline.List, pipeline.Object:
		for n := len(v.Members); n > 0; n /= 2 { // remove all, halves, quarters, single members
			for from := 0; from+n <= len(v.Members); from += n {
				w := *v
				w.Members = slices.Delete(slices.Clone(v.Members), from, from+n)
				if !yield(w) {
					return false
				}
			}
		}
		for i := range v.Members { // replace the value by one of its members
			if m := &v.Members[i].Value; !yield(*m) {
				return false
			}
		}
		for i := range v.Members {
			if !simplify(&v.Members[i].Value, func(member pipeline.Value) bool {
				w := *v
				w.Members = slices.Clone(v.Members)
				w.Members[i].Value = member
				return yield(w)
			}) {
				return false
			}
		}
	}
	return true
}

func simplifyText(s string, yield func(string) bool) bool {
	r := []rune(s)
	for n := len(r); n > 0; n /= 2 {
		for from := 0; from+n <= len(r); from += n {
			if !yield(string(slices.Delete(slices.Clone(r), from, from+n))) {
				return false
			}
		}
	}
	for i := range r {
		for _, plain := range []rune{'0', 'a'} {
			if r[i] == plain || r[i] == '0' {
				break
			}
			w := slices.Clone(r)
			w[i] = plain
			if !yield(string(w)) {
				return false
			}
		}
	}
	return true
}
