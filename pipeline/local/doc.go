// Package local evaluates flag configurations in the process, as Amplitude would, for `rollcall snapshot --evaluator
// local`, for `rollcall pipe`, and for programs that embed rollcall. Nothing is sent.
//
//	eng, err := engine.Parse(configs, engine.Hosted)
//	…
//	e, err := local.New(local.Config{Engine: eng, Cohorts: set})
//	answer, err := e.Evaluate(ctx, &user)
//
// An [Evaluator] is a [pipeline.Evaluator]. It adds three things to the engine: [Membership] tells a user's cohorts from
// lists of members, [Disagreements] counts the users to whom the other of Amplitude's engines gives another answer, and
// flags can be left unanswered.
//
// What this machine cannot know of a user, an answer does not take into account: see [engine.Engine.Unknowable].
package local
