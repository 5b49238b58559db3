package local_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/local"
	"github.com/rollcall-cli/rollcall/sinks"
	"github.com/rollcall-cli/rollcall/sources"
)

// An evaluation in somebody else's program: the users of a part of a file, as a shard reads it, go through the engine to
// a sink. Rows have the numbers that they have in the whole file.
func Example() {
	dir, err := os.MkdirTemp("", "rollcall-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	users := filepath.Join(dir, "users.csv")
	text := "user_id,country\nana,Germany\nbob,Japan\ncat,Germany\ndan,Japan\n"
	if err := os.WriteFile(users, []byte(text), 0o600); err != nil {
		log.Fatal(err)
	}
	eng, err := engine.Parse([]byte(`[{"key": "checkout", "variants": {"new": {"key": "new"}}, "segments": [{"variant": "new",
		"conditions": [[{"selector": ["context", "user", "country"], "op": "is", "values": ["Germany"]}]]}]}]`), engine.Hosted)
	if err != nil {
		log.Fatal(err)
	}
	evaluator, err := local.New(local.Config{Engine: eng, Now: func() time.Time { return time.Unix(0, 0) }})
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	files := []sources.File{{Path: users}}
	if err := sources.Pin(ctx, files); err != nil {
		log.Fatal(err)
	}
	defer sources.Unpin(files)
	division, err := sources.Divide(ctx, files, sources.Options{}, 2, 0)
	if err != nil {
		log.Fatal(err)
	}
	for i, part := range division.Parts {
		in, err := sources.Open(files, sources.Options{Parts: part})
		if err != nil {
			log.Fatal(err)
		}
		out, err := sinks.NewStream(os.Stdout, "jsonl", sinks.Spec{Wide: true, Flags: []string{"checkout"}})
		if err != nil {
			log.Fatal(err)
		}
		p := pipeline.Pipeline{Source: in, Evaluator: evaluator, Sink: out, Flags: []string{"checkout"}, Workers: 2,
			Window: 64}
		stats, err := p.Run(ctx)
		if err != nil {
			log.Fatal(err)
		}
		if err := out.Close(); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("part %d: %d users\n", i+1, stats.Answered)
	}
	// Output:
	// {"row_number":1,"user_id":"ana","device_id":null,"checkout":"new","evaluated_at":"1970-01-01T00:00:00.000Z"}
	// {"row_number":2,"user_id":"bob","device_id":null,"checkout":null,"evaluated_at":"1970-01-01T00:00:00.000Z"}
	// part 1: 2 users
	// {"row_number":3,"user_id":"cat","device_id":null,"checkout":"new","evaluated_at":"1970-01-01T00:00:00.000Z"}
	// {"row_number":4,"user_id":"dan","device_id":null,"checkout":null,"evaluated_at":"1970-01-01T00:00:00.000Z"}
	// part 2: 2 users
}
