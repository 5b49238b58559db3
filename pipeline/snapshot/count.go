package snapshot

// counter counts the users of an output by flag and variant, while they are read, and finds what is wrong with them as
// far as that needs no other file than the manifest.
type counter struct {
	users, assigned                   int64
	disordered, disagreeing, repeated int64

	lastRow int64
	column  string // an example of disagreeing
	flags   []flagUsers
}

// flagUsers counts the users of a flag.
type flagUsers struct {
	assigned, others int64
	variants         []int64 // by Key
	seen             int64   // the number of the last user who had the flag
}

func (c *counter) count(u *User) {
	c.users++
	if u.Row <= c.lastRow {
		c.disordered++
	}
	c.lastRow = u.Row
	if u.Differs != "" {
		c.disagreeing++
		c.column = u.Differs
	}
	repeated := false
	for i := range u.Assignments {
		a := &u.Assignments[i]
		if int(a.Flag) >= len(c.flags) {
			c.flags = append(c.flags, make([]flagUsers, int(a.Flag)+1-len(c.flags))...)
		}
		f := &c.flags[a.Flag]
		repeated = repeated || f.seen == c.users
		f.seen = c.users
		if !a.Assigned {
			f.others++
			continue
		}
		f.assigned++
		c.assigned++
		if int(a.Variant) >= len(f.variants) {
			f.variants = append(f.variants, make([]int64, int(a.Variant)+1-len(f.variants))...)
		}
		f.variants[a.Variant]++
	}
	if repeated {
		c.repeated++
	}
}

// problems are what is wrong with the users that r has read, to the end of the file. listed is what the manifest says
// of the file; nil: it does not list it.
func (c *counter) problems(r *Reader, m *Manifest, listed *File) (found []Problem) {
	add := func(p Problem) {
		if p.Got != p.Want {
			found = append(found, p)
		}
	}
	add(Problem{Code: Disordered, Got: c.disordered})
	add(Problem{Code: Disagreeing, Got: c.disagreeing, Column: c.column})
	add(Problem{Code: RepeatedFlag, Got: c.repeated})
	if m == nil {
		return found
	}
	if listed != nil {
		add(Problem{Code: WrongRows, Got: r.Records(), Want: listed.Rows})
	}
	everybody := r.Wide || r.layout.Everybody()
	if everybody || c.users > m.Users.Answered {
		add(Problem{Code: WrongUsers, Got: c.users, Want: m.Users.Answered})
	}
	return append(found, c.flagProblems(r, m, everybody)...)
}

// flagProblems are where the counts by flag and variant are not those of the manifest.
func (c *counter) flagProblems(r *Reader, m *Manifest, everybody bool) (found []Problem) {
	add := func(code Code, flag, variant string, got, want int64) {
		if got != want {
			found = append(found, Problem{Code: code, Flag: flag, Variant: variant, Got: got, Want: want})
		}
	}
	known := make([]bool, len(c.flags))
	for _, want := range m.Flags {
		var got flagUsers
		if key, ok := r.findKey(want.Flag); ok && int(key) < len(c.flags) {
			got, known[key] = c.flags[key], true
		}
		add(WrongAssigned, want.Flag, "", got.assigned, want.Assigned)
		if everybody {
			add(WrongOthers, want.Flag, "", got.others, want.NotAssigned)
		}
		listed := make([]bool, len(got.variants))
		for _, v := range want.Variants {
			var users int64
			if key, ok := r.findKey(v.Variant); (ok || v.Variant == "") && int(key) < len(got.variants) {
				users, listed[key] = got.variants[key], true
			}
			add(WrongVariant, want.Flag, v.Variant, users, v.Users)
		}
		for key, users := range got.variants {
			if !listed[key] {
				add(UnknownVariant, want.Flag, r.Keys.Name(Key(key)), users, 0)
			}
		}
	}
	for key, f := range c.flags {
		if !known[key] {
			add(UnknownFlag, r.Keys.Name(Key(key)), "", f.assigned+f.others, 0)
		}
	}
	return found
}
