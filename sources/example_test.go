package sources_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/sources"
)

// An input is read row by row. A row that does not decode is a value with an Err, and the stream goes on.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "rollcall-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "users.csv")
	text := "uid,country,seats\nana,Germany,7\nbob,,many\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		log.Fatal(err)
	}

	in, err := sources.Open([]sources.File{{Path: path}}, sources.Options{Mapping: sources.Mapping{
		Map:        map[string]string{"user_id": "uid"},
		Properties: []string{"seats"},
		Types:      map[string]pipeline.Type{"seats": pipeline.TypeInt},
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer in.Close()
	var row pipeline.Row // its memory is reused
	for {
		if err := in.Next(&row); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			log.Fatal(err)
		}
		if row.Err != nil {
			fmt.Println(row.Number, row.Err.Kind, row.Err.Message)
			continue
		}
		fmt.Println(row.Number, row.User.UserID, string(pipeline.AppendObject(nil, row.User.Context)))
	}
	// Output:
	// 1 ana {"country":"Germany","user_properties":{"seats":7}}
	// 2 bad_row line 3: column seats: not a 64-bit integer
}
