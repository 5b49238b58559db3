package page

import (
	"html/template"
	"math"
	"strconv"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

const (
	looks      = 8  // colours and patterns of variants
	nameLength = 60 // of a name inside an accessible name
)

// bar is a stacked bar.
type bar struct {
	Name  string // its accessible name
	Parts []segment
	Lines []template.CSS // where shares should end
}

type segment struct {
	Look  string
	Style template.CSS
}

// labelled is a share of a bar.
type labelled struct {
	look, name string
	share      float64
}

// newBar stacks shares of a whole, and others for those of the whole that are not among them. Its accessible name has
// all.
func newBar(head string, shares []labelled, whole float64) *bar {
	b := &bar{}
	var names []string
	add := func(look, name string, share float64) {
		names = append(names, text.Shorten(name, nameLength)+" "+text.Percent(share))
		if share > 0 {
			b.Parts = append(b.Parts, segment{look, template.CSS("width:" + cssPercent(share))})
		}
	}
	for _, s := range shares {
		add(s.look, s.name, s.share)
		whole -= s.share
	}
	if whole >= 1e-6 {
		add("rest", "others", whole)
	}
	b.Name = head + strings.Join(names, ", ")
	return b
}

// looksOf are the colours and patterns of variants: the first control is grey and plain, all others have another one.
func looksOf(treatments []bool) []string {
	names := make([]string, len(treatments))
	next, control := 0, false
	for i, treatment := range treatments {
		if !treatment && !control {
			control, names[i] = true, "v0"
			continue
		}
		names[i] = "v" + strconv.Itoa(1+next%(looks-1))
		next++
	}
	return names
}

// cssPercent is a share as a length of CSS.
func cssPercent(share float64) string {
	return strconv.FormatFloat(math.Round(share*1e4)/100, 'f', -1, 64) + "%"
}
