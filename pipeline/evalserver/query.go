package evalserver

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// maxBody is the largest body of a POST.
const maxBody = 1 << 20

// query is what a request asks for, from its query parameters and headers. If a parameter is duplicated, the first one
// counts.
type query struct {
	userID, deviceID string
	flagList         string   // comma-separated, or the JSON of flags; "" for all flags
	flags            []string // those of the header; nil if there are none
	context          string
	hasContext       bool
	mode             string // eval_mode
}

var (
	errQuery   = errors.New("the query is not percent-encoded")
	errContext = errors.New("the context is not a JSON object")
	errID      = errors.New("user_id and device_id must be strings")
	errNoID    = errors.New("a user_id or a device_id is required")

	errUserHeader = errors.New("X-Amp-Exp-User is not base64")
	errFlagKeys   = errors.New("X-Amp-Exp-Flag-Keys is not a JSON array of strings in base64")
)

// parseQuery parses the parameters. The proxy knows only flag_key.
func parseQuery(raw string, proxy bool) (query, error) {
	var q query
	var flagKeys, flagKey *string
	seen := [len(parameters)]bool{}
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(pair, "=")
		i := slices.Index(parameters[:], name)
		if i < 0 && strings.ContainsAny(name, "%+") {
			name, err := url.QueryUnescape(name)
			if err != nil {
				return q, errQuery
			}
			i = slices.Index(parameters[:], name)
		}
		if i < 0 || seen[i] {
			continue
		}
		seen[i] = true
		if strings.ContainsAny(value, "%+") {
			var err error
			if value, err = url.QueryUnescape(value); err != nil {
				return q, errQuery
			}
		}
		switch i {
		case 0:
			q.userID = value
		case 1:
			q.deviceID = value
		case 2:
			flagKeys = &value
		case 3:
			flagKey = &value
		case 4:
			q.context, q.hasContext = value, true
		case 5:
			q.mode = value
		}
	}
	switch {
	case flagKeys != nil && !proxy:
		q.flagList = *flagKeys
	case flagKey != nil:
		q.flagList = *flagKey
	}
	return q, nil
}

var parameters = [6]string{"user_id", "device_id", "flag_keys", "flag_key", "context", "eval_mode"}

// readHeaders takes the flags from the header of SDKs, which has precedence over the query, and, with user, the user.
func (q *query) readHeaders(h http.Header, user bool) error {
	if value := h.Get("X-Amp-Exp-Flag-Keys"); value != "" {
		list, err := decodeBase64(value)
		if err != nil {
			return errFlagKeys
		}
		v, err := pipeline.ParseJSON(list)
		if err != nil || v.Kind != pipeline.List {
			return errFlagKeys
		}
		q.flagList = ""
		for _, key := range v.Members {
			if key.Value.Kind != pipeline.String {
				return errFlagKeys
			}
			q.flags = append(q.flags, key.Value.Text)
			q.flagList = list // an empty array is all flags, as in Amplitude's proxy
		}
	}
	if value := h.Get("X-Amp-Exp-User"); user && value != "" {
		var err error
		if q.context, err = decodeBase64(value); err != nil {
			return errUserHeader
		}
		q.hasContext = true
	}
	return nil
}

// decodeBase64 decodes both alphabets of base64, with padding and without.
func decodeBase64(s string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(standardToURL.Replace(strings.TrimRight(s, "=")))
	return string(b), err
}

var standardToURL = strings.NewReplacer("+", "-", "/", "_")

// splitFlags returns the flags of the list; nil for all flags.
func (q *query) splitFlags() []string {
	if q.flagList == "" || q.flags != nil {
		return q.flags
	}
	return strings.Split(q.flagList, ",")
}

// fillUser sets the fields of u from the context, and then its ids from the query if they are there.
func (q *query) fillUser(u *pipeline.User) error {
	if q.hasContext {
		v, err := pipeline.ParseJSON(q.context)
		if err != nil || v.Kind != pipeline.Object {
			return errContext
		}
		u.Context = v.Members
		for _, id := range [...]struct {
			name string
			to   *string
		}{{"user_id", &u.UserID}, {"device_id", &u.DeviceID}} {
			v := pipeline.FindMember(u.Context, id.name)
			if v == nil {
				continue
			}
			if v.Kind != pipeline.String && v.Kind != pipeline.Null {
				return errID
			}
			*id.to = v.Text
			u.Context = slices.DeleteFunc(u.Context, func(m pipeline.Member) bool { return m.Name == id.name })
		}
	}
	if q.userID != "" {
		u.UserID = q.userID
	}
	if q.deviceID != "" {
		u.DeviceID = q.deviceID
	}
	if u.UserID == "" && u.DeviceID == "" {
		return errNoID
	}
	return nil
}
