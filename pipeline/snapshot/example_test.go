package snapshot_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "snapshot")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // in the directory of temporary files
	path := filepath.Join(dir, "assignments.csv")
	text := "row_number,user_id,device_id,flag_key,outcome,variant,payload,experiment_key,evaluated_at\n" +
		"1,ann,,checkout,assigned,on,,,2026-01-02T03:04:05.000Z\n" +
		"2,bob,,checkout,assigned,off,,,2026-01-02T03:04:05.000Z\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		panic(err)
	}
	readRun(path)
	// Output:
	// ann: checkout on
	// bob: checkout off
	// there is no manifest beside it: the run is not finished, or the file was moved alone
}

func readRun(path string) {
	run, err := snapshot.Open(nil, path)
	if err != nil {
		panic(err)
	}
	users, err := run.Users(snapshot.Options{NoPayloads: true, NoIncluded: true, NoCarried: true})
	if err != nil {
		panic(err)
	}
	defer users.Close() //nolint:errcheck // only read
	var u snapshot.User
	for {
		if err := users.Next(&u); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			panic(err)
		}
		for _, a := range u.Assignments {
			fmt.Printf("%s: %s %s\n", u.UserID, users.Keys.Name(a.Flag), users.Keys.Name(a.Variant))
		}
	}
	for _, problem := range snapshot.Describe(run.Problems) {
		fmt.Println(problem)
	}
}
