package check

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// The elements of JUnit's XML, as far as build servers agree on them.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		File    string        `xml:"file,attr"`
		Line    int           `xml:"line,attr"`
		Failure *junitFailure `xml:"failure"`
		Error   *junitFailure `xml:"error"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",cdata"`
	}
)

// JUnit is the report as a build server reads it: a test case for each check, an error where it could not be decided.
func (r *Report) JUnit() ([]byte, error) {
	rules := text.Clean(r.Rules)
	suite := junitSuite{Name: rules, Tests: len(r.Checks), Failures: r.Failed, Errors: r.Errors}
	for i := range r.Checks {
		res := &r.Checks[i]
		c := junitCase{Name: text.Clean(res.Name), Class: rules, File: rules, Line: res.Line}
		switch res.Status {
		case Held:
			c.Out = text.Clean(r.found(res))
		case NotHeld:
			c.Failure = r.junitFailure(res)
		default:
			c.Error = r.junitFailure(res)
		}
		suite.Cases = append(suite.Cases, c)
	}
	suites := junitSuites{Tests: suite.Tests, Failures: suite.Failures, Errors: suite.Errors, Suites: []junitSuite{suite}}
	data, err := xml.MarshalIndent(suites, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	return append([]byte(xml.Header), append(data, '\n')...), nil
}

func (r *Report) junitFailure(res *Result) *junitFailure {
	lines := append([]string{"expected: " + r.expected(res.Check), "found: " + r.found(res)}, r.details(res)...)
	for _, row := range r.exampleRows(res) {
		lines = append(lines, "for example: "+row)
	}
	for i := range lines {
		lines[i] = text.Clean(lines[i])
	}
	return &junitFailure{Message: text.Clean(r.found(res)), Type: string(res.Kind), Text: "\n" +
		strings.Join(lines, "\n") + "\n"}
}
