package amplitude

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// The paths of flag configurations. Amplitude's hosts have both; the self-hosted proxy has only the second.
const (
	pathFlagsV1 = "/v1/flags"
	pathFlagsV2 = "/sdk/v2/flags"

	queryRemoteMode = "eval_mode=remote" // a parameter of the second
)

// FlagConfigsRequest says which flag configurations to download. The zero value asks for those that a server gives for
// local evaluation.
type FlagConfigsRequest struct {
	// RemoteMode asks for flags of remote evaluation mode, too. It costs one more request.
	RemoteMode bool

	// Fresh adds a nonce to each URL, so that no cache answers.
	Fresh bool

	MaxOutage time.Duration // how long the API may not be available; 0: [Config.MaxOutage]
}

// FlagConfigs are the flag configurations of a deployment.
type FlagConfigs struct {
	Data []byte // a JSON array, as [engine.Parse] reads it; the bytes of the answer, unless it is put together from two

	// From are the requests whose answers are in Data: "/v1/flags", "/sdk/v2/flags", "/sdk/v2/flags?eval_mode=remote".
	From []string

	RemoteMode RemoteMode // whether flags of remote evaluation mode are among them
	Refused    string     // for RemoteRefused: what the server answered
}

// RemoteMode is the result of asking for flags of remote evaluation mode, too. The values are those of the manifest.
type RemoteMode string

// The values of RemoteMode.
const (
	RemoteNotAsked RemoteMode = ""
	RemoteIncluded RemoteMode = "included" // they are in Data
	RemoteSame     RemoteMode = "same"     // no other flags came: there are none, or the server ignores eval_mode
	RemoteRefused  RemoteMode = "refused"  // the server does not answer such a request
)

// NoFlagConfigsError says that a server gives no flag configurations: neither path has them.
type NoFlagConfigsError struct {
	V1, V2 error // what GET /v1/flags and GET /sdk/v2/flags came to
}

// Error says what both paths answered.
func (e *NoFlagConfigsError) Error() string {
	return fmt.Sprintf("the server gives no flag configurations: %v; %v", e.V1, e.V2)
}

// Unwrap returns the errors of both paths.
func (e *NoFlagConfigsError) Unwrap() []error { return []error{e.V1, e.V2} }

// FlagConfigs downloads the flag configurations of the deployment. Where [Config.FlagKeys] names flags, it asks for
// these, but a server may give more.
//
// It asks for /v1/flags, and where the server does not have that path, for /sdk/v2/flags. A path is missing where it is
// answered with 404, 405, 410 or 501, or not with a JSON array. If neither is there, the error wraps a
// [NoFlagConfigsError]. A refused key, a pause and an outage say nothing about a path: they are handled as Evaluate
// does, and never lead to the other path. Whatever the result, Evaluate goes on as if nothing had been asked: an error
// of FlagConfigs does not end a run by itself.
func (c *Client) FlagConfigs(ctx context.Context, req FlagConfigsRequest) (FlagConfigs, error) {
	f, err := c.flagConfigs(ctx, req)
	if err != nil {
		return FlagConfigs{}, fmt.Errorf("cannot download the flag configurations: %w", err)
	}
	return f, nil
}

func (c *Client) flagConfigs(ctx context.Context, req FlagConfigsRequest) (f FlagConfigs, err error) {
	f.From = []string{pathFlagsV1}
	if f.Data, err = c.getFlags(ctx, req, pathFlagsV1, ""); isMissing(err) {
		v1 := err
		f.From = []string{pathFlagsV2}
		if f.Data, err = c.getFlags(ctx, req, pathFlagsV2, ""); isMissing(err) {
			return FlagConfigs{}, pipeline.WithHint(&NoFlagConfigsError{V1: v1, V2: err}, pipeline.Hint(v1))
		}
	}
	if err != nil || !req.RemoteMode {
		return f, err
	}
	all, err := c.getFlags(ctx, req, pathFlagsV2, queryRemoteMode)
	if why := whyRefused(err); why != "" {
		f.RemoteMode, f.Refused = RemoteRefused, why
		return f, nil
	}
	if err != nil {
		return FlagConfigs{}, err
	}
	return f.addFlags(all, pathFlagsV2+"?"+queryRemoteMode), nil
}

// getFlags downloads one array of flag configurations. It has a circuit of its own: what it meets is no reason for
// Evaluate to stop.
func (c *Client) getFlags(ctx context.Context, req FlagConfigsRequest, path, query string) ([]byte, error) {
	get := c.flags[path]
	outage := req.MaxOutage
	if outage == 0 {
		outage = c.circuit.maxOutage
	}
	get.circuit = newCircuit(outage, c.circuit.source, c.circuit.log)
	parts := []string{string(c.flagList), query}
	r := request{call: &get, query: strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), "&")}
	if req.Fresh {
		r = r.withNonce(rand.Text())
	}
	var bad error // what the last body is, if it is no array
	get.check = func(a *attempt) error {
		bad = a.parser.parseArray(a.body)
		return bad
	}
	a := &attempt{}
	_, err := c.sendUntilDecided(ctx, a, r)
	if failure, ok := errors.AsType[*pipeline.UserError](err); ok { // there is no user
		return nil, &flagsError{path: get.url.Path, message: failure.Message, otherKind: bad != nil && bad != errTruncated}
	}
	if err != nil {
		return nil, err
	}
	return []byte(a.text), nil
}

// flagsError is an answer that is no array of flag configurations.
type flagsError struct {
	path      string
	message   string
	otherKind bool // a whole answer, and something else
}

func (e *flagsError) Error() string { return e.path + ": " + e.message }

// isMissing reports whether err says that the server does not have a path.
func isMissing(err error) bool {
	if e, ok := errors.AsType[*ServerError](err); ok {
		switch e.Status {
		case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone, http.StatusNotImplemented:
			return true
		}
	}
	e, ok := errors.AsType[*flagsError](err)
	return ok && e.otherKind
}

// whyRefused returns how the server refused a request that it need not know; "" if err is no refusal. Failures that may
// pass are none: the flags that are evaluated must not depend on the weather.
func whyRefused(err error) string {
	if e, ok := errors.AsType[*AuthError](err); ok {
		return fmt.Sprintf("status %d", e.Status)
	}
	if e, ok := errors.AsType[*ServerError](err); ok {
		return fmt.Sprintf("status %d", e.Status)
	}
	if e, ok := errors.AsType[*flagsError](err); ok {
		return e.message
	}
	return ""
}

// addFlags adds the flags of another answer to those that f has already. An answer that has all of them is used as it
// is.
func (f FlagConfigs) addFlags(data []byte, from string) FlagConfigs {
	had, err := splitFlags(f.Data)
	if err != nil {
		return f // engine.Parse says what is wrong with it
	}
	all, err := splitFlags(data)
	if err != nil {
		f.RemoteMode, f.Refused = RemoteRefused, err.Error()
		return f
	}
	isIn := func(flags []flagConfig) func(flagConfig) bool {
		return func(one flagConfig) bool {
			return slices.ContainsFunc(flags, func(other flagConfig) bool { return other.Key == one.Key })
		}
	}
	added := slices.DeleteFunc(slices.Clone(all), isIn(had))
	missing := slices.DeleteFunc(slices.Clone(had), isIn(all))
	f.RemoteMode = RemoteIncluded
	switch {
	case len(added) == 0 && !slices.ContainsFunc(had, isRemote):
		f.RemoteMode = RemoteSame
	case len(added) == 0:
	case len(missing) == 0:
		f.Data, f.From = data, []string{from}
	default: // the answer has the flags of remote evaluation mode alone
		f.Data, f.From = joinFlags(append(had, added...)), append(f.From, from)
	}
	return f
}

// flagConfig is one element of an array of flag configurations.
type flagConfig struct {
	Key      string `json:"key"`
	Metadata struct {
		EvaluationMode jsontext.Value `json:"evaluationMode"`
	} `json:"metadata"`

	raw jsontext.Value
}

func isRemote(f flagConfig) bool { return string(f.Metadata.EvaluationMode) == `"remote"` }

// splitFlags returns the elements of an array of flag configurations.
func splitFlags(data []byte) ([]flagConfig, error) {
	lenient := json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var elements []jsontext.Value
	if err := json.Unmarshal(data, &elements, lenient); err != nil {
		return nil, errors.New("not an array of flag configurations")
	}
	flags := make([]flagConfig, len(elements))
	for i, raw := range elements {
		if err := json.Unmarshal(raw, &flags[i], lenient); err != nil || flags[i].Key == "" {
			return nil, fmt.Errorf("element %d is not a flag configuration", i+1)
		}
		flags[i].raw = raw
	}
	return flags, nil
}

// joinFlags is the array of flags.
func joinFlags(flags []flagConfig) []byte {
	raw := make([][]byte, len(flags))
	for i := range flags {
		raw[i] = flags[i].raw
	}
	return slices.Concat([]byte("["), bytes.Join(raw, []byte(",")), []byte("]"))
}
