package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"
	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/sinks"
)

// writeOutput writes outcomes to a file of that name.
func writeOutput(tb testing.TB, name string, spec sinks.Spec, outcomes []pipeline.Outcome) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	out, err := sinks.Create(path, spec)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range outcomes {
		if err := out.Write(&outcomes[i]); err != nil {
			tb.Fatal(err)
		}
	}
	if err := errors.Join(out.Close(), os.Rename(out.Info().Temp, path)); err != nil {
		tb.Fatal(err)
	}
	return path
}

// lines are what a Reader says of a file, a text for each user.
func lines(path string, o Options) (text []string, r *Reader, err error) {
	r, err = OpenReader(nil, path, o)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	var u User
	for {
		err := r.Next(&u)
		if err == io.EOF {
			return text, r, nil
		}
		if err != nil {
			return text, r, err
		}
		s := fmt.Sprintf("%d %q %q %d %d@%d%s", u.Row, u.UserID, u.DeviceID, u.EvaluatedAt, u.Records, u.First, u.Differs)
		for i := range u.Cache {
			s += fmt.Sprintf(" %s=%s", cacheNames[i], u.Cache[i].AppendText(nil))
		}
		for i := range u.Carry {
			s += fmt.Sprintf(" %s=%s", r.Carry[i].Name, u.Carry[i].AppendText(nil))
		}
		for i := range u.Assignments {
			a := &u.Assignments[i]
			s += fmt.Sprintf(" [%s %v %s %s %s", r.Keys.Name(a.Flag), a.Assigned, r.Keys.Name(a.Variant),
				r.Keys.Name(a.ExperimentKey), a.Payload)
			for j := range a.Included {
				s += fmt.Sprintf(" %s=%s", r.Included[j], a.Included[j].AppendText(nil))
			}
			s += "]"
		}
		text = append(text, s)
	}
}

func readable() []pipeline.Outcome {
	at := time.UnixMilli(1767323045678)
	return []pipeline.Outcome{
		{Row: pipeline.Row{Number: 1, User: pipeline.User{UserID: "ana, \"a\"", DeviceID: "d\n1"},
			Carry: []pipeline.Value{pipeline.StringValue("pro"), pipeline.IntValue(12)}}, At: at,
			Cache: pipeline.Cache{State: pipeline.CacheMiss, Aged: true, Age: 7},
			Assignments: []pipeline.Assignment{
				{Assigned: true, Variant: pipeline.Variant{FlagKey: "a", Key: "on", Payload: `{"x":"\u00e9"}`, ExperimentKey: "e-1",
					Metadata: `{"d":true}`, Value: "v"}},
				{Variant: pipeline.Variant{FlagKey: "b-flag"}},
			}},
		{Row: pipeline.Row{Number: 3, User: pipeline.User{DeviceID: "d3"}, Carry: []pipeline.Value{{}, {}}},
			At: at.Add(time.Second),
			Assignments: []pipeline.Assignment{
				{Assigned: true, Variant: pipeline.Variant{FlagKey: "a", Key: "off"}},
				{Assigned: true, Variant: pipeline.Variant{FlagKey: "b-flag", Key: "on", Payload: `"p"`}},
			}},
	}
}

func TestReader(t *testing.T) {
	carry := []pipeline.Column{{Name: "plan"}, {Name: "seats", Type: pipeline.TypeInt}}
	flags := []string{"a", "b-flag"}
	long := []string{
		`1 "ana, \"a\"" "d\n1" 1767323045678 2@1 plan=pro seats=12 [a true on e-1 {"x":"\u00e9"}] [b-flag false   ]`,
		`3 "" "d3" 1767323046678 2@3 plan= seats= [a true off  ] [b-flag true on  "p"]`,
	}
	included := []string{
		`1 "ana, \"a\"" "d\n1" 1767323045678 2@1 plan=pro seats=12 [a true on e-1 {"x":"\u00e9"} value=v metadata={"d":true}] [b-flag false    value= metadata=]`,
		`3 "" "d3" 1767323046678 2@3 plan= seats= [a true off   value= metadata=] [b-flag true on  "p" value= metadata=]`,
	}
	wide := []string{
		`1 "ana, \"a\"" "d\n1" 1767323045678 1@1 plan=pro seats=12 [a true on  ] [b-flag false   ]`,
		`3 "" "d3" 1767323046678 1@2 plan= seats= [a true off  ] [b-flag true on  ]`,
	}
	payloads := []string{
		`1 "ana, \"a\"" "d\n1" 1767323045678 1@1 plan=pro seats=12 [a true on  {"x":"\u00e9"}] [b-flag false   ]`,
		`3 "" "d3" 1767323046678 1@2 plan= seats= [a true off  ] [b-flag true on  "p"]`,
	}
	caches := func(rows []string) []string {
		return []string{strings.Replace(rows[0], " plan", " cache=miss age_seconds=7 plan", 1),
			strings.Replace(rows[1], " plan", " cache= age_seconds= plan", 1)}
	}
	snake := &Manifest{Layout: Layout{SnakeNames: true}, Flags: []FlagCount{{Flag: "a"}, {Flag: "b-flag"}}}
	for _, tt := range []struct {
		name string
		spec sinks.Spec
		o    Options
		want []string
	}{
		{"long", sinks.Spec{}, Options{}, long},
		{"included", sinks.Spec{Include: []string{"value", "metadata"}}, Options{}, included},
		{"wide", sinks.Spec{Wide: true}, Options{}, wide},
		{"wide, payloads", sinks.Spec{Wide: true, Include: []string{"payload"}}, Options{}, payloads},
		{"wide, snake, with the manifest", sinks.Spec{Wide: true, SnakeNames: true}, Options{Manifest: snake}, wide},
		{"caches", sinks.Spec{Include: []string{"cache"}}, Options{}, caches(long)},
		{"caches among others", sinks.Spec{Include: []string{"value", "cache", "metadata"}}, Options{}, caches(included)},
		{"wide, caches", sinks.Spec{Wide: true, Include: []string{"payload", "cache"}}, Options{}, caches(payloads)},
		{"wide, caches, with the manifest", sinks.Spec{Wide: true, Include: []string{"cache"}},
			Options{Manifest: &Manifest{Layout: Layout{Include: []string{"cache"}}}}, caches(wide)},
		{"carried columns of the names of included ones",
			sinks.Spec{Carry: []pipeline.Column{{Name: "value"}, {Name: "metadata"}}}, Options{Manifest: snake}, []string{
				strings.Replace(long[0], "plan=pro seats=12", "value=pro metadata=12", 1),
				strings.Replace(long[1], "plan= seats=", "value= metadata=", 1),
			}},
		{"a mark", sinks.Spec{BOM: true}, Options{}, long},
		{"semicolons", sinks.Spec{Delimiter: ';'}, Options{}, long},
		{"a mark and bars, wide", sinks.Spec{Wide: true, Delimiter: '|', BOM: true}, Options{}, wide},
		{"spaces", sinks.Spec{Delimiter: ' '}, Options{}, long},
		{"tabs, escaped", sinks.Spec{Delimiter: '\t', EscapeFormulas: true}, Options{}, long},
		{"nothing but variants", sinks.Spec{Include: []string{"value", "metadata"}},
			Options{NoIDs: true, NoPayloads: true, NoIncluded: true, NoCarried: true}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, format := range allFormats {
				if tt.spec.Flags = flags; tt.spec.Carry == nil {
					tt.spec.Carry = carry
				}
				outcomes := readable()
				if tt.spec.Carry[0].Name == "value" {
					tt.spec.Carry = []pipeline.Column{{Name: "value"}, {Name: "metadata", Type: pipeline.TypeInt}}
				}
				got, r, err := lines(writeOutput(t, "a."+format, tt.spec, outcomes), tt.o)
				if err != nil {
					t.Errorf("%s, %s: %v", tt.name, format, err)
					continue
				}
				if tt.want == nil { // only Parquet saves work by it
					if format == "parquet" && strings.Contains(strings.Join(got, ""), "pro") || len(got) != 2 {
						t.Errorf("%s, %s: got %q", tt.name, format, got)
					}
					continue
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("%s, %s (-want +got):\n%s", tt.name, format, diff)
				}
				if c := r.Carry[1]; format == "parquet" && (!c.Typed || c.Type != pipeline.TypeInt) || format != "parquet" &&
					c.Typed {
					t.Errorf("%s, %s: the second carried column is %+v", tt.name, format, c)
				}
			}
		})
	}
}

func TestReaderOfNothing(t *testing.T) {
	for _, wide := range []bool{false, true} {
		for _, format := range allFormats {
			got, r, err := lines(writeOutput(t, "a."+format, sinks.Spec{Wide: wide, Flags: []string{"a"}}, nil), Options{})
			if err != nil || len(got) > 0 {
				t.Errorf("wide %v, %s: %q, %v; want nothing", wide, format, got, err)
			}
			if hasRows := !strings.HasPrefix(format, "jsonl"); err == nil && (len(r.Columns) > 0) != hasRows {
				t.Errorf("wide %v, %s: columns %q", wide, format, r.Columns)
			}
		}
	}
}

const (
	csvHead  = "row_number,user_id,device_id,flag_key,outcome,variant,payload,experiment_key,evaluated_at\n"
	csvRow   = "1,u,,f,assigned,on,,,2026-01-02T03:04:05.000Z\n"
	jsonlRow = `{"row_number":1,"user_id":"u","device_id":null,"flag_key":"f","outcome":"assigned","variant":"on","payload":{"a":[1]},"experiment_key":null,"evaluated_at":"2026-01-02T03:04:05.000Z"}` + "\n"
)

func TestReaderRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"a.csv", "", "line 1: no header"},
		{"a.csv", "a,b,c,d\n1,2,3,4\n", "not an output"},
		{"a.csv", "row_number,user_id,device_id,f\n", "no column evaluated_at"},
		{"a.csv", csvHead + csvRow[:20], "line 2: the file ends in the middle of a record"},
		{"a.csv", csvHead + "1,u\n", "line 2: fewer cells than columns"},
		{"a.csv", csvHead + strings.Replace(csvRow, "\n", ",\n", 1), "line 2: more cells than columns"},
		{"a.csv", csvHead + csvRow + strings.Replace(csvRow, "u", "\"u\nv\"x", 1), "line 3: a quote or a carriage return"},
		{"a.csv", csvHead + strings.Replace(csvRow, "\n", "\r\n", 1), "line 2: a quote or a carriage return"},
		{"a.csv", csvHead + strings.Replace(csvRow, "u", "\"u\nv", 1), "line 2: the file ends in the middle of a record"},
		{"a.csv", csvHead + strings.Replace(csvRow, "u", "\xff", 1), "line 2: not valid UTF-8"},
		{"a.csv", csvHead + strings.Replace(csvRow, "assigned", "maybe", 1), "line 2: column outcome"},
		{"a.csv", csvHead + strings.Replace(csvRow, "1", "1.0", 1), "line 2: column row_number"},
		{"a.csv", csvHead + csvRow + strings.Replace(csvRow, "2026", "yore", 1), "line 3: column evaluated_at"},
		{"a.tsv", csvHead, "not an output"},
		{"a.csv", strings.Replace(csvHead, "device_id", "user_id", 1), "column \"user_id\" is duplicated"},
		{"a.csv.gz", csvHead, "gzip"},
		{"a.csv.zst", csvHead, "magic number"},
		{"a.jsonl", "[]\n", "line 1: not an object"},
		{"a.jsonl", "{}\n", "line 1: not an object"},
		{"a.jsonl", `{"a":1,"a":2}` + "\n", "column \"a\" is duplicated"},
		{"a.jsonl", jsonlRow + jsonlRow[:50], "line 2: the file ends in the middle of a record"},
		{"a.jsonl", jsonlRow + strings.Replace(jsonlRow, "user_id", "userid", 1),
			"line 2: not an object as rollcall writes it, with the names of the first line"},
		{"a.jsonl", jsonlRow + strings.Replace(jsonlRow, "}\n", "", 1) + ",\"x\":1}\n",
			"line 2: not an object as rollcall writes it, with the names of the first line"},
		{"a.jsonl", jsonlRow + strings.Replace(jsonlRow, `"u"`, `"\x"`, 1), "line 2: not JSON"},
		{"a.jsonl", jsonlRow + strings.Replace(jsonlRow, `[1]`, `[1`, 1), "line 2: not an object as rollcall"},
		{"a.jsonl", jsonlRow + strings.Replace(jsonlRow, `:1,`, `:01,`, 1), "line 2: not JSON"},
		{"a.jsonl", jsonlRow + strings.Replace(jsonlRow, `"on"`, `7`, 1), "line 2: column variant is not a text"},
		{"a.parquet", "", "too short"},
		{"a.parquet", "PAR1 and so on", "does not end in PAR1"},
		{"a.parquet", "PAR1\x00\x00\x00\x00PARE", "does not end in PAR1"},
		{"a.parquet", "PAR1\xff\xff\xff\x00PAR1", "a footer of 16777215 bytes"},
		{"a.xlsx", "", "not the name of an output"},
	} {
		t.Run(fmt.Sprintf("%+v", tt), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), tt.name)
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, _, err := lines(path, Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s of %q: %v; want an error with %q and the file's name", tt.name, tt.text, err, tt.want)
			}
		})
	}
}

// TestReaderRefusesOtherParquet: what Parquet allows and rollcall does not write is refused by the column's name.
func TestReaderRefusesOtherParquet(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts []parquet.WriterProperty
		want string
	}{
		{"snappy", []parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Snappy)}, ""},
		{"delta lengths", []parquet.WriterProperty{parquet.WithEncoding(parquet.Encodings.DeltaLengthByteArray)}, ""},
		{"gzip", []parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Gzip)},
			"column user_id: rollcall never writes the compression GZIP"},
		{"brotli", []parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Brotli)},
			"column user_id: rollcall never writes the compression BROTLI"},
		{"delta", []parquet.WriterProperty{parquet.WithEncoding(parquet.Encodings.DeltaByteArray)},
			"column user_id: rollcall never writes the encoding DELTA_BYTE_ARRAY"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			node, err := schema.NewPrimitiveNode("user_id", parquet.Repetitions.Required, parquet.Types.ByteArray, -1, -1)
			if err != nil {
				t.Fatal(err)
			}
			root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, schema.FieldList{node}, -1)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			w := file.NewParquetWriter(&b, root, file.WithWriterProps(parquet.NewWriterProperties(append(tt.opts,
				parquet.WithDictionaryDefault(false))...)))
			g := w.AppendRowGroup()
			c, err := g.NextColumn()
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.(*file.ByteArrayColumnChunkWriter).WriteBatch([]parquet.ByteArray{[]byte("u-1")}, nil, nil)
			if err := errors.Join(err, c.Close(), g.Close(), w.Close()); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "a.parquet")
			if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			table, err := openParquet(nil, path)
			if err != nil {
				t.Fatal(err)
			}
			row, err := table.next()
			if tt.want == "" && (err != nil || string(row[0].Text) != "u-1") {
				t.Errorf("%s: %v, %v", tt.name, row, err)
			}
			if tt.want != "" && (err == nil || err.Error() != path+": "+tt.want) {
				t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
			}
			if err := table.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReaderUnescapes(t *testing.T) {
	text := strings.Replace(jsonlRow, `"u"`, `"\u00e9\ud83d\ude00\"\\\/\b\f\n\r\tx\u001f"`, 1)
	path := filepath.Join(t.TempDir(), "a.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, _, err := lines(path, Options{})
	if want := fmt.Sprintf("1 %q", "é😀\"\\/\b\f\n\r\tx\x1f"); err != nil || len(got) != 1 ||
		!strings.HasPrefix(got[0], want) {
		t.Errorf("%s reads as %q, %v; want %s", text, got, err, want)
	}
}

// TestReaderSeesWhatDiffers: rows of one user that do not agree are one user, and it says so.
func TestReaderSeesWhatDiffers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.csv")
	for change, want := range map[string]string{"": "", "1,u,": "user_id", "1,u,,": "device_id", "05.000Z": "evaluated_at",
		"DE": "country"} {
		t.Run(change, func(t *testing.T) {
			row := strings.Replace(csvRow, "Z\n", "Z,DE\n", 1)
			other := strings.Replace(row, change, strings.Replace(change, "u,", "v,", 1), 1)
			switch change {
			case "1,u,,":
				other = strings.Replace(row, change, "1,u,x,", 1)
			case "05.000Z":
				other = strings.Replace(row, change, "05.001Z", 1)
			case "DE":
				other = strings.Replace(row, change, "FR", 1)
			}
			text := strings.TrimSuffix(csvHead, "\n") + ",country\n" + row + strings.Replace(other, ",f,", ",g,", 1)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, _, err := lines(path, Options{})
			if err != nil || len(got) != 1 || !strings.Contains(got[0], "2@1"+want+" ") {
				t.Errorf("%q: %q, %v; want one user that differs in %q", text, got, err, want)
			}
		})
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestDamaged: whatever happens to a file, reading it is an error or not, and neither a panic nor gigabytes.
func TestDamaged(t *testing.T) {
	outcomes := strangeOutcomes("a", "b")[:40]
	for _, format := range []string{"csv", "csv.gz", "csv.zst", "jsonl", "parquet"} {
		t.Run(format, func(t *testing.T) {
			path := writeOutput(t, "a."+format, sinks.Spec{Carry: strangeCarry}, outcomes)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			random := rand.New(rand.NewPCG(1, 2))
			failed, mutations := 0, 50
			if format == "parquet" {
				mutations = 200
			}
			for i := range mutations {
				data := bytes.Clone(whole)
				switch i % 3 {
				case 0:
					data = data[:random.IntN(len(data))]
				case 1:
					data[random.IntN(len(data))] ^= byte(1 << random.IntN(8))
				default: // the footer of a Parquet file is at the end
					at := len(data) - 1 - random.IntN(min(len(data), 2000))
					data[at] = byte(random.IntN(256))
				}
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
				n := allocated(func() { _, _, err = lines(path, Options{}) })
				if n > 256<<20 {
					t.Errorf("%s, mutation %d: %d bytes allocated", format, i, n)
				}
				if err != nil {
					failed++
				}
			}
			if failed < mutations/4 {
				t.Errorf("%s: %d of %d mutations were noticed, a third of which cut the file short", format, failed, mutations)
			}
		})
	}
}

func fuzzReader(f *testing.F, format string) {
	for _, spec := range []sinks.Spec{{Carry: strangeCarry}, {Carry: strangeCarry, Wide: true, Flags: []string{"a"}}} {
		data, err := os.ReadFile(writeOutput(f, "a."+format, spec, strangeOutcomes("a")[:8]))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	path := filepath.Join(f.TempDir(), fmt.Sprintf("%d.%s", os.Getpid(), format))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		var text []string
		var err error
		if n := allocated(func() { text, _, err = lines(path, Options{}) }); n > 512<<20 {
			t.Errorf("%d bytes allocated for %d", n, len(data))
		}
		again, _, errAgain := lines(path, Options{})
		if fmt.Sprint(err) != fmt.Sprint(errAgain) || !slices.Equal(text, again) {
			t.Errorf("a second time it reads otherwise: %v, %v", err, errAgain)
		}
	})
}

func FuzzReadCSV(f *testing.F)     { fuzzReader(f, "csv") }
func FuzzReadJSONL(f *testing.F)   { fuzzReader(f, "jsonl") }
func FuzzReadParquet(f *testing.F) { fuzzReader(f, "parquet") }
