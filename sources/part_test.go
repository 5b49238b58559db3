package sources

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pinFiles pins the files until the test ends.
func pinFiles(t *testing.T, files []File) []File {
	t.Helper()
	if err := Pin(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Unpin(files) })
	return files
}

// checkParts divides the files, and compares the rows of the parts with those of the whole.
func checkParts(t *testing.T, rng *rand.Rand, files []File, opts Options, n int) {
	t.Helper()
	ahead := aheadOptions{goroutines: 1 + rng.IntN(3), most: 1 << (3 + rng.IntN(12))}
	whole := readWith(t, files, opts, aheadOptions{goroutines: 1})
	rows, end := append([]string{}, whole[:max(0, len(whole)-2)]...), strings.Join(whole[max(0, len(whole)-2):], "\n")
	opts.ahead = ahead
	division, err := Divide(t.Context(), files, opts, n, 0)
	if !strings.Contains(end, "Next: EOF;") {
		if err == nil {
			t.Fatalf("Divide of a file that ends with\n%s: no error", end)
		}
		return
	}
	if err != nil {
		t.Fatalf("Divide: %v; reading the whole ends with\n%s", err, end)
	}
	parts, got := division.Parts, []string{}
	opts.ahead = aheadOptions{goroutines: 1 + rng.IntN(3), most: 1 << (3 + rng.IntN(12))}
	again, err := Divide(t.Context(), files, opts, n, 0)
	if diff := cmp.Diff(division, again); err != nil || diff != "" {
		t.Fatalf("%v in %d parts, divided with %+v (-) and with %+v (+): %v\n%s", files, n, ahead, opts.ahead, err, diff)
	}
	counted := int64(0)
	for k, list := range parts {
		alone, err := Divide(t.Context(), files, opts, n, k+1)
		if err != nil {
			t.Fatalf("Divide, only part %d of %d: %v", k+1, n, err)
		}
		hashed := append([]Part{}, list...)
		for i := range list {
			counted += list[i].Rows
			hashed[i].SHA256 = ""
		}
		if diff := cmp.Diff(hashed, alone.Parts[k]); diff != "" {
			t.Fatalf("part %d of %d, divided with all (-) and alone (+):\n%s", k+1, n, diff)
		}
		of := opts
		of.Parts = list
		out := readWith(t, files, of, ahead)
		if !strings.HasPrefix(out[max(0, len(out)-2)], "Next: EOF;") {
			t.Fatalf("part %d of %d, %+v: it ends with %s", k+1, n, list, out[len(out)-2])
		}
		got = append(got, out[:len(out)-2]...)
		checkPartSums(t, files, of, list)
	}
	if diff := cmp.Diff(rows, got); diff != "" {
		t.Fatalf("%v in %d parts, %+v: the whole (-), its parts (+):\n%.3000s", files, n, parts, diff)
	}
	for i, f := range files {
		data, err := os.ReadFile(f.Path)
		if want := (Sum{int64(len(data)), fmt.Sprintf("%x", sha256.Sum256(data))}); err != nil || division.Sums[i] != want {
			t.Fatalf("Divide hashes %s as %+v, want %+v (%v)", f, division.Sums[i], want, err)
		}
	}
	if counted != int64(len(rows)) || division.Rows != counted {
		t.Fatalf("%v in %d parts, %+v: they count %d rows, want %d", files, n, parts, counted, len(rows))
	}
}

// checkPartSums compares the hashes of a pass over a part with those of Divide.
func checkPartSums(t *testing.T, files []File, opts Options, list []Part) {
	t.Helper()
	for range 2 { // to the end, and from the start
		in, err := Open(files, opts)
		if err != nil {
			t.Fatal(err)
		}
		if rows, err := readAll(in); err != nil {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		sums, err := in.ReadRest()
		mustClose(t, in)
		if err != nil || len(sums) != len(list) {
			t.Fatalf("ReadRest of %+v: %d sums, %v", list, len(sums), err)
		}
		for i := range list {
			if sums[i].SHA256 != list[i].SHA256 && (list[i].From != list[i].To) {
				t.Fatalf("%+v: a pass hashes %+v", list[i], sums[i])
			}
		}
	}
	for _, f := range files {
		f.pin.sum = nil // the next part of it has another
	}
}

// All rows of an input are in its parts, with their numbers, lines and errors, whatever is in the file and wherever it is
// cut.
func TestPartsHaveAllRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(14, 1))
	for round := range 60 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			header := []string{"user_id,x\n", "\ufeff\"user_id\",x\r\n", "sep=,\nuser_id,x\n", "user_id\n",
				"\n\nuser_id,x,x\n"}[rng.IntN(5)]
			name, pieces := "u.csv", csvPieces[round%len(csvPieces)]
			opts := Options{Pad: rng.IntN(2) == 0, NoHeader: rng.IntN(10) == 0}
			if round%3 == 2 {
				name, header, pieces, opts = "u.jsonl", "", jsonlPieces[rng.IntN(len(jsonlPieces))], Options{}
				opts.Mapping.Carry = []string{"plan"}
			} else if opts.NoHeader {
				opts.Mapping.Map = map[string]string{"user_id": "c1"}
			}
			var files []File
			for range 1 + rng.IntN(3) {
				n := rng.IntN(80)
				if len(strings.Join(pieces, "")) > 1<<16 {
					n /= 8
				}
				data := []byte(header + hostileText(rng, pieces, n))
				path := name
				if rng.IntN(6) == 0 {
					data, path = gzipBytes(t, data), name+".gz"
				}
				files = append(files, File{Path: writeFile(t, path, data)})
			}
			checkParts(t, rng, pinFiles(t, files), opts, 1+rng.IntN(9))
		})
	}
}

func TestPartsOfParquet(t *testing.T) {
	rng := rand.New(rand.NewPCG(14, 2))
	for round := range 8 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			var files []File
			for range 1 + rng.IntN(3) {
				var groups [][]parquetColumn
				for range rng.IntN(6) + 1 {
					header, users := typicalUsers(1 + rng.IntN(40))
					groups = append(groups, textColumns(t, header, users))
				}
				files = append(files, File{Path: writeFile(t, "u.parquet", parquetGroups(t, groups))})
			}
			checkParts(t, rng, pinFiles(t, files), Options{}, 1+rng.IntN(9))
		})
	}
}

// Parts of a file are about the same size, and a part reads little more than itself.
func TestPartsAreEven(t *testing.T) {
	header, users := typicalUsers(20_000)
	data := csvBytes(t, ',', false, header, users)
	files := pinFiles(t, []File{{Path: writeFile(t, "u.csv", data)}})
	division, err := Divide(t.Context(), files, Options{}, 7, 0)
	if err != nil {
		t.Fatal(err)
	}
	for k, list := range division.Parts {
		p := list[0]
		if p.To < 0 {
			p.To = int64(len(data))
		}
		if size, want := p.To-p.From, int64(len(data)/7); size < want-2*unitBytes || size > want+2*unitBytes {
			t.Errorf("part %d of 7 has %d bytes, want about %d", k+1, size, want)
		}
	}
}

// What was divided is what is read.
func TestPartOfAnotherFile(t *testing.T) {
	header, users := typicalUsers(100)
	path := writeFile(t, "u.parquet", parquetBytes(t, textColumns(t, header, users)))
	files := pinFiles(t, []File{{Path: path}})
	for name, part := range map[string]Part{
		"row groups that it does not have": {To: 5, Group: 1, Groups: 2},
		"negative":                         {To: 5, Group: -1, Groups: 1},
	} {
		t.Run(name, func(t *testing.T) {
			if in, err := Open(files, Options{Parts: []Part{part}}); err == nil {
				mustClose(t, in)
				t.Errorf("Open of %+v: no error", part)
			}
		})
	}
	records := writeFile(t, "e.jsonl", []byte(`{"row_number":7,"user_id":"a","device_id":null,"kind":"unavailable","http_status":503,`+
		`"attempts":5,"message":"m","occurred_at":"t","input":{"user_id":"a"},"run_id":"r"}`+"\n"))
	if _, err := Divide(t.Context(), pinFiles(t, []File{{Path: records}}), Options{}, 2, 0); err == nil ||
		!strings.Contains(err.Error(), "error records") {
		t.Errorf("Divide of error records: %v, want that they cannot be divided", err)
	}
}

// Divide ends with its context.
func TestDivideEnds(t *testing.T) {
	header, users := typicalUsers(1000)
	files := pinFiles(t, []File{{Path: writeFile(t, "u.csv", csvBytes(t, ',', false, header, users))}})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("interrupted")
	cancel(why)
	if _, err := Divide(ctx, files, Options{}, 3, 0); !errors.Is(err, why) {
		t.Errorf("Divide = %v, want %v", err, why)
	}
	if err := os.Truncate(files[0].Path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Divide(t.Context(), files, Options{}, 3, 0); err == nil {
		t.Error("Divide of an empty file: no error")
	}
}
