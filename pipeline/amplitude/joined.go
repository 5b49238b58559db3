package amplitude

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// maxJoined is how many bytes wait to be written before Write waits, too.
const maxJoined = 256 << 10

// joined is a connection whose writes are joined: a goroutine of its own writes all that has come since its last write.
// Over HTTP/2 net/http writes each request, and each update of a window, with a system call. With dozens in flight that
// was a tenth of the CPU of a whole run. A write that fails is seen by the next one, and by whoever reads.
type joined struct {
	net.Conn
	mu      sync.Mutex
	changed sync.Cond
	out     []byte
	err     error // of the last write, or of Close
}

// dialJoined is dialer.DialContext for a joined connection.
func dialJoined(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return joinWrites(nc), nil
}

func joinWrites(nc net.Conn) *joined {
	c := &joined{Conn: nc}
	c.changed.L = &c.mu
	go c.writeAll()
	return c
}

// writeAll ends when the connection is closed or broken.
func (c *joined) writeAll() {
	var b []byte
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil {
		if len(c.out) == 0 {
			c.changed.Wait()
			continue
		}
		b, c.out = c.out, b[:0]
		c.changed.Broadcast()
		c.mu.Unlock()
		_, err := c.Conn.Write(b)
		c.mu.Lock()
		if c.err == nil {
			c.err = err
		}
	}
	c.changed.Broadcast()
}

// Write implements net.Conn.
func (c *joined) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out) >= maxJoined && c.err == nil {
		c.changed.Wait()
	}
	if c.err != nil {
		return 0, c.err
	}
	c.out = append(c.out, p...)
	c.changed.Broadcast()
	return len(p), nil
}

// Close implements net.Conn. What is not written yet is lost.
func (c *joined) Close() error {
	c.mu.Lock()
	if c.err == nil {
		c.err = net.ErrClosed
	}
	c.changed.Broadcast()
	c.mu.Unlock()
	return c.Conn.Close()
}

// SyscallConn implements syscall.Conn, for looker.
func (c *joined) SyscallConn() (syscall.RawConn, error) {
	return c.Conn.(syscall.Conn).SyscallConn()
}
