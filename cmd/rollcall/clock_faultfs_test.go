//go:build faultfs

package main

// testMain is main: the clock stands still.
func testMain() { main() }
