package main

import (
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"
)

// runProfiled is run with a CPU profile, in the file $BENCHJOB_PROFILE. Beside it, in a file that ends in .json, are the
// goroutines of every moment: how many have which stack. Benchjob builds the command with it; see cores.go.
func runProfiled(args []string, e *env) int {
	path := os.Getenv("BENCHJOB_PROFILE")
	profile, err := os.Create(path)
	goroutines, err2 := os.Create(path + ".json")
	if err := errors.Join(err, err2, pprof.StartCPUProfile(profile)); err != nil {
		panic(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		records := make([]runtime.StackRecord, 10000)
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			n, _ := runtime.GoroutineProfile(records)
			moment := map[string]int{}
			for _, r := range records[:n] {
				moment[nameFrames(&r)]++
			}
			if err := json.NewEncoder(goroutines).Encode(moment); err != nil {
				panic(err)
			}
		}
	}()
	code := run(args, e)
	close(stop)
	<-stopped
	pprof.StopCPUProfile()
	if err := errors.Join(profile.Close(), goroutines.Close()); err != nil {
		panic(err)
	}
	return code
}

// nameFrames returns the functions of a stack, one a line, from the innermost one.
func nameFrames(r *runtime.StackRecord) string {
	var names []string
	for frames := runtime.CallersFrames(r.Stack()); ; {
		frame, more := frames.Next()
		names = append(names, frame.Function)
		if !more {
			return strings.Join(names, "\n")
		}
	}
}
