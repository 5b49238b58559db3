package sinks

import (
	"errors"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Multi is several sinks behind one: the outputs of a run, and whatever else looks at its outcomes.
type Multi []pipeline.Sink

var _ pipeline.Encoder = Multi(nil)

// Write writes o to every sink. The first error ends it.
func (m Multi) Write(o *pipeline.Outcome) error {
	for _, sink := range m {
		if err := sink.Write(o); err != nil {
			return err
		}
	}
	return nil
}

// Encode has every sink that can encode the outcomes.
func (m Multi) Encode(outcomes []pipeline.Outcome) pipeline.Encoded {
	encoded := make(multiEncoded, len(m))
	for i, sink := range m {
		encoded[i] = pipeline.Encode(sink, outcomes)
	}
	return encoded
}

// multiEncoded is what each sink has encoded.
type multiEncoded []pipeline.Encoded

// Write writes the outcomes to every sink, all of them to one before the next. The first error ends it.
func (m multiEncoded) Write(outcomes []pipeline.Outcome) error {
	for _, e := range m {
		if err := e.Write(outcomes); err != nil {
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
