package sinks

import (
	"github.com/rollcall-cli/rollcall/pipeline"
)

// newErrorTable returns the layout of the error records: a row for each failed user. Each holds the original row as
// JSON, so that the file is itself an input, and the run's id, so that a retry knows which run it completes.
func newErrorTable(runID string) *table {
	return &table{
		columns: []column{
			{name: "row_number", typ: pipeline.TypeInt, required: true},
			{name: "user_id"},
			{name: "device_id"},
			{name: "kind", required: true},
			{name: "http_status", typ: pipeline.TypeInt},
			{name: "attempts", typ: pipeline.TypeInt, required: true},
			{name: "message", required: true},
			{name: "occurred_at", typ: pipeline.TypeTimestamp, millis: true, required: true},
			{name: "input", typ: pipeline.TypeJSON},
			{name: "run_id"},
		},
		fill: func(o *pipeline.Outcome, b *block) error {
			b.rows = b.rows[:0]
			if o.Err == nil {
				return nil
			}
			b.rows = append(b.rows, &b.only)
			row := b.shared
			row[0].num = o.Row.Number
			row[1] = newOptionalText(o.Row.User.UserID)
			row[2] = newOptionalText(o.Row.User.DeviceID)
			row[3] = newText(string(o.Err.Kind))
			row[4] = cell{num: int64(o.Err.HTTPStatus), null: o.Err.HTTPStatus == 0}
			row[5].num = int64(max(o.Attempts, o.Err.Attempts))
			row[6] = newText(o.Err.Message)
			row[7].num = o.At.UnixMilli()
			row[8] = cell{null: true}
			if o.Row.Input != nil {
				row[8] = newText(string(pipeline.AppendObject(nil, o.Row.Input)))
			}
			row[9] = newOptionalText(runID)
			return nil
		},
	}
}
