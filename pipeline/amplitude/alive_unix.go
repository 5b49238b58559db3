//go:build unix

package amplitude

import (
	"net"
	"syscall"
)

// alive reports whether a connection on which nothing can come has neither come to its end nor got something
// after all. It looks without waiting (as go-sql-driver/mysql does before it uses a connection again).
func alive(nc net.Conn) bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		var buf [1]byte
		_, err := syscall.Read(int(fd), buf[:])
		quiet = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true
	})
	return err == nil && quiet
}
