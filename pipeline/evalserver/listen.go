package evalserver

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Running is a server that is listening.
type Running struct {
	listener net.Listener
	server   *http.Server
	served   sync.WaitGroup // the accepting goroutine and the open connections
	err      error
}

// Start listens on addr, such as 127.0.0.1:0 for any free port of this machine, and serves h until Close.
func Start(addr string, h http.Handler) (*Running, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("start the evaluation server: %w", err)
	}
	r := &Running{listener: listener}
	r.server = &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      10 * time.Minute, // for the fault Slow
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(io.Discard, "", 0), // broken connections are expected, and messages may have ids
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				r.served.Add(1)
			case http.StateClosed, http.StateHijacked:
				r.served.Done()
			}
		},
	}
	r.served.Go(func() {
		if err := r.server.Serve(listener); err != http.ErrServerClosed {
			r.err = err
		}
	})
	return r, nil
}

// URL returns the base URL of the server, without a slash at the end.
func (r *Running) URL() string { return "http://" + r.listener.Addr().String() }

// Close breaks all open connections, and returns when all goroutines have ended.
func (r *Running) Close() error {
	err := r.server.Close()
	r.served.Wait()
	if err == nil {
		err = r.err
	}
	if err != nil {
		return fmt.Errorf("stop the evaluation server: %w", err)
	}
	return nil
}
