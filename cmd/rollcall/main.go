package main

import (
	"io"
	"log"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

func main() {
	// Standard error belongs to the console, which knows what may be said. Libraries log past it: net/http prints what a
	// server sends unasked as it is, with the key if the server repeats the request.
	log.SetOutput(io.Discard)

	signals := make(chan os.Signal, 2)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // under nohup, a hangup stays without effect
			signal.Notify(signals, s)
		}
	}
	signal.Ignore(syscall.SIGPIPE) // a closed standard output is an error of Write like any other

	var grace atomic.Int64
	grace.Store(int64(defaultGrace))
	soft, hard := interruptible(signals, &grace)
	os.Exit(run(os.Args[1:], &env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, LookupEnv: os.LookupEnv, Stores: newStores(), Soft: soft, Hard: hard,
		Grace: &grace,
	}))
}
