package sinks

import (
	"math/big"
	"strconv"
	"strings"
)

// decimalWidth returns the number of bytes of a Parquet decimal of that precision: 4 or 8, which are integers and the
// best supported, or the fewest that hold all values (LogicalTypes.md of the Parquet format, "DECIMAL").
func decimalWidth(precision int) int {
	switch {
	case precision <= 9:
		return 4
	case precision <= 18:
		return 8
	}
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)
	return limit.BitLen()/8 + 1 // the sign takes a bit; a power of ten is never one of two
}

// parseUnscaled returns a valid decimal as Parquet stores it: the number that its digits form without the point. For a
// width of 4 or 8 it is num; for others it is text, in big-endian two's complement of that width.
func parseUnscaled(text string, width int) cell {
	digits := strings.Replace(text, ".", "", 1)
	if width <= 8 {
		n, _ := strconv.ParseInt(digits, 10, 64) // at most 18 digits
		return cell{num: n}
	}
	n, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		n = new(big.Int)
	}
	if n.Sign() < 0 {
		n.Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*width)))
	}
	return cell{text: string(n.FillBytes(make([]byte, width)))}
}

// lessSigned reports whether a is the lesser of two numbers in two's complement of the same width.
func lessSigned(a string, b []byte) bool {
	if x, y := a[0]^0x80, b[0]^0x80; x != y {
		return x < y
	}
	return a < string(b)
}
