package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/amplitude"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// The exit codes. They are part of the contract: people script against them.
const (
	exitOK          = 0
	exitFailed      = 1  // failed, nothing published
	exitSomeFailed  = 3  // published, some users failed, and no --max-errors said how many may
	exitNotHeld     = 4  // a check does not hold, a difference is too large, a file is not as it was written
	exitUsage       = 64 // EX_USAGE of sysexits.h
	exitStopped     = 75 // EX_TEMPFAIL: rerun
	exitInterrupted = 128
)

// env is what a command has from the outside.
type env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	LookupEnv      func(string) (string, bool)
	Stores         *blob.Stores  // nil: there are none
	Files          *blob.Files   // of this machine and the stores; run sets it
	PreflightTime  time.Duration // see amplitude.Config; tests give a slow machine more

	// Soft ends with the first signal: finish what is in flight, begin nothing. Hard ends with the second, or
	// when the first has had its time. Their cause is an interruptedError.
	Soft, Hard context.Context

	Grace *atomic.Int64 // nanoseconds from the first signal until Hard ends; nil: nothing waits for it
}

// exitError is an error that says with which code the process exits.
type exitError struct {
	error
	code int
}

func (e *exitError) Unwrap() error { return e.error }

// usageErrorf is a mistake in how the command was called.
func usageErrorf(format string, args ...any) error {
	return &exitError{fmt.Errorf(format, args...), exitUsage}
}

// errSomeFailed ends a run that published while some users failed. The summary has said so.
var errSomeFailed = &exitError{errors.New("some users failed"), exitSomeFailed}

// errQuiet ends a command whose standard output was closed before all was written, as `| head` does: without a word,
// and with the exit code of a process that SIGPIPE ends.
var errQuiet = &exitError{errors.New("standard output was closed"), exitInterrupted + int(syscall.SIGPIPE)}

// interruptedError is a run that a signal ended.
type interruptedError struct{ signal os.Signal }

func (e *interruptedError) Error() string { return "interrupted (" + e.signal.String() + ")" }

// interruptible makes the two contexts of [env] from the process's signals. grace is read when the first one comes.
func interruptible(signals <-chan os.Signal, grace *atomic.Int64) (soft, hard context.Context) {
	soft, stop := context.WithCancelCause(context.Background())
	hard, kill := context.WithCancelCause(context.Background())
	go func() {
		interrupted := &interruptedError{<-signals}
		stop(interrupted)
		select {
		case <-signals:
		case <-time.After(time.Duration(grace.Load())):
		}
		kill(interrupted)
	}()
	return soft, hard
}

// exitCode is the code of the process that ends with err.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[*interruptedError](err); ok { // whatever was interrupted
		if s, ok := e.signal.(syscall.Signal); ok {
			return exitInterrupted + int(s)
		}
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	if _, ok := errors.AsType[*amplitude.OutageError](err); ok || isChanged(err) || errors.Is(err, blob.ErrChanged) {
		return exitStopped
	}
	if e, ok := errors.AsType[*blob.Error](err); ok && e.Temporary { // after all attempts
		return exitStopped
	}
	for _, e := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.EIO, syscall.EMFILE,
		syscall.ENFILE} {
		if errors.Is(err, e) { // the machine's trouble, not the run's
			return exitStopped
		}
	}
	return exitFailed
}

// run is the command: arguments in, exit code out. Nothing in it exits or reads the process's own streams.
func run(args []string, env *env) int {
	root := &cobra.Command{
		Use:   "rollcall",
		Short: "Who gets which variant: ask Amplitude Experiment for every user of a file",
		Long: strings.TrimSpace(`
rollcall takes a file of users, asks Amplitude Experiment which variant each of
them gets, and writes the answers down. Nothing is tracked. What it wrote, it
checks, reports on and compares.`),
		Example: strings.Trim(`
  rollcall snapshot users.csv --out assignments.parquet
  rollcall report assignments.parquet --html report.html
  rollcall explain --user-id u-17 --flag-configs flags.json`, "\n"),
		SilenceErrors: true, SilenceUsage: true,
		Version: version(),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := "see `rollcall --help`"
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = "did you mean " + strings.Join(near, " or ") + "?"
			}
			return pipeline.WithHint(usageErrorf("unknown command %q", args[0]), hint)
		},
		SuggestionsMinimumDistance: 2,
		RunE:                       func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	streams := *env
	streams.Stdout = stdout{env.Stdout}
	streams.Files = blob.NewFiles(env.Soft, env.Stores)
	env = &streams
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetVersionTemplate(describeVersion())
	root.SetUsageTemplate(usageTemplate)
	root.SetHelpTemplate(helpTemplate)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		hint := fmt.Sprintf("see `%s --help`", cmd.CommandPath())
		if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
			hint = cmp.Or(suggestOption(cmd, unknown.GetSpecifiedName()), hint)
		}
		return pipeline.WithHint(usageErrorf("%s", text.Clean(err.Error())), hint)
	})
	con := newConsole(env)
	root.AddCommand(snapshotCommand(env, con), explainCommand(env, con), verifyCommand(env, con), reportCommand(env, con),
		checkCommand(env, con),
		diffCommand(env, con), loadCommand(env, con), pipeCommand(env, con), planCommand(env, con), mergeCommand(env, con), flagsCommand(env, con), serveCommand(env, con), cleanCommand(env, con), versionCommand(env), manCommand(con), schemaCommand(env))
	for _, cmd := range root.Commands() {
		completeValues(cmd)
	}
	root.AddCommand(topics()...)
	root.SetHelpCommand(helpCommand(root))

	began := time.Now()
	if wantsJSON(args, env) { // for what is wrong with the options, too
		_ = con.Configure(false, "json")
	}
	err := root.ExecuteContext(env.Hard)
	if e, ok := errors.AsType[*interruptedError](context.Cause(env.Soft)); ok && errors.Is(err, context.Canceled) {
		err = e
	}
	if errors.Is(err, syscall.EMFILE) && pipeline.Hint(err) == "" {
		err = pipeline.WithHint(err, "`ulimit -n` is how many files a process may have open: raise it, and run the same "+
			"command again")
	}
	code := exitCode(err)
	if con.onEnd != nil {
		con.onEnd(code)
	}
	if err != nil && con.result == nil && wantsResult(args, env) {
		con.result = func(err error, code int) error {
			return (*snapshotRun)(nil).printResult(env.Stdout, con, began, err, code)
		}
	}
	if con.result != nil { // the outputs are what they are, whoever read it
		if err := con.result(err, code); err != nil && !errors.Is(err, errQuiet) {
			con.Error(fmt.Errorf("print the result: %w", err))
		}
	}
	if con.ending == nil && len(args) > 0 && args[0] == "snapshot" { // it has not come to its options
		con.ending = (*snapshotRun)(nil).ending
	}
	switch {
	case con.json && con.ending != nil:
		con.End(err, code, time.Since(began), con.ending())
	case err != nil && !errors.Is(err, errSomeFailed) && !errors.Is(err, errQuiet):
		con.Error(err)
	}
	return code
}

// suggestOption returns a hint for an option that the command does not have; "" if none is near.
func suggestOption(cmd *cobra.Command, name string) string {
	var known []string
	cmd.Flags().VisitAll(func(o *pflag.Flag) { known = append(known, "--"+o.Name) })
	return pipeline.Suggest("--"+name, known)
}

// wantsJSON reports whether the log is to be JSON, before the options are read: they may be what is wrong.
func wantsJSON(args []string, env *env) bool { return isGiven(args, env, "json", "--log-format") }

// wantsResult reports whether snapshot is to print its result on standard output, before its options are read.
func wantsResult(args []string, env *env) bool {
	return len(args) > 0 && args[0] == "snapshot" && isGiven(args, env, "json", "--format") &&
		!isGiven(args, env, "-", "--out", "-o")
}

// isGiven reports whether an option, by one of its names, has a value: on the command line, or by its variable.
func isGiven(args []string, env *env, value string, names ...string) bool {
	set := false
	for i, arg := range args {
		for _, name := range names {
			if arg == name+"="+value || arg == name && i+1 < len(args) && args[i+1] == value {
				return true
			}
			set = set || arg == name || strings.HasPrefix(arg, name+"=")
		}
	}
	fromEnv, _ := env.LookupEnv(variableOf(strings.TrimPrefix(names[0], "--")))
	return fromEnv == value && !set
}

// checkArgs makes a usage error of what an argument validator of cobra finds.
func checkArgs(check cobra.PositionalArgs, hint string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return pipeline.WithHint(usageErrorf("%w", err), hint)
		}
		return nil
	}
}
