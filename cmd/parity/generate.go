package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

// deployment is a set of flags and the users that both engines evaluate them for.
type deployment struct {
	semantics engine.Semantics
	flags     pipeline.Value   // a list of flag configurations
	users     []pipeline.Value // objects as [pipeline.ParseJSON] makes them
	keys      []string         // the flags asked for; nil for all
	bare      bool             // it has names that JavaScript's objects inherit; see reference.js
	typed     bool             // the users have the types of Parquet: integers, floats, dates
}

// probe is a flag with one condition and no bucket: it is on if the condition held.
type probe struct {
	op       string
	selector []string
}

var operators = []string{"is", "is not", "contains", "does not contain", "less", "less or equal", "greater",
	"greater or equal",
	"version less", "version less or equal", "version greater", "version greater or equal", "set is", "set is not",
	"set contains", "set does not contain", "set contains any", "set does not contain any", "regex match",
	"regex does not match"}

// Unusual values, for conditions and for users.
var (
	words = strings.Split("a b A ab pro Pro free DE de acme on true TRUE False tRuE false null undefined unknown n/a NaN "+
		"(none) {} c1 fal\u017fe \u212a", " ")
	numbers = []string{"0", "-0", "1", "1.0", "01", "+1", "-1", "10", "9", "1e3", "1E3", "1e+3", "1000", "0x10", "0X1f",
		"-0x10", "0x", "0b11", "0o17",
		"0b2", "1_000", "0x1_0", "Infinity", "-Infinity", "+Infinity", "infinity", "inf", "1e21", "1e400", "-1e400", "1e-400",
		"1e-7", ".5", "5.", ".", "-.5",
		"e5", "5e", "1e1.5", " 5 ", "\u00a05", "5\ufeff", "\u180e5", "\t5\n", "\u20285", "5\u200b", "5 5",
		"12345678901234567890", "9007199254740993", "0.1",
		"1,000", "٣", "１", "0x1fffffffffffff8", "-", "+", "--1", "0.30000000000000004", "5e-324", "1.7976931348623159e308",
		"5d", "5F", "1e3d", "5fd", " 5d ", "d", "0x1p3", "0x1.8P-1", "-0x.8p4d", "0x1p", "0x1.fffffffffffff8p0", "+NaN",
		"NaNd", "Infinityd", "\x005\x1f", "\x1c5", "18.0", "018", "1E7", "1.0E7"}
	versions = []string{"1.2", "1.2.3", "1.10", "1.2.3-beta", "1.2.3-beta.1", "1.2.3-", "1.2.3-a..b", "1.2.3-.a",
		"1.2.3-a.", "1.2.3-a_b", "1.2-a", "1.2.3+b",
		"v1.2.3", "1.2.3.4", "1", "1.", "01.02", "99999999999999999999.1", "1.99999999999999999999", "1.2.3-beta.10",
		"1.2.3-rc", " 1.2", "1.2\n", "1.٣", "1.2.3--",
		"1.2.3+build.5", "1.2.3-rc.1+b-1", "1.2+b", "1.2.3+", "1.2.3+a_b", "1.2.3+a+b", "1.2.3-+b", "1.2.3-01",
		"1.2.3-0", "1.2.3-01a", "1.2.3-a.02", "2147483647.0", "2147483648.0", "1.2147483648", "1.2.2147483648",
		"1.2.2147483647", "1.2.3+001", "1.2.0", "1.2.3-9", "1.2.3-10"}
	dates    = []string{"2024-01-15", "2024-01-15T10:00:00Z", "2023-12-31", "2024-02", "1705312800000", "2024-1-5"}
	literals = []string{"0", "-0", "1", "1.0", "1.50", "-1", "9", "10", "1e3", "1E+3", "1e21", "1E21",
		"123456789012345678901", "1e-7", "0.000001", "1e400",
		"-1e400", "12345678901234567890", "9007199254740993", "0.1", "1e-400", "123456789012345678", "31", "5", "2.5", "1e20",
		"0.30000000000000004", "5e-324",
		"2.0", "1e7", "10000000", "10000000.0", "9999999.9", "0.001", "0.00099", "0.00001", "9223372036854775807",
		"9223372036854775808", "-9223372036854775808", "-9223372036854775809", "1e23", "2e23", "9e-324", "17.50", "-0.0",
		"1000000.0", "0e0"}
	letters = []rune("aAbBzß\u1e9eΣσςΑαİıK\u212aÅ\u212bǅǆﬁé\u0301\u00ad'.:-_ " +
		"\u200d\u0345\u03a9\u1f88\u1f80Ა\u10d0\u13a0\uab70\U00010400\U00010428😀😎\ue000\uffee\uffff\u00a0\u2028\n\t\"\\/\b\f\x01\x7f\U0010ffff")
	// Names that JavaScript's objects inherit, and "length", which its lists have.
	inherited = []string{"constructor", "isPrototypeOf", "hasOwnProperty", "valueOf", "__proto__", "length"}
	malformed = []string{"[", "[a]", `["a",]`, `["a"] x`, " [\"a\"]", `["a"]]`, "[]", "[1,2", "[\u00a01]", `[01]`,
		`["\x"]`, "[\n\"a\"\t]", "[nul]", "[-]", `["a" "b"]`, "[\"\t\"]",
		"[a, b]", "[a,b]", "[1, x]", "['a', 'b']", "[a,,b]", `["a",,"b"]`, "[,a]", `["",""]`, `["a","a"]`, "[TRUE, false]",
		"[1.0, 2]", "[1e7,1]", "[NaN]", "[1d]", "[+1]", "[null, a]", "[{a:1}]", "[{a:b}]", `[{"a":x},1]`, "[[a],b]", "[a:b]",
		"[a b]", `["a"`, "[ ]", "[é, 😀]", `[a"b"]`, `["true","TRUE"]`, "[0x1p3]", "[0x10]", "[\u00a0]", "[a\\]", `["a", b]`,
		`[ "a" , "" ]`, "[9223372036854775808]", "[a", "[1 ,1]", `[ [""], [] ]`, "[/a.b-c]", "[\u2028]", "[\x7f]"}
	// javaAtoms and javaClassAtoms are parts of regular expressions of Java.
	javaAtoms = []string{"a", "b", "A", "1", "_", " ", "é", "😀", ".", "-", ",", "]", "}", "x{1", "{a}", "{,2}", `\d`, `\D`,
		`\w`, `\W`, `\s`, `\S`, `\h`, `\H`, `\v`, `\V`, `\R`, `\t`, `\n`, `\f`, `\r`, `\a`, `\e`, `\0`, `\01`, `\012`,
		`\0101`, `\0377`, `\0400`, `\cA`, `\c`, `\x41`, `\x4`, `\x{61}`, `\x{1F600}`, `\x{110000}`, `\u0061`, `\u006`,
		`\p{L}`, `\pL`, `\PN`, `\p{Lu}`, `\P{L}`, `\p{Alpha}`, `\p{Punct}`, `\p{Space}`, `\p{XDigit}`, `\p{`, `\A`, `\z`, `\Z`,
		`\G`, `\Qa.b\E`, `\Q[\E`, `\Q1`, `\E`, `\/`, `\.`, `\-`, `\$`, `\{`, `\_`, `\é`, `\😀`, `\y`, `\k`, "\u2028",
		"\u0085", "\n", "/", "&&", "#", "~", "\ue000", "\U0010ffff", "\x00", "(?i)", "(?s)", "(?m)", "(?-i)"}
	javaClassAtoms = []string{"a", "b", "z", "A", "Z", "0", "9", "-", "^", "[b-d]", "[^a]", ".", "*", "é", "😀", "&", "--", `\d`,
		`\D`, `\w`, `\W`, `\s`, `\S`, `\h`, `\v`, `\b`, `\n`, `\0`, `\01`, `\8`, `\cA`, `\x41`, `\x`, `\u0061`, `\uffff`, `\]`,
		`\\`, `\-`, `\^`, `\[`, `\&`, `\k`, `\p{L}`, `\p{Lower}`, `\P{N}`, `\/`, `\e`, " ", "\n", "\ue000", "\U0010ffff", "]",
		"&&[a-c]", "&&[^b]"}
)

type generator struct {
	*rand.Rand
	semantics engine.Semantics
	bare      bool
	palette   []string // texts that users and conditions of this deployment share
	numbers   []string // numbers that they share, as JSON
	names     []string // of properties
	flags     []string // all keys
	ops       []string // the operators of this deployment
	probes    map[string]probe
	users     []pipeline.Value
}

// generate returns the deployment with that number.
func generate(semantics engine.Semantics, seed, number uint64) (deployment, map[string]probe) {
	g := &generator{semantics: semantics, Rand: rand.New(rand.NewPCG(seed, number)), probes: map[string]probe{}}
	g.bare = g.IntN(8) == 0
	g.names = []string{"p", "q", "plan", "7", "ünï", "a.b"}
	if g.bare {
		g.names = append(g.names, inherited...)
	}
	g.ops = operators
	if g.oneIn(3) {
		g.ops = []string{pick(g, operators...), pick(g, operators...)}
	}
	g.palette, g.numbers = []string{pick(g, "a", "ΑΣ", "ΣΑΣ'Σ 1")}, []string{"1"}
	for range 8 {
		g.palette = append(g.palette, g.freshText())
	}
	d := deployment{semantics: semantics, bare: g.bare, typed: g.IntN(4) == 0}
	for range 3 {
		g.numbers = append(g.numbers, g.freshNumber())
	}
	for range 40 {
		g.users = append(g.users, g.randomUser())
	}
	d.users = g.users
	for i := range 1 + g.IntN(16) {
		g.flags = append(g.flags, pick(g, "flag-", "exp.", "", "ключ ")+strconv.Itoa(i))
	}
	d.flags = pipeline.Value{Kind: pipeline.List}
	for i, key := range g.flags {
		d.flags.Members = append(d.flags.Members, pipeline.Member{Value: g.randomFlag(i, key)})
	}
	g.Shuffle(len(d.flags.Members), func(i, j int) {
		d.flags.Members[i], d.flags.Members[j] = d.flags.Members[j], d.flags.Members[i]
	})
	if g.oneIn(6) {
		g.duplicateMember(&d.flags)
		clear(g.probes) // the flags may not be probes any more
	}
	if g.IntN(4) == 0 {
		d.keys = []string{}
		for range g.IntN(len(g.flags) + 2) {
			d.keys = append(d.keys, pick(g, append(slices.Clone(g.flags), "gone")...))
		}
	}
	return d, g.probes
}

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

func (g *generator) oneIn(in int) bool { return g.IntN(in) == 0 }

// randomText returns a string that a condition and a user often share.
func (g *generator) randomText() string {
	if g.IntN(4) > 0 {
		return pick(g, g.palette...)
	}
	return g.freshText()
}

func (g *generator) freshText() string {
	switch g.IntN(14) {
	case 12: // white space, and characters like it
		return g.randomRunes([]rune("\t\n\v\f\r \u0085\u00a0\u1680\u180e\u2000\u200a\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"), 2) + pick(g, "", "7", "a")
	case 13: // with a final sigma or not
		return g.randomRunes([]rune("ΑαΣΣΣσς'.\u00ad\u02b0\u0345 1"), 5)
	case 0, 1:
		return pick(g, words...)
	case 2, 3:
		return pick(g, numbers...)
	case 4:
		return g.randomVersion()
	case 5:
		return pick(g, dates...)
	case 6, 7:
		return g.randomLetters(5)
	case 8:
		return strconv.FormatFloat(g.NormFloat64()*pick(g, 1, 1e3, 1e10, 1e21, 1e-6), pick[byte](g, 'f', 'e', 'g'),
			g.IntN(20)-1, 64)
	case 9:
		if g.oneIn(3) {
			return pick(g, malformed...)
		}
		return g.randomJSONList()
	case 10:
		return pick(g, "", " ", "a", strconv.Itoa(g.IntN(20)))
	}
	return strconv.Itoa(g.IntN(2000) - 1000)
}

// randomRunes returns 1 to most of the letters.
func (g *generator) randomRunes(letters []rune, most int) string {
	s := make([]rune, 1+g.IntN(most))
	for i := range s {
		s[i] = pick(g, letters...)
	}
	return string(s)
}

func (g *generator) randomLetters(most int) string {
	var b strings.Builder
	for range g.IntN(most + 1) {
		r := pick(g, letters...)
		for g.oneIn(6) || r >= 0xd800 && r <= 0xdfff || hasNewerCase(r) {
			r = g.Int32N(pick[rune](g, 0x80, 0x800, 0x10000, unicode.MaxRune+1))
		}
		b.WriteRune(r)
	}
	return b.String()
}

// hasNewerCase reports whether r may have a lower case in Node that Go's Unicode tables do not know, or be such a lower
// case: see the doc.go of package engine.
func hasNewerCase(r rune) bool { return r > 0x7f && !unicode.In(r, assigned...) }

var assigned = []*unicode.RangeTable{unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Cc,
	unicode.Cf, unicode.Co}

func (g *generator) randomVersion() string {
	if g.oneIn(3) {
		return pick(g, versions...)
	}
	v := fmt.Sprintf("%d.%d", g.IntN(3), g.IntN(12))
	if g.oneIn(3) {
		return v
	}
	v += fmt.Sprintf(".%d", g.IntN(12))
	if g.oneIn(2) {
		v += "-" + pick(g, "", "a", "b", "rc.1", "rc.10", "beta", "B", "0", "_")
	}
	return v
}

// randomJSONList returns a JSON array as a string, without halves of surrogate pairs: see the doc.go of package engine.
func (g *generator) randomJSONList() string {
	text := string(g.randomList(2).AppendJSON(nil))
	if g.oneIn(4) {
		text = strings.ReplaceAll(text, ",", pick(g, " ,", ",\n", "\t,\r "))
	}
	if g.oneIn(6) {
		text = "[" + `{"b":1,"a":{"2":0,"1":[]},"b":"twice"}` + strings.Replace(text, "[", pick(g, ",", ""), 1)
	}
	return text
}

// randomValue returns any JSON value.
func (g *generator) randomValue(depth int) pipeline.Value {
	switch n := g.IntN(16); {
	case n < 6:
		return pipeline.StringValue(g.randomText())
	case n < 9:
		return g.randomNumber()
	case n < 10:
		return pipeline.BoolValue(g.oneIn(2))
	case n < 11:
		return pipeline.Value{}
	case depth == 0:
		return pipeline.StringValue(g.randomText())
	case n < 14:
		return g.randomList(depth - 1)
	case n < 15:
		return pipeline.StringValue(g.randomJSONList())
	}
	return g.randomObject(depth - 1)
}

func (g *generator) randomNumber() pipeline.Value {
	text := pick(g, g.numbers...)
	if g.oneIn(2) {
		text = g.freshNumber()
	}
	return pipeline.Value{Kind: pipeline.Number, Text: text}
}

func (g *generator) freshNumber() string {
	switch g.IntN(3) {
	case 0:
		return strconv.Itoa(g.IntN(200) - 100)
	case 1:
		return strconv.FormatFloat(g.NormFloat64()*pick(g, 1, 1e3, 1e15, 1e21, 1e-6, 1e-300, 1e300), pick[byte](g, 'f', 'e'),
			g.IntN(18)-1, 64)
	}
	return pick(g, literals...)
}

func (g *generator) randomList(depth int) pipeline.Value {
	v := pipeline.Value{Kind: pipeline.List}
	for range g.IntN(4) {
		value := g.randomValue(depth)
		switch n := len(v.Members); {
		case n > 0 && g.oneIn(5):
			value = v.Members[n-1].Value // twice
		case g.oneIn(16):
			value = pipeline.StringValue(pick(g, "", "true", "TRUE"))
		}
		v.Members = append(v.Members, pipeline.Member{Value: value})
	}
	return v
}

// randomObject returns an object with some of the names, each once and sorted.
func (g *generator) randomObject(depth int) pipeline.Value {
	v := pipeline.Value{Kind: pipeline.Object}
	for range g.IntN(4) {
		v.Members = setMember(v.Members, pick(g, g.names...), g.randomValue(depth))
	}
	pipeline.SortMembers(&v)
	return v
}

func setMember(members []pipeline.Member, name string, v pipeline.Value) []pipeline.Member {
	for i := range members {
		if members[i].Name == name {
			members[i].Value = v
			return members
		}
	}
	return append(members, pipeline.Member{Name: name, Value: v})
}

func makeObject(members ...pipeline.Member) pipeline.Value {
	return pipeline.Value{Kind: pipeline.Object, Members: members}
}

func makeTextList(list []string) pipeline.Value {
	v := pipeline.Value{Kind: pipeline.List}
	for _, s := range list {
		v.Members = append(v.Members, pipeline.Member{Value: pipeline.StringValue(s)})
	}
	return v
}

// randomUser returns an object in the form of the sources: no id is empty, and groups have the form of the API.
func (g *generator) randomUser() pipeline.Value {
	u := makeObject()
	set := func(name string, v pipeline.Value) { u.Members = setMember(u.Members, name, v) }
	id := func(name string) {
		if s := pick(g, g.randomText(), fmt.Sprint("user-", g.IntN(1e6))); s != "" && !g.oneIn(6) {
			set(name, pipeline.StringValue(s))
		}
	}
	id("user_id")
	id("device_id")
	if g.oneIn(2) {
		set("country", g.randomValue(0))
	}
	if g.oneIn(3) {
		set("cohort_ids", makeTextList([]string{"c1", g.randomText()}))
	}
	if g.oneIn(8) {
		set(pick(g, "p", "7", "version", "ünï"), g.randomValue(2))
	}
	if !g.oneIn(12) {
		p := g.randomObject(3)
		p.Members = setMember(p.Members, "p", g.randomValue(2))
		p.Members = setMember(p.Members, "q", g.randomValue(1))
		if g.oneIn(12) {
			deep := g.randomValue(1)
			for range g.IntN(60) {
				if g.oneIn(8) {
					deep = pipeline.Value{Kind: pipeline.List, Members: []pipeline.Member{{Value: deep}}}
				} else {
					deep = makeObject(pipeline.Member{Name: "d", Value: deep})
				}
			}
			p.Members = setMember(p.Members, "d", deep)
		}
		set("user_properties", p)
	}
	if g.oneIn(2) {
		groups, properties, cohorts := makeObject(), makeObject(), makeObject()
		for range g.IntN(4) {
			groupType := pick(g, "org", "team", "7")
			name := pipeline.StringValue(pick(g, "acme", g.randomText()))
			if g.oneIn(10) {
				name = g.randomValue(0)
			}
			list := pipeline.Value{Kind: pipeline.List, Members: []pipeline.Member{{Value: name}, {Value: g.randomValue(0)}}}
			list.Members = list.Members[:min(2, g.IntN(6))]
			groups.Members = setMember(groups.Members, groupType, list)
			key := g.randomText()
			if name.Kind == pipeline.String && !g.oneIn(4) {
				key = name.Text
			}
			if g.oneIn(2) {
				v := g.randomObject(2)
				if g.oneIn(10) {
					v = g.randomValue(1)
				}
				properties.Members = setMember(properties.Members, groupType, makeObject(pipeline.Member{Name: key, Value: v}))
			}
			if g.oneIn(2) {
				v := makeTextList([]string{"c1", g.randomText()}[:g.IntN(3)])
				cohorts.Members = setMember(cohorts.Members, groupType, makeObject(pipeline.Member{Name: key, Value: v}))
			}
		}
		set("groups", groups)
		if !g.oneIn(4) {
			set("group_properties", properties)
		}
		if g.oneIn(2) {
			set("group_cohort_ids", cohorts)
		}
	}
	pipeline.SortMembers(&u)
	return u
}

func (g *generator) randomSelector() []string {
	switch g.IntN(10) {
	case 0:
		return pick(g, []string{"context", "user", "user_id"}, []string{"context", "user", "device_id"},
			[]string{"context", "user", "country"},
			[]string{"context", "user", "cohort_ids"}, []string{"context", "user", "version"}, []string{"context", "user", "7"})
	case 1:
		return pick(g, []string{"context"}, []string{"context", "user"}, []string{"context", "groups"}, []string{"result"},
			[]string{}, []string{""},
			[]string{"context", ""}, []string{"context", "user", "groups"}, []string{"context", "user", "user_properties"},
			[]string{"context", "user", "user_id", "length"},
			[]string{"context", "user", "user_properties", ""}, []string{"other"}, []string{"context", "other"},
			[]string{"context", "user", "country", "0"})
	case 2:
		s := []string{"context", "groups", pick(g, "org", "org", "team", "7")}
		switch g.IntN(6) {
		case 0:
			return s
		case 1:
			return append(s, "group_name")
		case 2:
			return append(s, "cohort_ids")
		case 3:
			return append(s, "group_properties")
		}
		return append(s, "group_properties", pick(g, g.names...))
	}
	s := []string{"context", "user", "user_properties", pick(g, "p", "p", "q", "q", pick(g, g.names...))}
	for g.oneIn(4) {
		name := pick(g, g.names...)
		if g.oneIn(2) {
			name = pick(g, "0", "1", "2", "01", "-1", "length", "4294967295", "1.0")
		}
		s = append(s, name)
	}
	if g.oneIn(20) {
		s = s[:3]
		for range g.IntN(60) {
			s = append(s, pick(g, "d", "d", "d", "d", "d", "d", "d", "0"))
		}
	}
	return s
}

// randomConditionValues returns the values that an operator compares with.
func (g *generator) randomConditionValues(op string, selector []string) []string {
	n := pick(g, 0, 1, 1, 1, 2, 2, 3, 12)
	if n == 12 && !g.oneIn(4) {
		n = 1
	}
	values := make([]string, n)
	for i := range values {
		switch {
		case g.oneIn(12):
			values[i] = "(none)"
		case strings.HasPrefix(op, "regex"):
			values[i] = g.randomPattern()
		case strings.HasPrefix(op, "version") && !g.oneIn(4):
			values[i] = g.randomVersion()
		case (strings.HasPrefix(op, "less") || strings.HasPrefix(op, "greater")) && !g.oneIn(4):
			values[i] = pick(g, pick(g, numbers...), strconv.Itoa(g.IntN(200)-100))
		case (op == "contains" || op == "does not contain") && g.oneIn(8):
			values[i] = pick(g, "σ", "ς", "Σ", "ας", "ασ", "k", "i\u0307", "\u0307", "ss")
		case (op == "contains" || op == "does not contain") && g.oneIn(2):
			s := []rune(g.randomText())
			from := g.IntN(len(s) + 1)
			values[i] = strings.ReplaceAll(string(s[from:min(len(s), from+1+g.IntN(3))]), "Σ", pick(g, "σ", "ς", "Σ"))
		default:
			values[i] = g.randomText()
		}
		if g.oneIn(20) {
			values[i] = strings.ToUpper(values[i])
			if strings.ContainsFunc(values[i], hasNewerCase) {
				values[i] = ""
			}
		}
	}
	if len(values) > 0 && !strings.HasPrefix(op, "regex") && g.oneIn(2) {
		g.copyFromUser(values, selector)
	}
	if strings.HasPrefix(op, "set ") && n > 0 && g.oneIn(4) {
		values = append(values, pick(g, values[0], values[0], strings.ToUpper(values[0]), ""))
		if strings.ContainsFunc(values[n], hasNewerCase) {
			values[n] = ""
		}
	}
	return values
}

// copyFromUser sets values to what the selector finds in a random user.
func (g *generator) copyFromUser(values, selector []string) {
	v := lookUp(&g.users[g.IntN(len(g.users))], selector)
	if v == nil {
		return
	}
	if text := string(v.AppendText(nil)); v.Kind == pipeline.String && strings.HasPrefix(text, "[") {
		if list, err := pipeline.ParseJSON(text); err == nil {
			v = &list
		}
	}
	if v.Kind == pipeline.List {
		for i := range min(len(values), len(v.Members)) {
			values[i] = g.formatPlain(&v.Members[i].Value)
		}
		return
	}
	values[0] = g.formatPlain(v)
}

// formatPlain returns the value as text; most numbers as JavaScript or Java prints them.
func (g *generator) formatPlain(v *pipeline.Value) string {
	f, err := strconv.ParseFloat(v.Text, 64)
	if v.Kind != pipeline.Number || err != nil || f == 0 {
		return string(v.AppendText(nil))
	}
	if g.semantics == engine.Hosted && strings.ContainsAny(v.Text, ".eE") && g.IntN(4) > 0 {
		if math.Abs(f) < 1e-3 || math.Abs(f) >= 1e7 {
			s := strings.NewReplacer("E+0", "E", "E+", "E", "E-0", "E-").Replace(strconv.FormatFloat(f, 'E', -1, 64))
			if !strings.Contains(s, ".") {
				s = strings.Replace(s, "E", ".0E", 1)
			}
			return s
		}
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	if math.Abs(f) < 1e21 && math.Abs(f) >= 1e-6 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return string(v.AppendText(nil))
}

func (g *generator) randomCondition() (pipeline.Value, probe) {
	if g.oneIn(4) {
		return g.randomRuleCondition()
	}
	p := probe{pick(g, g.ops...), g.randomSelector()}
	if g.oneIn(100) {
		p.op = pick(g, "no such operator", "", "IS", "constructor")
	}
	if g.oneIn(6) && len(g.flags) > 0 {
		p.selector = []string{"result", pick(g, g.resultNames()...),
			pick(g, "key", "key", "value", "payload", "metadata", "new"),
			pick(g, append(slices.Clone(g.names), "0", "default", "segmentName")...)}[:1+g.IntN(4)]
		if len(p.selector) < 3 && g.semantics == engine.Hosted { // nobody can say what the text of a result is
			p.selector = []string{"result", pick(g, g.resultNames()...), "key"}
		}
	}
	values := g.randomConditionValues(p.op, p.selector)
	if len(p.selector) > 2 && p.selector[2] == "key" && !strings.HasPrefix(p.op, "regex") && len(values) > 0 {
		values[0] = pick(g, variantNames...)
	}
	return makeCondition(p, values), p
}

func makeCondition(p probe, values []string) pipeline.Value {
	return makeObject(
		pipeline.Member{Name: "selector", Value: makeTextList(p.selector)},
		pipeline.Member{Name: "op", Value: pipeline.StringValue(p.op)},
		pipeline.Member{Name: "values", Value: makeTextList(values)})
}

// randomRuleCondition returns a condition of a kind on which Amplitude's engines may differ, and gives some users values
// for it.
func (g *generator) randomRuleCondition() (pipeline.Value, probe) {
	elements := []string{"a", "a", "b", "", "1", "true", "TRUE"}
	values := make([]string, 1+g.IntN(3))
	var ops []string
	var randomValue func() pipeline.Value
	fill := func(random func() string) {
		for i := range values {
			values[i] = random()
		}
	}
	switch g.IntN(8) {
	case 0: // numbers that are texts, and texts that are no numbers
		ops = operators[4:8]
		text := func() string {
			return pick(g, pick(g, numbers...), strconv.Itoa(g.IntN(30)), pick(g, "unknown", "n/a", "", "a", "NaN"))
		}
		fill(text)
		randomValue = func() pipeline.Value { return pipeline.StringValue(text()) }
	case 1: // the texts of numbers
		ops = append(slices.Clone(operators[:8]), operators[12:18]...)
		list := []string{pick(g, literals...), g.freshNumber()}
		randomValue = func() pipeline.Value {
			v := pipeline.Value{Kind: pipeline.Number, Text: pick(g, list...)}
			if g.oneIn(3) {
				return makeList(v)
			}
			return v
		}
		fill(func() string { return g.formatPlain(&pipeline.Value{Kind: pipeline.Number, Text: pick(g, list...)}) })
	case 2:
		ops = operators[8:12]
		fill(func() string { return pick(g, pick(g, versions...), "1.2.3", g.randomVersion()) })
		randomValue = func() pipeline.Value { return pipeline.StringValue(pick(g, pick(g, versions...), g.randomVersion())) }
	case 3: // elements that are empty, or there twice
		ops = append(slices.Clone(operators[12:18]), "is", "is not")
		fill(func() string { return pick(g, elements...) })
		randomValue = func() pipeline.Value {
			v := pipeline.Value{Kind: pipeline.List}
			for range g.IntN(4) {
				v.Members = append(v.Members, pipeline.Member{Value: pipeline.StringValue(pick(g, elements...))})
			}
			if g.oneIn(3) {
				return pipeline.StringValue(string(v.AppendJSON(nil)))
			}
			return v
		}
	case 4: // lists in texts
		ops = append(slices.Clone(operators[12:18]), "is", "is not", "contains", "regex match", "regex does not match")
		fill(func() string { return pick(g, "a", "b", "1", "", "x", "1.0", "true", ".*") })
		randomValue = func() pipeline.Value { return pipeline.StringValue(pick(g, malformed...)) }
	case 5: // expressions without anchors
		ops = operators[18:]
		word := pick(g, "abc", "anna@example.com", "1.2.3", "DE", "line1\nline2")
		fill(func() string {
			from := g.IntN(len(word))
			s := word[from : from+1+g.IntN(len(word)-from)]
			return pick(g, "", ".*", "^") + strings.NewReplacer(".", `\.`, "\n", `\n`).Replace(s) + pick(g, "", ".*", "$", ".?")
		})
		randomValue = func() pipeline.Value { return pipeline.StringValue(pick(g, word, word+"\n", "x"+word, "other")) }
	case 6: // lists that are sets
		ops = append(slices.Clone(operators[14:16]), operators[12:18]...)
		twice := pick(g, []string{"a", "a"}, []string{"true", "TRUE"}, []string{"a", ""})
		values = twice[:1+g.IntN(2)]
		randomValue = func() pipeline.Value {
			return makeTextList(pick(g, twice, twice[:1], []string{twice[0], twice[0]}, []string{"b", "a", "a"}))
		}
	case 7: // elements and lengths of lists
		ops = operators
		fill(func() string { return pick(g, "a", "2", "(none)") })
		randomValue = func() pipeline.Value {
			return makeList(pipeline.StringValue(pick(g, "a", "b")), pipeline.StringValue("a"))
		}
	}
	p := probe{pick(g, ops...), []string{"context", "user", "user_properties", pick(g, "p", "q")}}
	for range 6 {
		i := g.IntN(len(g.users))
		properties := makeObject()
		if old := g.users[i].Get("user_properties"); old != nil {
			properties.Members = slices.Clone(old.Members)
		}
		properties.Members = setMember(properties.Members, p.selector[3], randomValue())
		pipeline.SortMembers(&properties)
		g.users[i].Members = setMember(slices.Clone(g.users[i].Members), "user_properties", properties)
		pipeline.SortMembers(&g.users[i])
	}
	if strings.HasPrefix(values[0], "2") || g.oneIn(30) {
		p.selector = append(p.selector, pick(g, "length", "0", "1"))
	}
	return makeCondition(p, values), p
}

// resultNames returns names of flags, and names that are not flags. (A flag cannot have an inherited name: the
// topologicalSort of the reference finds the inherited member in its place.)
func (g *generator) resultNames() []string {
	names := append(slices.Clone(g.flags), "gone")
	if g.bare {
		names = append(names, "constructor", "__proto__")
	}
	return names
}

var variantNames = []string{"on", "treatment", "control", "off", "7"}

func (g *generator) randomFlag(i int, key string) pipeline.Value {
	f := makeObject(pipeline.Member{Name: "key", Value: pipeline.StringValue(key)})
	set := func(o *pipeline.Value, name string, v pipeline.Value) {
		o.Members = append(o.Members, pipeline.Member{Name: name, Value: v})
	}
	if g.IntN(3) > 0 {
		condition, p := g.randomCondition()
		g.probes[key] = p
		set(&f, "variants", makeObject(pipeline.Member{Name: "on", Value: g.randomVariant("on")}))
		set(&f, "segments", makeList(makeObject(
			pipeline.Member{Name: "conditions", Value: makeList(makeList(condition))},
			pipeline.Member{Name: "variant", Value: pipeline.StringValue("on")})))
		if g.oneIn(4) {
			set(&f, "dependencies", g.randomDependencies(i))
		}
		return f
	}
	variants, names := makeObject(), variantNames[:1+g.IntN(len(variantNames))]
	for _, name := range names {
		set(&variants, name, g.randomVariant(name))
	}
	if g.oneIn(20) {
		set(&variants, "nothing", pipeline.Value{})
	}
	if g.bare {
		set(&variants, "constructor", g.randomVariant("constructor"))
	}
	variant := func() pipeline.Value {
		name := pick(g, names...)
		if g.oneIn(30) {
			return pipeline.Value{}
		}
		if g.oneIn(10) {
			name = pick(g, "gone", "nothing", "", "constructor")
			if name == "constructor" && !g.bare {
				name = ""
			}
		}
		return pipeline.StringValue(name)
	}
	segments := pipeline.Value{Kind: pipeline.List}
	for range g.IntN(4) {
		s := makeObject()
		if g.oneIn(3) {
			set(&s, "metadata", g.randomMetadata())
		}
		if g.IntN(3) > 0 {
			lists := pipeline.Value{Kind: pipeline.List}
			for range g.IntN(4) {
				list := pipeline.Value{Kind: pipeline.List}
				for range g.IntN(4) {
					condition, _ := g.randomCondition()
					list.Members = append(list.Members, pipeline.Member{Value: condition})
				}
				lists.Members = append(lists.Members, pipeline.Member{Value: list})
			}
			set(&s, "conditions", lists)
		} else if g.oneIn(4) {
			set(&s, "conditions", pipeline.Value{})
		}
		if g.IntN(3) > 0 {
			set(&s, "variant", variant())
		}
		if g.oneIn(2) {
			set(&s, "bucket", g.randomBucket(variant))
		} else if g.oneIn(8) {
			set(&s, "bucket", pipeline.Value{})
		}
		segments.Members = append(segments.Members, pipeline.Member{Value: s})
	}
	set(&f, "variants", variants)
	set(&f, "segments", segments)
	if g.oneIn(2) {
		set(&f, "metadata", g.randomMetadata())
	}
	if g.oneIn(2) {
		set(&f, "dependencies", g.randomDependencies(i))
	}
	return f
}

func makeList(values ...pipeline.Value) pipeline.Value {
	v := pipeline.Value{Kind: pipeline.List}
	for _, value := range values {
		v.Members = append(v.Members, pipeline.Member{Value: value})
	}
	return v
}

// randomDependencies returns flags before i, so that there is no cycle; and any flags now and then.
func (g *generator) randomDependencies(i int) pipeline.Value {
	if g.oneIn(10) {
		return pipeline.Value{}
	}
	var list []string
	for range g.IntN(4) {
		switch {
		case g.oneIn(8):
			list = append(list, "gone")
		case g.oneIn(400):
			list = append(list, pick(g, g.flags...))
		case i > 0:
			list = append(list, g.flags[g.IntN(i)])
		}
	}
	return makeTextList(list)
}

func (g *generator) randomBucket(variant func() pipeline.Value) pipeline.Value {
	selector := []string{"context", "user", "user_id"}
	if g.oneIn(3) {
		selector = g.randomSelector()
	}
	const top = 42949673
	span := func(top int) pipeline.Value {
		from, to := g.IntN(top+1), g.IntN(top+1)
		if !g.oneIn(10) { // otherwise the range may be inverted
			from, to = min(from, to), max(from, to)
		}
		text := func(n int) pipeline.Value {
			s := strconv.Itoa(n)
			switch g.IntN(12) {
			case 0:
				s += ".5"
			case 1:
				s = pick(g, "0", "-5", "1e9", "4294967296", "1e-3", strconv.Itoa(top))
			}
			return pipeline.Value{Kind: pipeline.Number, Text: s}
		}
		v := makeList(text(from), text(to))
		if g.oneIn(30) {
			v.Members = append(v.Members, pipeline.Member{Value: text(7)})
		}
		return v
	}
	allocations := pipeline.Value{Kind: pipeline.List}
	for range g.IntN(4) {
		distributions := pipeline.Value{Kind: pipeline.List}
		for range g.IntN(4) {
			d := makeObject(pipeline.Member{Name: "variant", Value: variant()}, pipeline.Member{Name: "range", Value: span(top)})
			if g.oneIn(20) {
				d.Members = d.Members[1:]
			}
			distributions.Members = append(distributions.Members, pipeline.Member{Value: d})
		}
		allocation := span(100)
		if g.oneIn(2) {
			allocation = makeList(pipeline.Value{Kind: pipeline.Number, Text: "0"},
				pipeline.Value{Kind: pipeline.Number, Text: "100"})
		}
		allocations.Members = append(allocations.Members, pipeline.Member{Value: makeObject(
			pipeline.Member{Name: "range", Value: allocation}, pipeline.Member{Name: "distributions", Value: distributions})})
	}
	return makeObject(pipeline.Member{Name: "selector", Value: makeTextList(selector)},
		pipeline.Member{Name: "salt", Value: pipeline.StringValue(pick(g, "", "salt", "añ😀", g.randomLetters(8)))},
		pipeline.Member{Name: "allocations", Value: allocations})
}

func (g *generator) randomVariant(name string) pipeline.Value {
	v := makeObject()
	set := func(name string, value pipeline.Value) {
		v.Members = append(v.Members, pipeline.Member{Name: name, Value: value})
	}
	if !g.oneIn(12) {
		set("key", pipeline.StringValue(pick(g, name, name, name, g.randomText())))
	}
	if g.oneIn(2) {
		set("value", replaceInfinities(g.randomValue(2)))
	}
	if g.oneIn(3) {
		set("metadata", g.randomMetadata())
	}
	if g.oneIn(2) {
		set("payload", replaceInfinities(g.randomValue(3)))
	}
	if g.oneIn(8) {
		set(pick(g, "new", "7"), replaceInfinities(g.randomValue(1)))
	}
	return v
}

func (g *generator) randomMetadata() pipeline.Value {
	if g.oneIn(20) {
		return pipeline.Value{}
	}
	m := makeObject()
	for range g.IntN(5) {
		name := pick(g, "segmentName", "experimentKey", "flagType", "evaluationMode", "default", "deployed", "x", "7", "10",
			"cohortIds")
		m.Members = setMember(m.Members, name, pick(g, pipeline.BoolValue(true), pipeline.BoolValue(false),
			pipeline.StringValue(g.randomText()),
			pipeline.StringValue("true"), replaceInfinities(g.randomValue(2))))
	}
	return m
}

// replaceInfinities replaces numbers beyond float64: they are Infinity to the reference, which it cannot report in
// JSON.
func replaceInfinities(v pipeline.Value) pipeline.Value {
	if v.Kind == pipeline.Number {
		if _, err := strconv.ParseFloat(v.Text, 64); err != nil {
			v.Text = "7"
		}
	}
	v.Members = slices.Clone(v.Members)
	for i := range v.Members {
		v.Members[i].Value = replaceInfinities(v.Members[i].Value)
	}
	return v
}

// duplicateMember duplicates a member of some object. The last one counts, at the position of the first.
func (g *generator) duplicateMember(v *pipeline.Value) {
	var objects []*pipeline.Value
	var walk func(v *pipeline.Value)
	walk = func(v *pipeline.Value) {
		if v.Kind == pipeline.Object && len(v.Members) > 0 {
			objects = append(objects, v)
		}
		for i := range v.Members {
			walk(&v.Members[i].Value)
		}
	}
	walk(v)
	for _, o := range objects { // variants that are overridden, but may still be named
		if i := slices.IndexFunc(o.Members, func(m pipeline.Member) bool { return m.Name == "variants" }); i >= 0 &&
			g.oneIn(4) {
			o.Members = slices.Insert(slices.Clone(o.Members), i,
				pipeline.Member{Name: "variants", Value: makeObject(pipeline.Member{Name: "gone", Value: g.randomVariant("gone")})})
		}
	}
	o := pick(g, objects...)
	m := pick(g, o.Members...)
	for range 20 { // give it the value of such a member of another object
		other := pick(g, objects...)
		if i := slices.IndexFunc(other.Members, func(n pipeline.Member) bool {
			return n.Name == m.Name &&
				n.Value.Kind == m.Value.Kind
		}); i >= 0 && other != o {
			m.Value = other.Members[i].Value
			break
		}
	}
	if m.Name == "key" && slices.ContainsFunc(o.Members, func(n pipeline.Member) bool { return n.Name == "segments" }) {
		return // the key of the flag itself
	}
	o.Members = slices.Insert(slices.Clone(o.Members), g.IntN(2), m)
	if o.Members[0].Name != m.Name && g.oneIn(2) {
		o.Members[0], o.Members[1] = o.Members[1], o.Members[0]
	}
}

var escapeMember = strings.NewReplacer(`\`, `\\`, `]`, `\]`, `[`, `\[`, `^`, `\^`, `-`, `\-`)

// randomPattern returns a regular expression of JavaScript, or of Java for the hosted semantics. It often matches
// something, and is sometimes invalid.
func (g *generator) randomPattern() string {
	java := g.semantics == engine.Hosted
	anyRune := "[^]"
	if java {
		anyRune = "(?s:.)"
	}
	if g.oneIn(8) {
		return pick(g, `^\s+[7a]?$`, `\S`, `^[\s7a]*$`, `^\s`, `[^\s7a]`, `^.$`, `^\w+$`, `\b`, `^\W`,
			`^`+anyRune+`$`, `\d$`, `.*`, `[0-9]+`, `.+@.+`, `\w+`)
	}
	if g.oneIn(3) { // a text, with some characters generalized
		var b strings.Builder
		if g.oneIn(2) {
			b.WriteByte('^')
		} else if java && g.oneIn(4) {
			b.WriteString(pick(g, ".*", "(?i)"))
		}
		for _, r := range g.randomText() {
			switch g.IntN(8) {
			case 0:
				b.WriteString(pick(g, ".", `\w`, `\S`, anyRune, `\D`, `.?`, `[^x]`, ".*"))
			case 1:
				b.WriteString("[" + escapeMember.Replace(string(r)) + "]")
			default:
				if strings.ContainsRune(`\.+*?()|[]{}^$/`, r) {
					b.WriteByte('\\')
				}
				b.WriteRune(r)
			}
		}
		if g.oneIn(2) {
			b.WriteByte('$')
		}
		return b.String()
	}
	var b strings.Builder
	g.writeAlternatives(&b, 2)
	s := b.String()
	if g.oneIn(12) { // break it somewhere
		r := []rune(s)
		if i := g.IntN(len(r) + 1); i < len(r) {
			s = string(r[:i]) + pick(g, "", `\`, "(", ")", "[", "]", "{", "*", "^", "(?") + string(r[i+1:])
		}
	}
	return s
}

func (g *generator) writeAlternatives(b *strings.Builder, depth int) {
	for {
		for range g.IntN(4) {
			g.writeTerm(b, depth)
		}
		if !g.oneIn(5) {
			return
		}
		b.WriteByte('|')
	}
}

var (
	atoms = []string{"a", "b", "A", "1", "_", " ", "é", "😀", ".", "-", ",", "]", "}", "{", "{,2}", "{a}", "{1", "x{1,",
		`\d`, `\D`, `\w`, `\W`, `\s`, `\s`, `\S`, `\S`, `\t`, `\n`, `\v`,
		`\f`, `\r`, `\0`, `\01`, `\12`, `\101`, `\377`, `\400`, `\8`, `\9`, `\1`, `\2`, `\k`, `\k<n>`, `\cA`, `\cz`, `\c`,
		`\c1`, `\x41`, `\x4`, `\xg`, `\u0061`, `\u006`, `\u{61}`,
		`\ud83d`, `\ude00`, `\ud83d\ude00`, `\p{L}`, `\P`, `\A`, `\z`, `\Z`, `\Q`, `\E`, `\G`, `\e`, `\a`, `\/`, `\.`, `\-`,
		`\$`, `\{`, `\_`, `\é`, `\😀`, `\` + "\n", "\u2028", "\n", "/",
		"&&", "#", "~", "\ue000", "\U0010ffff", "\x00", `\00`, `\u2028`}
	classAtoms = []string{"a", "b", "z", "A", "0", "9", "-", "^", "[", "[:alpha:]", ".", "*", "é", "😀", "&&", "--", "~~",
		`\d`, `\D`, `\w`, `\W`, `\s`, `\S`, `\b`, `\B`, `\n`, `\0`, `\01`, `\8`,
		`\cA`, `\c`, `\c1`, `\c_`, `\c*`, `\x41`, `\x`, `\u0061`, `\u`, `\ud83d`, `\udfff`, `\uffff`, `\]`, `\\`, `\-`, `\^`,
		`\k`, `\p{L}`, `\/`, `\e`, " ", "\n", "\ue000", "\U0010ffff"}
)

func (g *generator) writeTerm(b *strings.Builder, depth int) {
	switch n := g.IntN(14); {
	case n == 0:
		b.WriteString(pick(g, "^", "$", `\b`, `\B`))
		if !g.oneIn(20) {
			return
		}
	case n == 1 && depth > 0:
		b.WriteString(pick(g, "(", "(", "(?:", "(?<n>", "(?<"+
			pick(g, "n", "m", "$", "é", "_1", "1", "𐐀", `\u0061`, "a b", "")+">"))
		g.writeAlternatives(b, depth-1)
		b.WriteByte(')')
	case n == 2 && depth > 0 && g.oneIn(3):
		b.WriteString(pick(g, "(?=", "(?!", "(?<=", "(?<!", "(?i:", "(?i)", "(?P<n>", "(?-i:", "(?#"))
		g.writeAlternatives(b, depth-1)
		b.WriteByte(')')
	case n < 5:
		members := classAtoms
		if g.semantics == engine.Hosted {
			members = javaClassAtoms
		}
		b.WriteString(pick(g, "[", "[", "[^"))
		for range g.IntN(4) {
			b.WriteString(pick(g, members...))
			if g.oneIn(3) {
				b.WriteByte('-')
			}
		}
		b.WriteByte(']')
	case g.semantics == engine.Hosted:
		b.WriteString(pick(g, javaAtoms...))
	default:
		b.WriteString(pick(g, atoms...))
	}
	if g.oneIn(4) {
		b.WriteString(pick(g, "*", "+", "?", "{2}", "{0}", "{1,}", "{0,2}", "{2,1}", "{01}", "{1001}", "{,1}", "{ 1}",
			"{1, 2}", "**", "+*"))
		if g.oneIn(4) {
			b.WriteString(pick(g, "?", "+", "*"))
		}
	}
}

// lookUp returns the value that the selector finds in the user; nil if there is none, or if the selector does not lead
// into the user.
func lookUp(user *pipeline.Value, selector []string) *pipeline.Value {
	if len(selector) < 3 || selector[0] != "context" || selector[1] != "user" {
		return nil
	}
	v := user
	for _, name := range selector[2:] {
		if v.Kind == pipeline.List {
			if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(v.Members) && strconv.Itoa(i) == name {
				v = &v.Members[i].Value
				continue
			}
		}
		if v = v.Get(name); v == nil {
			return nil
		}
	}
	return v
}
