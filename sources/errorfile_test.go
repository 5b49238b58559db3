package sources

import (
	"strconv"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// errorRows are the rows as error records.
func errorRows(header []string, rows [][]string) [][]string {
	var out [][]string
	for i, row := range rows {
		var input []pipeline.Member
		for j, cell := range row {
			v := pipeline.Value{}
			if cell != "" {
				v = pipeline.StringValue(cell)
			}
			input = append(input, pipeline.Member{Name: header[j], Value: v})
		}
		out = append(out, []string{strconv.Itoa(i + 1), "other", "", "unavailable", "503", "5", "message", "2026-01-01T00:00:00Z",
			string(pipeline.AppendObject(nil, input))})
	}
	return out
}

// errorJSONL is those records as JSONL, where input is an object.
func errorJSONL(header []string, rows [][]string) []byte {
	var b []byte
	for _, row := range errorRows(header, rows) {
		var members []pipeline.Member
		for i, name := range errorColumns {
			v := pipeline.StringValue(row[i])
			switch name {
			case "row_number", "http_status", "attempts":
				v.Kind = pipeline.Number
			case "input":
				v, _ = pipeline.ParseJSON(row[i])
			}
			members = append(members, pipeline.Member{Name: name, Value: v})
		}
		b = append(pipeline.AppendObject(b, members), '\n')
	}
	return b
}
