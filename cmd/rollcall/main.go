package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 2)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // under nohup, a hangup stays without effect
			signal.Notify(signals, s)
		}
	}
	signal.Ignore(syscall.SIGPIPE) // a closed standard output is an error of Write like any other

	soft, hard := interruptible(signals)
	os.Exit(run(os.Args[1:], &env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, LookupEnv: os.LookupEnv, Soft: soft, Hard: hard,
	}))
}
