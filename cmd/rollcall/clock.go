//go:build !faultfs

package main

import (
	"crypto/rand"
	"strings"
	"time"
)

// clock dates answers, failures and runs.
var clock = time.Now

// newRunID names a run: when it began, and something that no other run has.
func newRunID(began time.Time) string {
	return began.UTC().Format("20060102T150405Z-") + strings.ToLower(rand.Text()[:8])
}
