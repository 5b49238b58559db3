package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// jsonlTable reads JSONL as rollcall writes it: each line an object without white space between its tokens, with the
// names of the first line in the same order. A file without a line has no columns.
type jsonlTable struct {
	*textFile
	keys  [][]byte // what is before each value: `{"row_number":`, `,"user_id":`, …
	first bool     // row is the first row, which next has not returned yet
}

func newJSONL(t *textFile) (*jsonlTable, error) {
	j := &jsonlTable{textFile: t}
	line, err := t.nextRecord()
	if err == io.EOF {
		return j, nil
	}
	if err != nil {
		return nil, err
	}
	if err = j.learnColumns(line); err == nil {
		j.row, j.first = make([]Value, len(j.cols)), true
		err = j.parse(line)
	}
	if err != nil {
		return nil, t.errorf("%w", err)
	}
	return j, nil
}

// learnColumns learns the columns from the first line.
func (j *jsonlTable) learnColumns(line []byte) error {
	d := json.NewDecoder(bytes.NewReader(line))
	if begin, err := d.Token(); err != nil || begin != json.Delim('{') {
		return errNames
	}
	for from := int64(0); d.More(); from = d.InputOffset() {
		token, err := d.Token()
		name, isText := token.(string)
		key := append(bytes.Clone(line[from:d.InputOffset()]), ':')
		var value json.RawMessage
		if err != nil || !isText || d.Decode(&value) != nil {
			return errNames
		}
		if len(j.cols) == maxColumns {
			return errors.New("too many names")
		}
		j.cols, j.keys = append(j.cols, column{name: name}), append(j.keys, key)
	}
	if len(j.cols) == 0 {
		return errNames
	}
	return nil
}

func (j *jsonlTable) next() ([]Value, error) {
	if j.first {
		j.first = false
		j.begin, j.line = 1, 1
		return j.row, nil
	}
	line, err := j.nextRecord()
	if err != nil {
		return nil, err
	}
	if err := j.parse(line); err != nil {
		return nil, j.errorf("%w", err)
	}
	j.line++
	j.begin = j.line
	return j.row, nil
}

// parse cuts a line into values.
func (j *jsonlTable) parse(line []byte) error {
	if !utf8.Valid(line) {
		return errors.New("not valid UTF-8")
	}
	i, row := 0, j.row
	for c, key := range j.keys {
		if !bytes.HasPrefix(line[i:], key) {
			return errNames
		}
		i += len(key)
		end, err := skipJSON(line, i)
		if err != nil {
			return err
		}
		text := line[i:end:end]
		v := &row[c]
		*v = Value{json: text, Text: text}
		switch text[0] {
		case '"':
			v.Kind = pipeline.String
			v.Text = text[1 : len(text)-1]
			if bytes.IndexByte(v.Text, '\\') >= 0 {
				var unescaped string
				if json.Unmarshal(text, &unescaped) != nil {
					return errJSON
				}
				v.Text = []byte(unescaped)
			}
		case '{', '[':
			v.Kind = pipeline.Object
			if text[0] == '[' {
				v.Kind = pipeline.List
			}
		case 't', 'f':
			v.Kind = pipeline.Bool
			if text[0] == 't' {
				v.Num = 1
			}
		case 'n':
			v.Kind, v.Text = pipeline.Null, nil
		default:
			v.Kind = pipeline.Number
		}
		i = end
	}
	if string(line[i:]) != "}\n" {
		return errNames
	}
	return nil
}

var (
	errJSON  = errors.New("not JSON")
	errNames = errors.New("not an object as rollcall writes it, with the names of the first line")
)

// skipJSON returns where the JSON value at data[i:] ends. It checks simple values; of objects and lists only that they
// end.
func skipJSON(data []byte, i int) (end int, err error) {
	if i >= len(data) {
		return 0, errJSON
	}
	switch c := data[i]; {
	case c == '"':
		return skipString(data, i)
	case c == '{' || c == '[':
		depth := 0
		for i < len(data) {
			switch data[i] {
			case '"':
				if i, err = skipString(data, i); err != nil {
					return 0, err
				}
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1, nil
				}
			}
			i++
		}
		return 0, errJSON
	case c == '-' || c >= '0' && c <= '9':
		end = i + 1
		for end < len(data) && isNumber[data[end]] {
			end++
		}
		if _, ok := parseInt(data[i:end]); !ok && !json.Valid(data[i:end]) {
			return 0, errJSON
		}
		return end, nil
	}
	for _, word := range literals {
		if bytes.HasPrefix(data[i:], word) {
			return i + len(word), nil
		}
	}
	return 0, errJSON
}

var literals = [][]byte{[]byte("null"), []byte("true"), []byte("false")}

var isNumber = [256]bool{'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true,
	'8': true, '9': true,
	'.': true, 'e': true, 'E': true, '+': true, '-': true}

// skipString returns where the JSON string at data[i:] ends.
func skipString(data []byte, i int) (int, error) {
	for from := i + 1; ; {
		n := bytes.IndexByte(data[from:], '"')
		if n < 0 {
			return 0, errJSON
		}
		end := from + n
		escapes := 0
		for data[end-1-escapes] == '\\' && end-1-escapes > i {
			escapes++
		}
		if escapes%2 == 0 {
			return end + 1, nil
		}
		from = end + 1
	}
}
