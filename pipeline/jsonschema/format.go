package jsonschema

import (
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

var hostnames = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)
})

var uuids = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
})

// formats are the formats that can be checked; nil: one that cannot.
var formats = map[string]func(text string) bool{
	"date-time": func(s string) bool { return isTime(time.RFC3339, strings.ToUpper(s)) },
	"date":      func(s string) bool { return isTime(time.DateOnly, s) },
	"time":      func(s string) bool { return isTime("15:04:05Z07:00", strings.ToUpper(s)) },
	"email": func(s string) bool {
		a, err := mail.ParseAddress(s)
		return err == nil && a.Address == s
	},
	"hostname": func(s string) bool { return len(s) <= 253 && hostnames().MatchString(s) },
	"ipv4": func(s string) bool {
		a, err := netip.ParseAddr(s)
		return err == nil && a.Is4()
	},
	"ipv6": func(s string) bool {
		a, err := netip.ParseAddr(s)
		return err == nil && a.Is6() && a.Zone() == ""
	},
	"uri": func(s string) bool {
		u, err := parseURI(s)
		return err == nil && u.IsAbs()
	},
	"uri-reference": func(s string) bool {
		_, err := parseURI(s)
		return err == nil
	},
	"regex": func(s string) bool {
		_, err := regexp.Compile(s)
		return err == nil
	},
	"json-pointer": func(s string) bool {
		rest := strings.NewReplacer("~0", "", "~1", "").Replace(s)
		return s == "" || s[0] == '/' && !strings.Contains(rest, "~")
	},
	"uuid": func(s string) bool { return uuids().MatchString(s) },

	"idn-email": nil, "idn-hostname": nil, "iri": nil, "iri-reference": nil, "uri-template": nil, "duration": nil,
	"relative-json-pointer": nil,
}

func isTime(layout, s string) bool {
	_, err := time.Parse(layout, s)
	return err == nil && !strings.Contains(s, ",") // which package time takes before a fraction
}

// parseURI parses a URI, which is in ASCII and has no blanks.
func parseURI(s string) (*url.URL, error) {
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"<>\^{|}`+"`", r) }) {
		return nil, url.InvalidHostError(s)
	}
	return url.Parse(s)
}

func compileFormat(k *keyword) (check, error) {
	name, ok := k.value.(string)
	if !ok {
		return nil, errorf("got %s, want string", typeOf(k.value))
	}
	valid, known := formats[name]
	if k.draft >= 2019 || !known { // a note
		return nil, nil
	}
	if valid == nil {
		return nil, errorf("the format %s is not supported", name)
	}
	return func(value any, _ *evaluated) *Error {
		if text, ok := value.(string); ok && !valid(text) {
			return errorf("%s is not valid %s", quote(text), name)
		}
		return nil
	}, nil
}
