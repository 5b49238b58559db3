//go:build unix

package amplitude

// socketClasses is empty: sockets return the errors of the system.
var socketClasses []errnoClass
