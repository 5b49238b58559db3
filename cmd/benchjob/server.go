//go:build unix

package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// fiveFlags are the flags that both sides of the part remote ask for and get.
const fiveFlags = "dark-mode,checkout-redesign,pricing-test,new-player,cookie-banner"

// constantAnswer is the answer of the server for every user: 5 flags, 300 bytes.
const constantAnswer = `{"dark-mode":{"key":"on"},` +
	`"checkout-redesign":{"key":"treatment","payload":{"layout":"one-page","steps":1},"expKey":"exp-3"},` +
	`"pricing-test":{"key":"annual-first","payload":89,"expKey":"exp-5"},` +
	`"new-player":{"key":"on","payload":true},` +
	`"cookie-banner":{"key":"on","payload":{"policy":"https://example.com/cookies"}}}`

// answering says how the server answers. The zero value gives everybody constantAnswer at once.
type answering struct {
	latency time.Duration
	limit   float64       // requests a second; those above get a 429
	bytes   int           // of an answer, each another; 0: constantAnswer
	held    time.Duration // the latency of the user heldUser
	record  bool          // GET /arrivals tells when requests came
	proto   string        // http, h1 and h2 (over TLS)
	ca      string        // the file for the certificate
}

// heldUser is the user whose answer is held.
const heldUser = 100

func (a *answering) define(set *flag.FlagSet) {
	set.DurationVar(&a.latency, "latency", 0, "")
	set.Float64Var(&a.limit, "limit", 0, "")
	set.IntVar(&a.bytes, "bytes", 0, "")
	set.DurationVar(&a.held, "held", 0, "")
	set.BoolVar(&a.record, "record", false, "")
	set.StringVar(&a.proto, "proto", "http", "")
	set.StringVar(&a.ca, "ca", "", "")
}

// serveAnswers listens on a port of the loopback interface and prints its URL. It ends when standard input does: then
// its parent is gone. GET /asked returns how many users were asked about. It does as little as a net/http server can.
func serveAnswers(args []string) error {
	var a answering
	set := flag.NewFlagSet("answer", flag.ContinueOnError)
	a.define(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	// wrk gives its first connection up
	server := &http.Server{Handler: newHandler(a), ErrorLog: log.New(io.Discard, "", 0)}
	scheme := "http"
	if a.proto != "http" {
		scheme = "https"
		certificate, err := makeCertificate(a.ca)
		if err != nil {
			return err
		}
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
		if a.proto == "h1" {
			server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("%s://%s\n", scheme, l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // an error is the end, too
		os.Exit(0)
	}()
	if a.proto != "http" {
		return server.ServeTLS(l, "", "")
	}
	return server.Serve(l)
}

// makeCertificate returns a new certificate for the loopback address, and writes it to the file ca.
func makeCertificate(ca string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, os.WriteFile(ca, block, 0o600)
}

// arrival is a request on the wire.
type arrival struct {
	At      int64 `json:"at"` // microseconds since the first
	Refused bool  `json:"refused,omitempty"`
}

// arrivals are safe for concurrent use.
type arrivals struct {
	mu    sync.Mutex
	first time.Time
	came  cameIn
}

// cameIn is the reply of GET /arrivals.
type cameIn struct {
	Arrivals []arrival `json:"arrivals"`

	// Stall is the longest time, in microseconds, that the machine kept the server from running. What came in that time
	// is taken for a burst after it.
	Stall int64 `json:"stall"`
}

// watchStalls measures how late a timer is, for as long as the process lives.
func (a *arrivals) watchStalls() {
	const every = time.Millisecond
	for last := time.Now(); ; {
		time.Sleep(every)
		now := time.Now()
		a.mu.Lock()
		if a.first != (time.Time{}) { // the start does not count
			a.came.Stall = max(a.came.Stall, (now.Sub(last) - every).Microseconds())
		}
		a.mu.Unlock()
		last = now
	}
}

func (a *arrivals) add(at time.Time, refused bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.came.Arrivals == nil {
		a.first = at
	}
	a.came.Arrivals = append(a.came.Arrivals, arrival{at.Sub(a.first).Microseconds(), refused})
}

func newHandler(a answering) http.Handler {
	var asked atomic.Int64
	var came arrivals
	limiter := rate.NewLimiter(rate.Inf, 0)
	if a.limit > 0 {
		limiter = rate.NewLimiter(rate.Limit(a.limit), max(1, int(a.limit)))
	}
	if a.record {
		go came.watchStalls()
	}
	body, numbers := makeAnswer(a.bytes)
	contentType, length := []string{"application/json"}, []string{strconv.Itoa(len(body))}
	mux := http.NewServeMux()
	vardata := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // what is left of it is an error of the client
		now, n := time.Now(), asked.Add(1)
		refused := !limiter.AllowN(now, 1)
		if a.record {
			came.add(now, refused)
		}
		latency := a.latency
		if a.held > 0 && strings.HasPrefix(r.URL.RawQuery, "user_id="+userName(heldUser)[:len("user-0000000")]) {
			latency = a.held
		}
		if latency > 0 {
			time.Sleep(latency)
		}
		if refused {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		answer := body
		if len(numbers) > 0 {
			answer = slices.Clone(body)
			for _, at := range numbers {
				copy(answer[at:], fmt.Sprintf("%012d", n))
			}
		}
		w.Header()["Content-Type"] = contentType
		w.Header()["Content-Length"] = length
		_, _ = w.Write(answer) // the client may be gone
	}
	mux.HandleFunc("/v1/vardata", vardata)
	mux.HandleFunc("/sdk/v2/vardata", vardata)
	mux.HandleFunc("/asked", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, asked.Load()) })
	mux.HandleFunc("/arrivals", func(w http.ResponseWriter, _ *http.Request) {
		came.mu.Lock()
		defer came.mu.Unlock()
		_ = json.NewEncoder(w).Encode(came.came)
	})
	return mux
}

// makeAnswer returns an answer of about that many bytes: fiveFlags with payloads of the same length, and where in it a
// number goes that makes the payloads of each user others.
func makeAnswer(bytes int) (body []byte, numbers []int) {
	if bytes == 0 {
		return []byte(constantAnswer), nil
	}
	var b strings.Builder
	flags := strings.Split(fiveFlags, ",")
	const filling = "Sign up now and get the first month for free, cancel at any time. "
	for i, flag := range flags {
		fmt.Fprintf(&b, `%c%q:{"key":"on","payload":{"id":"`, "{,"[min(i, 1)], flag)
		numbers = append(numbers, b.Len())
		b.WriteString(`000000000000","text":"`)
		b.WriteString(strings.Repeat(filling, bytes/len(flags)/len(filling)+1)[:max(bytes/len(flags)-80, 0)])
		b.WriteString(`"}}`)
	}
	b.WriteByte('}')
	return []byte(b.String()), numbers
}

// startServer starts the server of serveAnswers with these options. stop ends it and waits for it.
func (b *bench) startServer(ctx context.Context, args ...string) (url string, stop func(), err error) {
	cmd := exec.CommandContext(ctx, b.self, append([]string{"child", "answer"}, args...)...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = stdin.Close()
		_ = cmd.Wait() // the server was told to end
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("start the server: %w", err)
	}
	return strings.TrimSpace(line), stop, nil
}

// fetchAsked returns how many users the server was asked about so far.
func fetchAsked(ctx context.Context, server string) (int, error) {
	text, err := fetchText(ctx, server+"/asked")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

// fetchArrivals returns the requests that a server with the option -record got, in their order.
func fetchArrivals(ctx context.Context, server string) (cameIn, error) {
	text, err := fetchText(ctx, server+"/arrivals")
	if err != nil {
		return cameIn{}, err
	}
	var came cameIn
	if err := json.Unmarshal(text, &came); err != nil {
		return cameIn{}, fmt.Errorf("read arrivals: %w", err)
	}
	slices.SortFunc(came.Arrivals, func(a, b arrival) int { return cmp.Compare(a.At, b.At) })
	return came, nil
}

// fetchText gets a URL of a server of this machine, whose certificate is not looked at.
func fetchText(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}
