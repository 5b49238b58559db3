package page

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

var update = flag.Bool("update", false, "write the golden file anew")

var origin = Origin{Made: time.Date(2026, 1, 3, 9, 30, 0, 0, time.UTC), Version: "1.2.3"}

func exampleFiles() []snapshot.File {
	return []snapshot.File{{Path: "users.csv", SHA256: strings.Repeat("1f", 32)},
		{Path: "out/example.parquet", SHA256: strings.Repeat("0a", 32)},
		{Path: "users.csv", SHA256: strings.Repeat("1f", 32)}, {Path: "elsewhere.csv"}}
}

func counts(users int64, expected []float64, treatments ...int64) report.Counts { // the first is control
	c := report.Counts{Users: users}
	for _, n := range treatments {
		c.Assigned += n
	}
	c.NotAssigned = users - c.Assigned
	share := func(n, of int64) report.Share {
		s := report.Share{Share: ratio(n, of)}
		s.Low, s.High = stats.Wilson(n, of)
		return s
	}
	c.Reach = share(c.Assigned, users)
	for i, n := range treatments {
		v := report.Variant{Key: "control", Treatment: i > 0, Users: n, OfUsers: ratio(n, users), Split: share(n, c.Assigned)}
		if i > 0 {
			v.Key = "bold-" + strconv.Itoa(i)
		}
		if expected != nil {
			v.Expected = &expected[i]
			should := expected[i] * float64(c.Assigned)
			v.ExpectedUsers = &should
		}
		c.Variants = append(c.Variants, v)
	}
	slices.SortFunc(c.Variants, func(a, b report.Variant) int { return strings.Compare(a.Key, b.Key) })
	return c
}

// example is a report with something of everything.
func example() *report.Report {
	half, third := []float64{0.5, 0.5}, 1/3.
	day := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	fine := &stats.Test{Verdict: stats.OK, P: 0.2, Corrected: 1}
	off := &stats.Test{Verdict: stats.Alert, P: 1e-9, Corrected: 1e-7, W: 0.17}
	small := &stats.Test{Verdict: stats.None, P: 1, Corrected: 1,
		None: "too few users: 3.1 expected in the smallest group, 5 are needed"}
	r := &report.Report{
		Files: exampleFiles(), Format: 1, Tests: 60, Families: []report.Family{{Name: report.FamilySplit, Tests: 2},
			{Name: report.FamilySlices, Tests: 58}},
		Verdict: report.Verdict{Severity: report.Alert, Text: "not as it should be: 2 alerts and 1 warning, by 60 tests"},
		Findings: []report.Finding{
			{Severity: report.Alert, Kind: report.KindExclusion, Flag: "checkout", Other: "pay",
				Says: report.Statement{Text: "12 users have a variant of both, 5 a treatment of both, although group mutex " +
					"makes them exclude each other"}},
			{Severity: report.Alert, Kind: report.KindSplit, Flag: "checkout", Column: "country", Slice: "FR",
				Says: report.Statement{Text: "not split as expected: control 41.7 % instead of 50.0 %, w = 0.165, p = 7e-15"}},
			{Severity: report.Warn, Kind: report.KindNobody, Flag: "old", Says: report.Statement{Text: "nobody got a variant"}},
			{Severity: report.Note, Kind: report.KindFailed, Column: "country", Slice: "DE",
				Says: report.Statement{Text: "2.0 % failed, of all 0.2 %; w = 0.010, p = 0.0050"}},
		},
		Snapshots: []report.Snapshot{
			{Path: "out/example.parquet", Manifest: "out/example.parquet.manifest.json", RunID: "20260102T030405Z-example",
				Version: "1.2.2", StartedAt: day, FinishedAt: day.Add(time.Hour), Resumes: 1,
				Users: snapshot.Users{Read: 12000, Answered: 11970, Failed: 30,
					FailedByKind: map[pipeline.Kind]int64{pipeline.KindUnavailable: 30}}, InFile: 11970, Records: 35910,
				First: day, Last: day.Add(30 * time.Hour), Everybody: true, Complete: true, Checksum: true, Problems: []string{},
				Warnings: []string{"columns that are not used: email"}},
			{Path: "elsewhere.csv", InFile: 10, Records: 10,
				Problems: []string{"there is no manifest beside it: the run is not finished, or the file was moved alone"},
				Warnings: []string{}},
		},
		Users: report.Users{Users: snapshot.Users{Read: 12010, Answered: 11980, Failed: 30}, InFile: 11980},
		Columns: []report.Column{
			{Name: "country", FailingResult: report.Statement{Text: "of the users with country = DE, 2.0 % failed, of all " +
				"0.2 %; w = 0.010, p = 0.0050"}, Failing: &stats.Test{Verdict: stats.Warn}},
			{Name: "plan", FailingResult: report.Statement{Text: "not tested: no user failed"},
				Slices: []report.Slice{{Label: "free", Users: 11980}}},
		},
		Cohorts: []report.Cohort{
			{Name: "vip", File: "vips.csv", Named: true, Members: 500, Found: 480, Failed: 1, Missing: 19, Users: 480,
				Flags: []report.CohortFlag{{Flag: "checkout", Assigned: 12, Exposed: 5, Reach: report.Share{Share: 0.025},
					Everybody: 0.999, Variants: []report.CohortVariant{
						{Variant: "bold-1", Treatment: true, Users: 5, OfUsers: 5. / 480, Everybody: 0.5},
						{Variant: "control", Users: 7, OfUsers: 7. / 480, Everybody: 0.49}}}}},
			{Name: "staff", File: "lists/staff.json", Members: 3, Missing: 3},
		},
		Flags: []report.Flag{
			{Key: "checkout", Verdict: report.Alert, Expected: report.Expectation{Source: "--expect",
				Split: engine.Split{Variants: []engine.Weight{{Variant: "bold-1", Share: 0.5}, {Variant: "control", Share: 0.5}}}},
				Counts: counts(11980, half, 5826, 6144)},
			{Key: "old", Verdict: report.Warn, Counts: counts(11980, nil)},
			{Key: "pay", Verdict: report.Alert, Expected: report.Expectation{Source: "flags.json",
				Split: engine.Split{Assigned: &third}}, Counts: counts(11980, nil, 0, 3990)},
			{Key: "prices", Verdict: report.NotTested, Expected: report.Expectation{Source: "flags.json",
				Split: engine.Split{None: engine.NoSplit{Reason: engine.SplitIDsDiffer}}},
				Counts: counts(11980, nil, 2000, 1000, 1000)},
		},
		Overlaps: []report.Overlap{
			{A: "checkout", B: "pay", Treatments: 5, Independent: 2046, Assigned: 12, Group: "mutex",
				GroupType: engine.MutualExclusion, Exclusive: true,
				Result: report.Statement{Text: "12 users have a variant of both"}},
			{A: "checkout", B: "prices", Treatments: 1900, Independent: 1025.7, Assigned: 4000, Test: off,
				Result: report.Statement{Text: "which variant of one a user gets depends on the other"}},
			{A: "pay", B: "prices", Treatments: 670, Independent: 666.1, Assigned: 1400, Test: fine,
				Result: report.Statement{Text: "670 users are in a treatment of both"}},
		},
		Notes: []string{"Of more than 1024 flags, only the first ones in the file are looked at in pairs."},
	}
	r.Flags[0].Test, r.Flags[0].Against, r.Flags[0].Result.Text = fine, report.AgainstExpected,
		"split as expected, p = 0.20"
	r.Flags[0].LeftOut = 2
	fifth := 0.29 // those with a device id, of whom a third should have it
	r.Flags[2].ExpectedReach = &fifth
	r.Flags[2].Variants = slices.DeleteFunc(r.Flags[2].Variants, func(v report.Variant) bool { return v.Key == "control" })
	r.Flags[2].Allocation, r.Flags[2].AllocationResult.Text = fine, "as many as expected (33.3 %) have a variant, p = 1"
	r.Flags[3].Result.Text = "no one split is expected"
	slice := func(label string, c report.Counts, test *stats.Test, against, words string) report.FlagSlice {
		c.Test, c.Against, c.Result.Text = test, against, words
		s := report.FlagSlice{Column: "country", Label: label, Kind: report.SliceValue, Counts: c,
			Verdict: report.SliceNotTested}
		switch {
		case test == nil || !test.Tested():
		case test.Verdict == stats.OK:
			s.Verdict = report.SliceOK
		case against == report.AgainstOthers:
			s.Verdict = report.SliceDiffers
		default:
			s.Verdict = report.SliceAlert
		}
		return s
	}
	r.Flags[0].Slices = append(r.Flags[0].Slices, slice("FR", counts(2511, half, 1047, 1464), off, report.AgainstExpected,
		"not split as expected: control 41.7 % instead of 50.0 %, w = 0.165, p = 7e-15"))
	r.Flags[3].Slices = append(r.Flags[3].Slices, slice("FR", counts(2511, nil, 800, 100, 100), off, report.AgainstOthers,
		"split unlike all others"))
	for i := range 12 {
		label := fmt.Sprintf("country-%d", i)
		r.Columns[0].Slices = append(r.Columns[0].Slices, report.Slice{Label: label, Users: 1000, Failed: int64(i)})
		r.Flags[0].Slices = append(r.Flags[0].Slices, slice(label, counts(1000, half, 490, 500), fine, report.AgainstExpected,
			"split as expected, p = 1"))
		r.Flags[2].Slices = append(r.Flags[2].Slices, slice(label, counts(1000, nil, 0, int64(300+i)), nil, "", ""))
		r.Flags[2].Slices[i].Variants = r.Flags[2].Slices[i].Variants[:1]
		r.Flags[2].Slices[i].ExpectedReach = &fifth
	}
	r.Flags[0].Slices = append(r.Flags[0].Slices, slice("(other)", counts(11, half, 3, 4), small, report.AgainstExpected,
		"not tested: "+small.None), slice("(none)", counts(3, half, 0, 0), small, "", ""))
	return r
}

func render(tb testing.TB, r *report.Report) []byte {
	tb.Helper()
	data, err := Report(r, origin)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestGolden(t *testing.T) {
	const file = "testdata/report.html"
	got := render(t, example())
	if *update {
		if err := os.MkdirAll("testdata", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" || err != nil {
		t.Errorf("%s: %v (-want +got; -update writes it anew):\n%s", file, err, diff)
	}
}

// elements are all that a page is made of.
var elements = strings.Fields(`html head meta title style body a header p h1 h2 h3 h4 main section nav article footer div span bdi
	ul li dl dt dd table caption thead tbody tr th td figure figcaption details summary i b`)

// attributes are all that its elements have.
var attributes = strings.Fields(`lang dir charset http-equiv content name class id href style scope role aria-label aria-labelledby aria-hidden`)

// checkPage reads the page as XML, which it is too: so every element is closed where it was opened. Nothing in it is
// invisible, or changes the direction of text.
func checkPage(data []byte) error {
	if at := bytes.IndexFunc(data, func(r rune) bool {
		return !unicode.IsPrint(r) && r != '\n' &&
			r != '\u00a0'
	}); at >= 0 || !utf8.Valid(data) {
		return fmt.Errorf("the page is not clean: at byte %d", at)
	}
	d := xml.NewDecoder(bytes.NewReader(data))
	var stack, texts, used []string
	ids := map[string]bool{}
	level := 0
	captions := 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			name := token.Name.Local
			stack = append(stack, name)
			if !slices.Contains(elements, name) {
				return fmt.Errorf("there is an element %s", name)
			}
			has := map[string]string{}
			for _, a := range token.Attr {
				has[a.Name.Local] = a.Value
				if !slices.Contains(attributes, a.Name.Local) || a.Name.Space != "" {
					return fmt.Errorf("an element %s has an attribute %s", name, a.Name.Local)
				}
			}
			if len(name) == 2 && name[0] == 'h' && name[1] >= '1' && name[1] <= '4' {
				next := int(name[1] - '0')
				if next > level+1 {
					return fmt.Errorf("a heading %s comes after one of level %d", name, level)
				}
				level = next
			}
			if id := has["id"]; id != "" {
				if ids[id] {
					return fmt.Errorf("id %s is duplicated", id)
				}
				ids[id] = true
			}
			if href, isLink := has["href"]; isLink {
				target, inside := strings.CutPrefix(href, "#")
				if !inside {
					return fmt.Errorf("a link leads to %q", href)
				}
				used = append(used, target)
			}
			if by := has["aria-labelledby"]; by != "" {
				used = append(used, by)
			}
			switch {
			case name == "th" && has["scope"] == "":
				return fmt.Errorf("a th has no scope")
			case name == "table":
				captions++
			case name == "caption":
				captions--
			case has["role"] == "img" && has["aria-label"] == "":
				return fmt.Errorf("a bar has no name")
			case name == "i" && stack[len(stack)-2] == "div" && has["style"] == "":
				return fmt.Errorf("a part of a bar has no width")
			case strings.Contains(has["style"], "ZgotmplZ") || strings.Contains(has["class"], "ZgotmplZ"):
				return fmt.Errorf("html/template refused %v", has)
			}
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if len(stack) == 0 || stack[len(stack)-1] != "style" {
				texts = append(texts, string(token))
			}
		}
	}
	for _, id := range used {
		if !ids[id] {
			return fmt.Errorf("nothing has id %q", id)
		}
	}
	if captions != 0 {
		return fmt.Errorf("%d tables have no caption", captions)
	}
	if text := strings.Join(texts, ""); strings.Contains(text, "ZgotmplZ") || strings.Contains(text, "<no value>") {
		return fmt.Errorf("the template has a hole")
	}
	return nil
}

func TestPage(t *testing.T) {
	empty := &report.Report{Verdict: report.Verdict{Severity: report.OK, Text: "nothing found"}}
	for name, r := range map[string]*report.Report{"example": example(), "empty": empty, "many": many(30, 40)} {
		t.Run(name, func(t *testing.T) {
			data := render(t, r)
			if err := checkPage(data); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if at := regexp.MustCompile(`(?i)https?:|url\(|@import|<script|javascript:| on[a-z]+=`).Find(data); at != nil {
				t.Errorf("%s: the page has %q", name, at)
			}
		})
	}
}

// TestSays: what somebody looks for is there, in this order.
func TestSays(t *testing.T) {
	text := string(render(t, example()))
	text = text[strings.Index(text, "<body>"):]
	for _, want := range []string{
		`12,010 users`, `20260102T030405Z-example`,
		`Not as it should be: 2 alerts and 1 warning, by 60 tests`,
		// of the lists, that of --cohort; before the findings
		`<span class="mark note"><span aria-hidden="true">●</span> cohort</span><p><a href="#cohort-1"><bdi>vip</bdi></a>: ` +
			`480 of 500 members are found among the users, 1 failed, 19 never seen; 5 users in a treatment of checkout</p>`,
		// both alert, before old
		`<a href="#flag-1"><bdi>checkout</bdi></a> and <a href="#flag-2"><bdi>pay</bdi></a>: 12 users`,
		`, where <bdi>country</bdi> = <bdi>FR</bdi>: not split as expected: control 41.7` + "\u00a0%",
		"p\u00a0=\u00a07e\u221215",
		`Failing depends on <bdi>country</bdi>: of the users with <bdi>country</bdi> = <bdi>DE</bdi>`,
		`Can the snapshot be trusted?`, `complete</span>`, `30 unavailable`, `1 time<`, `not to be trusted</span>`,
		`There is no manifest beside it`,
		`<article id="cohort-1"`, `<th scope="row"><bdi>checkout</bdi></th><td><bdi>any</bdi></td><td class="n">12</td>` +
			`<td class="n">2.5 %</td><td class="n">99.9 %</td>`,
		`<td><bdi></bdi></td><td><bdi>control</bdi></td><td class="n">7</td><td class="n">1.5 %</td><td class="n">49.0 %</td>`,
		`<bdi>staff</bdi>`, `0 of 3 members are found among the users, 3 never seen; no member is found`,
		`<article id="flag-1"`, `aria-label="Split: control 48.7 %, bold-1 51.3 %"`,
		`aria-label="Expected: control 50.0 %, bold-1 50.0 %"`,
		`<bdi>FR</bdi> <span class="mark alert">`, `aria-label="control 41.7 %, bold-1 58.3 %"`, `style="left:50%"`,
		`7 more slices by <bdi>country</bdi>`, `too few users`, `nobody here got a variant`,
		`With a variant 33.3 %, expected 29.0 %`, `None of 11,980 users got a variant.`, `differs</span>`,
		`class="mx"`, `although they exclude each other`, `1.9`,
		`Of more than 1024 flags`, `corrected (Holm) for all tests of its family: 2 of flags`, `by rollcall 1.2.2`,
		strings.Repeat("0a", 32), `not known`,
	} {
		at := strings.Index(text, want)
		if at < 0 {
			t.Fatalf("the page does not say %q after what comes before it", want)
		}
		text = text[at:]
	}
}

// FuzzHTML: whatever the names are, they are text.
func FuzzHTML(f *testing.F) {
	for _, s := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</style></title>`, "{{.}}",
		"\x00\x1b[31m\u202e", "\xff\xfe", "]]>", "<!--", strings.Repeat("x", 300), "תשלום", "'onclick='", "\ufffe"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, key, label string) {
		if len(key)+len(label) > 1000 {
			return
		}
		r := example()
		r.Verdict.Text, r.Notes = label, []string{key}
		r.Snapshots[0].Path, r.Snapshots[0].RunID, r.Snapshots[0].Version, r.Snapshots[0].Warnings,
			r.Snapshots[1].Problems = key, label, key, []string{label}, []string{key}
		r.Columns[0].Name, r.Columns[0].FailingResult.Text, r.Columns[0].Slices[0].Label = key, label, label
		for i := range r.Flags {
			fl := &r.Flags[i]
			fl.Key, fl.Result.Text = key+fl.Key, label
			for k := range fl.Variants {
				fl.Variants[k].Key += label
			}
			for k := range fl.Slices {
				fl.Slices[k].Column, fl.Slices[k].Label, fl.Slices[k].Result.Text = key, label, label
			}
		}
		for i := range r.Cohorts {
			c := &r.Cohorts[i]
			c.Name, c.File = key, label
			for k := range c.Flags {
				c.Flags[k].Flag, c.Flags[k].Variants[0].Variant = key, label
			}
		}
		for i := range r.Findings {
			fi := &r.Findings[i]
			fi.Flag, fi.Column, fi.Slice, fi.Says.Text = key+fi.Flag, key, label, label
		}
		for i := range r.Overlaps {
			r.Overlaps[i].A, r.Overlaps[i].B, r.Overlaps[i].Result.Text, r.Overlaps[i].Group = key+r.Overlaps[i].A, key+
				r.Overlaps[i].B, label, key
		}
		r.Files = []snapshot.File{{Path: label, SHA256: key}}
		data, err := Report(r, Origin{Version: key})
		if err == nil {
			err = checkPage(data)
		}
		if err != nil {
			t.Errorf("key %q, label %q: %v", key, label, err)
		}
	})
}

// many is a report on n flags, with n slices each.
func many(flags, slices int) *report.Report {
	r := example()
	one := r.Flags[0]
	r.Flags, r.Findings, r.Overlaps = nil, nil, nil
	third := []float64{1 / 3., 1 / 3., 1 / 3.}
	for i := range flags {
		f := one
		f.Key = fmt.Sprintf("experiment-number-%03d", i)
		f.Counts = counts(30_000_000, third, 10_000_000, 9_999_000, 10_001_000)
		f.Slices = nil
		for k := range slices {
			s := report.FlagSlice{Column: []string{"country", "plan"}[k%2], Label: fmt.Sprintf("a country with number %d", k),
				Counts: counts(600_000, third, 200_000, 190_000, 210_000)}
			s.Test, s.Against, s.Result.Text = &stats.Test{Verdict: stats.OK}, report.AgainstExpected, "split as expected, p = 1"
			f.Slices = append(f.Slices, s)
		}
		r.Flags = append(r.Flags, f)
		for k := range i {
			if len(r.Overlaps) < 5000 {
				r.Overlaps = append(r.Overlaps, report.Overlap{A: r.Flags[k].Key, B: f.Key, Treatments: 500, Independent: 490.2,
					Assigned: 2000, Result: report.Statement{Text: "500 users are in a treatment of both"}})
			}
		}
	}
	return r
}

// TestSize: a page of 200 flags with 50 slices each and 5,000 pairs can still be sent by mail.
func TestSize(t *testing.T) {
	if got, most := len(render(t, many(200, 50))), 10<<20; got > most {
		t.Errorf("%d bytes, want at most %d", got, most)
	}
}

func BenchmarkHTML(b *testing.B) {
	r := many(200, 50)
	for b.Loop() {
		render(b, r)
	}
}

// TestContrast computes the contrasts of the palette (WCAG 2.2, 1.4.3 and 1.4.11): 4.5 for text, 3 for what has to be
// seen to read a figure.
func TestContrast(t *testing.T) {
	light, dark, found := strings.Cut(pageCSS, "@media screen and (prefers-color-scheme: dark)")
	if !found {
		t.Fatal("there is no dark mode")
	}
	dark = dark[:strings.Index(dark, "* {")]
	for mode, css := range map[string]string{"light": light, "dark": dark} {
		colors := map[string]string{}
		for _, m := range regexp.MustCompile(`--([a-z0-9-]+): (#[0-9a-f]{6})\b`).FindAllStringSubmatch(css, -1) {
			colors[m[1]] = m[2]
		}
		check := func(front, back string, least float64) {
			t.Helper()
			if colors[front] == "" || colors[back] == "" {
				t.Errorf("%s: there is no colour %s or %s", mode, front, back)
			} else if got := contrast(colors[front], colors[back]); got < least {
				t.Errorf("%s: %s on %s has a contrast of %.2f, want %.1f", mode, front, back, got, least)
			}
		}
		for _, back := range []string{"paper", "panel", "alert-tint", "warn-tint", "ok-tint", "note-tint", "m1", "m2", "m3",
			"m4"} {
			check("ink", back, 4.5)
		}
		for _, back := range []string{"paper", "alert-tint", "warn-tint", "ok-tint", "note-tint"} {
			for _, front := range []string{"muted", "link", "alert", "warn", "ok", "note"} {
				check(front, back, 4.5)
			}
		}
		check("paper", "alert", 4.5) // the matrix
		check("edge", "paper", 3)
		for i := range looks {
			check("v"+strconv.Itoa(i), "paper", 3)
		}
	}
}

func contrast(a, b string) float64 {
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func luminance(hex string) (l float64) {
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, _ := strconv.ParseUint(hex[1+2*i:3+2*i], 16, 8)
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		l += weight * c
	}
	return l
}

// TestRows: where users are repeated, the page counts rows and says so.
func TestRows(t *testing.T) {
	r := example()
	r.Unit = stats.UnitRows
	text := string(render(t, r))
	for _, want := range []string{"Rows by <bdi>country</bdi>", "1,000 rows, ", "Rows in a treatment of two flags",
		"Of all rows", "12,010 rows", "rows read", "rows that got one"} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(text, want) {
				t.Errorf("the page of a report in rows does not say %q", want)
			}
		})
	}
}

// TestManyVariants: of a flag with very many variants the page shows the most frequent ones.
func TestManyVariants(t *testing.T) {
	r := example()
	many := make([]int64, 20_000)
	for i := range many {
		many[i] = 1
	}
	many[0], many[7], many[19_000] = 5000, 3000, 2000
	f := report.Flag{Key: "many", Verdict: report.NotTested, Counts: counts(40_000, nil, many...)}
	for i := range 20 {
		f.Slices = append(f.Slices, report.FlagSlice{Column: "country", Label: fmt.Sprint("country-", i), Counts: f.Counts})
	}
	r.Flags = append(r.Flags, f)
	page := render(t, r)
	if len(page) > 200_000 {
		t.Errorf("the page has %d bytes, want at most 200,000", len(page))
	}
	for _, want := range []string{"And 19,980 more variants with 19,980 users.", "<bdi>bold-19000</bdi>",
		", others 66.6 %", `<i class="rest"`} {
		t.Run(want, func(t *testing.T) {
			if !bytes.Contains(page, []byte(want)) {
				t.Errorf("the page does not say %q", want)
			}
		})
	}
	if err := checkPage(page); err != nil {
		t.Error(err)
	}
}

// TestLines: bars and the lines in them are of the same users, of whom some have their variant not by chance.
func TestLines(t *testing.T) {
	half := []float64{0.5, 0.5}
	c := counts(1000, half, 300, 500) // 200 of them are left out, and all of these have bold-1
	c.LeftOut = 200
	bold, control, reach := 500., 300., 0.9
	c.Variants[0].ExpectedUsers, c.Variants[1].ExpectedUsers, c.ExpectedReach = &bold, &control, &reach
	f := report.Flag{Key: "f", Counts: c, Expected: report.Expectation{Source: "flags.json",
		Split: engine.Split{Variants: []engine.Weight{{Variant: "bold-1", Share: 0.5}, {Variant: "control", Share: 0.5}}}}}
	f.Slices = []report.FlagSlice{{Column: "country", Label: "DE", Counts: c}}
	out := newSection(&f, stats.UnitUsers)
	if got := out.Groups[0].Open[0].Bar; string(got.Lines[0]) != "left:37.5%" ||
		string(got.Parts[0].Style) != "width:37.5%" {
		t.Errorf("control has %s, and should end at %s; want 37.5%%, the 300 of 800 users who got one", got.Parts[0].Style,
			got.Lines[0])
	}
	if got := out.Expected.Parts[0].Style; got != "width:37.5%" {
		t.Errorf("expected of control: %s, want 37.5%%", got)
	}
	if got := out.Whole.Lines[0]; got != "left:90%" {
		t.Errorf("the line in the bar of all users is at %s, want 90%%: the expected share of all users", got)
	}
}

// TestNotesLast: no note comes before an alert, also where alerts are folded.
func TestNotesLast(t *testing.T) {
	r := example()
	r.Findings, r.Cohorts = nil, nil
	for i := range 6 {
		r.Findings = append(r.Findings, report.Finding{Severity: report.Alert, Kind: report.KindSplit, Flag: "checkout",
			Says: report.Statement{Text: fmt.Sprintf("alert %d", i)}})
	}
	r.Findings = append(r.Findings, report.Finding{Severity: report.Warn, Kind: report.KindNobody, Flag: "old",
		Says: report.Statement{Text: "a warning"}})
	for i := range 3 {
		r.Findings = append(r.Findings, report.Finding{Severity: report.Note, Kind: report.KindWarning,
			Says: report.Statement{Text: fmt.Sprintf("note %d", i)}})
	}
	v := newReportView(r, origin)
	seen := false
	for _, f := range slices.Concat(v.Findings, v.Folded) {
		if seen && f.Mark == alert {
			t.Errorf("findings %+v, folded %+v: a note comes before an alert", v.Findings, v.Folded)
			break
		}
		seen = seen || f.Mark == note
	}
	if len(v.Findings) != 4 || len(v.Folded) != 6 {
		t.Errorf("%d findings and %d folded, want 3 alerts and a warning, and 6", len(v.Findings), len(v.Folded))
	}
}

// TestOrder: alerts, warnings, not tested, ok.
func TestOrder(t *testing.T) {
	r := &report.Report{Flags: []report.Flag{
		{Key: "a", Verdict: report.OK}, {Key: "b", Verdict: report.NotTested}, {Key: "c", Verdict: report.Warn},
		{Key: "d", Verdict: report.Alert}, {Key: "e", Verdict: report.NotTested},
	}}
	var order []string
	for _, f := range newReportView(r, origin).Flags {
		order = append(order, f.Key)
	}
	if got := strings.Join(order, " "); got != "d c b e a" {
		t.Errorf("flags %s, want alerts, warnings, not tested, ok: d c b e a", got)
	}
}
