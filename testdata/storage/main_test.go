//go:build storage

package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bin has the command and the servers; see make storage.
var (
	bin      string
	rollcall string
)

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "storage:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	if bin, err = filepath.Abs("../stores/bin"); err != nil {
		return 0, err
	}
	if _, err := os.Stat(filepath.Join(bin, "versitygw")); err != nil {
		return 0, errors.New("the servers are not built: run it by make storage, which does that")
	}
	folder, err := os.MkdirTemp("", "storage")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder) //nolint:errcheck // a folder of its own in /tmp
	rollcall = filepath.Join(folder, "rollcall")
	if out, err := exec.Command("go", "build", "-o", rollcall, "../../cmd/rollcall").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build the command: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// server is a store behind a proxy, which has its address and can break what passes.
type server struct {
	*httptest.Server
	pass   http.HandlerFunc // to the store
	mu     sync.Mutex
	broken func(r *http.Request) http.HandlerFunc
}

// breakWith makes the proxy answer the requests for which f returns a handler. f is called for one request at a time.
func (s *server) breakWith(t *testing.T, f func(r *http.Request) http.HandlerFunc) {
	s.mu.Lock()
	s.broken = f
	s.mu.Unlock()
	t.Cleanup(func() {
		s.mu.Lock()
		s.broken = nil
		s.mu.Unlock()
	})
}

// newServer returns a proxy for a server that is listening at address.
func newServer(network, address string) *server {
	s := &server{}
	dialer := &net.Dialer{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { // the Host stays: it is signed
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "store", r.In.Host
		},
		Transport: &http.Transport{DisableCompression: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, address)
			}},
	}
	s.pass = proxy.ServeHTTP
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		var handler http.HandlerFunc
		if s.broken != nil {
			handler = s.broken(r)
		}
		s.mu.Unlock()
		if handler != nil {
			handler(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	return s
}

// startOnSocket starts a server on a Unix socket, which no other process can take, behind a proxy. cmd makes its command.
func startOnSocket(t *testing.T, cmd func(socket string) *exec.Cmd) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "s") // the name of a socket has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "socket")
	start(t, cmd(socket), func(string) bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	s := newServer("unix", socket)
	t.Cleanup(s.Close)
	return s
}

// reset ends the connection without an answer.
func reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

// start starts a server's process, which ends with the test at the latest, and waits until ready says that it listens.
func start(t *testing.T, cmd *exec.Cmd, ready func(output string) bool) {
	t.Helper()
	var output lockedBuffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	for !ready(output.String()) {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v\n%s", cmd.Path, err, output.String())
		case <-time.After(20 * time.Millisecond): // there is no other way to learn it
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
