package sources

import (
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet"

	"github.com/rollcall-cli/rollcall/pipeline"
)

func TestDamageOf(t *testing.T) {
	for _, test := range []struct {
		id   string
		want Damage
	}{
		{"", 0}, {"user-1", 0}, {"007", 0}, {"12345", 0}, {"1e5", 0}, {"12345e67", 0}, {"1.2.3", 0}, {"0.5", 0}, {"-", 0},
		{"-5", 0}, {".0", 0},
		{"1.", 0}, {"1.0x", 0}, {"é", 0}, {"a b", 0}, {"null-and-void", 0}, {"nobody", 0}, {"é1.0é", 0},
		{strings.Repeat("1", 60) + ".0", 0},
		{"1.0E", 0}, {"1.5E+", 0}, {"1E-5", 0}, {"e+5", 0}, {"8c7b6ef0-1b2c-4e5f-9a8b-7c6d5e4f3a2b", 0},
		{"\tuser-1", DamageBlank}, {"user-1 ", DamageBlank}, {" ", DamageBlank}, {"user-1\r", DamageBlank},
		{"\u00a0user-1", DamageBlank},
		{"user-1\u200b", DamageBlank}, {"\ufeffuser-1", DamageBlank}, {" null", DamageBlank | DamageNothing},
		{"\t12345.0", DamageBlank | DamageDecimal},
		{"null", DamageNothing}, {"NULL", DamageNothing}, {"NaN", DamageNothing}, {"undefined", DamageNothing},
		{"None", DamageNothing},
		{`\N`, DamageNothing}, {"#N/A", DamageNothing}, {"<NA>", DamageNothing}, {"nil", DamageNothing},
		{"[object Object]", DamageNothing},
		{"12345.0", DamageDecimal}, {"-12345.0", DamageDecimal}, {"0.0", DamageDecimal}, {"12345.00", DamageDecimal},
		{"1.23457E+15", DamageExponent}, {"1.23457e+15", DamageExponent}, {"1E+15", DamageExponent},
		{"-1.2E+15", DamageExponent}, {"1.23457E15", DamageExponent},
	} {
		t.Run(test.id, func(t *testing.T) {
			if got := detectDamage(test.id); got != test.want {
				t.Errorf("damageOf(%q) = %b, want %b", test.id, got, test.want)
			}
		})
	}
}

func TestDamagedIDs(t *testing.T) {
	doubles := parquetBytes(t, []parquetColumn{{node: leafNode(t, "user_id", parquet.Repetitions.Required, nil,
		parquet.Types.Double, -1),
		values: []float64{12345, 1 << 53, 1<<53 - 1, -1 << 60, 1e300}}})
	for _, test := range []struct {
		name, file string
		data       []byte
		trim       bool
		want       []Damage
		ids        string
	}{
		{name: "Amplitude's export", file: "u.csv", data: []byte("user_id,device_id\n\tuser-1,\n\tuser-2,x\nuser-3,\tx\n"),
			want: []Damage{DamageBlank, DamageBlank, DamageBlank}, ids: "1:\tuser-1 2:\tuser-2/x 3:user-3/\tx"},
		{name: "Amplitude's export, trimmed", file: "u.csv",
			data: []byte("\tuser_id,\tdevice_id\n\tuser-1,\t\n\tuser-2,x \nuser-3,\"\tx\"\n"), trim: true,
			want: []Damage{0, 0, 0}, ids: "1:user-1 2:user-2/x 3:user-3/x"},
		{name: "a header in the middle", file: "u.csv", data: []byte("user_id,x\na,1\nuser_id,x\nb,2\n"),
			want: []Damage{0, DamageHeader, 0}, ids: "1:a 2:user_id 3:b"},
		{name: "rows that failed", file: "u.csv", data: []byte("user_id,x\n,null\nb\n"), want: []Damage{0, 0},
			ids: "1:!missing_id 2:!bad_row"},
		{name: "an id in the context", file: "u.jsonl", data: []byte(`{"context":{"user_id":" a"}}`),
			want: []Damage{DamageBlank}, ids: "1: a"},
		{name: "an id in the context, trimmed", file: "u.jsonl",
			data: []byte(`{"context":{"user_id":" a"}}` + "\n" + `{"user_id":"  ","device_id":"d "}`), trim: true,
			want: []Damage{0, 0}, ids: "1:a 2:/d"},
		{name: "white space alone, trimmed", file: "u.jsonl", data: []byte(`{"user_id":"  "}`), trim: true, want: []Damage{0},
			ids: "1:!missing_id"},
		{name: "digits of JSONL", file: "u.jsonl", data: []byte(`{"user_id":12345.0}`), want: []Damage{DamageDecimal},
			ids: "1:12345.0"},
		{name: "doubles of Parquet", file: "u.parquet", data: doubles,
			want: []Damage{0, DamageRounded, 0, DamageRounded, DamageRounded},
			ids:  "1:12345 2:9007199254740992 3:9007199254740991 4:-1152921504606847000 5:1e+300"},
		{name: "texts of Parquet, trimmed", file: "u.parquet",
			data: parquetBytes(t, textColumns(t, []string{"user_id", "country"}, [][]string{{"\ta", " DE"}})), trim: true,
			want: []Damage{0}, ids: "1:a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in, err := Open(filesAt(writeFile(t, test.file, test.data)), Options{Mapping: Mapping{Trim: test.trim}})
			if err != nil {
				t.Fatal(err)
			}
			defer mustClose(t, in)
			var row pipeline.Row
			var rows []got
			for i, want := range test.want {
				if err := in.Next(&row); err != nil {
					t.Fatal(err)
				}
				rows = append(rows, renderRow(&row))
				if got := in.DamagedIDs(); got != want {
					t.Errorf("row %d: damage %b, want %b", i+1, got, want)
				}
			}
			if got := joinIDs(rows); got != test.ids {
				t.Errorf("ids %q, want %q", got, test.ids)
			}
		})
	}
}

func BenchmarkDamageOf(b *testing.B) {
	texts := []string{"user-17", "8c7b6ef0-1b2c-4e5f-9a8b-7c6d5e4f3a2b", "1234567890", "nobody@example.com"}
	for b.Loop() {
		for _, id := range texts {
			if detectDamage(id) != 0 {
				b.Fatal(id)
			}
		}
	}
}
