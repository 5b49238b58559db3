package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
)

// certificate makes a self-signed certificate for 127.0.0.1 and the names, valid from and to.
func certificate(t *testing.T, from, to time.Time, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: from, NotAfter: to, DNSNames: names,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:        true, BasicConstraintsValid: true,
	}
	if len(names) == 0 {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// startTLS serves the API over TLS and HTTP/2, and returns its URL and a file with its certificate.
func startTLS(t *testing.T, api http.Handler, config *tls.Config) (base, file string) {
	t.Helper()
	server := httptest.NewUnstartedServer(api)
	server.TLS = config
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
		Bytes: server.TLS.Certificates[0].Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	return server.URL, file
}

// TestNetworkTLS is about servers whose certificate does not hold, or that do not speak TLS as they should: the run
// ends at once, and the key is not sent.
func TestNetworkTLS(t *testing.T) {
	t.Parallel()
	hour := time.Hour
	now := time.Now()
	good := certificate(t, now.Add(-hour), now.Add(hour))
	tests := map[string]func(*testing.T){}
	for name, tt := range map[string]struct {
		cert     tls.Certificate
		distrust bool // the certificate is not among those trusted
		host     string
		config   *tls.Config
		said     string
	}{
		"self-signed": {cert: good, distrust: true, said: "certificate"},
		"wrong host": {cert: certificate(t, now.Add(-hour), now.Add(hour), "api.lab.amplitude.com"),
			said: "127.0.0.1"},
		"wrong name":    {cert: good, host: "localhost", said: "localhost"},
		"expired":       {cert: certificate(t, now.Add(-2*hour), now.Add(-hour)), said: "expired"},
		"not yet valid": {cert: certificate(t, now.Add(hour), now.Add(2*hour)), said: "not yet valid"},
		"TLS 1.1": {cert: good, config: &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
			said: "TLS 1.2"},
		"client certificate": {cert: good, config: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert,
			MaxVersion: tls.VersionTLS12}, said: "tls"},
	} {
		t.Run(name, func(t *testing.T) {
			tests[name] = func(t *testing.T) {
				api := &faultyAPI{}
				config := &tls.Config{}
				if tt.config != nil {
					config = tt.config
				}
				config.Certificates = []tls.Certificate{tt.cert}
				base, file := startTLS(t, api, config)
				if tt.distrust {
					file = filepath.Join(t.TempDir(), "none.pem")
					if err := os.WriteFile(file, nil, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				if tt.host != "" {
					base = strings.Replace(base, "127.0.0.1", tt.host, 1)
				}
				r := networkRun{Server: base, Users: names("u", 20), Process: true,
					Env: map[string]string{"SSL_CERT_FILE": file, "SSL_CERT_DIR": t.TempDir()}}.do(t)
				r.wantNothing(t, exitFailed, "cannot trust the server", tt.said, "--server")
				if len(api.arrived) > 0 {
					t.Errorf("%s: %d requests arrived, want none", name, len(api.arrived))
				}
			}
		})
	}
	tests["no TLS at all"] = func(t *testing.T) {
		api := &faultyAPI{}
		base := "https" + strings.TrimPrefix(api.start(t), "http")
		r := networkRun{Server: base, Users: names("u", 20), Process: true}.do(t)
		r.wantNothing(t, exitFailed, "cannot trust the server", "does --server speak https")
	}
	together(t, tests)
}

// TestNetworkHTTP2 runs the real command over TLS and HTTP/2, as it will against Amplitude, and over HTTP/1.1.
func TestNetworkHTTP2(t *testing.T) {
	t.Parallel()
	now := time.Now()
	cert := certificate(t, now.Add(-time.Hour), now.Add(time.Hour))
	users := names("u", 60)
	tests := map[string]func(*testing.T){}
	for name, tt := range map[string]struct {
		api   *faultyAPI
		proxy string
		exact bool // nobody is asked twice
		old   bool // HTTP/1.1, where net/http sends a request again by itself unless it is kept from it
	}{
		"clean": {api: &faultyAPI{}, exact: true},
		// Over HTTP/2 this header makes the server say GOAWAY, finish what is in flight, and hang up.
		"GOAWAY": {api: &faultyAPI{Answer: func(user string) *evalserver.Fault {
			if !strings.HasSuffix(user, "0") {
				return nil
			}
			return handling(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Connection", "close")
				_, _ = w.Write(trueAnswer(r))
			})
		}}},
		"streams that break": {api: &faultyAPI{Script: func(user string, n int) *evalserver.Fault {
			if n > 0 {
				return nil
			}
			switch user[4] {
			case '0':
				return handling(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
			case '5':
				return &evalserver.Fault{Kind: evalserver.Truncate}
			case '7':
				return status(503)
			}
			return nil
		}}},
		"connections that break": {api: &faultyAPI{}, proxy: `{"type":"limit_data","attributes":{"bytes":4000}}`},
		"slices":                 {api: &faultyAPI{}, proxy: `{"type":"slicer","attributes":{"average_size":30,"size_variation":10,"delay":100}}`, exact: true},
		"HTTP/1.1, connections that break": {old: true, api: &faultyAPI{Script: func(user string, n int) *evalserver.Fault {
			if n == 0 && strings.HasSuffix(user, "5") {
				return &evalserver.Fault{Kind: evalserver.Reset}
			}
			return nil
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			tests[name] = func(t *testing.T) {
				config, proto := &tls.Config{Certificates: []tls.Certificate{cert}}, 2
				if tt.old {
					config.NextProtos, proto = []string{"http/1.1"}, 1
				}
				base, file := startTLS(t, tt.api, config)
				if tt.proxy != "" {
					proxy := newToxic(t, base)
					proxy.Add(tt.proxy)
					base = "https" + strings.TrimPrefix(proxy.URL(), "http")
				}
				r := networkRun{Server: base, Users: users, Process: true, Env: map[string]string{"SSL_CERT_FILE": file}}.do(t)
				r.wantPublished(t)
				if tt.exact {
					wantAsked(t, tt.api, users, nil)
				}
				for _, in := range tt.api.arrived {
					if in.proto != proto {
						t.Fatalf("%s came over HTTP/%d, want %d", in.path, in.proto, proto)
					}
				}
				ledger{cut: tt.proxy != ""}.check(t, tt.api, r)
			}
		})
	}
	together(t, tests)
}

// startEchoing serves over TLS and HTTP/1.1. It answers every request, and then sends all that it was asked, unasked.
func startEchoing(t *testing.T, cert tls.Certificate) (base string) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0",
		&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		conns.Wait()
	})
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close() //nolint:errcheck // the client's matter
				in := bufio.NewReader(conn)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					echo, _ := httputil.DumpRequest(r, false) // it fails only where a body cannot be read
					status := "200 OK"
					if r.URL.Path == "/status" {
						status = "404 Not Found"
					}
					if _, err := fmt.Fprintf(conn, "HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\n{}", status); err != nil {
						return
					}
					if _, err := conn.Write(echo); err != nil {
						return
					}
				}
			})
		}
	})
	return "https://" + listener.Addr().String()
}

// standardLog matches lines of package log.
var standardLog = regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:`)

// TestNetworkStandardError: nothing reaches standard error but through the console, whatever net/http prints.
func TestNetworkStandardError(t *testing.T) {
	t.Parallel()
	now := time.Now()
	cert := certificate(t, now.Add(-time.Hour), now.Add(time.Hour))
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}),
		0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(*testing.T){}
	for name, tt := range map[string]struct {
		args  []string
		debug string
		line  string // each line of standard error begins with this; the summary for people has lines of its own
	}{
		"echo":                 {},
		"echo, quiet":          {args: []string{"--quiet"}, line: "nothing"},
		"echo, JSON":           {args: []string{"--log-format", "json"}, line: `{"time":`},
		"GODEBUG http2debug":   {debug: "http2debug=2"},
		"GODEBUG, and quiet":   {debug: "http2debug=2", args: []string{"--quiet"}, line: "nothing"},
		"GODEBUG, and as JSON": {debug: "http2debug=2", args: []string{"--log-format", "json"}, line: `{"time":`},
	} {
		t.Run(name, func(t *testing.T) {
			tests[name] = func(t *testing.T) {
				base := ""
				if tt.debug != "" {
					base, _ = startTLS(t, &faultyAPI{}, &tls.Config{Certificates: []tls.Certificate{cert}})
				} else {
					base = startEchoing(t, cert)
				}
				r := networkRun{
					Server: base, Users: names(canaryUser[0], 8), Process: true,
					Args: append([]string{"--concurrency", "2"}, tt.args...),
					Env:  map[string]string{"SSL_CERT_FILE": file, "GODEBUG": tt.debug},
				}.do(t) // which looks for the key
				r.wantCode(t, exitOK)
				if strings.Contains(r.stderr, canaryUser[0]) {
					t.Errorf("standard error holds ids:\n%.2000s", r.stderr)
				}
				for line := range strings.Lines(r.stderr) {
					if !strings.HasPrefix(line, tt.line) || standardLog.MatchString(line) {
						t.Errorf("standard error holds the line %q, want lines that begin with %q", line, tt.line)
					}
				}
			}
		})
	}
	together(t, tests)
}
