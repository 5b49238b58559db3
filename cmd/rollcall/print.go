package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// result is what report, check and diff found out, in the forms in which it is printed.
type result interface {
	JSON() ([]byte, error)
	Markdown() string
	Table(width int) string
}

// printResult prints a result in one of the formats: json, junit where it has that form, markdown, or a table as wide
// as the terminal. The last two are for a person, and hold nothing that a terminal acts on.
func printResult(w io.Writer, format string, r result) (err error) {
	var output []byte
	switch format {
	case "json":
		output, err = r.JSON()
	case "junit":
		output, err = r.(interface{ JUnit() ([]byte, error) }).JUnit()
	case "markdown":
		output = []byte(text.CleanLines(r.Markdown()))
	default:
		width, ok := terminalWidth(w)
		if !ok {
			width = 80
		}
		output = []byte(text.CleanLines(r.Table(max(width, 40))))
	}
	if err != nil {
		return err
	}
	_, err = w.Write(output)
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// stdout is standard output. An error of a pipe that nobody reads any more is an [errQuiet].
type stdout struct{ io.Writer }

func (s stdout) Write(p []byte) (int, error) {
	n, err := s.Writer.Write(p)
	if errors.Is(err, errClosedPipe) {
		err = &exitError{fmt.Errorf("%w: %w", errQuiet, err), errQuiet.code}
	}
	return n, err
}

// keepVerdict is the error that a command ends with which has found verdict, nil or not, and printed it with the error
// printed. The verdict stays what it is, whoever read it.
func keepVerdict(verdict, printed error) error {
	if errors.Is(printed, errQuiet) {
		return verdict
	}
	return errors.Join(verdict, printed)
}

// terminalWidth is how many columns w has; ok is false if w is not a terminal.
func terminalWidth(w io.Writer) (columns int, ok bool) {
	if s, ok := w.(stdout); ok {
		w = s.Writer
	}
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	return columns, err == nil && columns > 0
}
