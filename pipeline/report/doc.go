// Package report says what a run came to: a [Tally] counts outcomes while they pass, and a [Manifest] is the
// record of a finished run that is written beside its outputs.
//
// Start with [Tally.Write]: it is a sink like any other, and sees every outcome once, in input order.
package report
