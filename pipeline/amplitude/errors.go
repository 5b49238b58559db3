package amplitude

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// AuthError says that the API refused the key. It ends the run.
type AuthError struct {
	Status int
	Source string // where the key came from, as [Config.KeySource] has it; may be empty
}

// Error names the key's source, never the key.
func (e *AuthError) Error() string {
	from := ""
	if e.Source != "" {
		from = " from " + e.Source
	}
	return fmt.Sprintf("the API refused the deployment key%s: status %d", from, e.Status)
}

// OutageError says that the API was down, or asked for pauses, for longer than [Config.MaxOutage]. It ends the run,
// which can be resumed: no user was given up because of it.
type OutageError struct {
	For    time.Duration
	Status int    // the last answer's; 0: none came
	Class  string // of the last failure without an answer: one of those of [Stats.TransportErrors]
}

// Error says for how long, and names the last result.
func (e *OutageError) Error() string {
	return fmt.Sprintf("the API has not answered for %v (last: %s)", e.For.Round(time.Second),
		result{status: e.Status, class: e.Class}.describe())
}

// RedirectError says that the server redirected a request. It ends the run: following would send the key along.
type RedirectError struct {
	Status int
	To     string // scheme and host alone; empty if the server did not say
}

// Error says where to.
func (e *RedirectError) Error() string {
	to := ""
	if e.To != "" {
		to = " to " + e.To
	}
	return fmt.Sprintf("the server redirects%s (status %d); redirects are not followed, because the key would be sent "+
		"along", to, e.Status)
}

// ServerError says that the server at the base URL is not the Evaluation API. It ends the run.
type ServerError struct {
	Status int
	Path   string
}

// Error says what was answered.
func (e *ServerError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("the server answered %s with status %d %s", e.Path, e.Status,
		http.StatusText(e.Status)))
}

// ConnectError says that the server, or the proxy on the way to it, cannot be reached for a reason that waiting does
// not remove: an unknown host or an invalid certificate. It ends the run.
type ConnectError struct {
	Class string // "dns" or "tls"
	Proxy string // the variable that names the proxy, if it is the proxy
	Err   error
}

// Error says why.
func (e *ConnectError) Error() string {
	what := "the server"
	if e.Proxy != "" {
		what = "the proxy of " + e.Proxy
	}
	if e.Class == "dns" {
		return "cannot find " + what + ": " + e.Err.Error()
	}
	return "cannot trust " + what + ": " + e.Err.Error()
}

// Unwrap is the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// ProxyError says that a proxy refused the connection. It ends the run if no answer came before it.
type ProxyError struct {
	Variable string // the environment variable that names the proxy; its value may hold a password
	Status   int    // what the proxy answered; 0: it is a SOCKS proxy
	Reason   string // what a SOCKS proxy said
}

// Error names the variable, never its value.
func (e *ProxyError) Error() string {
	reason := e.Reason
	if e.Status != 0 {
		reason = strings.TrimSpace(fmt.Sprintf("status %d %s", e.Status, http.StatusText(e.Status)))
	}
	return fmt.Sprintf("the proxy of %s refused the connection: %s", e.Variable, reason)
}

// withHint adds what to do.
func (e *ProxyError) withHint() error {
	switch e.Status {
	case http.StatusProxyAuthRequired:
		return pipeline.WithHint(e, fmt.Sprintf("it requires a user name and a password: %s=http://user:password@host:port",
			e.Variable))
	case http.StatusForbidden:
		return pipeline.WithHint(e, "it does not allow connections to --server: ask whoever runs it, or name the server's "+
			"host in NO_PROXY to go without it")
	}
	return pipeline.WithHint(e, fmt.Sprintf("is %s the right proxy? NO_PROXY names hosts to reach without it", e.Variable))
}

// MachineError says that this machine cannot open another connection, whatever the server does. It ends the run, which
// can be resumed.
type MachineError struct {
	Err syscall.Errno // EMFILE or ENFILE
}

// Error says which limit was reached.
func (e *MachineError) Error() string {
	return "this machine cannot open another connection: " + e.Err.Error()
}

// Unwrap is the cause.
func (e *MachineError) Unwrap() error { return e.Err }

var (
	// errTimeout is the cause with which an attempt is cancelled when its time is over.
	errTimeout = errors.New("the attempt took too long")
	// errResend is the cause with which net/http's own second try is cancelled.
	errResend = errors.New("the connection broke")
	// errUnasked ends a connection on which more came than was requested.
	errUnasked = errors.New("an answer that was not requested")
	// errHeader ends a connection whose answer begins with more than maxHeader bytes of headers.
	errHeader = errors.New("the header of the answer is too long")
)

// classWords describes the classes of failures without an answer that [Stats.TransportErrors] counts.
var classWords = map[string]string{
	"denied":    "connection not permitted by this machine",
	"dns":       "name lookup failed",
	"dropped":   "connection closed early",
	"header":    "answer's header too long",
	"http2":     "HTTP/2 error",
	"malformed": "answer is not HTTP",
	"no_memory": "no memory for another connection",
	"no_port":   "no free local port",
	"no_route":  "no route to the server",
	"other":     "unknown network error",
	"proxy":     "no connection through the proxy",
	"refused":   "connection refused",
	"reset":     "connection reset",
	"timeout":   "timeout",
	"tls":       "TLS error",
}

// errnoClass is a class of system errors.
type errnoClass struct {
	class  string
	errnos []syscall.Errno
}

// errnoClasses are the classes of the errors that all systems have names for; see socketClasses.
var errnoClasses = []errnoClass{
	{"refused", []syscall.Errno{syscall.ECONNREFUSED}},
	{"reset", []syscall.Errno{syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED}},
	{"no_route", []syscall.Errno{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN,
		syscall.EAFNOSUPPORT}},
	{"no_port", []syscall.Errno{syscall.EADDRNOTAVAIL, syscall.EADDRINUSE}},
	{"denied", []syscall.Errno{syscall.EACCES, syscall.EPERM}},
	{"no_memory", []syscall.Errno{syscall.ENOBUFS, syscall.ENOMEM}},
}

// classify sorts a failure of the RoundTripper or of reading a body into a class. A non-nil fatal says that
// trying again does not help; before says that no answer ever came.
func classify(err error, before bool) (class string, fatal error) {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err // url.Error's text has the URL, and the URL the user's id
	}
	if e := machineError(err); e != nil {
		return "other", e
	}
	if e, ok := errors.AsType[*ProxyError](err); ok {
		if before {
			return "proxy", e.withHint()
		}
		return "proxy", nil // it let requests through before
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound && before {
			return "dns", pipeline.WithHint(&ConnectError{Class: "dns", Err: dns}, "is --server spelled right?")
		}
		return "dns", nil
	}
	if cert := certificateError(err); cert != nil {
		if before {
			return "tls", pipeline.WithHint(&ConnectError{Class: "tls", Err: cert},
				"is --server spelled right, and does a proxy of your network intercept the connection? SSL_CERT_FILE names "+
					"further certificates to trust")
		}
		return "tls", nil
	}
	if isTLS(err) {
		if before {
			return "tls", pipeline.WithHint(&ConnectError{Class: "tls", Err: err},
				"does --server speak https, with TLS 1.2 or later?")
		}
		return "tls", nil // TLS worked before: this connection was garbled
	}
	for _, c := range slices.Concat(errnoClasses, socketClasses) {
		for _, errno := range c.errnos {
			if errors.Is(err, errno) {
				return c.class, nil
			}
		}
	}
	var ne net.Error
	text := err.Error()
	switch {
	case errors.Is(err, errTimeout), errors.As(err, &ne) && ne.Timeout():
		return "timeout", nil
	case errors.Is(err, errResend), errors.Is(err, errUnasked), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "dropped", nil
	case errors.Is(err, errHeader), strings.Contains(text, "response headers exceeded"),
		strings.Contains(text, "header list"):
		return "header", nil
	case strings.HasPrefix(text, "http2:"), strings.HasPrefix(text, "stream error:"),
		strings.HasPrefix(text, "connection error:"):
		return "http2", nil // the bundled types are not exported
	case strings.Contains(text, "server closed"):
		return "dropped", nil
	case strings.Contains(text, "malformed"):
		return "malformed", nil
	}
	return "other", nil
}

// machineError returns the error for a machine or a process that has too many files open, and nil for other errors.
func machineError(err error) error {
	dns, isDNS := errors.AsType[*net.DNSError](err) // which keeps no more than the text of its cause
	for errno, hint := range map[syscall.Errno]string{
		syscall.EMFILE: "`ulimit -n` is how many files and connections a process may have open: raise it, or lower " +
			"--concurrency; then run the same command again",
		syscall.ENFILE: "too many files are open on the whole system: run the same command again when there are fewer",
	} {
		if errors.Is(err, errno) || isDNS && strings.Contains(dns.Err, errno.Error()) {
			return pipeline.WithHint(&MachineError{errno}, hint)
		}
	}
	return nil
}

// classifyAtProxy is classify for connections through the proxy that variable names. A failure to connect to the
// proxy itself is of class proxy.
func classifyAtProxy(err error, before bool, variable string) (class string, fatal error) {
	class, fatal = classify(err, before)
	op, ok := errors.AsType[*net.OpError](err)
	if !ok {
		return class, fatal
	}
	switch ce, isConnect := errors.AsType[*ConnectError](fatal); {
	case op.Op == "proxyconnect" && isConnect:
		return "proxy", pipeline.WithHint(&ConnectError{Class: ce.Class, Proxy: variable, Err: ce.Err}, "is "+variable+
			" right? NO_PROXY names hosts to reach without a proxy")
	case op.Op == "proxyconnect" && fatal == nil:
		return "proxy", nil
	// an error of the proxy, not of the network
	case strings.HasPrefix(op.Op, "socks") && class == "other" && fatal == nil:
		return classify(&ProxyError{Variable: variable, Reason: op.Err.Error()}, before)
	}
	return class, fatal
}

func certificateError(err error) error {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e
	}
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return e
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return e
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return e
	}
	return nil
}

// isTLS reports whether err is of the TLS layer: the server speaks something else, or sent an alert, which crypto/tls
// returns as a net.OpError.
func isTLS(err error) bool {
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "remote error" || op.Op == "local error") {
		return true
	}
	return strings.HasPrefix(err.Error(), "tls: ")
}
