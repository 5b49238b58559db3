package check

import (
	"encoding/xml"
	"fmt"
	"strings"
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
	suite := junitSuite{Name: clean(r.Rules), Tests: len(r.Checks), Failures: r.Failed, Errors: r.Errors}
	for i := range r.Checks {
		res := &r.Checks[i]
		c := junitCase{Name: clean(res.Name), Class: clean(r.Rules), File: clean(r.Rules), Line: res.Line}
		switch res.Status {
		case Held:
			c.Out = clean(res.Found)
		case NotHeld:
			c.Failure = r.junitFailure(res)
		default:
			c.Error = r.junitFailure(res)
		}
		suite.Cases = append(suite.Cases, c)
	}
	data, err := xml.MarshalIndent(junitSuites{Tests: suite.Tests, Failures: suite.Failures, Errors: suite.Errors, Suites: []junitSuite{suite}}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	return append([]byte(xml.Header), append(data, '\n')...), nil
}

func (r *Report) junitFailure(res *Result) *junitFailure {
	lines := []string{"expected: " + res.Expected, "found: " + res.Found}
	lines = append(lines, res.Details...)
	for _, text := range r.rows(res) {
		lines = append(lines, "for example: "+text)
	}
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return &junitFailure{Message: clean(res.Found), Type: string(res.Kind), Text: "\n" + strings.Join(lines, "\n") + "\n"}
}
