package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// console is everything that is said on standard error. All of it goes through Log: as lines for a person, or
// with --log-format json as JSON lines for a machine.
type console struct {
	Log *slog.Logger

	out   io.Writer
	json  bool
	quiet bool

	onEnd  func(code int)                  // is called once the exit code is known; nil: nothing is
	result func(err error, code int) error // prints how the command ended, with --format json; nil: it is not asked for
	ending func() []any                    // what the last line in JSON says of the run; nil: the command has no such line

	mu       sync.Mutex
	warnings []warning // for the manifest
	others   int       // warnings that are not in there
	clear    func()    // of the progress bar; nil: there is none
}

// maxWarnings is how many different warnings are kept for the manifest.
const maxWarnings = 100

func newConsole(env *env) *console {
	c := &console{out: env.Stderr}
	c.Log = slog.New(&lineHandler{console: c})
	return c
}

// Configure applies --quiet and --log-format.
func (c *console) Configure(quiet bool, format string) error {
	c.quiet = quiet
	switch format {
	case "text":
	case "json":
		c.json = true
		c.Log = slog.New(&jsonHandler{c, slog.NewJSONHandler(c.out, &slog.HandlerOptions{ReplaceAttr: inSeconds})})
	default:
		return usageErrorf("--log-format %q is not known: it is text or json", format)
	}
	return nil
}

// Terminal is the width of standard error; ok is false if it is not a terminal.
func (c *console) Terminal() (width int, ok bool) { return terminalWidth(c.out) }

// Error says why the command ends. It is said even with --quiet.
func (c *console) Error(err error) {
	var args []any
	if hint := pipeline.Hint(err); hint != "" {
		args = append(args, "hint", hint)
	}
	c.Log.Error(err.Error(), args...)
}

// inSeconds makes a number of seconds of a duration, and says so in its name.
func inSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.Float64(a.Key+"_s", math.Round(a.Value.Duration().Seconds()*1000)/1000)
	}
	return a
}

// End says as the last line of a log in JSON how the process ends: with which code, and why, if err is not nil. It is
// said even with --quiet if it is an error.
func (c *console) End(err error, code int, took time.Duration, attrs []any) {
	event, level, message := "finished", slog.LevelInfo, "done"
	switch {
	case code == exitStopped:
		event, level = "stopped", slog.LevelError
	case code >= exitInterrupted:
		event, level = "interrupted", slog.LevelError
	case code != exitOK && code != exitSomeFailed:
		event, level = "failed", slog.LevelError
	}
	attrs = append([]any{"event", event, "exit_code", code, "duration", took}, attrs...)
	if level == slog.LevelError {
		message = err.Error()
		if hint := pipeline.Hint(err); hint != "" {
			attrs = append(attrs, "hint", hint)
		}
	}
	c.Log.Log(context.Background(), level, message, attrs...)
}

// Print writes text that is meant for a person, past the log; nothing with --quiet or --log-format json.
func (c *console) Print(s string) {
	if c.quiet || c.json {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = io.WriteString(c.out, text.CleanLines(s)) // a closed standard error must not end a run
}

// SetBar has the progress bar cleared before anything is said; nil takes it away.
func (c *console) SetBar(clear func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear = clear
}

// enabled is the level from which on something is said.
func (c *console) enabled(level slog.Level) bool {
	if c.quiet {
		return level >= slog.LevelError
	}
	return level >= slog.LevelInfo
}

// keepWarning remembers a warning, said or not.
func (c *console) keepWarning(r slog.Record) {
	if r.Level != slog.LevelWarn {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.IndexFunc(c.warnings, func(w warning) bool { return w.Message == r.Message })
	switch {
	case at >= 0:
		c.warnings[at].Times++
	case len(c.warnings) < maxWarnings:
		c.warnings = append(c.warnings, newWarning(r))
	default:
		c.others++
	}
}

// jsonHandler is slog's, with the console's levels.
type jsonHandler struct {
	console *console
	slog.Handler
}

func (h *jsonHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || h.console.enabled(level)
}

func (h *jsonHandler) Handle(ctx context.Context, r slog.Record) error {
	h.console.keepWarning(r)
	if !h.console.enabled(r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// lineHandler prints "rollcall: warning: message (key value, …)" and the hint on a line of its own. All of it is
// cleaned, and further lines are indented: whatever name is in a message, it cannot begin one that looks like
// rollcall's.
type lineHandler struct {
	console *console
	attrs   []slog.Attr
}

func (h *lineHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &lineHandler{h.console, append(append([]slog.Attr{}, h.attrs...), attrs...)}
}

func (h *lineHandler) WithGroup(string) slog.Handler { return h } // nothing here groups

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	c := h.console
	c.keepWarning(r)
	if !c.enabled(r.Level) {
		return nil
	}
	var b strings.Builder
	b.WriteString("rollcall: ")
	if r.Level == slog.LevelWarn {
		b.WriteString("warning: ")
	}
	b.WriteString(strings.ReplaceAll(text.CleanLines(r.Message), "\n", "\n  "))
	hint, open := "", false
	add := func(a slog.Attr) bool {
		if a.Key == "hint" {
			hint = a.Value.String()
			return true
		}
		if isAbout(a) { // it is in the message, too
			return true
		}
		sep := ", "
		if !open {
			sep, open = " (", true
		}
		fmt.Fprintf(&b, "%s%s %s", sep, strings.ReplaceAll(a.Key, "_", " "), text.Clean(a.Value.String()))
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	if open {
		b.WriteByte(')')
	}
	b.WriteByte('\n')
	if hint != "" {
		b.WriteString(wrapHint(hint))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clear != nil {
		c.clear()
	}
	_, _ = io.WriteString(c.out, b.String())
	return nil
}

// wrapHint indents a hint, and breaks its lines between words so that they fit 80 columns.
func wrapHint(hint string) string {
	p := text.Printer{Width: 80, Whole: true}
	for line := range strings.SplitSeq(hint, "\n") {
		p.Hang("  ", line)
	}
	return p.String()
}
