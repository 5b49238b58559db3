package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"runtime"
	"sync"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/report"
)

// localEvaluator evaluates flag configurations in this process. It is a [pipeline.Evaluator].
type localEvaluator struct {
	eng     *engine.Engine
	plan    *engine.Plan
	configs []byte       // as they were read
	file    *report.File // what the manifest says of them
	scratch sync.Pool    // of *[]*engine.Variant
}

// localBatch is how many rows a worker takes at a time: a channel operation for each would cost more than the answer.
const localBatch = 128

// newLocal reads, or downloads, the flag configurations.
func newLocal(s *snapshot) (*localEvaluator, error) {
	o := s.o
	l := &localEvaluator{}
	var err error
	from := o.server.flagConfigs
	if from == "fetch" {
		from = "the flag configurations of " + o.server.server
		l.configs, err = o.server.fetchFlags(s.env.Soft, s.env, s.con)
	} else {
		l.configs, err = readFlagConfigs(from)
	}
	if err != nil {
		return nil, err
	}
	if l.eng, err = parseFlagConfigs(from, l.configs, o.flags, s.con); err != nil {
		return nil, err
	}
	l.plan = l.eng.Plan(o.flags)
	l.scratch.New = func() any { return new([]*engine.Variant) }
	sum := sha256.Sum256(l.configs)
	l.file = &report.File{Path: o.server.flagConfigs, Bytes: int64(len(l.configs)), Rows: int64(len(l.eng.Flags())), SHA256: hex.EncodeToString(sum[:])}
	if file := o.flagsFile(); file != "" {
		l.file.Path = file
	}
	return l, nil
}

// Evaluate answers as the API would, but for what warn says. Nothing is sent.
func (l *localEvaluator) Evaluate(_ context.Context, u *pipeline.User) (pipeline.Answer, error) {
	if u.UserID == "" && u.DeviceID == "" {
		return pipeline.Answer{}, pipeline.Errorf(pipeline.KindMissingID, "neither a user id nor a device id")
	}
	found := l.scratch.Get().(*[]*engine.Variant)
	*found = l.plan.Append((*found)[:0], u)
	answer := pipeline.Answer{Variants: make([]pipeline.Variant, 0, len(*found)), At: clock()}
	for _, v := range *found {
		if v.Answered() {
			answer.Variants = append(answer.Variants, v.Variant)
		}
	}
	l.scratch.Put(found)
	return answer, nil
}

// workers is how many batches are evaluated at once.
func (l *localEvaluator) workers() int { return runtime.GOMAXPROCS(0) }

// warn says, once, what an evaluation on this machine cannot know.
func (l *localEvaluator) warn(con *console, found *findings) {}
