package amplitude

import (
	"crypto/sha256"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Replay hashes requests and parses answers as the client does, without sending anything. A journal needs it, which
// holds the hash of each request and the bytes of each answer. It must be used by one goroutine at a time.
type Replay struct {
	client               *Client
	query, scratch, body []byte
	parser               parser
}

// Replay returns a Replay for the client's requests.
func (c *Client) Replay() *Replay { return &Replay{client: c} }

// Request returns the hash of the canonical request for u: the first half of the SHA-256 of its query.
func (r *Replay) Request(u *pipeline.User) (hash [16]byte) {
	r.query, r.scratch = appendQuery(r.query[:0], r.scratch, u, r.client.flagList)
	sum := sha256.Sum256(r.query)
	copy(hash[:], sum[:])
	return hash
}

// Decode parses the answer in body. Its variants share the memory of body.
func (r *Replay) Decode(body string) ([]pipeline.Variant, error) {
	r.body = append(r.body[:0], body...)
	return r.parser.parseVariants(r.body, body, r.client.flagCount)
}
