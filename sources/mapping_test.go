package sources

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

type types = map[string]pipeline.Type

// The options map columns to fields. Each file has one row.
func TestMapping(t *testing.T) {
	for _, test := range []struct {
		name, file, data string
		mapping          Mapping
		want             got    // Number is 1
		columns          string // as name>target, * where carried
	}{
		{name: "unmapped columns are not sent", data: "user_id,email\na,x@y\n",
			want: got{ID: "a", Context: `{}`, Input: `{"user_id":"a","email":"x@y"}`}, columns: "user_id>user_id email>"},
		{name: "map", data: "uid,company,tier\na,acme,gold\n",
			mapping: Mapping{Map: map[string]string{"user_id": "uid", "groups.org": "company", "user_properties.plan": "tier"}},
			want: got{ID: "a", Context: `{"groups":{"org":["acme"]},"user_properties":{"plan":"gold"}}`,
				Input: `{"uid":"a","company":"acme","tier":"gold"}`},
			columns: "uid>user_id company>groups.org tier>user_properties.plan"},
		{name: "map goes before the column's own name", data: "user_id,uid\nno,a\n",
			mapping: Mapping{Map: map[string]string{"user_id": "uid"}},
			want:    got{ID: "a", Context: `{}`, Input: `{"user_id":"no","uid":"a"}`}, columns: "user_id> uid>user_id"},
		{name: "one column for two fields", data: "uid\na\n",
			mapping: Mapping{Map: map[string]string{"user_id": "uid", "device_id": "uid", "user_properties.id": "uid"}},
			want:    got{ID: "a", Dev: "a", Context: `{"user_properties":{"id":"a"}}`, Input: `{"uid":"a"}`},
			columns: "uid>device_id, user_id, user_properties.id"},
		{name: "fields of the user in another case", data: "USER_ID,Country,User_Properties.Plan\na,DE,pro\n",
			want: got{ID: "a", Context: `{"country":"DE","user_properties":{"Plan":"pro"}}`,
				Input: `{"USER_ID":"a","Country":"DE","User_Properties.Plan":"pro"}`},
			columns: "USER_ID>user_id Country>country User_Properties.Plan>user_properties.Plan"},
		{name: "the exact name goes before another case", data: "User_ID,user_id\nno,a\n",
			want: got{ID: "a", Context: `{}`, Input: `{"User_ID":"no","user_id":"a"}`}, columns: "User_ID> user_id>user_id"},
		{name: "options find columns in another case", data: "UID,Plan,Tag\na,pro,x\n",
			mapping: Mapping{Map: map[string]string{"user_id": "uid"}, Properties: []string{"plan"}, Carry: []string{"TAG"}},
			want: got{ID: "a", Context: `{"user_properties":{"Plan":"pro"}}`, Carry: `["x"]`,
				Input: `{"UID":"a","Plan":"pro","Tag":"x"}`},
			columns: "UID>user_id Plan>user_properties.Plan Tag>*"},
		{name: "all properties", data: "user_id,z,country,a b\nu,1,DE,2\n",
			mapping: Mapping{AllProperties: true, Carry: []string{"z"}},
			want: got{ID: "u", Context: `{"country":"DE","user_properties":{"a b":"2","z":"1"}}`, Carry: `["1"]`,
				Input: `{"user_id":"u","z":"1","country":"DE","a b":"2"}`},
			columns: "user_id>user_id z>user_properties.z* country>country a b>user_properties.a b"},
		{name: "cohorts, as JSON lists and as texts", data: "user_id,cohort_ids,groups.org,group_cohort_ids.org\n" +
			`a,"[""x"",""y""]",acme,z` + "\n",
			want: got{ID: "a",
				Context: `{"cohort_ids":["x","y"],"group_cohort_ids":{"org":{"acme":["z"]}},"groups":{"org":["acme"]}}`,
				Input:   `{"user_id":"a","cohort_ids":"[\"x\",\"y\"]","groups.org":"acme","group_cohort_ids.org":"z"}`},
			columns: "user_id>user_id cohort_ids>cohort_ids groups.org>groups.org group_cohort_ids.org>group_cohort_ids.org"},
		{name: "cohorts, mapped; of no group", data: "user_id,c,o,g\na,x,,z\n",
			mapping: Mapping{Map: map[string]string{"cohort_ids": "c", "groups.org": "o", "group_cohort_ids.org": "g"}},
			want:    got{ID: "a", Context: `{"cohort_ids":["x"]}`, Input: `{"user_id":"a","c":"x","o":null,"g":"z"}`}},
		{name: "cohorts of JSON Lines", file: "a.jsonl", data: `{"user_id":"a","cohort_ids":["x"],"groups":{"org":["acme"]},` +
			`"group_cohort_ids":{"org":{"acme":["z"]}}}` + "\n",
			want: got{ID: "a",
				Context: `{"cohort_ids":["x"],"group_cohort_ids":{"org":{"acme":["z"]}},"groups":{"org":["acme"]}}`,
				Input: `{"user_id":"a","cohort_ids":["x"],"groups":{"org":["acme"]},` +
					`"group_cohort_ids":{"org":{"acme":["z"]}}}`}},
		{name: "cohorts of a context, as JSON texts", file: "a.jsonl",
			data: `{"user_id":"a","context":{"cohort_ids":"[\"x\"]","group_cohort_ids":{"org":{"acme":"z"}}}}` + "\n",
			want: got{ID: "a", Context: `{"cohort_ids":["x"],"group_cohort_ids":{"org":{"acme":["z"]}}}`,
				Input: `{"user_id":"a","context":{"cohort_ids":"[\"x\"]","group_cohort_ids":{"org":{"acme":"z"}}}}`}},
		{name: "other fields are mapped, and used where they are read", data: "user_id,cat,Web_Exp_ID,tier\na,mobile,w,7\n",
			mapping: Mapping{Map: map[string]string{"device_category": "cat"}, Fields: []string{"web_exp_id", "level"}},
			want: got{ID: "a", Context: `{"device_category":"mobile","web_exp_id":"w"}`,
				Input: `{"user_id":"a","cat":"mobile","Web_Exp_ID":"w","tier":"7"}`},
			columns: "user_id>user_id cat>device_category Web_Exp_ID>web_exp_id tier>"},
		{name: "a field that is read is also a property of all", data: "user_id,tier\na,7\n",
			mapping: Mapping{AllProperties: true, Fields: []string{"tier"}},
			want:    got{ID: "a", Context: `{"tier":"7","user_properties":{"tier":"7"}}`, Input: `{"user_id":"a","tier":"7"}`}},
		{name: "all properties, but for pandas' index", data: "__index_level_0__,user_id,__index_level_x__,__index_level___\n1,u,2,3\n", mapping: Mapping{AllProperties: true},
			want: got{ID: "u", Context: `{"user_properties":{"__index_level___":"3","__index_level_x__":"2"}}`,
				Input: `{"__index_level_0__":"1","user_id":"u","__index_level_x__":"2","__index_level___":"3"}`}},
		{name: "all properties, but for those that have a column of their own",
			data: "user_id,plan,user_properties.plan\na,no,pro\n", mapping: Mapping{AllProperties: true},
			want: got{ID: "a", Context: `{"user_properties":{"plan":"pro"}}`,
				Input: `{"user_id":"a","plan":"no","user_properties.plan":"pro"}`},
			columns: "user_id>user_id plan> user_properties.plan>user_properties.plan"},
		{name: "all properties, but for those left out", data: "user_id,plan,Raw,country,email\na,pro,x,DE,m\n",
			mapping: Mapping{AllProperties: true, Exclude: []string{"raw", "country", "email"},
				Map: map[string]string{"user_properties.mail": "email"}},
			want: got{ID: "a", Context: `{"user_properties":{"mail":"m","plan":"pro"}}`,
				Input: `{"user_id":"a","plan":"pro","Raw":"x","country":"DE","email":"m"}`},
			columns: "user_id>user_id plan>user_properties.plan Raw> country> email>user_properties.mail"},
		{name: "all properties of JSONL, but for those left out", file: "u.jsonl",
			data:    `{"user_id":"a","plan":"pro","RAW":{"x":1},"user_properties":{"a":1}}`,
			mapping: Mapping{AllProperties: true, Exclude: []string{"raw", "user_properties"}},
			want: got{ID: "a", Context: `{"user_properties":{"plan":"pro"}}`,
				Input: `{"user_id":"a","plan":"pro","RAW":{"x":1},"user_properties":{"a":1}}`},
			columns: "user_id>user_id plan>user_properties.plan RAW> user_properties>"},
		{name: "a text called groups is no object", data: "user_id,groups\na,admins\n",
			want: got{ID: "a", Context: `{}`, Input: `{"user_id":"a","groups":"admins"}`}, columns: "user_id>user_id groups>"},
		{name: "types", data: "user_id,user_properties.i,user_properties.f,user_properties.b,user_properties.j,user_properties.s\na,-7,1.50,TRUE,\"[1,{\"\"b\"\":1.0,\"\"a\"\":2}]\",5\n",
			mapping: Mapping{Types: types{"user_properties.i": pipeline.TypeInt, "user_properties.f": pipeline.TypeFloat,
				"user_properties.b": pipeline.TypeBool,
				"user_properties.j": pipeline.TypeJSON, "user_properties.s": pipeline.TypeString},
				Carry: []string{"user_properties.i", "user_properties.j"}},
			want: got{ID: "a", Context: `{"user_properties":{"b":true,"f":1.5,"i":-7,"j":[1,{"a":2,"b":1.0}],"s":"5"}}`,
				Carry: `[-7,[1,{"a":2,"b":1.0}]]`,
				Input: `{"user_id":"a","user_properties.i":"-7","user_properties.f":"1.50","user_properties.b":"TRUE","user_properties.j":"[1,{\"b\":1.0,\"a\":2}]","user_properties.s":"5"}`}},
		{name: "an int that is none", data: "user_id,n\na,seven\n",
			mapping: Mapping{Properties: []string{"n"}, Types: types{"n": pipeline.TypeInt}, Carry: []string{"n"}},
			want: got{ID: "a", Carry: "[null]", Input: `{"user_id":"a","n":"seven"}`,
				Err: "bad_row: line 2: column n: not a 64-bit integer"}},
		{name: "a float that JSON lacks", data: "n,user_id\nNaN,a\n",
			mapping: Mapping{Properties: []string{"n"}, Types: types{"n": pipeline.TypeFloat}},
			want:    got{ID: "a", Input: `{"n":"NaN","user_id":"a"}`, Err: "bad_row: line 2: column n: not a float"}},
		{name: "a bool that is none", data: "n,user_id\nja,a\n",
			mapping: Mapping{Properties: []string{"n"}, Types: types{"n": pipeline.TypeBool}},
			want: got{ID: "a", Input: `{"n":"ja","user_id":"a"}`,
				Err: "bad_row: line 2: column n: not a bool (true, false, 1 or 0)"}},
		{name: "missing is absent", data: "user_id,country,n\na,,\n",
			mapping: Mapping{Properties: []string{"n"}, Carry: []string{"n"}, Types: types{"n": pipeline.TypeInt}},
			want:    got{ID: "a", Context: `{}`, Carry: "[null]", Input: `{"user_id":"a","country":null,"n":null}`}},
		{name: "missing is empty", data: "user_id,device_id,country,n,groups.g,context\na,,,,,\n",
			mapping: Mapping{MissingEmpty: true, Properties: []string{"n"}, Carry: []string{"n", "country"},
				Types: types{"n": pipeline.TypeInt}},
			want: got{ID: "a", Context: `{"country":""}`, Carry: `[null,""]`,
				Input: `{"user_id":"a","device_id":"","country":"","n":"","groups.g":"","context":""}`}},
		{name: "names with dots", data: "user_id,groups.a.b,user_properties.c.d,group_properties.t.p.q,groups.t\nu,g,1,2,z\n",
			want: got{ID: "u", Context: `{"group_properties":{"t":{"z":{"p.q":"2"}}},"groups":{"a.b":["g"],"t":["z"]},"user_properties":{"c.d":"1"}}`,
				Input: `{"user_id":"u","groups.a.b":"g","user_properties.c.d":"1","group_properties.t.p.q":"2","groups.t":"z"}`}},
		{name: "names that say too little are no targets",
			data:    "user_id,user_properties.,groups.,group_properties.t,group_properties.t.\nu,1,2,3,4\n",
			want:    got{ID: "u", Context: `{}`, Input: `{"user_id":"u","user_properties.":"1","groups.":"2","group_properties.t":"3","group_properties.t.":"4"}`},
			columns: "user_id>user_id user_properties.> groups.> group_properties.t> group_properties.t.>"},
		{name: "fields that sort around the objects", data: "version,user_id,user_properties.a,groups.a,country,ip_address,platform,region\n1,u,2,3,4,5,6,7\n",
			want: got{ID: "u", Context: `{"country":"4","groups":{"a":["3"]},"ip_address":"5","platform":"6","region":"7","user_properties":{"a":"2"},"version":"1"}`,
				Input: `{"version":"1","user_id":"u","user_properties.a":"2","groups.a":"3","country":"4","ip_address":"5","platform":"6","region":"7"}`}},

		{name: "nested JSONL", file: "u.jsonl", data: `{"user_id":"a","user_properties":{"plan":"pro","n":[1,"x",null]},"groups":{"org":"acme"},"group_properties":{"org":{"acme":{"size":3}}}}`,
			want: got{ID: "a", Context: `{"group_properties":{"org":{"acme":{"size":3}}},"groups":{"org":["acme"]},"user_properties":{"n":[1,"x",null],"plan":"pro"}}`,
				Input: `{"user_id":"a","user_properties":{"n":[1,"x",null],"plan":"pro"},"groups":{"org":"acme"},"group_properties":{"org":{"acme":{"size":3}}}}`},
			columns: "user_id>user_id user_properties>user_properties groups>groups group_properties>group_properties"},
		{name: "flat over nested over context", file: "u.jsonl",
			data: `{"user_properties.a":3,"user_properties":{"a":2,"b":2},"context":{"user_id":"c","user_properties":{"a":1,"b":1,"c":1}}}`,
			want: got{ID: "c", Context: `{"user_properties":{"a":3,"b":2,"c":1}}`,
				Input: `{"user_properties.a":3,"user_properties":{"a":2,"b":2},"context":{"user_id":"c","user_properties":{"a":1,"b":1,"c":1}}}`}},
		{name: "numbers keep their digits", file: "u.jsonl",
			data:    `{"user_id":12345678901234567890,"device_id":1.0,"version":4.10,"user_properties":{"x":1.00},"n":1e5}`,
			mapping: Mapping{Carry: []string{"n", "none"}},
			want: got{ID: "12345678901234567890", Dev: "1.0", Context: `{"user_properties":{"x":1.00},"version":"4.10"}`,
				Carry: "[1e5,null]", Input: `{"user_id":12345678901234567890,"device_id":1.0,"version":4.10,"user_properties":{"x":1.00},"n":1e5}`},
			columns: "user_id>user_id device_id>device_id version>version user_properties>user_properties n>* none>*"},
		{name: "carried as text", file: "u.jsonl", data: `{"user_id":"a","o":{"b":1},"t":true}`,
			mapping: Mapping{Carry: []string{"o", "t"}},
			want:    got{ID: "a", Context: `{}`, Carry: `["{\"b\":1}","true"]`, Input: `{"user_id":"a","o":{"b":1},"t":true}`}},
		{name: "carried as JSON", file: "u.jsonl", data: `{"user_id":"a","o":{"b":1}}`,
			mapping: Mapping{Carry: []string{"o"}, Types: types{"o": pipeline.TypeJSON}},
			want:    got{ID: "a", Context: `{}`, Carry: `[{"b":1}]`, Input: `{"user_id":"a","o":{"b":1}}`}},
		{name: "a field that is an object", file: "u.jsonl", data: `{"country":{"x":1},"user_id":"a"}`,
			want: got{ID: "a", Input: `{"country":{"x":1},"user_id":"a"}`,
				Err: "bad_row: line 1: column country: an object where a text is expected"}},
		{name: "an id that is a list", file: "u.jsonl", data: `{"user_id":["a"],"device_id":"d"}`,
			want: got{Dev: "d", Input: `{"user_id":["a"],"device_id":"d"}`,
				Err: "bad_row: line 1: column user_id: a list where a text is expected"}},
		{name: "nested properties of a wrong shape", file: "u.jsonl", data: `{"user_id":"a","user_properties":3}`,
			want: got{ID: "a", Input: `{"user_id":"a","user_properties":3}`,
				Err: "invalid_context: line 1: column user_properties: not a JSON object"}},
		{name: "two columns of one row", file: "u.jsonl", data: `{"User_id":"a","USER_ID":"b"}`,
			want: got{Input: `{"User_id":"a","USER_ID":"b"}`,
				Err: "bad_row: line 1: the columns User_id and USER_ID are both user_id"}},
		{name: "a null does not stand before another column", file: "u.jsonl", data: `{"user_id":null,"USER_ID":"b"}`,
			want: got{ID: "b", Context: `{}`, Input: `{"user_id":null,"USER_ID":"b"}`}},
		{name: "no ids", file: "u.jsonl", data: `{"user_id":"","x":1}`,
			want: got{Input: `{"user_id":"","x":1}`, Err: "missing_id: line 1: neither a user id nor a device id"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.file == "" {
				test.file = "u.csv"
			}
			in, err := Open(filesAt(writeFile(t, test.file, []byte(test.data))), Options{Mapping: test.mapping})
			if err != nil {
				t.Fatal(err)
			}
			defer mustClose(t, in)
			rows, err := readAll(in)
			if err != nil || len(rows) != 1 {
				t.Fatalf("%d rows, %v", len(rows), err)
			}
			test.want.Number = 1
			if test.want.Err == "" && test.file == "u.jsonl" {
				test.want.Input, rows[0].Input = canonicalJSON(t, test.want.Input), canonicalJSON(t, rows[0].Input)
			}
			if diff := cmp.Diff(test.want, rows[0]); diff != "" {
				t.Error(diff)
			}
			var uses []string
			for _, u := range in.Columns() {
				s := u.Name + ">" + u.Target
				if u.Carried {
					s += "*"
				}
				uses = append(uses, s)
			}
			if g := strings.Join(uses, " "); test.columns != "" && g != test.columns {
				t.Errorf("columns %q, want %q", g, test.columns)
			}
		})
	}
}

func canonicalJSON(t *testing.T, text string) string {
	t.Helper()
	v, err := pipeline.ParseJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(v.AppendJSON(nil))
}

func TestMappingRefused(t *testing.T) {
	for _, test := range []struct {
		name, header string
		mapping      Mapping
		want, hint   string
	}{
		{"unknown field", "user_id", Mapping{Map: map[string]string{"planet.b": "user_id"}}, `unknown field "planet.b"`,
			"device_manufacturer"},
		{"cohorts of a group without its name", "user_id,group_cohort_ids.org", Mapping{},
			"group_cohort_ids.org needs the column groups.org", "--map groups.org=COLUMN"},
		{"half a field", "user_id", Mapping{Map: map[string]string{"group_properties.org": "user_id"}}, "unknown field",
			"group_properties.TYPE.NAME"},
		{"a field twice", "user_id,x", Mapping{Map: map[string]string{"country": "user_id", "Country": "x"}}, "mapped twice",
			""},
		{"map", "user_id,company", Mapping{Map: map[string]string{"groups.org": "compny"}}, `no column "compny"`,
			`did you mean "company"?`},
		{"map, nothing near", "user_id,company", Mapping{Map: map[string]string{"groups.org": "xyz"}}, `no column "xyz"`,
			"user_id, company"},
		{"properties", "user_id,plan", Mapping{Properties: []string{"plann"}}, "--properties", `"plan"`},
		{"carry", "user_id,plan", Mapping{Carry: []string{"tier"}}, `--carry: the input has no column "tier"`, "plan"},
		{"carry twice", "user_id,plan", Mapping{Carry: []string{"plan", "plan"}}, "carried twice", ""},
		{"types", "user_id,plan", Mapping{Types: types{"age": pipeline.TypeInt}}, `--types: the input has no column "age"`,
			"plan"},
		{"type", "user_id,plan", Mapping{Types: types{"plan": pipeline.TypeTimestamp}},
			`column plan: unknown column type "timestamp"`, "string, int, float, bool and json"},
		{"two columns but for case", "User_ID,USER_ID", Mapping{}, "the columns User_ID and USER_ID are both user_id",
			"--map"},
		{"an option's column in two cases", "user_id,Plan,PLAN", Mapping{Carry: []string{"plan"}}, "both match \"plan\"",
			"exactly"},
		{"two columns for a property", "user_id,plan,user_properties.plan", Mapping{Properties: []string{"plan"}},
			"are both user_properties.plan", "--map"},
		{"no group", "user_id,group_properties.org.tier", Mapping{}, "group_properties.org.tier needs the column groups.org",
			"--map groups.org="},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := readRows(t, "u.csv", []byte(test.header+"\n"), Options{Mapping: test.mapping})
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(pipeline.Hint(err), test.hint) {
				t.Errorf("%v, hint %q; want %q, %q", err, pipeline.Hint(err), test.want, test.hint)
			}
		})
	}
}

func TestHasLocation(t *testing.T) {
	for header, want := range map[string]bool{
		"user_id": false, "user_id,language": false, "user_id,Country": true, "user_id,region": true, "user_id,city": true,
		"user_id,dma":        true,
		"user_id,ip_address": true, "context": true, "user_id,user_properties.country": false,
	} {
		t.Run(header, func(t *testing.T) {
			in, err := Open(filesAt(writeFile(t, "u.csv", []byte(header+"\n"))), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if in.HasLocation() != want {
				t.Errorf("%s: %v, want %v", header, !want, want)
			}
			mustClose(t, in)
		})
	}
}

// Merging a context with cells, and building a context of the cells alone, have the same result.
func TestLayOutAndMergeAgree(t *testing.T) {
	header := []string{"user_id", "country", "city", "user_properties.a", "user_properties.b", "groups.t", "groups.u",
		"group_properties.t.p", "group_properties.t.q", "group_properties.u.p"}
	for mask := range 1 << (len(header) - 1) {
		var flat, split []pipeline.Member
		context := pipeline.Value{Kind: pipeline.Object}
		for i, name := range header {
			if i > 0 && mask>>(i-1)&1 == 0 {
				continue
			}
			m := pipeline.Member{Name: name, Value: pipeline.StringValue(fmt.Sprint("v", i))}
			flat = append(flat, m)
			if i > 0 && i < 4 && mask&1 == 0 {
				if i == 3 {
					m = pipeline.Member{Name: "user_properties", Value: pipeline.Value{Kind: pipeline.Object,
						Members: []pipeline.Member{{Name: "a", Value: m.Value}}}}
				}
				context.Members = append(context.Members, m)
				continue
			}
			split = append(split, m)
		}
		pipeline.SortMembers(&context)
		split = append(split, pipeline.Member{Name: "context", Value: context})
		apply := func(cells []pipeline.Member) got {
			m, err := newMapper(nil, false, &Mapping{})
			if err != nil {
				t.Fatal(err)
			}
			row := pipeline.Row{Input: cells}
			m.fillRow(&row, &record{cells: cells})
			return renderRow(&row)
		}
		one, two := apply(flat), apply(split)
		one.Input, two.Input = "", ""
		if diff := cmp.Diff(one, two); diff != "" || one.Err != "" {
			t.Fatalf("%v: %s\n%s", flat, one.Err, diff)
		}
	}
}

func TestParseType(t *testing.T) {
	for _, name := range []string{"string", "int", "float", "bool", "json"} {
		t.Run(name, func(t *testing.T) {
			if typ, err := parseType(name); err != nil || typ.String() != name {
				t.Errorf("%s: %s, %v", name, typ, err)
			}
		})
	}
	if _, err := parseType("date"); err == nil || !strings.Contains(pipeline.Hint(err), "json") {
		t.Errorf("date: %v", err)
	}
}

// A column that matches only regardless of case is used, and reported.
func TestFoldedNames(t *testing.T) {
	for _, test := range []struct {
		name, file, data string
		mapping          Mapping
		want             string
	}{
		{"exact", "u.csv", "user_id,country,plan\n", Mapping{Properties: []string{"plan"}}, ""},
		{"fields", "u.csv", "User_ID,COUNTRY,email\n", Mapping{}, "User_ID as user_id, COUNTRY as country"},
		{"nested fields", "u.csv", "user_id,User_Properties.Plan\n", Mapping{},
			"User_Properties.Plan as user_properties.Plan"},
		{"options", "u.csv", "UID,Plan,Tag,n\n", Mapping{Map: map[string]string{"user_id": "uid"},
			Properties: []string{"plan"}, Carry: []string{"TAG"}, Types: types{"N": pipeline.TypeInt}},
			"UID as uid, Plan as plan, Tag as TAG, n as N"},
		{"one that an exact one stands before", "u.csv", "User_ID,user_id\n", Mapping{}, ""},
		{"an exact name among two in other cases", "u.csv", "user_id,PLAN,Plan,plan\n", Mapping{Carry: []string{"plan"}}, ""},
		{"JSONL", "u.jsonl", `{"User_Id":"a"}` + "\n" + `{"user_id":"a","Tag":1}`, Mapping{Carry: []string{"tag"}},
			"User_Id as user_id, Tag as tag"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in, err := Open(filesAt(writeFile(t, test.file, []byte(test.data))), Options{Mapping: test.mapping})
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
				return
			}
			var folded []string
			for _, u := range in.Columns() {
				if u.Folded != "" {
					folded = append(folded, u.Name+" as "+u.Folded)
				}
			}
			if g := strings.Join(folded, ", "); g != test.want {
				t.Errorf("%s: %q, want %q", test.name, g, test.want)
			}
			mustClose(t, in)
		})
	}
}
