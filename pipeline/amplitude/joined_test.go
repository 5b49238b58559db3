package amplitude

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
)

// gate is a connection that writes when it may, and notes each write.
type gate struct {
	net.Conn
	open   chan error // what the next write returns
	writes []string
}

func (g *gate) Write(p []byte) (int, error) {
	err := <-g.open
	g.writes = append(g.writes, string(p))
	return len(p), err
}

func (g *gate) Close() error { return nil }

func TestJoinedWrites(t *testing.T) {
	write := func(t *testing.T, c *joined, p string) {
		t.Helper()
		if n, err := io.WriteString(c, p); n != len(p) || err != nil {
			t.Errorf("write %.20q: %d, %v; want %d and no error", p, n, err, len(p))
		}
	}
	for _, tt := range []struct {
		name string
		test func(*testing.T, *joined, *gate)
	}{
		{"what waits is written at once", func(t *testing.T, c *joined, g *gate) {
			for _, p := range []string{"a", "b", "c"} {
				write(t, c, p)
				synctest.Wait()
			}
			g.open <- nil
			g.open <- nil
			synctest.Wait()
			if len(g.writes) != 2 || g.writes[0] != "a" || g.writes[1] != "bc" {
				t.Errorf("wrote %q, want a and bc", g.writes)
			}
		}},
		{"an error is that of the next write", func(t *testing.T, c *joined, g *gate) {
			write(t, c, "a")
			broken := errors.New("broken")
			g.open <- broken
			synctest.Wait()
			if _, err := c.Write([]byte("b")); err != broken {
				t.Errorf("the write after a broken one: %v, want %v", err, broken)
			}
		}},
		{"a full buffer waits, until it is written", func(t *testing.T, c *joined, g *gate) {
			write(t, c, "a")
			synctest.Wait()
			full := string(bytes.Repeat([]byte("b"), maxJoined))
			write(t, c, full)
			var wg sync.WaitGroup
			done := false
			wg.Go(func() {
				write(t, c, "c")
				done = true
			})
			synctest.Wait()
			if done {
				t.Errorf("a write returned with %d bytes waiting", maxJoined)
			}
			for range 3 {
				g.open <- nil
			}
			wg.Wait()
			synctest.Wait()
			if len(g.writes) != 3 || g.writes[1] != full || g.writes[2] != "c" {
				t.Errorf("wrote %.20q, want a, the full buffer, and c", g.writes)
			}
		}},
		{"a full buffer waits, until the connection is closed", func(t *testing.T, c *joined, g *gate) {
			write(t, c, "a")
			synctest.Wait()
			write(t, c, string(bytes.Repeat([]byte("b"), maxJoined)))
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := c.Write([]byte("c")); !errors.Is(err, net.ErrClosed) {
					t.Errorf("a write that waits when the connection is closed: %v, want %v", err, net.ErrClosed)
				}
			})
			synctest.Wait()
			_ = c.Close()
			wg.Wait()
			g.open <- nil // which a socket does by itself
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // which fails if writeAll does not end
				g := &gate{open: make(chan error)}
				c := joinWrites(g)
				tt.test(t, c, g)
				_ = c.Close()
			})
		})
	}
}
