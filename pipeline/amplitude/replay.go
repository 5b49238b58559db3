package amplitude

import (
	"crypto/sha256"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Replay hashes requests and parses answers as the client does, without sending anything. A journal needs it, which
// holds the hash of each request and the bytes of each answer. It must be used by one goroutine at a time.
type Replay struct {
	client *Client
	buffers
	body   []byte
	parser parser
	last   request
	posted bool // the last request
}

// Replay returns a Replay for the client's requests.
func (c *Client) Replay() *Replay { return &Replay{client: c} }

// Request returns the hash of the canonical request for u, without a nonce: the first half of the SHA-256 of its query,
// or of its method and body.
func (r *Replay) Request(u *pipeline.User) (hash [16]byte) {
	r.last, _ = r.client.buildRequest(&r.buffers, u)
	r.posted = r.last.call == &r.client.post
	text := r.query // of which the request has a copy
	if r.posted {
		text = []byte("POST " + string(r.client.flagList) + "\n" + r.last.body)
	}
	sum := sha256.Sum256(text)
	copy(hash[:], sum[:])
	return hash
}

// NoteAnswered tells the client that the user of the last call of Request was answered with this key in an earlier part
// of the run. See Client.askKnownUser.
func (r *Replay) NoteAnswered() { r.client.known.addUser(r.last) }

// Posted reports whether the user of the last call of Request goes by POST.
func (r *Replay) Posted() bool { return r.posted }

// Decode parses the answer to the last request, which is in body. Its variants share the memory of body.
func (r *Replay) Decode(body string) ([]pipeline.Variant, error) {
	r.body = append(r.body[:0], body...)
	if r.posted {
		return r.parser.parseV2(r.body, body, r.client.flagCount)
	}
	return r.parser.parseVariants(r.body, body, r.client.flagCount)
}
