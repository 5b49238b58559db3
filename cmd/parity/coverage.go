package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// shapes are the kinds of values that conditions meet, as the table names them.
var shapes = []string{"missing", "null", "bool", "number", "empty", "text", "numeric text", "version", "date", "list",
	"JSON list", "object",
	"group", "result", "other"}

// coverage counts what was compared.
type coverage struct {
	deployments, pairs, variants  int
	refused, unanswered, patterns int
	cells                         map[[2]string]*cell // by operator and shape; only flags with a single condition count
}

type cell struct{ pairs, held int }

func (c *coverage) countDeployment(d *deployment, probes map[string]probe, ev *evaluation) {
	c.deployments++
	c.pairs += len(ev.answers)
	c.unanswered += ev.unanswered
	c.patterns += len(ev.patterns)
	if ev.refused != nil {
		c.refused++
		return
	}
	for i, v := range ev.answers {
		if v != nil {
			c.variants++
		}
		p, ok := probes[ev.request.asked[i%len(ev.request.asked)]]
		if !ok {
			continue
		}
		c.findCell(p.op, classifyShape(&d.users[i/len(ev.request.asked)], p.selector)).countPair(v != nil)
	}
}

func (c *coverage) findCell(op, shape string) *cell {
	if !slices.Contains(operators, op) {
		op = "(unknown)"
	}
	if c.cells == nil {
		c.cells = map[[2]string]*cell{}
	}
	key := [2]string{op, shape}
	if c.cells[key] == nil {
		c.cells[key] = &cell{}
	}
	return c.cells[key]
}

func (c *cell) countPair(held bool) {
	c.pairs++
	if held {
		c.held++
	}
}

func classifyShape(user *pipeline.Value, selector []string) string {
	switch {
	case len(selector) > 1 && selector[0] == "result":
		return "result"
	case len(selector) > 2 && selector[1] == "groups":
		return "group"
	case len(selector) < 3 || selector[1] != "user":
		return "other" // whole objects, and paths that lead nowhere
	}
	v := lookUp(user, selector)
	if v == nil {
		return "missing"
	}
	switch v.Kind {
	case pipeline.Null:
		return "null"
	case pipeline.Bool:
		return "bool"
	case pipeline.Number:
		return "number"
	case pipeline.List:
		return "list"
	case pipeline.Object:
		return "object"
	}
	switch s := v.Text; {
	case s == "":
		return "empty"
	case s[0] == '[':
		return "JSON list"
	case strings.Count(s, ".") == 2 && s[0] >= '0' && s[0] <= '9':
		return "version"
	case len(s) >= 10 && s[4] == '-':
		return "date"
	default:
		if _, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil {
			return "numeric text"
		}
		return "text"
	}
}

// listOneSided returns the operators that always held or never did.
func (c *coverage) listOneSided() (ops []string) {
	for _, op := range operators {
		var sum cell
		for _, shape := range shapes {
			sum.pairs += c.findCell(op, shape).pairs
			sum.held += c.findCell(op, shape).held
		}
		if sum.held == 0 || sum.held == sum.pairs {
			ops = append(ops, op)
		}
	}
	return ops
}

func (c *coverage) printSummary(w io.Writer, took time.Duration) {
	fmt.Fprintf(w, "%d pairs of a flag and a user in %d deployments agree (%.0f a second); %d gave a variant\n",
		c.pairs, c.deployments, float64(c.pairs)/took.Seconds(), c.variants)
	fmt.Fprintf(w, "not evaluated: %d deployments with a dependency cycle, which both refuse; %d flags whose regular "+
		"expressions "+
		"are unknown to Go or refused by both (%d), and flags that depend on them\n\n", c.refused, c.unanswered, c.patterns)
	fmt.Fprintf(w, "flags with one condition, by the value that it met: pairs (thousands), and how many of them held\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\t%s\t\n", strings.Join(shapes, "\t"))
	for _, op := range append(slices.Clone(operators), "(unknown)") {
		fmt.Fprintf(t, "%s\t", op)
		for _, shape := range shapes {
			cell := c.findCell(op, shape)
			fmt.Fprintf(t, "%d %.0f%%\t", (cell.pairs+999)/1000, 100*float64(cell.held)/float64(max(1, cell.pairs)))
		}
		fmt.Fprintln(t)
	}
	t.Flush()
	if ops := c.listOneSided(); len(ops) > 0 {
		fmt.Fprintf(w, "always the same result: %q\n", ops)
	}
}
