package amplitude

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// MaxURLBytes is how long a URL may be: Amplitude's own clients treat 8,000 bytes as the limit, the CDN has 8 KB.
const MaxURLBytes = 8000

// BaseURL converts the value of --server ("us", "eu", or a URL) to the base that /v1/vardata is added to. A URL may
// also end in /v1, /v1/ or /v1/vardata, as documentation prints it. Plain http, which sends the key in the clear, is
// refused for other machines unless allowHTTP.
func BaseURL(server string, allowHTTP bool) (string, error) {
	hint := `give "us", "eu", or a URL such as https://experiment.example.com`
	switch server {
	case "us":
		return "https://api.lab.amplitude.com", nil
	case "eu":
		return "https://api.lab.eu.amplitude.com", nil
	case "":
		return "", pipeline.WithHint(errors.New("the server is empty"), hint)
	}
	u, err := url.Parse(server)
	if err != nil {
		// url.Error repeats the text, which may hold a password.
		return "", pipeline.WithHint(errors.New("the server is not a URL"), hint)
	}
	switch {
	case u.User != nil:
		return "", pipeline.WithHint(errors.New("the server's URL has a user name or password in it"),
			"the API needs only the deployment key")
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.Opaque != "":
		return "", pipeline.WithHint(fmt.Errorf("%q is not a valid server", server), hint)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(server, "#"):
		return "", pipeline.WithHint(errors.New("the server's URL has a query or a fragment"),
			"leave out everything from the ? or # on")
	case u.Scheme == "http" && !allowHTTP && !isLoopback(u.Hostname()):
		return "", pipeline.WithHint(fmt.Errorf("%s is plain http, and the deployment key would travel in the clear",
			u.Redacted()),
			"use https, or --allow-http if the network is yours")
	}
	base := u.Scheme + "://" + u.Host + strings.TrimRight(u.EscapedPath(), "/")
	base = strings.TrimSuffix(base, "/v1/vardata")
	base = strings.TrimSuffix(base, "/v1")
	return strings.TrimRight(base, "/"), nil
}

// nonceParam is a parameter that no server reads. With another value each time, no cache has the URL.
const nonceParam = "nonce="

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// unreserved marks the bytes that RFC 3986, 2.3 leaves as they are.
var unreserved = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", byte(c)) >= 0
	}
	return t
}()

// appendEscaped appends s percent-encoded: everything but the unreserved characters becomes %XX, so each value has
// one form, and "+" never means a space.
func appendEscaped[T string | []byte](dst []byte, s T) []byte {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		if c := s[i]; unreserved[c] {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

// appendFlags appends the flag list. The keys are joined by a plain comma, as the documentation prints it; RFC
// 3986 allows it in a query, and it is a third as long as %2C.
func appendFlags(dst []byte, param string, flags []string) []byte {
	if len(flags) == 0 {
		return dst
	}
	dst = append(dst, param...)
	for i, flag := range flags {
		dst = append(dst, "=,"[min(i, 1)])
		dst = appendEscaped(dst, flag)
	}
	return dst
}

// appendQuery appends the canonical query for a user: user_id, device_id, the flag list, context, in this order, absent
// ones left out. scratch is memory for the context's JSON, and comes back.
func appendQuery(dst, scratch []byte, u *pipeline.User, flags []byte) (query, scratchOut []byte) {
	start := len(dst)
	param := func(name string) {
		if len(dst) > start {
			dst = append(dst, '&')
		}
		dst = append(dst, name...)
	}
	if u.UserID != "" {
		param("user_id=")
		dst = appendEscaped(dst, u.UserID)
	}
	if u.DeviceID != "" {
		param("device_id=")
		dst = appendEscaped(dst, u.DeviceID)
	}
	if len(flags) > 0 {
		param("")
		dst = append(dst, flags...)
	}
	if len(u.Context) > 0 {
		param("context=")
		scratch = pipeline.AppendObject(scratch[:0], u.Context)
		dst = appendEscaped(dst, scratch)
	}
	return dst, scratch
}

// tooLongError returns the error of a user whose URL would be n bytes long. It names the largest parameter, never a
// value.
func tooLongError(n int, query string) *pipeline.UserError {
	name, size := "", 0
	for p := range strings.SplitSeq(query, "&") {
		k, v, _ := strings.Cut(p, "=")
		if len(v) > size {
			name, size = k, len(v)
		}
	}
	return pipeline.Errorf(pipeline.KindRequestTooLong,
		"the URL would be %d bytes long, and the API takes %d; the largest parameter is %s with %d bytes", n, MaxURLBytes,
		name, size)
}

// endpoint is a path of the API, ready for requests: only the query is missing.
type endpoint struct {
	url  url.URL
	text string // scheme, host and path
}

func newEndpoint(base, path string) (endpoint, error) {
	u, err := url.Parse(base + path)
	if err != nil {
		return endpoint{}, errors.New("the base URL is not a URL")
	}
	if host := u.Hostname(); host == "" || net.ParseIP(host) == nil && strings.ContainsAny(host, " /?#") {
		return endpoint{}, errors.New("the base URL has no host")
	}
	return endpoint{url: *u, text: base + path}, nil
}
