package amplitude

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// dialError is what net makes of an error of the system.
func dialError(op string, errno syscall.Errno) error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError(op, errno)}
}

func TestClassify(t *testing.T) {
	notFound := &net.DNSError{Err: "no such host", Name: "example.test", IsNotFound: true}
	atProxy := func(err error) error { return &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err} }
	for _, tt := range []struct {
		name   string
		err    error
		class  string
		before bool // ends the run if nothing was ever answered
		always bool // ends it in any case
		says   string
	}{
		{name: "refused", err: dialError("connect", syscall.ECONNREFUSED), class: "refused"},
		{name: "reset", err: &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, class: "reset"},
		{name: "no route to the network", err: dialError("connect", syscall.ENETUNREACH), class: "no_route"},
		{name: "no route to the host", err: dialError("connect", syscall.EHOSTUNREACH), class: "no_route"},
		{name: "no local port", err: dialError("connect", syscall.EADDRNOTAVAIL), class: "no_port"},
		{name: "local port in use", err: dialError("bind", syscall.EADDRINUSE), class: "no_port"},
		{name: "not permitted", err: dialError("connect", syscall.EPERM), class: "denied"},
		{name: "access denied", err: dialError("connect", syscall.EACCES), class: "denied"},
		{name: "no buffers", err: dialError("socket", syscall.ENOBUFS), class: "no_memory"},
		{name: "timeout", err: dialError("connect", syscall.ETIMEDOUT), class: "timeout"},
		{name: "end", err: io.ErrUnexpectedEOF, class: "dropped"},
		{name: "long header", err: errors.New("net/http: server response headers exceeded 65536 bytes; aborted"),
			class: "header"},
		{name: "long header over HTTP/2", err: errors.New("http2: response header list larger than advertised limit"),
			class: "header"},
		{name: "not HTTP", err: errors.New(`malformed HTTP response "SSH-2.0"`), class: "malformed"},
		{name: "who knows", err: errors.New("?"), class: "other"},
		{name: "files of the process", err: dialError("socket", syscall.EMFILE), class: "other", before: true, always: true,
			says: "too many open files"},
		{name: "files of the system", err: dialError("socket", syscall.ENFILE), class: "other", before: true, always: true,
			says: "too many open files"},
		{name: "files, at the name lookup", err: &net.DNSError{Err: "dial udp: socket: too many open files",
			Name: "example.test"},
			class: "other", before: true, always: true, says: "too many open files"},
		{name: "no such host", err: notFound, class: "dns", before: true, says: "cannot find the server"},
		{name: "name server down", err: &net.DNSError{Err: "server misbehaving", IsTemporary: true}, class: "dns"},
		{name: "certificate", err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "example.test"}, class: "tls",
			before: true, says: "cannot trust the server"},
		{name: "proxy's status", err: &ProxyError{Variable: "HTTPS_PROXY", Status: 407}, class: "proxy", before: true,
			says: "HTTPS_PROXY refused the connection: status 407"},
		{name: "proxy refuses TCP", err: atProxy(dialError("connect", syscall.ECONNREFUSED)), class: "proxy"},
		{name: "no such proxy", err: atProxy(notFound), class: "proxy", before: true,
			says: "cannot find the proxy of HTTPS_PROXY"},
		{name: "files, on the way to a proxy", err: atProxy(dialError("socket", syscall.EMFILE)), class: "other",
			before: true, always: true, says: "too many open files"},
		{name: "SOCKS says no", err: &net.OpError{Op: "socks connect", Err: errors.New("connection not allowed by ruleset")},
			class: "proxy", before: true,
			says: "HTTPS_PROXY refused the connection: connection not allowed by ruleset"},
		{name: "SOCKS hangs up", err: &net.OpError{Op: "socks connect", Err: io.EOF}, class: "dropped"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, before := range []bool{true, false} {
				class, fatal := classifyAtProxy(fmt.Errorf("wrapped: %w", tt.err), before, "HTTPS_PROXY")
				if ends := before && tt.before || tt.always; class != tt.class || (fatal != nil) != ends {
					t.Errorf("classify %v, before any answer %v: %q and %v, want %q and an error: %v", tt.err, before, class, fatal,
						tt.class, ends)
				}
				if classWords[class] == "" {
					t.Errorf("class %q has no words", class)
				}
				if fatal != nil && (!strings.Contains(fatal.Error(), tt.says) || pipeline.Hint(fatal) == "") {
					t.Errorf("classify %v: %v (hint %q), want something with %q and a hint", tt.err, fatal, pipeline.Hint(fatal),
						tt.says)
				}
			}
		})
	}
}
