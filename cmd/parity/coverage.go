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
	unknown                       int                 // pairs of which nobody can say what the hosted API answers
	cells                         map[[2]string]*cell // by operator and shape; only flags with a single condition count
	rules                         [10][2]int          // see countRules
}

type cell struct{ pairs, held int }

func (c *coverage) countDeployment(d *deployment, probes map[string]probe, ev *evaluation, r *response) {
	c.deployments++
	c.pairs += len(ev.answers)
	c.unanswered += ev.unanswered
	c.patterns += len(ev.patterns)
	if ev.refused != nil {
		c.refused++
		return
	}
	c.countRules(r)
	for i, v := range ev.answers {
		if r.Answers[i] == unknownAnswer {
			c.unknown++
			c.pairs--
			continue
		}
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

// countRules adds, for each of the nine rules, the probed pairs on which the hosted reference answers differently
// without the rule: for how many the condition holds with it, and for how many it does not. The last row counts the
// pairs on which it answers differently without all of them, as the npm engine does.
func (c *coverage) countRules(r *response) {
	for i := range r.Rules {
		c.rules[i][0] += r.Rules[i][0]
		c.rules[i][1] += r.Rules[i][1]
	}
}

// listUnexercised returns the rules that did not decide for both outcomes. By rule 1, a condition always holds.
func (c *coverage) listUnexercised() (missing []string) {
	for i, n := range c.rules {
		rule := fmt.Sprintf("rule %d makes", i+1)
		if i == 9 {
			rule = "the rules together make"
		}
		if n[0] == 0 {
			missing = append(missing, rule+" a condition hold")
		}
		if n[1] == 0 && i != 0 {
			missing = append(missing, rule+" a condition not hold")
		}
	}
	return missing
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
	if c.unknown > 0 {
		fmt.Fprintf(w, "left out: %d pairs that depend on the version of Java\n\n", c.unknown)
	}
	if c.rules[9] != [2]int{} {
		fmt.Fprintln(w, "rules of the hosted API, on a sample of the flags with one condition: pairs that a rule decides")
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(t, "\t1\t2\t3\t4\t5\t6\t7\t8\t9\tall\t\n")
		for i, outcome := range []string{"holds", "does not hold"} {
			fmt.Fprintf(t, "%s\t", outcome)
			for _, n := range c.rules {
				fmt.Fprintf(t, "%d\t", n[i])
			}
			fmt.Fprintln(t)
		}
		t.Flush()
		fmt.Fprintln(w)
	}
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
