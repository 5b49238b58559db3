package amplitude

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rollcall-cli/rollcall/pipeline"
)

func TestBaseURL(t *testing.T) {
	for _, tt := range []struct {
		in        string
		allowHTTP bool
		want      string // "": refused
	}{
		{"us", false, "https://api.lab.amplitude.com"},
		{"eu", false, "https://api.lab.eu.amplitude.com"},
		{"https://api.lab.amplitude.com", false, "https://api.lab.amplitude.com"},
		{"https://api.lab.amplitude.com/", false, "https://api.lab.amplitude.com"},
		{"https://api.lab.amplitude.com/v1", false, "https://api.lab.amplitude.com"},
		{"https://api.lab.amplitude.com/v1/", false, "https://api.lab.amplitude.com"},
		{"https://api.lab.amplitude.com/v1/vardata", false, "https://api.lab.amplitude.com"},
		{"https://api.lab.amplitude.com/v1/vardata/", false, "https://api.lab.amplitude.com"},
		{"https://proxy.example.com:8443/amp/v1/", false, "https://proxy.example.com:8443/amp"},
		{"https://proxy.example.com/a%2Fb", false, "https://proxy.example.com/a%2Fb"},
		{"http://127.0.0.1:8787", false, "http://127.0.0.1:8787"},
		{"http://[::1]:8787", false, "http://[::1]:8787"},
		{"http://localhost:8787/", false, "http://localhost:8787"},
		{"http://10.0.0.1", false, ""},
		{"http://localhost.evil.example", false, ""},
		{"http://127.0.0.1.evil.example", false, ""},
		{"http://10.0.0.1", true, "http://10.0.0.1"},
		{"", false, ""},
		{"us2", false, ""},
		{"api.lab.amplitude.com", false, ""},
		{"ftp://example.com", false, ""},
		{"https://", false, ""},
		{"https:///v1", false, ""},
		{"https://user:CANARY@example.com", false, ""},
		{"https://example.com?key=CANARY", false, ""},
		{"https://example.com?", false, ""},
		{"https://example.com#x", false, ""},
		{"https://example.com#", false, ""},
		{"https://exa mple.com/CANARY", false, ""},
		{"https://example.com:CANARY", false, ""},
		{"https:example.com", false, ""},
	} {
		t.Run(strconv.Quote(tt.in), func(t *testing.T) {
			got, err := BaseURL(tt.in, tt.allowHTTP)
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("BaseURL(%q, %v) = %q, %v; want %q", tt.in, tt.allowHTTP, got, err, tt.want)
			}
			if err != nil {
				if pipeline.Hint(err) == "" {
					t.Errorf("BaseURL(%q): no hint with %v", tt.in, err)
				}
				if strings.Contains(err.Error()+pipeline.Hint(err), "CANARY") {
					t.Errorf("BaseURL(%q): a secret in %v", tt.in, err)
				}
			}
		})
	}
}

func TestQueryIsCanonical(t *testing.T) {
	u := &pipeline.User{UserID: "a b+c/d", DeviceID: "~d-1_2.3", Context: []pipeline.Member{
		{Name: "country", Value: pipeline.StringValue("Österreich")},
		{Name: "user_properties", Value: pipeline.Value{Kind: pipeline.Object,
			Members: []pipeline.Member{{Name: "n", Value: pipeline.IntValue(1)}}}},
	}}
	for _, tt := range []struct {
		u     *pipeline.User
		param string
		flags []string
		want  string
	}{
		{u, "flag_keys", []string{"f-1", "f 2"}, "user_id=a%20b%2Bc%2Fd&device_id=~d-1_2.3&flag_keys=f-1,f%202" +
			"&context=%7B%22country%22%3A%22%C3%96sterreich%22%2C%22user_properties%22%3A%7B%22n%22%3A1%7D%7D"},
		{&pipeline.User{UserID: "u"}, "flag_key", []string{"f"}, "user_id=u&flag_key=f"},
		{&pipeline.User{DeviceID: "d"}, "flag_keys", nil, "device_id=d"},
	} {
		got, _ := appendQuery(nil, nil, tt.u, appendFlags(nil, tt.param, tt.flags))
		if string(got) != tt.want {
			t.Errorf("query of %+v with %s %q\n got %s\nwant %s", tt.u, tt.param, tt.flags, got, tt.want)
		}
	}
}

var strangeIDs = []string{
	" ", "007", "1e5", strings.Repeat("x", 1000), "😀", "a&flag_keys=x", "%2F", "+", "#", `"'`, "a=b", "a;b", "\x00\n", "é",
	"?", "/../", ",",
}

func FuzzQuery(f *testing.F) {
	for _, id := range strangeIDs {
		f.Add(id, id, id, id)
	}
	f.Add("", "d", "", "")
	f.Fuzz(func(t *testing.T, userID, deviceID, flag, property string) {
		for _, s := range []string{userID, deviceID, flag, property} {
			if !utf8.ValidString(s) {
				return // no source lets it through
			}
		}
		u := &pipeline.User{UserID: userID, DeviceID: deviceID}
		if property != "" {
			u.Context = []pipeline.Member{{Name: property, Value: pipeline.StringValue(property)}}
		}
		var flags []string
		if flag != "" {
			flags = []string{flag, "second"}
		}
		query, _ := appendQuery(nil, nil, u, appendFlags(nil, "flag_keys", flags))
		got, err := url.ParseQuery(string(query))
		if err != nil {
			t.Fatalf("%q: %v", query, err)
		}
		want := url.Values{}
		for name, value := range map[string]string{"user_id": userID, "device_id": deviceID,
			"flag_keys": strings.Join(flags, ","), "context": ""} {
			if name == "context" && property != "" {
				value = string(pipeline.AppendObject(nil, u.Context))
			}
			if value != "" {
				want.Set(name, value)
			}
		}
		if got.Encode() != want.Encode() {
			t.Errorf("query %s\n got %q\nwant %q", query, got, want)
		}
	})
}

func TestTooLongIsNotSent(t *testing.T) {
	c, err := New(Config{BaseURL: "https://example.com", RoundTripper: roundTripper(func(*http500) { t.Error("sent") })})
	if err != nil {
		t.Fatal(err)
	}
	fits := &pipeline.User{UserID: strings.Repeat("SECRET", 1500)}
	fits.UserID = fits.UserID[:MaxURLBytes-len("https://example.com/v1/vardata?user_id=")]
	if n := c.URLLength(fits); n != MaxURLBytes {
		t.Errorf("URLLength = %d, want %d", n, MaxURLBytes)
	}
	_, err = c.Evaluate(t.Context(), &pipeline.User{UserID: fits.UserID + "x"})
	ue := requireUserError(t, err, pipeline.KindRequestTooLong)
	if ue.Attempts != 0 || strings.Contains(ue.Message, "SECRET") || !strings.Contains(ue.Message, "8001") ||
		!strings.Contains(ue.Message, "user_id") {
		t.Errorf("got %+v", ue)
	}
	_, err = c.Evaluate(t.Context(), &pipeline.User{})
	requireUserError(t, err, pipeline.KindMissingID)
}
