package sinks_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
	"github.com/rollcall-cli/rollcall/sinks"
)

// An output is written under a temporary name. Its caller publishes it, when all that belongs to it is complete.
func ExampleCreate() {
	dir, err := os.MkdirTemp("", "rollcall-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "assignments.csv")

	out, err := sinks.Create(path, sinks.Spec{Flags: []string{"checkout"}})
	if err != nil {
		log.Fatal(err)
	}
	o := pipeline.Outcome{Row: pipeline.Row{Number: 1, User: pipeline.User{UserID: "ana"}}}
	o.SetAnswer(pipeline.Answer{
		Variants: []pipeline.Variant{{FlagKey: "checkout", Key: "treatment"}},
		At:       time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}, pipeline.IndexFlags([]string{"checkout"}))
	if err := out.Write(&o); err != nil {
		log.Fatal(err)
	}
	if err := out.Close(); err != nil {
		log.Fatal(err)
	}
	info := out.Info()
	if err := durable.Rename(info.Temp, path); err != nil {
		log.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d row\n%s", info.Rows, text)
	// Output:
	// 1 row
	// "row_number","user_id","device_id","flag_key","outcome","variant","payload","experiment_key","evaluated_at"
	// 1,ana,,checkout,assigned,treatment,,,2026-01-02T03:04:05.000Z
}
