//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// runLoad asks the server at address n times about the users of a file, in turn, over 64 connections, and returns how
// long that took. It has only the minimum of an HTTP client, because the client of net/http takes more CPU than the
// server that is measured.
func runLoad(address, path string, n int) (time.Duration, error) {
	users, err := readUsers(path)
	if err != nil {
		return 0, err
	}
	requests := make([][]byte, len(users))
	for i := range users {
		requests[i] = formatRequest(address, &users[i])
	}
	var g errgroup.Group
	start := time.Now()
	for i := range inFlight {
		g.Go(func() error {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				return err
			}
			defer conn.Close()
			buf := make([]byte, 64<<10)
			for j := i; j < n; j += inFlight {
				if _, err := conn.Write(requests[j%len(requests)]); err != nil {
					return err
				}
				if err := readAnswer(conn, buf); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = g.Wait()
	return time.Since(start), err
}

// formatRequest returns the request that rollcall sends for the user.
func formatRequest(host string, u *pipeline.User) []byte {
	return fmt.Appendf(nil, "GET /v1/vardata?user_id=%s&device_id=%s&flag_keys=%s&context=%s HTTP/1.1\r\n"+
		"Host: %s\r\nUser-Agent: rollcall\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\nAuthorization: Api-Key "+
		"bench\r\n"+
		"X-Amp-Exp-Exposure-Track: no-track\r\nX-Amp-Exp-Track: no-track\r\n\r\n",
		url.QueryEscape(u.UserID), url.QueryEscape(u.DeviceID), url.QueryEscape(tenFlags),
		url.QueryEscape(string(pipeline.AppendObject(nil, u.Context))), host)
}

// readAnswer reads one answer: a header with status 200 and a Content-Length, and the body.
func readAnswer(conn net.Conn, buf []byte) error {
	n, end := 0, -1
	for n != end {
		m, err := conn.Read(buf[n:])
		n += m
		if err != nil {
			return fmt.Errorf("read an answer: %w", err)
		}
		if end < 0 {
			if end, err = answerEnd(buf[:n]); err != nil {
				return err
			}
		}
		if n == len(buf) || end >= 0 && n > end {
			return errors.New("read an answer: longer than it should be")
		}
	}
	return nil
}

var (
	statusOK  = []byte("HTTP/1.1 200 ")
	headerEnd = []byte("\r\n\r\n")
	bodySize  = []byte("\r\nContent-Length: ")
)

// answerEnd returns the length of the answer that begins with b; -1 if b does not have the whole header.
func answerEnd(b []byte) (int, error) {
	header, _, ok := bytes.Cut(b, headerEnd)
	if !ok {
		return -1, nil
	}
	if !bytes.HasPrefix(header, statusOK) {
		line, _, _ := bytes.Cut(header, []byte("\r\n"))
		return 0, fmt.Errorf("answered %q", line)
	}
	_, size, ok := bytes.Cut(header, bodySize)
	if !ok {
		return 0, errors.New("an answer without a Content-Length")
	}
	size, _, _ = bytes.Cut(size, []byte("\r\n"))
	length, err := strconv.Atoi(string(size))
	if err != nil || length < 0 {
		return 0, fmt.Errorf("an answer of Content-Length %q", size)
	}
	return len(header) + len(headerEnd) + length, nil
}
