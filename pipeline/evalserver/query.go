package evalserver

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// maxBody is the largest body of a POST.
const maxBody = 1 << 20

// query has the query parameters of /v1/vardata. If a parameter is duplicated, the first one counts.
type query struct {
	userID, deviceID string
	flagList         string // comma-separated; "" for all flags
	context          string
	hasContext       bool
}

var (
	errQuery   = errors.New("the query is not percent-encoded")
	errContext = errors.New("the context is not a JSON object")
	errID      = errors.New("user_id and device_id must be strings")
	errNoID    = errors.New("a user_id or a device_id is required")
)

// parseQuery parses the parameters. The proxy knows only flag_key.
func parseQuery(raw string, proxy bool) (query, error) {
	var q query
	var flagKeys, flagKey *string
	seen := [5]bool{}
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

var parameters = [5]string{"user_id", "device_id", "flag_keys", "flag_key", "context"}

// splitFlags returns the flags of the list; nil for all flags.
func (q *query) splitFlags() []string {
	if q.flagList == "" {
		return nil
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
