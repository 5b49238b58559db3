package sources

import (
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

// Every format passes the suite.
func TestConformance(t *testing.T) {
	writers := map[string]func(tb testing.TB, header []string, rows [][]string) []byte{
		"csv": func(tb testing.TB, h []string, r [][]string) []byte { return csvBytes(tb, ',', false, h, r) },
		"csv.gz": func(tb testing.TB, h []string, r [][]string) []byte {
			return gzipBytes(tb, csvBytes(tb, ',', false, h, r))
		},
		"csv.zst": func(tb testing.TB, h []string, r [][]string) []byte {
			return zstdBytes(tb, csvBytes(tb, ',', false, h, r))
		},
		"tsv": func(tb testing.TB, h []string, r [][]string) []byte { return csvBytes(tb, '\t', false, h, r) },
		"tsv.gz": func(tb testing.TB, h []string, r [][]string) []byte {
			return gzipBytes(tb, csvBytes(tb, '\t', false, h, r))
		},
		"tsv.zst": func(tb testing.TB, h []string, r [][]string) []byte {
			return zstdBytes(tb, csvBytes(tb, '\t', false, h, r))
		},
		"jsonl": func(_ testing.TB, h []string, r [][]string) []byte { return jsonlBytes(h, r) },
		"jsonl.gz": func(tb testing.TB, h []string, r [][]string) []byte {
			return gzipBytes(tb, jsonlBytes(h, r))
		},
		"jsonl.zst": func(tb testing.TB, h []string, r [][]string) []byte { return zstdBytes(tb, jsonlBytes(h, r)) },
		"parquet":   func(tb testing.TB, h []string, r [][]string) []byte { return parquetBytes(tb, textColumns(tb, h, r)) },
		"errors.jsonl": func(_ testing.TB, h []string, r [][]string) []byte {
			return errorJSONL(h, r)
		},
		"errors.csv": func(tb testing.TB, h []string, r [][]string) []byte {
			return csvBytes(tb, ',', false, errorColumns, errorRows(h, r))
		},
		"errors.parquet": func(tb testing.TB, h []string, r [][]string) []byte {
			return parquetBytes(tb, textColumns(tb, errorColumns, errorRows(h, r)))
		},
	}
	for _, f := range formats {
		if writers[f] == nil {
			t.Errorf("the format %s is not tested", f)
		}
	}
	for name, write := range writers {
		t.Run(name, func(t *testing.T) {
			pipelinetest.TestSource(t, func(tb testing.TB, header []string, rows [][]string) pipeline.Source {
				in, err := Open(filesAt(writeFile(tb, "users."+name, write(tb, header, rows))), Options{})
				if err != nil {
					tb.Fatal(err)
				}
				return in
			})
		})
	}
}
