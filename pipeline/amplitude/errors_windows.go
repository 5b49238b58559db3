package amplitude

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// socketClasses are the classes of what the sockets of Windows return: it has errors of its own, beside those with the
// names of Unix.
var socketClasses = []errnoClass{
	{"refused", []syscall.Errno{windows.WSAECONNREFUSED}},
	{"reset", []syscall.Errno{windows.WSAECONNRESET, windows.WSAECONNABORTED, windows.ERROR_NETNAME_DELETED}},
	{"no_route", []syscall.Errno{windows.WSAENETUNREACH, windows.WSAEHOSTUNREACH, windows.WSAENETDOWN,
		windows.WSAEHOSTDOWN, windows.WSAEAFNOSUPPORT}},
	{"no_port", []syscall.Errno{windows.WSAEADDRNOTAVAIL, windows.WSAEADDRINUSE}},
	{"denied", []syscall.Errno{windows.WSAEACCES}}, // as firewalls do
	{"no_memory", []syscall.Errno{windows.WSAENOBUFS}},
	{"timeout", []syscall.Errno{windows.WSAETIMEDOUT}},
}
