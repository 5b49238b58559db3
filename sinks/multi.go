package sinks

import (
	"errors"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Multi is several outputs of one run behind one sink.
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

// Discard discards every output.
func (m Multi) Discard() error {
	var errs []error
	for _, out := range m {
		errs = append(errs, out.Discard())
	}
	return errors.Join(errs...)
}
