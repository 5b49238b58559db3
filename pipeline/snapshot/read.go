package snapshot

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Options say what is known of an output, and what is wanted from it. The zero value is of use.
type Options struct {
	// Manifest is that of the run, nil where it is not known. It tells included columns from carried ones of the same
	// name, and the keys of flags that columns with --column-names snake stand for.
	Manifest *Manifest

	// Keys are shared with other Readers, so that the same key means the same in all; nil: Keys of its own.
	Keys *Keys

	// What need not be read. It saves time in Parquet.
	NoIDs, NoPayloads, NoIncluded bool
	NoCarried                     bool

	Uncounted bool // for a further reading of the same output: see [Run.Users]
}

// Reader reads the assignments of one output, user by user, in the order of the file. It has bounded memory, and is
// used from one goroutine. It reports what cannot be an output; what an output should not look like is for [Verify].
type Reader struct {
	Schema
	Keys *Keys

	path    string
	t       table
	at      places
	pending []Value // the first row of the next user; nil: none is read
	records int64
	time    timeCache
	err     error

	layout  Layout
	escaped bool     // a ' before a formula is not part of a text
	counter *counter // nil: nothing is counted
	run     *Run     // that the counter's problems are added to; nil: none
}

// Schema is what the columns of an output are.
type Schema struct {
	Format   string   // csv, tsv, jsonl or parquet
	Wide     bool     // a row for each user; else one for each user and flag
	Columns  []string // all, in the order of the file; none for JSONL without a row
	Flags    []Key    // of the wide layout, in the order of the columns
	Payloads bool     // there are payloads; always in the long layout
	Included []string // what --include added to the long layout: metadata, evaluation_id, value
	Carry    []CarriedColumn
	Meta     map[string]string // Parquet's key-value metadata
}

// CarriedColumn is a column that was copied from the input.
type CarriedColumn struct {
	Name string
	Type pipeline.Type // TypeString where Typed is false
	// Typed: the file says of which type the values are. That is Parquet; JSONL says it of each value, CSV of none.
	Typed bool
}

// User is one user with all assignments that the output has for them. Its memory belongs to the Reader: everything
// in it is valid until the next call of [Reader.Next].
type User struct {
	Row         int64  // row_number
	UserID      []byte // empty: null
	DeviceID    []byte // empty: null
	EvaluatedAt int64  // milliseconds since 1970
	Carry       []Value
	Assignments []Assignment // in the order of the file; of the wide layout all flags, in the order of the columns

	// Records is how many records of the file the user has, and First which one is the first, from 1.
	Records int
	First   int64

	// Differs names a column in which the user's records differ and should not, such as user_id; "" is as it should be.
	Differs string

	text []byte // what does not stay in the table's memory
}

// Assignment is what one user got of one flag.
type Assignment struct {
	Flag          Key
	Variant       Key  // NoKey: null
	ExperimentKey Key  // NoKey: null, or wide
	Assigned      bool // of the wide layout: the variant is not null
	Payload       []byte
	Included      []Value // in the order of Schema.Included
}

// places are where the columns stand.
type places struct {
	at      int // evaluated_at
	carry   int // the first carried column
	include int // the first included column; long
	stride  int // columns of a flag; wide
}

// The long layout's columns, as in sinks/layout.go.
const (
	colRow = iota
	colUser
	colDevice
	colFlag
	colOutcome
	colVariant
	colPayload
	colExperiment
	colAt
	longColumns
)

// LongColumns and the others are the names of columns that every output has.
var (
	longNames  = []string{"row_number", "user_id", "device_id", "flag_key", "outcome", "variant", "payload", "experiment_key", "evaluated_at"}
	longExtras = []string{"metadata", "evaluation_id", "value"}
)

// OpenReader opens an output of any format and layout, of which nothing else is known. [Run.Users] knows more.
func OpenReader(path string, o Options) (*Reader, error) {
	t, err := openTable(path)
	if err != nil {
		return nil, err
	}
	r, err := newReader(path, t, o)
	if err != nil {
		t.Close() //nolint:errcheck // only read
		return nil, err
	}
	return r, nil
}

func newReader(path string, t table, o Options) (*Reader, error) {
	r := &Reader{path: path, t: t, Keys: o.Keys}
	if r.Keys == nil {
		r.Keys = &Keys{}
	}
	r.Format, _, _ = formatOf(path)
	if o.Manifest != nil {
		r.layout = o.Manifest.Layout
		r.escaped = r.layout.EscapeFormulas && (r.Format == "csv" || r.Format == "tsv")
	}
	if p, ok := t.(*parquetTable); ok {
		r.Meta = p.meta
	}
	cols := t.columns()
	for _, c := range cols {
		r.Columns = append(r.Columns, c.name)
	}
	if len(cols) == 0 {
		return r, nil
	}
	if len(cols) < 4 || !slices.Equal(r.Columns[:3], longNames[:3]) {
		return nil, pipeline.WithHint(fmt.Errorf("%s: not an output: its columns are not row_number, user_id, device_id, …", path),
			"name what `rollcall snapshot --out` wrote")
	}
	var err error
	if len(cols) >= longColumns && slices.Equal(r.Columns[:longColumns], longNames) {
		r.long(o.Manifest)
	} else if err = r.wide(o.Manifest); err != nil {
		return nil, err
	}
	for _, c := range cols[r.at.carry:] {
		r.Carry = append(r.Carry, CarriedColumn{c.name, c.typ, c.typed})
	}
	wanted := make([]bool, len(cols))
	for i := range wanted {
		switch {
		case i == colUser || i == colDevice:
			wanted[i] = !o.NoIDs
		case i >= r.at.carry:
			wanted[i] = !o.NoCarried
		case !r.Wide && i >= r.at.include:
			wanted[i] = !o.NoIncluded
		case !r.Wide && i == colPayload, r.Wide && i < r.at.at && r.at.stride == 2 && (i-colFlag)%2 == 1:
			wanted[i] = !o.NoPayloads
		default:
			wanted[i] = true
		}
	}
	t.want(wanted)
	return r, nil
}

// long finds the places of the long layout.
func (r *Reader) long(m *Manifest) {
	r.Payloads = true
	r.at = places{at: colAt, include: longColumns, carry: longColumns}
	most := len(longExtras)
	if m != nil {
		most = len(r.layout.Include)
	}
	for _, name := range r.Columns[longColumns:] {
		if len(r.Included) == most || !slices.Contains(longExtras, name) || slices.Contains(r.Included, name) {
			break
		}
		r.Included = append(r.Included, name)
		r.at.carry++
	}
}

// wide finds the places of the wide layout.
func (r *Reader) wide(m *Manifest) error {
	r.Wide = true
	at := slices.Index(r.Columns, "evaluated_at")
	if at < colFlag {
		return fmt.Errorf("%s: not an output: it has no column evaluated_at", r.path)
	}
	r.at = places{at: at, carry: at + 1, stride: 1}
	names := r.Columns[colFlag:at]
	snake := func(name string) string { return strings.TrimSuffix(strings.TrimSuffix(name, ".payload"), "_payload") }
	if m != nil {
		r.Payloads = slices.Contains(r.layout.Include, "payload")
	} else {
		r.Payloads = len(names) > 1 && names[1] != names[0] && snake(names[1]) == names[0]
	}
	if r.Payloads {
		r.at.stride = 2
		if len(names)%2 != 0 {
			return fmt.Errorf("%s: not an output: a flag without its payload", r.path)
		}
	}
	for i := 0; i < len(names); i += r.at.stride {
		flag := flagKey(m, &r.layout, names[i], i/r.at.stride, len(names)/r.at.stride)
		if r.escaped {
			flag = escapeFormula(unescapeFormula(flag)) // as [Reader.Find] looks for it
		}
		key, err := r.Keys.add([]byte(flag), NoKey)
		if err != nil {
			return fmt.Errorf("%s: %w", r.path, err)
		}
		r.Flags = append(r.Flags, key)
	}
	return nil
}

// flagKey is the flag that a column of the wide layout stands for, the i-th of n flags. Snake names have another case
// and other separators than the flags' keys.
func flagKey(m *Manifest, l *Layout, name string, i, n int) string {
	if m == nil {
		return name
	}
	if len(l.Flags) == n && !l.unordered && plainName(l.Flags[i]) == plainName(name) {
		return l.Flags[i]
	}
	found, twice := "", false
	for _, f := range m.Flags {
		if f.Flag == name {
			return name
		}
		if plainName(f.Flag) == plainName(name) {
			twice = found != ""
			found = f.Flag
		}
	}
	if found == "" || twice {
		return name
	}
	return found
}

// plainName is what a name and its snake form have in common.
func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}, name)
}

// errorf is an error of the last record.
func (r *Reader) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", r.path, r.t.where(), fmt.Errorf(format, args...))
}

const (
	// maxUser bounds what one user may have: an answer is at most 8 MiB, a request names a few thousand flags.
	maxUserRecords = 1 << 16
	maxUserText    = 64 << 20
)

// Next reads the next user, reusing u's memory. It returns io.EOF after the last one; any other error ends the file,
// and comes again at the next call.
//
// Records of the same row_number that follow each other are one user, of the wide layout each record is.
func (r *Reader) Next(u *User) error {
	if r.err == nil {
		r.err = r.next(u)
		switch {
		case r.counter == nil:
		case r.err == nil:
			r.counter.count(u)
		case r.err == io.EOF && r.run != nil:
			r.run.Problems = append(r.run.Problems, r.counter.problems(r, r.run.Manifest, r.run.Listed)...)
		}
	}
	return r.err
}

func (r *Reader) next(u *User) error {
	row := r.pending
	if row == nil {
		var err error
		if row, err = r.record(); err != nil {
			return err
		}
	}
	r.pending = nil
	number, err := r.number(row)
	if err != nil {
		return err
	}
	u.Row, u.Differs, u.Records, u.First = number, "", 1, r.records
	u.text = u.text[:0]
	u.Assignments = u.Assignments[:0]
	if r.Wide {
		u.UserID, u.DeviceID, u.Carry = id(&row[colUser]), id(&row[colDevice]), row[r.at.carry:]
		if u.EvaluatedAt, err = r.millis(&row[r.at.at]); err != nil {
			return err
		}
		for i, flag := range r.Flags {
			if err := r.add(u, i).wide(r, flag, row[colFlag+i*r.at.stride:]); err != nil {
				return err
			}
		}
		return nil
	}

	// A long record: the table's memory is lost with the next one, so everything is copied.
	u.UserID, u.DeviceID = u.keep(id(&row[colUser])), u.keep(id(&row[colDevice]))
	if u.EvaluatedAt, err = r.millis(&row[colAt]); err != nil {
		return err
	}
	u.Carry = u.Carry[:0]
	for i := range row[r.at.carry:] {
		u.Carry = append(u.Carry, u.keepValue(&row[r.at.carry+i]))
	}
	for {
		if err := r.add(u, len(u.Assignments)).long(r, u, row); err != nil {
			return err
		}
		if u.Records > maxUserRecords || len(u.text) > maxUserText {
			return r.errorf("row number %d has more records, or longer ones, than one user can have", number)
		}
		if row, err = r.record(); err == io.EOF {
			return nil // and again at the next call
		} else if err != nil {
			return err
		}
		next, err := r.number(row)
		if err != nil {
			return err
		}
		if next != number {
			r.pending = row
			return nil
		}
		u.Records++
		if err := r.same(u, row); err != nil {
			return err
		}
	}
}

func (r *Reader) record() ([]Value, error) {
	row, err := r.t.next()
	if err == nil {
		r.records++
	}
	return row, err
}

// same makes sure that a further record agrees with the user's first.
func (r *Reader) same(u *User, row []Value) error {
	at, err := r.millis(&row[colAt])
	switch {
	case err != nil:
		return err
	case u.Differs != "":
	case at != u.EvaluatedAt:
		u.Differs = "evaluated_at"
	case !bytes.Equal(u.UserID, id(&row[colUser])):
		u.Differs = "user_id"
	case !bytes.Equal(u.DeviceID, id(&row[colDevice])):
		u.Differs = "device_id"
	default:
		for i := range u.Carry {
			a, b := &u.Carry[i], &row[r.at.carry+i]
			if a.Kind != b.Kind || a.Kind != pipeline.Null && (a.Num != b.Num || !bytes.Equal(a.Text, b.Text)) {
				u.Differs = r.Carry[i].Name
			}
		}
	}
	return nil
}

// add is the i-th assignment of u, with the keys that the last user had there as a guess.
func (r *Reader) add(u *User, i int) *Assignment {
	if i < cap(u.Assignments) {
		u.Assignments = u.Assignments[:i+1]
	} else {
		u.Assignments = append(u.Assignments, Assignment{})
	}
	return &u.Assignments[i]
}

func (a *Assignment) long(r *Reader, u *User, row []Value) (err error) {
	if a.Flag, err = r.key(&row[colFlag], a.Flag, longNames[colFlag]); err != nil {
		return err
	}
	if a.Variant, err = r.key(&row[colVariant], a.Variant, longNames[colVariant]); err != nil {
		return err
	}
	if a.ExperimentKey, err = r.key(&row[colExperiment], a.ExperimentKey, longNames[colExperiment]); err != nil {
		return err
	}
	switch string(row[colOutcome].Text) {
	case "assigned":
		a.Assigned = true
	case "not_assigned":
		a.Assigned = false
	default:
		return r.errorf("column outcome: neither assigned nor not_assigned")
	}
	a.Payload = u.keep(payload(&row[colPayload]))
	a.Included = a.Included[:0]
	for i := range r.Included {
		a.Included = append(a.Included, u.keepValue(&row[r.at.include+i]))
	}
	return nil
}

func (a *Assignment) wide(r *Reader, flag Key, cells []Value) (err error) {
	a.Flag, a.ExperimentKey, a.Included = flag, NoKey, nil
	if a.Variant, err = r.key(&cells[0], a.Variant, "variant"); err != nil {
		return err
	}
	a.Assigned = a.Variant != NoKey
	a.Payload = nil
	if r.at.stride == 2 {
		a.Payload = payload(&cells[1])
	}
	return nil
}

// key is the key that a cell holds.
func (r *Reader) key(v *Value, guess Key, name string) (Key, error) {
	if v.Kind == pipeline.Null {
		return NoKey, nil
	}
	if v.Kind != pipeline.String {
		return NoKey, r.errorf("column %s: not a text", name)
	}
	key, err := r.Keys.add(v.Text, guess)
	if err != nil {
		return NoKey, r.errorf("column %s: %w", name, err)
	}
	return key, nil
}

// keep copies what the next record would overwrite.
func (u *User) keep(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	at := len(u.text)
	u.text = append(u.text, b...)
	return u.text[at:len(u.text):len(u.text)]
}

func (u *User) keepValue(v *Value) Value {
	kept := *v
	kept.Text = u.keep(v.Text)
	switch {
	case v.json == nil:
	case v.Kind == pipeline.String: // in quotes
		kept.json = u.keep(v.json)
	default:
		kept.json = kept.Text
	}
	return kept
}

// id is a text that is null where it is empty.
func id(v *Value) []byte {
	if v.Kind == pipeline.Null {
		return nil
	}
	return v.Text
}

// payload is the JSON text of a cell.
func payload(v *Value) []byte {
	switch {
	case v.Kind == pipeline.Null:
		return nil
	case v.json != nil:
		return v.json
	}
	return v.Text
}

// number is the row_number of a record.
func (r *Reader) number(row []Value) (int64, error) {
	v := &row[colRow]
	switch v.Kind {
	case pipeline.Int:
		return v.Num, nil
	case pipeline.String, pipeline.Number:
		if n, ok := parseInt(v.Text); ok {
			return n, nil
		}
	}
	return 0, r.errorf("column row_number: not a number")
}

// parseInt parses an integer in its canonical form.
func parseInt(b []byte) (n int64, ok bool) {
	digits := b
	if len(b) > 0 && b[0] == '-' {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 18 || digits[0] == '0' && len(b) > 1 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if len(digits) < len(b) {
		n = -n
	}
	return n, true
}

// timeCache is the last time that was parsed: all flags of a user have the same.
type timeCache struct {
	text   []byte
	millis int64
}

// millis is an evaluated_at.
func (r *Reader) millis(v *Value) (int64, error) {
	if v.Kind == pipeline.Timestamp {
		return v.Num / 1000, nil
	}
	if len(r.time.text) > 0 && bytes.Equal(r.time.text, v.Text) {
		return r.time.millis, nil
	}
	t, err := time.Parse("2006-01-02T15:04:05.000Z", string(v.Text))
	if v.Kind != pipeline.String || err != nil {
		return 0, r.errorf("column evaluated_at: not a time in milliseconds")
	}
	r.time.text, r.time.millis = append(r.time.text[:0], v.Text...), t.UnixMilli()
	return r.time.millis, nil
}

// Text is the text of a key, without the ' that an output with escaped formulas has before it.
func (r *Reader) Text(key Key) string { return r.Unescape(r.Keys.Name(key)) }

// Unescape is a text of the output without that '.
func (r *Reader) Unescape(s string) string {
	if r.escaped {
		return unescapeFormula(s)
	}
	return s
}

// Find is the key of a text, the way the output has it.
func (r *Reader) Find(text string) (Key, bool) {
	if r.escaped {
		if key, ok := r.Keys.Find(escapeFormula(text)); ok {
			return key, true
		} // but the flags of the wide layout are as in the manifest
	}
	return r.Keys.Find(text)
}

// Records is how many records were read so far.
func (r *Reader) Records() int64 { return r.records }

// Close closes the file.
func (r *Reader) Close() error { return r.t.Close() }
