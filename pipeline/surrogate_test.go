package pipeline

import (
	"encoding/json"
	"testing"
)

func TestMendSurrogates(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		halves   int
	}{
		{`{"title":"Hi"}`, `{"title":"Hi"}`, 0},
		{`"\ud83d\ude00"`, `"\ud83d\ude00"`, 0},
		{`"\uD83D\uDE00"`, `"\uD83D\uDE00"`, 0},
		{`{"title":"Hi \ud83d"}`, `{"title":"Hi \ufffd"}`, 1},
		{`{"\ude00":1}`, `{"\ufffd":1}`, 1},
		{`"\uDBFFx\udfff"`, `"\ufffdx\ufffd"`, 2},
		{`"\ude00\ud83d"`, `"\ufffd\ufffd"`, 2},
		{`"\ud83d\ud83d\ude00"`, `"\ufffd\ud83d\ude00"`, 1},
		{`"\ud83d\n"`, `"\ufffd\n"`, 1},
		{`"\ud83d\\ude00"`, `"\ufffd\\ude00"`, 1},
		{`"\\ud83d"`, `"\\ud83d"`, 0},
		{`"\\\ud83d"`, `"\\\ufffd"`, 1},
		{`"\ud7ff\ue000"`, `"\ud7ff\ue000"`, 0},
		{`["\ud800","\udc00"]`, `["\ufffd","\ufffd"]`, 2},
	} {
		t.Run(tt.in, func(t *testing.T) {
			got, halves := MendSurrogates(tt.in)
			if got != tt.want || halves != tt.halves {
				t.Errorf("MendSurrogates(%s) = %s with %d halves, want %s with %d", tt.in, got, halves, tt.want, tt.halves)
			}
			var was, is any // encoding/json takes halves, and makes U+FFFD of them
			if json.Unmarshal([]byte(tt.in), &was) != nil || json.Unmarshal([]byte(got), &is) != nil {
				t.Fatalf("%s or %s is not JSON", tt.in, got)
			}
			if _, err := ParseJSON(got); err != nil {
				t.Errorf("ParseJSON(%s): %v", got, err)
			}
		})
	}
}
