package evalserver

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The kinds of faults. A number from 300 to 599 is one, too: an answer with that status and a line of text, and with
// Retry-After if the fault has one.
const (
	Reset    = "reset"    // the connection breaks before an answer
	Truncate = "truncate" // the connection breaks in the middle of the body
	HTML     = "html"     // 200 with an HTML page, like a CDN's
	Slow     = "slow"     // the body comes one byte every [SlowDelay]
	Hang     = "hang"     // nothing comes until the client goes away
	Null     = "null"     // 200 with null
	Empty    = "empty"    // 200 without a body
	Redirect = "redirect" // 307 to /redirected on this server
	Trailing = "trailing" // the answer, and more text after it
	Handler  = "handler"  // Fault.Handler answers; only for scripts
)

// SlowDelay is the time between two bytes of a [Slow] answer.
const SlowDelay = 100 * time.Millisecond

var faultKinds = []string{Reset, Truncate, HTML, Slow, Hang, Null, Empty, Redirect, Trailing}

// Fault is something that goes wrong between the client and the API.
type Fault struct {
	Kind        string
	Probability float64      // for [Config.Faults]: of each request, 0 to 1
	RetryAfter  string       // the header of a fault that is a status; "" for none
	Handler     http.Handler // for the kind [Handler]
}

// ParseFaults parses a list such as "503:0.05,reset:0.01": kinds and their probabilities, which add up to at most 1.
func ParseFaults(list string) ([]Fault, error) {
	if list == "" {
		return nil, nil
	}
	var faults []Fault
	sum := 0.0
	for item := range strings.SplitSeq(list, ",") {
		kind, probability, ok := strings.Cut(item, ":")
		kind, probability = strings.TrimSpace(kind), strings.TrimSpace(probability)
		if !ok {
			return nil, fmt.Errorf("fault %q: want kind:probability, such as 503:0.05", item)
		}
		if status, err := strconv.Atoi(kind); !slices.Contains(faultKinds, kind) &&
			(err != nil || status < 300 || status > 599) {
			return nil, fmt.Errorf("fault %q: unknown kind %q: want a status from 300 to 599, or one of %s", item, kind,
				strings.Join(faultKinds, ", "))
		}
		p, err := strconv.ParseFloat(probability, 64)
		if err != nil || !(p >= 0 && p <= 1) {
			return nil, fmt.Errorf("fault %q: %q is not a probability from 0 to 1", item, probability)
		}
		faults = append(faults, Fault{Kind: kind, Probability: p})
		sum += p
	}
	if sum > 1+1e-9 {
		return nil, fmt.Errorf("the probabilities of the faults add up to %g, more than 1", sum)
	}
	return faults, nil
}

// chooseFault returns the fault for the request, or nil.
func (s *Server) chooseFault(req *Request, vardata bool) *Fault {
	if len(s.config.Faults) == 0 && s.config.Script == nil {
		return nil
	}
	user := hashIDs(req.UserID, req.DeviceID)
	n := s.asked.countAsk(user)
	if s.config.Script != nil && vardata {
		if f := s.config.Script(req, n); f != nil {
			return f
		}
	}
	p := float64(splitmix64(s.config.Seed^user, uint64(n)+1)>>11) / (1 << 53)
	for i := range s.config.Faults {
		f := &s.config.Faults[i]
		if p < f.Probability {
			return f
		}
		p -= f.Probability
	}
	return nil
}

// hashIDs returns the FNV-1a hash of the ids. It is the same in every process, so that a seed gives the same faults.
func hashIDs(ids ...string) uint64 {
	h := uint64(14695981039346656037)
	for _, id := range ids {
		for i := range len(id) {
			h = (h ^ uint64(id[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211 // not a byte of UTF-8: a separator
	}
	return h
}

// askCounter counts how often each user was asked about.
type askCounter struct {
	sync.Mutex
	times map[uint64]int32
}

const maxAsked = 1 << 21 // users; above that, counting starts over to bound memory

func (a *askCounter) countAsk(user uint64) int {
	a.Lock()
	defer a.Unlock()
	if a.times == nil || len(a.times) >= maxAsked {
		a.times = map[uint64]int32{}
	}
	n := a.times[user]
	a.times[user] = n + 1
	return int(n)
}

// alterAnswer returns the answer as the fault changes it. Its status is 0 if none is sent, or if a handler decides.
func (f *Fault) alterAnswer(a answer) answer {
	switch f.Kind {
	case Reset, Hang, Handler:
		return answer{}
	case Truncate, Slow:
		return a
	case Trailing:
		a.body = append(a.body, "{}"...)
		return a
	case HTML:
		return answer{status: http.StatusOK, contentType: typeHTML, body: []byte(errorPage)}
	case Null:
		return answer{status: http.StatusOK, contentType: typeJSON, body: []byte("null")}
	case Empty:
		return answer{status: http.StatusOK, contentType: typeJSON}
	case Redirect:
		a = newRefusal(http.StatusTemporaryRedirect, "moved")
		a.header = [][2]string{{"Location", "/redirected"}}
		return a
	}
	status, _ := strconv.Atoi(f.Kind)
	if status < 300 || status > 599 {
		status = http.StatusInternalServerError // a mistake in a script is visible, but does not panic
	}
	a = newRefusal(status, "fault: "+f.Kind)
	if f.RetryAfter != "" {
		a.header = [][2]string{{"Retry-After", f.RetryAfter}}
	}
	return a
}

// sendFault sends the altered answer in the way of the fault. To break the connection, it panics with
// http.ErrAbortHandler, which the server handles silently.
func (f *Fault) sendFault(w http.ResponseWriter, r *http.Request, req *Request, a answer, sc *scratch) {
	switch f.Kind {
	case Reset:
		resetConnection(w)
	case Hang:
		<-r.Context().Done()
	case Handler:
		f.Handler.ServeHTTP(w, r)
	case Truncate:
		writeHeader(w, a)
		_, _ = w.Write(a.body[:len(a.body)/2])
		_ = http.NewResponseController(w).Flush() // so that the half arrives
		panic(http.ErrAbortHandler)
	case Slow:
		writeHeader(w, a)
		for i := range a.body {
			if _, err := w.Write(a.body[i : i+1]); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			if !waitFor(r.Context(), SlowDelay) {
				return
			}
		}
	default:
		sendAnswer(w, req, a, sc)
	}
}

const errorPage = "<!DOCTYPE html>\n<html><head><title>Error</title></head><body><h1>The request could not be " +
	"satisfied.</h1></body></html>\n"

// resetConnection breaks the connection, with a TCP reset if the transport allows it.
func resetConnection(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler)
}
