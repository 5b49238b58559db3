package amplitude

import (
	"encoding/base64"
	"net/http"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// pathPost is where users go by POST, as Amplitude's Python and Ruby clients send them. Its query is what they send,
// too: it says that the answer is to have the second form.
const (
	pathPost  = "/sdk/v2/vardata"
	queryPost = "v=0"
)

// buffers is memory for building requests.
type buffers struct{ query, scratch []byte }

// buildRequest returns the request about a user, without the nonce. length is that of its URL, if it goes by GET: the
// nonce counts.
func (c *Client) buildRequest(b *buffers, u *pipeline.User) (req request, length int) {
	if c.method != MethodPost {
		b.query, b.scratch = appendQuery(b.query[:0], b.scratch, u, c.flagList)
		query := string(b.query)
		length = c.urlLength(query)
		if c.method == MethodGet || length <= MaxURLBytes {
			return request{call: &c.vardata, query: query}, length
		}
	}
	b.query, b.scratch = appendBody(b.query[:0], b.scratch, u)
	return request{call: &c.post, query: queryPost, body: string(b.query)}, length
}

// urlLength returns the length of the URL with that query and the nonce.
func (c *Client) urlLength(query string) int {
	n := len(c.vardata.text) + 1 + len(query)
	if c.nonce != "" {
		n += 1 + len(nonceParam) + len(c.nonce)
	}
	return n
}

// appendBody appends the user as JSON: the members of the context, after the ids. scratch is memory for the context's
// JSON, and comes back.
func appendBody(dst, scratch []byte, u *pipeline.User) (body, scratchOut []byte) {
	dst = append(dst, '{')
	member := func(name, value string) {
		if value == "" {
			return
		}
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = pipeline.AppendJSONString(append(dst, name...), value)
	}
	member(`"user_id":`, u.UserID)
	member(`"device_id":`, u.DeviceID)
	if len(u.Context) == 0 {
		return append(dst, '}'), scratch
	}
	scratch = pipeline.AppendObject(scratch[:0], u.Context)
	if len(dst) > 1 {
		dst = append(dst, ',')
	}
	return append(dst, scratch[1:]...), scratch
}

// postHeader returns the header of a POST about a user. The flags are in it, not in the query.
func postHeader(common http.Header, flags []string) http.Header {
	h := common.Clone()
	h["Content-Type"] = []string{"application/json"}
	if len(flags) == 0 {
		return h
	}
	list := []byte{'['}
	for i, flag := range flags {
		if i > 0 {
			list = append(list, ',')
		}
		list = pipeline.AppendJSONString(list, flag)
	}
	h["X-Amp-Exp-Flag-Keys"] = []string{base64.StdEncoding.EncodeToString(append(list, ']'))}
	return h
}
