package pipeline

import "math/big"

// MaxPrecision is the largest number of digits of a TypeDecimal: as many as fit into 128 bits, which is also the limit
// of DuckDB, Spark, Snowflake and pyarrow's default decimal.
const MaxPrecision = 38

// AppendDecimal appends n / 10^scale with all its digits, scale of them after the point: 12345 with scale 2 is
// 123.45, and -5 is -0.05.
func AppendDecimal(dst []byte, n *big.Int, scale int) []byte {
	var buf [MaxPrecision + 2]byte
	digits := n.Append(buf[:0], 10)
	if digits[0] == '-' {
		dst, digits = append(dst, '-'), digits[1:]
	}
	whole := len(digits) - scale
	if whole > 0 {
		dst = append(dst, digits[:whole]...)
	} else {
		dst = append(dst, '0')
	}
	if scale <= 0 {
		return dst
	}
	dst = append(dst, '.')
	for ; whole < 0; whole++ {
		dst = append(dst, '0')
	}
	return append(dst, digits[whole:]...)
}

// ValidDecimal reports whether text has the form that [AppendDecimal] gives a number of at most precision digits.
// Each number has exactly one such text, so equal numbers are equal texts.
func ValidDecimal(text string, precision, scale int) bool {
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	whole := len(text)
	if scale > 0 {
		whole -= scale + 1
		if whole < 1 || text[whole] != '.' {
			return false
		}
	}
	if whole < 1 || text[0] == '0' && whole > 1 {
		return false
	}
	zero := true
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '1' && c <= '9':
			zero = false
		case c != '0' && !(c == '.' && i == whole):
			return false
		}
	}
	if text[0] == '0' {
		whole = 0 // the zero before the point does not count as a digit
	}
	return whole+scale <= precision && !(zero && negative)
}

// TwosComplement returns the number that b holds in big-endian two's complement, which is how Parquet stores decimals
// of more than 18 digits.
func TwosComplement(b []byte) *big.Int {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}
