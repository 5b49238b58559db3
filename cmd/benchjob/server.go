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

// fiveFlags are the flags that both sides of the part remote ask for, and that the server answers.
const fiveFlags = "dark-mode,checkout-redesign,pricing-test,new-player,cookie-banner"

// constantAnswer is what the server says about every user: 5 flags, 300 bytes.
const constantAnswer = `{"dark-mode":{"key":"on"},` +
	`"checkout-redesign":{"key":"treatment","payload":{"layout":"one-page","steps":1},"expKey":"exp-3"},` +
	`"pricing-test":{"key":"annual-first","payload":89,"expKey":"exp-5"},` +
	`"new-player":{"key":"on","payload":true},` +
	`"cookie-banner":{"key":"on","payload":{"policy":"https://example.com/cookies"}}}`

// serveAnswers answers on a port of loopback, which it prints, until standard input ends: then its parent is gone.
// GET /asked says how many users were asked about. It does as little as a net/http server can.
func serveAnswers() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // however it ends, it has ended
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
		_, _ = w.Write(body) // a client that is gone asks for nothing more
	})
	mux.HandleFunc("/asked", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, asked.Load()) })
	return mux
}
