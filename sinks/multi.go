package sinks

import (
	"errors"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Multi is several sinks behind one: the outputs of a run, and whatever else looks at its outcomes.
type Multi []pipeline.Sink

var _ pipeline.Sink = Multi(nil)

// Write writes o to every sink. The first error ends it.
func (m Multi) Write(o *pipeline.Outcome) error {
	for _, sink := range m {
		if err := sink.Write(o); err != nil {
			return err
		}
	}
	return nil
}

// Close completes every sink, also those after one that fails, and returns all errors.
func (m Multi) Close() error {
	var errs []error
	for _, sink := range m {
		errs = append(errs, sink.Close())
	}
	return errors.Join(errs...)
}

// Discard discards every sink that can be discarded, as an [Output] can.
func (m Multi) Discard() error {
	var errs []error
	for _, sink := range m {
		if d, ok := sink.(interface{ Discard() error }); ok {
			errs = append(errs, d.Discard())
		}
	}
	return errors.Join(errs...)
}
