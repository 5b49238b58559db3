package sinks

import (
	"errors"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Multi is several outputs of one run behind one sink, in the order in which they are published.
type Multi []*Output

var _ pipeline.Sink = Multi(nil)

// Write writes o to every output. The first error ends it.
func (m Multi) Write(o *pipeline.Outcome) error {
	for _, out := range m {
		if err := out.Write(o); err != nil {
			return err
		}
	}
	return nil
}

// Close completes every output, also those after one that fails, and returns all errors.
func (m Multi) Close() error {
	var errs []error
	for _, out := range m {
		errs = append(errs, out.Close())
	}
	return errors.Join(errs...)
}

// Publish gives all outputs their final names. If one is not complete, it renames none. A rename that fails
// ends it: the outputs before it are published, the others are not. What tells the reader of several files
// that they are complete and belong together is the manifest, written after them.
func (m Multi) Publish() error {
	var errs []error
	for _, out := range m {
		errs = append(errs, out.complain())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, out := range m {
		if err := out.Publish(); err != nil {
			return err
		}
	}
	return nil
}

// Discard discards every output that is not published.
func (m Multi) Discard() error {
	var errs []error
	for _, out := range m {
		errs = append(errs, out.Discard())
	}
	return errors.Join(errs...)
}
