package sinks

import (
	"math/big"
	"strconv"
	"strings"
)

// decimalWidth is how many bytes Parquet has for each value of a decimal of that precision: the 4 and 8 of its integers,
// which every reader knows best, or as few as hold all of them (LogicalTypes.md of the Parquet format, "DECIMAL").
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

// parseUnscaled is the decimal, which is valid, as Parquet has it: the number that its digits are. Its width is 4 or 8, or that
// of the big-endian two's complement that text is then.
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
