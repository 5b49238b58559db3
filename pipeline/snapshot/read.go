package snapshot

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// Options say what is known of an output, and what is wanted from it. The zero value reads everything.
type Options struct {
	// Manifest is that of the run; nil: it is not known. It tells included columns from carried ones of the same name, and
	// which flags the columns of a wide output with snake names are. [Run.Users] sets it.
	Manifest *Manifest

	// Keys are shared with other Readers, so that a Key means the same in all of them. nil: the Reader has its own.
	Keys *Keys

	// What is not read. That saves time with Parquet.
	NoIDs, NoPayloads, NoIncluded bool
	NoCarried                     bool

	Uncounted bool // for a further reading of the same output: see [Run.Users]

	listed *File // what Manifest says of the output, which may be several files; nil: it is one
}

// Reader reads the assignments of one output, user by user, in the order of the file. It has bounded memory, and is
// used from one goroutine. A file that cannot be an output is an error; whether an output is as it should be is for
// [Verify].
type Reader struct {
	Schema
	Keys *Keys

	path    string
	t       table
	at      places
	pending []Value // the first row of the next user; nil: it is not read yet
	records int64
	time    timeCache
	err     error

	layout  Layout
	escaped bool     // a ' before a formula is not part of a text, and is taken away
	counter *counter // nil: nothing is counted
	run     *Run     // that the counter's problems are added to; nil: none
}

// Schema is what the columns of an output are.
type Schema struct {
	Format   string   // csv, tsv, jsonl or parquet
	Wide     bool     // a row for each user; else one for each user and flag
	Columns  []string // all, in the order of the file; empty for JSONL without a row
	Flags    []Key    // of the wide layout, in the order of the columns
	Payloads bool     // there are payloads; always in the long layout
	Included []string // columns that --include added to the long layout: metadata, evaluation_id, value
	Cached   bool     // there are the columns of --include cache
	Carry    []CarriedColumn
	Meta     map[string]string // Parquet's key-value metadata
}

// CarriedColumn is a column that was copied from the input.
type CarriedColumn struct {
	Name string
	Type pipeline.Type // TypeString where Typed is false
	// Typed is set if the file gives the type of the column: Parquet does; JSONL gives that of each value, CSV of none.
	Typed bool
}

// User is one user with all assignments that the output has for them. Its memory belongs to the Reader: everything
// in it is valid until the next call of [Reader.Next].
type User struct {
	Row         int64   // row_number
	UserID      []byte  // empty: null
	DeviceID    []byte  // empty: null
	EvaluatedAt int64   // milliseconds since 1970
	Cache       []Value // cache and age_seconds; empty unless Schema.Cached
	Carry       []Value
	Assignments []Assignment // in the order of the file; in the wide layout, of all flags, in the order of the columns

	// Records is how many records of the file the user has, and First the number of the first one, from 1.
	Records int
	First   int64

	// Differs is a column in which the user's records differ and should not, such as user_id; "": there is none.
	Differs string

	text []byte // copies of what the table overwrites
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

// Hash is a hash of the flag and the variant. Of the assignments of a user, the sum does not depend on their order.
func (a *Assignment) Hash() uint64 {
	x := (uint64(a.Flag)<<32 | uint64(uint32(a.Variant))) * 0x9e3779b97f4a7c15
	x = (x ^ x>>29) * 0xbf58476d1ce4e5b9
	return x ^ x>>32
}

// places are the indices of the columns.
type places struct {
	at      int // evaluated_at
	cache   int // the columns of --include cache, if there are any: between here and carry
	carry   int // the first carried column
	include int // the first included column; long
	stride  int // how many columns a flag has; wide
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

var (
	longNames = []string{"row_number", "user_id", "device_id", "flag_key", "outcome", "variant", "payload",
		"experiment_key", "evaluated_at"}
	longExtras = []string{"metadata", "evaluation_id", "value"}
	cacheNames = []string{"cache", "age_seconds"}
)

// OpenReader opens an output of any format and layout, of which nothing else is known. [Run.Users] knows more.
func OpenReader(files *blob.Files, path string, o Options) (*Reader, error) {
	var t table
	var err error
	if o.listed.isPartitioned() {
		t, err = openPartitioned(files, path, o.listed.Partitioned, o.Manifest)
	} else {
		t, err = openTable(files, path)
	}
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
	if p := parquetOf(t); p != nil {
		r.Meta = p.meta
	}
	cols := t.columns()
	for i := range cols {
		if r.escaped {
			cols[i].name = unescapeFormula(cols[i].name)
		}
		r.Columns = append(r.Columns, cols[i].name)
	}
	if len(cols) == 0 {
		return r, nil
	}
	if len(cols) < 4 || !slices.Equal(r.Columns[:3], longNames[:3]) {
		return nil, pipeline.WithHint(fmt.Errorf("%s: not an output: its columns are not row_number, user_id, device_id, …",
			path),
			"name what `rollcall snapshot --out` wrote")
	}
	var err error
	if len(cols) >= longColumns && slices.Equal(r.Columns[:longColumns], longNames) {
		r.placeLong(o.Manifest)
	} else if err = r.placeWide(o.Manifest); err != nil {
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
		case i >= r.at.cache, !r.Wide && i >= r.at.include:
			wanted[i] = !o.NoIncluded
		case !r.Wide && i == colPayload, r.Wide && i < r.at.at && r.at.stride == 2 && (i-colFlag)%2 == 1:
			wanted[i] = !o.NoPayloads
		default:
			wanted[i] = true
		}
	}
	t.selectColumns(wanted)
	return r, nil
}

// placeLong finds the places of the long layout.
func (r *Reader) placeLong(m *Manifest) {
	r.Payloads = true
	r.at = places{at: colAt, include: longColumns, carry: longColumns}
	most := len(longExtras)
	if m != nil {
		most = len(r.layout.includedNames())
	}
	for _, name := range r.Columns[longColumns:] {
		if len(r.Included) == most || !slices.Contains(longExtras, name) || slices.Contains(r.Included, name) {
			break
		}
		r.Included = append(r.Included, name)
		r.at.carry++
	}
	r.placeCache(m)
}

// placeCache finds the columns of --include cache, where the carried columns would begin.
func (r *Reader) placeCache(m *Manifest) {
	r.at.cache = r.at.carry
	end := r.at.carry + len(cacheNames)
	if m != nil && !r.layout.hasCache() || len(r.Columns) < end || !slices.Equal(r.Columns[r.at.carry:end], cacheNames) {
		return
	}
	r.Cached, r.at.carry = true, end
}

// placeWide finds the places of the wide layout.
func (r *Reader) placeWide(m *Manifest) error {
	r.Wide = true
	at := slices.Index(r.Columns, "evaluated_at")
	if at < colFlag {
		return fmt.Errorf("%s: not an output: it has no column evaluated_at", r.path)
	}
	r.at = places{at: at, carry: at + 1, stride: 1}
	r.placeCache(m)
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
			return fmt.Errorf("%s: not an output: a flag lacks its payload", r.path)
		}
	}
	for i := 0; i < len(names); i += r.at.stride {
		flag := flagKey(m, &r.layout, names[i], i/r.at.stride, len(names)/r.at.stride)
		key, err := r.Keys.intern([]byte(flag), NoKey)
		if err != nil {
			return fmt.Errorf("%s: %w", r.path, err)
		}
		r.Flags = append(r.Flags, key)
	}
	return nil
}

// flagKey is the flag that a column of the wide layout is of, the i-th of n flags. Snake names have another case and
// other separators than the flags' keys.
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

// plainName is what a name and its snake form have in common: letters and digits, in lower case.
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
	return fmt.Errorf("%s: %s: %w", r.path, r.t.position(), fmt.Errorf(format, args...))
}

const (
	// These bound what one user may have: an answer is at most 8 MiB, a request names a few thousand flags.
	maxUserRecords = 1 << 16
	maxUserText    = 64 << 20
)

// Next reads the next user, reusing u's memory. It returns io.EOF after the last one; any other error ends the file,
// and is returned again by the next call.
//
// Consecutive records of the same row_number are one user; in the wide layout, each record is.
func (r *Reader) Next(u *User) error {
	if r.err == nil {
		r.err = r.nextUser(u)
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

// Each calls each for every user that is left. The User is valid during the call.
func (r *Reader) Each(ctx context.Context, each func(*User) error) error {
	var u User
	for n := 1; ; n++ {
		err := r.Next(&u)
		if err == io.EOF {
			return nil
		}
		if err == nil && n%4096 == 0 {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = each(&u)
		}
		if err != nil {
			return err
		}
	}
}

func (r *Reader) nextUser(u *User) error {
	row := r.pending
	if row == nil {
		var err error
		if row, err = r.nextRecord(); err != nil {
			return err
		}
	}
	r.pending = nil
	number, err := r.rowNumber(row)
	if err != nil {
		return err
	}
	u.Row, u.Differs, u.Records, u.First = number, "", 1, r.records
	u.text = u.text[:0]
	u.Assignments = u.Assignments[:0]
	if r.Wide {
		u.UserID, u.DeviceID, u.Carry = idText(&row[colUser]), idText(&row[colDevice]), row[r.at.carry:]
		u.Cache = row[r.at.cache:r.at.carry]
		if u.EvaluatedAt, err = r.parseMillis(&row[r.at.at]); err != nil {
			return err
		}
		for i, flag := range r.Flags {
			if err := u.assignmentAt(i).readWide(r, flag, row[colFlag+i*r.at.stride:]); err != nil {
				return err
			}
		}
		return nil
	}

	// A long record: the next one overwrites the table's memory, so everything is copied.
	u.UserID, u.DeviceID = u.copyText(idText(&row[colUser])), u.copyText(idText(&row[colDevice]))
	if u.EvaluatedAt, err = r.parseMillis(&row[colAt]); err != nil {
		return err
	}
	u.Cache = u.Cache[:0]
	for i := r.at.cache; i < r.at.carry; i++ {
		u.Cache = append(u.Cache, u.copyValue(&row[i]))
	}
	u.Carry = u.Carry[:0]
	for i := range row[r.at.carry:] {
		u.Carry = append(u.Carry, u.copyValue(&row[r.at.carry+i]))
	}
	for {
		if err := u.assignmentAt(len(u.Assignments)).readLong(r, u, row); err != nil {
			return err
		}
		if u.Records > maxUserRecords || len(u.text) > maxUserText {
			return r.errorf("row number %d has more or longer records than one user can have", number)
		}
		if row, err = r.nextRecord(); err == io.EOF {
			return nil // the next call gets it again
		} else if err != nil {
			return err
		}
		next, err := r.rowNumber(row)
		if err != nil {
			return err
		}
		if next != number {
			r.pending = row
			return nil
		}
		u.Records++
		if err := r.compareRow(u, row); err != nil {
			return err
		}
	}
}

func (r *Reader) nextRecord() ([]Value, error) {
	row, err := r.t.next()
	if err != nil {
		return nil, err
	}
	r.records++
	if r.escaped { // all cells are texts
		for i := range row {
			row[i].Text = unescapeFormula(row[i].Text)
		}
	}
	return row, nil
}

// compareRow sets u.Differs if a further row of the user does not agree with the first.
func (r *Reader) compareRow(u *User, row []Value) error {
	at, err := r.parseMillis(&row[colAt])
	switch {
	case err != nil:
		return err
	case u.Differs != "":
	case at != u.EvaluatedAt:
		u.Differs = "evaluated_at"
	case !bytes.Equal(u.UserID, idText(&row[colUser])):
		u.Differs = "user_id"
	case !bytes.Equal(u.DeviceID, idText(&row[colDevice])):
		u.Differs = "device_id"
	default:
		for i := range u.Cache {
			if differ(&u.Cache[i], &row[r.at.cache+i]) {
				u.Differs = cacheNames[i]
			}
		}
		for i := range u.Carry {
			if differ(&u.Carry[i], &row[r.at.carry+i]) {
				u.Differs = r.Carry[i].Name
			}
		}
	}
	return nil
}

// differ reports whether two values of a column differ.
func differ(a, b *Value) bool {
	return a.Kind != b.Kind || a.Kind != pipeline.Null && (a.Num != b.Num || !bytes.Equal(a.Text, b.Text))
}

// assignmentAt is the i-th assignment of u, with the keys that the last user had there as a guess.
func (u *User) assignmentAt(i int) *Assignment {
	if i < cap(u.Assignments) {
		u.Assignments = u.Assignments[:i+1]
	} else {
		u.Assignments = append(u.Assignments, Assignment{})
	}
	return &u.Assignments[i]
}

func (a *Assignment) readLong(r *Reader, u *User, row []Value) (err error) {
	if a.Flag, err = r.readKey(&row[colFlag], a.Flag, longNames[colFlag]); err != nil {
		return err
	}
	if a.Variant, err = r.readKey(&row[colVariant], a.Variant, longNames[colVariant]); err != nil {
		return err
	}
	if a.ExperimentKey, err = r.readKey(&row[colExperiment], a.ExperimentKey, longNames[colExperiment]); err != nil {
		return err
	}
	switch string(row[colOutcome].Text) {
	case "assigned":
		a.Assigned = true
	case "not_assigned":
		a.Assigned = false
	default:
		return r.errorf("column outcome is neither assigned nor not_assigned")
	}
	a.Payload = u.copyText(payloadText(&row[colPayload]))
	a.Included = a.Included[:0]
	for i := range r.Included {
		a.Included = append(a.Included, u.copyValue(&row[r.at.include+i]))
	}
	return nil
}

func (a *Assignment) readWide(r *Reader, flag Key, cells []Value) (err error) {
	a.Flag, a.ExperimentKey, a.Included = flag, NoKey, nil
	if a.Variant, err = r.readKey(&cells[0], a.Variant, "variant"); err != nil {
		return err
	}
	a.Assigned = a.Variant != NoKey
	a.Payload = nil
	if r.at.stride == 2 {
		a.Payload = payloadText(&cells[1])
	}
	return nil
}

// readKey is the key that a cell holds.
func (r *Reader) readKey(v *Value, guess Key, name string) (Key, error) {
	if v.Kind == pipeline.Null {
		return NoKey, nil
	}
	if v.Kind != pipeline.String {
		return NoKey, r.errorf("column %s is not a text", name)
	}
	key, err := r.Keys.intern(v.Text, guess)
	if err != nil {
		return NoKey, r.errorf("column %s: %w", name, err)
	}
	return key, nil
}

// copyText copies a text that the next row would overwrite.
func (u *User) copyText(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	at := len(u.text)
	u.text = append(u.text, b...)
	return u.text[at:len(u.text):len(u.text)]
}

func (u *User) copyValue(v *Value) Value {
	kept := *v
	kept.Text = u.copyText(v.Text)
	switch {
	case v.json == nil:
	case v.Kind == pipeline.String: // in quotes
		kept.json = u.copyText(v.json)
	default:
		kept.json = kept.Text
	}
	return kept
}

// idText is a text; nil for null.
func idText(v *Value) []byte {
	if v.Kind == pipeline.Null {
		return nil
	}
	return v.Text
}

// payloadText is the JSON text of a cell; nil for null.
func payloadText(v *Value) []byte {
	switch {
	case v.Kind == pipeline.Null:
		return nil
	case v.json != nil:
		return v.json
	}
	return v.Text
}

// rowNumber is the row_number of a record.
func (r *Reader) rowNumber(row []Value) (int64, error) {
	v := &row[colRow]
	switch v.Kind {
	case pipeline.Int:
		return v.Num, nil
	case pipeline.String, pipeline.Number:
		if n, ok := parseInt(v.Text); ok {
			return n, nil
		}
	}
	return 0, r.errorf("column row_number is not a number")
}

// parseInt parses an integer in its canonical form, faster than strconv.
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

// parseMillis is an evaluated_at, in milliseconds.
func (r *Reader) parseMillis(v *Value) (int64, error) {
	if v.Kind == pipeline.Timestamp {
		return v.Num / 1000, nil
	}
	if len(r.time.text) > 0 && bytes.Equal(r.time.text, v.Text) {
		return r.time.millis, nil
	}
	t, err := time.Parse("2006-01-02T15:04:05.000Z", string(v.Text))
	if v.Kind != pipeline.String || err != nil {
		return 0, r.errorf("column evaluated_at is not a time in milliseconds")
	}
	r.time.text, r.time.millis = append(r.time.text[:0], v.Text...), t.UnixMilli()
	return r.time.millis, nil
}

// findKey is the key of a text, the way the output has it.
func (r *Reader) findKey(text string) (Key, bool) {
	if r.escaped {
		text = unescapeFormula(text)
	}
	return r.Keys.Find(text)
}

// Records is how many records were read so far.
func (r *Reader) Records() int64 { return r.records }

// Close closes the file.
func (r *Reader) Close() error { return r.t.Close() }
