package cohort

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/sinks"
)

func writeFile(tb testing.TB, name, text string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// parquetText is a Parquet file of texts.
func parquetText(tb testing.TB, columns []string, rows ...[]string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "p.parquet")
	var cols []pipeline.Column
	for _, name := range columns {
		cols = append(cols, pipeline.Column{Name: name})
	}
	out, err := sinks.CreateRows(path, cols, sinks.Spec{})
	if err != nil {
		tb.Fatal(err)
	}
	for _, row := range rows {
		var o pipeline.Outcome
		for _, cell := range row {
			o.Row.Carry = append(o.Row.Carry, pipeline.StringValue(cell))
		}
		if err := out.Write(&o); err != nil {
			tb.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		tb.Fatal(err)
	}
	data, err := os.ReadFile(out.Info().Temp)
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

func compressed(tb testing.TB, text string) (gz, zst string) {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil || w.Close() != nil {
		tb.Fatal(err)
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b.String(), string(enc.EncodeAll([]byte(text), nil))
}

// TestFormats: u1, u2 and "ü 3" are the members, however they are written.
func TestFormats(t *testing.T) {
	const list = "user_id\nu1\nu2\nü 3\n"
	gz, zst := compressed(t, list)
	for _, test := range []struct{ what, name, text, column string }{
		{"a header", "c.csv", list, ""},
		{"no header", "c.csv", "u1\nu2\nü 3", ""},
		{"Windows", "c.csv", "\uFEFFuser_id\r\nu1\r\nu2\r\nü 3\r\n", ""},
		{"a mark and no header", "c.csv", "\uFEFFu1\nu2\nü 3\n", ""},
		{"Amplitude's export", "c.csv", "\"\tAmplitude ID\",\"\tUser ID\"\r\n\"\t1\",\"\tu1\"\r\n\"\t2\",\"\tu2\"\r\n\"\t3\",\"\tü 3\"\r\n", ""},
		{"Amplitude's export, tabs before the quotes", "c.csv", "\t\"Amplitude ID\",\t\"User ID\"\n\t\"1\",\t\"u1\"\n\t2,\tu2\n\t3,\tü 3\n", ""},
		{"Amplitude's export without a header", "c.csv", "\"\tu1\"\r\n\"\tu2\"\r\n\"\tü 3\"\r\n", ""},
		{"any header of one column", "c.csv", "Members\nu1\nu2\nü 3\n", ""},
		{"empty lines and cells", "c.csv", "user_id,x\n\nu1,1\nu2,2\n\"\",3\nü 3,4\n,5\n", ""},
		{"repeated", "c.csv", list + "u1\nu2\n", ""},
		{"a column", "c.csv", "user_id,uid\nx,u1\nx,u2\nx,ü 3\n", "uid"},
		{"TSV", "c.tsv", "plan\tuser_id\nfree\tu1\nfree\tu2\nfree\tü 3\n", ""},
		{"lines", "c.txt", "u1\n u2\t\n\nü 3", ""},
		{"lines with a header", "c.TXT", list, ""},
		{"gzip", "c.csv.gz", gz, ""},
		{"zstd", "c.txt.zst", zst, ""},
		{"JSON", "c.json", `{"cohortId":"c","size":3,"memberIds":["u1","u2","ü 3"],"x":{"y":[1]}}`, ""},
		{"JSON in another order", "c.json", `{"memberIds":["ü 3","u2","u1"],"groupType":"User","lastModified":7}`, ""},
		{"Parquet", "c.parquet", parquetText(t, []string{"plan", "user_id"}, []string{"free", "u1"}, []string{"free", "u2"},
			[]string{"free", "ü 3"}), ""},
		{"Parquet of one column", "c.parquet", parquetText(t, []string{"x"}, []string{"u1"}, []string{"u2"}, []string{"ü 3"}), ""},
		{"a column of Parquet", "c.parquet", parquetText(t, []string{"a", "b"}, []string{"x", "u1"}, []string{"x", "u2"},
			[]string{"x", "\tü 3"}), "b"},
	} {
		t.Run(test.what, func(t *testing.T) {
			path := writeFile(t, test.name, test.text)
			s, err := Load(t.Context(), Options{Files: map[string]string{"vip": path}, Column: test.column})
			if err != nil {
				t.Fatalf("%q: %v (%s)", test.text, err, pipeline.Hint(err))
			}
			c := s.Get("vip")
			for id, want := range map[string]bool{"u1": true, "u2": true, "ü 3": true, "": false, "u": false, "user_id": false,
				"\tu1": false, "x": false} {
				if _, got := c.Lookup([]byte(id)); got != want {
					t.Errorf("%q: %q is a member: %v, want %v", test.text, id, got, want)
				}
			}
			if c.Size() != 3 {
				t.Errorf("%q: %d members, want 3", test.text, c.Size())
			}
			var ids []string
			if err := c.Each(t.Context(), func(id []byte) error {
				ids = append(ids, string(id))
				return nil
			}); err != nil {
				t.Errorf("read again: %v", err)
			}
			slices.Sort(ids)
			if want := []string{"u1", "u2", "ü 3"}; !slices.Equal(slices.Compact(ids), want) {
				t.Errorf("%q: read again: %q, want %q", test.text, ids, want)
			}
			sum := sha256.Sum256([]byte(test.text))
			if want := hex.EncodeToString(sum[:]); c.SHA256 != want {
				t.Errorf("SHA-256 %s, want %s", c.SHA256, want)
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	for _, test := range []struct{ what, name, text, column, want, hint string }{
		{"several columns", "c.csv", "a,b\n1,2\n", "", "none of the 2 columns is user_id", "--cohorts-column"},
		{"a misspelt column", "c.csv", "uid,b\n1,2\n", "uld", `there is no column "uld"`, `did you mean "uid"?`},
		{"a short row", "c.csv", "b,user_id\n1,2\n3\n", "", "line 3 has no cell of the ids", ""},
		{"columns of Parquet", "c.parquet", parquetText(t, []string{"a", "b"}), "", "none of the 2 columns is user_id",
			"--cohorts-column"},
		{"no Parquet", "c.parquet", "user_id\n", "", "too short for Parquet", ""},
		{"no gzip", "c.csv.gz", "user_id\n", "", "c.csv.gz: ", ""},
		{"an extension", "c.xlsx", "x", "", "not the name of a file of a cohort", ".parquet"},
		{"a list", "c.json", `["u1"]`, "", "it is no object", ""},
		{"another document", "c.json", `{"flags":[]}`, "", "it has neither cohortId nor memberIds", ""},
		{"cut off", "c.json", `{"cohortId":"c","memberIds":["u1"`, "", "EOF", ""},
		{"too few", "c.json", `{"cohortId":"c","size":3,"memberIds":["u1"]}`, "", "it has 1 members, and says that they are 3",
			"download it again"},
		{"numbers", "c.json", `{"memberIds":[1]}`, "", "memberIds holds 1, which is not a text", ""},
		{"groups", "c.json", `{"cohortId":"c","groupType":"org","memberIds":[]}`, "", "a cohort of groups of type org", ""},
		{"too many", "c.txt", "1\n2\n3\n4\n5\n", "", "cohort vip has more than 4 members", ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			path := writeFile(t, test.name, test.text)
			_, err := Load(t.Context(), Options{Files: map[string]string{"vip": path}, Column: test.column, MaxSize: 4})
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.name) ||
				!strings.Contains(pipeline.Hint(err), test.hint) {
				t.Errorf("%q: error %v (%q), want %q (%q)", test.text, err, pipeline.Hint(err), test.want, test.hint)
			}
		})
	}
}

// TestNames: a directory has a file for each cohort, and names stand for ids.
func TestNames(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"vip.csv": "u1\n", "u0qtvwla.json": `{"cohortId":"u0qtvwla","memberIds":["u2"]}`,
		"other.json": `{"cohortId":"abc","lastModified":5,"memberIds":null}`, "v.1.txt.gz": "", ".hidden": "x"} {
		if strings.HasSuffix(name, ".gz") {
			text, _ = compressed(t, "u9\n")
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Load(t.Context(), Options{Dir: dir, IDs: map[string]string{"vip": "x123"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"other", "u0qtvwla", "v.1", "vip"}; !slices.Equal(s.Names(), want) {
		t.Errorf("names %q, want %q", s.Names(), want)
	}
	for name, want := range map[string]string{"vip": "vip x123 1", "x123": "vip x123 1", "u0qtvwla": "u0qtvwla u0qtvwla 1",
		"abc": "other abc 0", "v.1": "v.1 v.1 1"} {
		if c := s.Get(name); c == nil || fmt.Sprint(c.Name, " ", c.ID, " ", c.Size()) != want {
			t.Errorf("%s: %+v, want %s", name, c, want)
		}
	}
	if c := s.Get("unknown"); c != nil || (*Set)(nil).Get("vip") != nil {
		t.Errorf("unknown: %+v, want nil", c)
	}
	for _, test := range []struct {
		what, want string
		o          Options
	}{
		{"a name twice", "are both cohort vip", Options{Dir: dir, Files: map[string]string{"vip": filepath.Join(dir, "vip.csv")}}},
		{"an id twice", "are both cohort abc", Options{Dir: dir, IDs: map[string]string{"vip": "abc"}}},
		{"an id of nobody", `an id is given for cohort "vpi", and no file`, Options{Dir: dir, IDs: map[string]string{"vpi": "x"}}},
		{"no directory", "no such file", Options{Dir: dir + "/none"}},
		{"no file", "no such file", Options{Files: map[string]string{"vip": dir + "/none.csv"}}},
	} {
		t.Run(test.what, func(t *testing.T) {
			if _, err := Load(t.Context(), test.o); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// TestManyMembers: a table finds all of its members and nobody else, and takes at most 30 bytes a member.
func TestManyMembers(t *testing.T) {
	var b strings.Builder
	const n = 200_000
	for i := range n {
		fmt.Fprintf(&b, "user-%d\n", i)
	}
	s, err := Load(t.Context(), Options{Files: map[string]string{"c": writeFile(t, "c.txt", b.String())}})
	if err != nil {
		t.Fatal(err)
	}
	c := s.Get("c")
	seen := make([]bool, c.Indexes())
	for i := range n {
		at, ok := c.Lookup(fmt.Appendf(nil, "user-%d", i))
		if !ok || seen[at] {
			t.Fatalf("user-%d: found %v at %d, want a place of its own", i, ok, at)
		}
		seen[at] = true
		if _, ok := c.Lookup(fmt.Appendf(nil, "other-%d", i)); ok {
			t.Fatalf("other-%d is found", i)
		}
	}
	if per := float64(16*c.Indexes()) / n; per > 30 || c.Size() != n {
		t.Errorf("%d members, %.1f bytes each, want %d and at most 30", c.Size(), per, n)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	cancel(stopped)
	if err := c.Each(ctx, func([]byte) error { return nil }); !errors.Is(err, stopped) {
		t.Errorf("a context that is done: %v, want %v", err, stopped)
	}
}

// FuzzRead: whatever a file holds is read or refused.
func FuzzRead(f *testing.F) {
	f.Add("c.json", `{"cohortId":"c","size":1,"memberIds":["u1"]}`)
	f.Add("c.csv", "\"\tUser ID\",b\n\"\tu1\",\"x\"\n")
	f.Add("c.txt", "u1\n")
	f.Fuzz(func(t *testing.T, name, text string) {
		format, _ := formatOf(name)
		if format == "" || strings.ContainsAny(name, "/\x00") || len(name) > 100 {
			return
		}
		ids := map[string]bool{}
		path := writeFile(t, name, text)
		if err := readFile(t.Context(), nil, path, "", &document{}, func(id []byte) error {
			ids[string(id)] = true
			return nil
		}); err != nil {
			return
		}
		s, err := Load(t.Context(), Options{Files: map[string]string{"c": path}})
		if err == nil && s.Get("c").Size() != len(ids) {
			t.Errorf("%s %q: %d members, want %d", name, text, s.Get("c").Size(), len(ids))
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	var text strings.Builder
	const n = 1_000_000
	text.WriteString("user_id\n")
	for i := range n {
		fmt.Fprintf(&text, "02290204-54b1-4b02-ac60-%012d\n", i)
	}
	path := writeFile(b, "c.csv", text.String())
	for b.Loop() {
		if _, err := Load(b.Context(), Options{Files: map[string]string{"c": path}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/member")
}

// BenchmarkLookup looks up members and others, half and half, in a table that is larger than the caches.
func BenchmarkLookup(b *testing.B) {
	c := Cohort{members: newTable(0)}
	id := []byte("02290204-54b1-4b02-ac60-00000000")
	number := func(i uint32) []byte {
		binary.LittleEndian.PutUint32(id[len(id)-4:], i)
		return id
	}
	for i := range uint32(1 << 20) {
		c.members.insert(number(2 * i))
	}
	var i uint32
	for b.Loop() {
		i = i*1664525 + 1013904223
		c.Lookup(number(i >> 11))
	}
}

// TestAnnouncedSize: a table has room for the members that a document announces before them, but a small file cannot
// make it large.
func TestAnnouncedSize(t *testing.T) {
	var members strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&members, `,"u%d"`, i)
	}
	list := members.String()[1:]
	for _, tt := range []struct {
		name, text string
		slots      int
	}{
		{"before the members", `{"cohortId":"c","size":1000,"memberIds":[` + list + `]}`, 1500},
		{"after them", `{"cohortId":"c","memberIds":[` + list + `],"size":1000}`, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set, err := Load(t.Context(), Options{Files: map[string]string{"c": writeFile(t, "c.json", tt.text)}})
			if err != nil {
				t.Fatal(err)
			}
			c := set.Get("c")
			if c.Size() != 1000 || c.Indexes() > 1875 || tt.slots > 0 && c.Indexes() != tt.slots {
				t.Errorf("%d members in %d slots, want 1000 in %d (0: at most 1875)", c.Size(), c.Indexes(), tt.slots)
			}
		})
	}
	for size, want := range map[int64]int{-1: 0, 1 << 60: 25, 7: 7} {
		d := document{Size: &size, bytes: 100}
		if got := d.expected(1000); got != want {
			t.Errorf("expected of an announced size of %d in a file of 100 bytes: %d, want %d", size, got, want)
		}
	}
}

// TestIDsThatAreNotUTF8: half of a surrogate pair, and a byte that is no UTF-8, are U+FFFD, as in users.
func TestIDsThatAreNotUTF8(t *testing.T) {
	set, err := Load(t.Context(), Options{Files: map[string]string{"c": writeFile(t, "c.json",
		`{"cohortId":"c","size":3,"memberIds":["a\ud800b","c`+"\xff"+`d","\u00fc\n\"x"]}`)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a\ufffdb", "c\ufffdd", "ü\n\"x"} {
		if _, ok := set.Get("c").Lookup([]byte(id)); !ok {
			t.Errorf("%q is not a member", id)
		}
	}
}
