//go:build unix

package amplitude

import (
	"crypto/tls"
	"net"
	"syscall"
)

// looker looks at a connection without waiting and without taking anything from it. It may be used while another
// goroutine waits in Read. (go-sql-driver/mysql looks in a similar way before it uses a connection again.)
type looker struct {
	tls  bool
	raw  syscall.RawConn
	peek func(fd uintptr) // kept, because a new one for each look would be an allocation
	buf  [12]byte
	n    int
	err  error
}

func newLooker(nc net.Conn) *looker {
	l := &looker{}
	if t, ok := nc.(*tls.Conn); ok {
		l.tls, nc = true, t.NetConn()
	}
	if sc, ok := nc.(syscall.Conn); ok {
		l.raw, _ = sc.SyscallConn()
	}
	l.peek = func(fd uintptr) {
		l.n, _, l.err = syscall.Recvfrom(int(fd), l.buf[:], syscall.MSG_PEEK) // which never waits: fd does not block
	}
	return l
}

// inspectConn says what there is to read.
func (l *looker) inspectConn() found {
	if l.raw == nil {
		return foundNothing // no socket that could be looked at
	}
	if err := l.raw.Control(l.peek); err != nil {
		return foundEnd
	}
	switch {
	case l.err == syscall.EAGAIN || l.err == syscall.EWOULDBLOCK || l.err == syscall.EINTR:
		return foundNothing
	case l.err != nil || l.n == 0 || isGoodbye(l.buf[:l.n], l.tls):
		return foundEnd
	}
	return foundBytes
}
