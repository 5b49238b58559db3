//go:build unix

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
)

// fiveFlags are the flags that both sides of the part remote ask for and get.
const fiveFlags = "dark-mode,checkout-redesign,pricing-test,new-player,cookie-banner"

// constantAnswer is the answer of the server for every user: 5 flags, 300 bytes.
const constantAnswer = `{"dark-mode":{"key":"on"},` +
	`"checkout-redesign":{"key":"treatment","payload":{"layout":"one-page","steps":1},"expKey":"exp-3"},` +
	`"pricing-test":{"key":"annual-first","payload":89,"expKey":"exp-5"},` +
	`"new-player":{"key":"on","payload":true},` +
	`"cookie-banner":{"key":"on","payload":{"policy":"https://example.com/cookies"}}}`

// serveAnswers listens on a port of the loopback interface and prints its URL. It ends when standard input does: then
// its parent is gone. GET /asked returns how many users were asked about. It does as little as a net/http server can.
func serveAnswers() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // an error is the end, too
		os.Exit(0)
	}()
	return http.Serve(l, newHandler())
}

func newHandler() http.Handler {
	var asked atomic.Int64
	body := []byte(constantAnswer)
	contentType, length := []string{"application/json"}, []string{strconv.Itoa(len(constantAnswer))}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/vardata", func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header()["Content-Type"] = contentType
		w.Header()["Content-Length"] = length
		_, _ = w.Write(body) // the client may be gone
	})
	mux.HandleFunc("/asked", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, asked.Load()) })
	return mux
}
