package page

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

const (
	openFindings = 8 // more are folded
	fewMore      = 2 // are not folded: the line that unfolds them would take as much room
)

var (
	//go:embed *.html
	files embed.FS
	//go:embed page.css
	pageCSS string
)

// templates are parsed by the commands that write a page, and no others.
var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"clean": text.Clean, "prose": prose, "sentence": sentence, "percent": text.Percent,
		"thousands":   func(n any) string { return text.Thousands(reflect.ValueOf(n).Int()) },
		"count":       func(n any, noun string) string { return text.Count(reflect.ValueOf(n).Int(), noun) },
		"round":       round,
		"failedShare": failedShare,
		"times":       times,
	}).ParseFS(files, "*.html"))
})

// Origin says how a page was made.
type Origin struct {
	Made    time.Time
	Version string // of rollcall
}

type (
	// frame is what all pages have: a head with the verdict and the findings, and a foot.
	frame struct {
		CSS              template.CSS
		Kind             string
		Unit, Units      string // what is counted: "Users", "users"
		Names            string // of the snapshots
		About            []string
		Verdict          mark
		Sentence         string
		Findings, Folded []finding
		Notes            []string
		Made             string
		Runs             []fact
		Files            []snapshot.File
	}

	// mark is a verdict: a class for its colour, a sign and a word.
	mark struct{ Class, Sign, Word string }

	finding struct {
		Mark mark
		Text []part
	}
	// part is a piece of a sentence. Names are set apart, because their writing direction may be another one.
	part struct{ Text, Name, Link string }

	fact struct{ Name, Value string }

	snapshotView struct {
		Which          string // before or after, of a diff
		Name           string
		Mark           mark
		Problems       []string
		Figures, Facts []fact
	}

	matrix struct {
		Columns []string
		Rows    []matrixRow
		Left    string // which flags are not in it
	}
	matrixRow struct {
		Name  string
		Cells []cell
	}
	cell struct {
		Class, Text, Name string
		None              bool // of the other half
	}
)

func newFrame(kind, names string, unit stats.Unit, verdict mark, sentence string, files []snapshot.File,
	o Origin) frame {
	f := frame{CSS: template.CSS(pageCSS), Kind: kind, Names: names, Units: unit.Noun(2), Verdict: verdict,
		Sentence: sentence,
		Made:     "Made by rollcall"}
	for _, file := range files {
		same := func(f snapshot.File) bool { return f.Path == file.Path && f.SHA256 == file.SHA256 }
		if !slices.ContainsFunc(f.Files, same) {
			f.Files = append(f.Files, file)
		}
	}
	f.Unit = text.Capitalize(f.Units)
	if o.Version != "" {
		f.Made += " " + o.Version
	}
	if !o.Made.IsZero() {
		f.Made += ", " + text.Minute(o.Made) + " UTC"
	}
	f.Made += "."
	return f
}

// addRun adds the run of a snapshot to the footer.
func (f *frame) addRun(id, path, version string, from, to time.Time) {
	if id == "" {
		return
	}
	value := path + ", " + formatSpan(from, to)
	if version != "" {
		value += ", by rollcall " + version
	}
	f.Runs = append(f.Runs, fact{id, value})
}

func newSnapshotView(path string, complete bool, problems []string) snapshotView {
	v := snapshotView{Name: filepath.Base(path), Mark: mark{"ok", "✓", "complete"}, Problems: problems}
	if !complete {
		v.Mark = mark{"alert", "▲", "not to be trusted"}
	}
	if v.Name != path {
		v.Facts = append(v.Facts, fact{"File", path})
	}
	return v
}

// unfoldFew opens what is folded if that is little.
func unfoldFew[T any](open, folded *[]T) {
	if len(*folded) <= fewMore {
		*open, *folded = append(*open, *folded...), nil
	}
}

// The marks.
var (
	alert   = mark{"alert", "▲", "alert"}
	warn    = mark{"warn", "◆", "warning"}
	differs = mark{"note", "●", "differs"}
	note    = mark{"note", "●", "note"}
	shares  = mark{"note", "●", "as all"} // deviates as all users do
	ok      = mark{"ok", "✓", "ok"}
	none    = mark{"none", "–", "not tested"}
)

// verdicts are the marks of all verdicts and severities, the worst first. Any other is not tested.
var verdicts = []struct {
	verdict string
	mark    mark
}{{"alert", alert}, {"warn", warn}, {"differs", differs}, {"note", note}, {"shares", shares}, {"ok", ok}, {"", none}}

func markOf[V ~string](verdict V) mark {
	for _, v := range verdicts {
		if v.verdict == string(verdict) {
			return v.mark
		}
	}
	return none
}

// testMark is the mark of a test, which may be nil.
func testMark(t *stats.Test) mark {
	if t == nil || !t.Tested() {
		return none
	}
	return markOf(t.Verdict)
}

func (m mark) bad() bool { return m == alert || m == warn }

func worse(a, b mark) mark {
	for _, v := range verdicts {
		if v.mark == a || v.mark == b {
			return v.mark
		}
	}
	return none
}

// prose is a sentence with no line broken inside a number.
func prose(s string) string { return text.Unbroken(text.Clean(s)) }

// sentence is prose that begins with a capital letter.
func sentence(s string) string { return text.Capitalize(prose(s)) }

// round is a number that is not whole as a count.
func round(n float64) string { return text.Thousands(int64(n + 0.5)) }

func ratio(n, of int64) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// formatSpan is a time span in UTC, without what its ends have in common.
func formatSpan(first, last time.Time) string {
	if first.IsZero() {
		return ""
	}
	from, to := text.Minute(first), text.Minute(last)
	switch {
	case last.IsZero() || from == to:
		return from + " UTC"
	case from[:10] == to[:10]:
		to = to[11:]
	}
	return fmt.Sprintf("%s to %s UTC", from, to)
}

func execute(name string, view any) ([]byte, error) {
	var b bytes.Buffer
	if err := templates().ExecuteTemplate(&b, name, view); err != nil {
		return nil, fmt.Errorf("make the page: %w", err)
	}
	return b.Bytes(), nil
}
