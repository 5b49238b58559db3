package evalserver

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Both alphabets of base64 are read, with padding and without, and nothing else.
func TestBase64(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 300} {
		want := strings.Repeat("\xff\xfe\x00ü?>", n)[:n]
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding,
			base64.RawURLEncoding} {
			text := encoding.EncodeToString([]byte(want))
			if got, err := decodeBase64(text); got != want || err != nil {
				t.Errorf("decodeBase64(%q) = %q, %v, want %q", text, got, err, want)
			}
		}
	}
	for _, text := range []string{"a", "ab c", "YQ==YQ==", "%3D", "é"} {
		if got, err := decodeBase64(text); err == nil {
			t.Errorf("decodeBase64(%q) = %q, want an error", text, got)
		}
	}
}

// FuzzQuery checks parseQuery against net/url, and that ids and context stay the same bytes.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{
		"user_id=u&flag_keys=a,b&context=%7B%22country%22%3A%22DE%22%7D",
		"device_id=a%26flag_keys%3Dx&flag_key=f", "user_id=%2F+%23%F0%9F%98%80", "user%5Fid=x&user_id=y", "&&=&x",
		"user_id=%zz", "context=[]&user_id=u",
		"context=%7B%22user_id%22%3A%22c%22%2C%22device_id%22%3Anull%7D", "flag_keys=a&flag_key=b&user_id=%00",
		"user_id=u&context={\"a\":[1e400,-0,\"\\ud83d\\ude00\",null,true,{\"b\":{},\"a\":[]}]}",
		"user_id=u&context={\"a\":\"\\ud83d\"}", "user_id=u&context={\"a\":1,\"a\":2}",
		"user_id=u&context={} {}", "user_id=u&context={\"a\":\"\xff\"}", "user_id=u&context=" + strings.Repeat("[", 101),
		"user_id=u&context=" + strings.Repeat("[", 100) + strings.Repeat("]", 100), "user_id=u&context={\"a\":" +
			strings.Repeat("[", 99) + strings.Repeat("]", 99) + "}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		want, wantErr := url.ParseQuery(raw)
		for _, proxy := range []bool{false, true} {
			q, err := parseQuery(raw, proxy)
			if err != nil {
				if wantErr == nil {
					t.Fatalf("parseQuery(%q): %v; net/url accepts it", raw, err)
				}
				continue
			}
			if wantErr == nil {
				list := want.Get("flag_key")
				if want.Has("flag_keys") && !proxy {
					list = want.Get("flag_keys")
				}
				if q.userID != want.Get("user_id") || q.deviceID != want.Get("device_id") || q.context != want.Get("context") ||
					q.flagList != list {
					t.Fatalf("parseQuery(%q, %v) = %+v, net/url says %v", raw, proxy, q, want)
				}
			}
			var u pipeline.User
			userErr := q.fillUser(&u)
			if v, err := pipeline.ParseJSON(q.context); q.hasContext &&
				(err != nil || v.Kind != pipeline.Object) != errors.Is(userErr, errContext) {
				t.Fatalf("context %q: %v, pipeline.ParseJSON says %v", q.context, userErr, err)
			}
			if userErr != nil {
				continue
			}
			if u.UserID == "" && u.DeviceID == "" {
				t.Fatalf("%q: a user without an id", raw)
			}
			if q.userID != "" && u.UserID != q.userID {
				t.Fatalf("%q: user id %q, want the query's %q", raw, u.UserID, q.userID)
			}
			if pipeline.FindMember(u.Context, "user_id") != nil || pipeline.FindMember(u.Context, "device_id") != nil {
				t.Fatalf("%q: an id in the context", raw)
			}
			if !slices.IsSortedFunc(u.Context, func(a, b pipeline.Member) int { return strings.Compare(a.Name, b.Name) }) {
				t.Fatalf("%q: the context is not sorted", raw)
			}
			if !utf8.ValidString(q.context) && q.hasContext {
				t.Fatalf("%q: a context that is not UTF-8 was accepted", raw)
			}
		}
	})
}

// FuzzHeaders checks that a header of flags or of a user is read as encoding/json reads it, or refused.
func FuzzHeaders(f *testing.F) {
	for _, s := range []string{`["a","b,c"]`, `[]`, `["a",1]`, `{}`, `null`, ` ["\ud83d\ude00"] `, `["\ud83d"]`, "[\"\xff\"]", ""} {
		f.Add(base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)))
	}
	f.Add("====", "%%%")
	f.Fuzz(func(t *testing.T, flags, user string) {
		h := http.Header{}
		h.Set("X-Amp-Exp-Flag-Keys", flags)
		h.Set("X-Amp-Exp-User", user)
		q := query{flagList: "query"}
		if err := q.readHeaders(h, true); err != nil {
			return
		}
		if q.hasContext != (user != "") {
			t.Errorf("user %q: hasContext %v", user, q.hasContext)
		}
		if flags == "" {
			if got := q.splitFlags(); !slices.Equal(got, []string{"query"}) {
				t.Errorf("no header: flags %q, want those of the query", got)
			}
			return
		}
		list, err := decodeBase64(flags)
		var want []string
		if err != nil || json.Unmarshal([]byte(list), &want) != nil {
			t.Fatalf("%q is accepted: %q", flags, list)
		}
		if got := q.splitFlags(); !slices.Equal(got, want) {
			t.Errorf("%q: flags %q, encoding/json says %q", flags, got, want)
		}
	})
}
