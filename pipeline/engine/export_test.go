package engine

import "github.com/rollcall-cli/rollcall/pipeline"

// EvaluatesTwice reports whether the comparison evaluates some flag a second time for u.
func (c *Comparison) EvaluatesTwice(u *pipeline.User) bool {
	st := c.plan.engine.newState()
	st.evaluate(c.plan, u, len(c.plan.order))
	return c.always || st.odd
}
