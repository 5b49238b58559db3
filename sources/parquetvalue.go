package sources

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/schema"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// unreadable is the kind of a value that could not be decoded; Text says why. It is never returned from this package.
const unreadable pipeline.ValueKind = math.MaxUint8

func newUnreadable(why string) pipeline.Value { return pipeline.Value{Kind: unreadable, Text: why} }

// converter converts stored values. The physical type decides which function is used.
type converter struct {
	int   func(int64) pipeline.Value
	bytes func([]byte) pipeline.Value // nil means text
	// converts a text when its row is read, because a batch would be too large; may be nil
	parse func(string) pipeline.Value
	shape string // see parquetNode.shape

	precision, scale int // of a decimal
}

// toColumn returns the node as a column of the file.
func (n *parquetNode) toColumn() column {
	c := column{name: n.name, typ: n.typ, shape: n.shape(), nested: n.kind > constantNode, unreadable: n.unreadable}
	if n.kind == flatNode && n.leaf != nil {
		c.precision, c.scale = n.leaf.convert.precision, n.leaf.convert.scale
	}
	return c
}

// shapeNulls is the shape of a column without values. pandas writes it for a column that is empty in one file.
const shapeNulls = "nulls"

// newConverter returns the type of a column and the converter of its values, or why they cannot be read.
func newConverter(d *schema.Column) (t pipeline.Type, c converter, why string) {
	switch d.PhysicalType() {
	case parquet.Types.Boolean:
		c.shape = "booleans"
		return pipeline.TypeBool, c, ""
	case parquet.Types.Float, parquet.Types.Double:
		c.shape = "floats"
		return pipeline.TypeFloat, c, ""
	case parquet.Types.Int96:
		c.shape = shapeTimestamps
		return pipeline.TypeTimestamp, c, ""
	case parquet.Types.Int32, parquet.Types.Int64:
		return newIntConverter(d)
	case parquet.Types.ByteArray, parquet.Types.FixedLenByteArray:
	default:
		c.shape = "values of an unknown type"
		return 0, c, "a column of an unknown physical type"
	}
	c.shape = shapeTexts
	switch logical := d.LogicalType().(type) {
	case *schema.DecimalLogicalType:
		decimal, t, why := newDecimalConverter(&c, logical)
		c.bytes = func(b []byte) pipeline.Value {
			if len(b) > 64 {
				return newUnreadable("a decimal of more than 64 bytes")
			}
			return decimal(pipeline.TwosComplement(b))
		}
		return t, c, why
	case schema.JSONLogicalType:
		c.shape = "JSON"
		c.parse = func(text string) pipeline.Value {
			v, err := pipeline.ParseJSON(text)
			if err != nil {
				return newUnreadable(err.Error())
			}
			return v
		}
		return pipeline.TypeJSON, c, ""
	case schema.UUIDLogicalType:
		c.bytes = func(b []byte) pipeline.Value {
			if len(b) != 16 {
				return newUnreadable("a UUID that does not have 16 bytes")
			}
			h := hex.EncodeToString(b)
			return pipeline.StringValue(h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:])
		}
		return pipeline.TypeString, c, ""
	case schema.Float16LogicalType:
		c.shape = "floats"
		c.bytes = func(b []byte) pipeline.Value {
			if len(b) != 2 {
				return newUnreadable("a 16-bit float that does not have 2 bytes")
			}
			return float32Value(decodeHalf(binary.LittleEndian.Uint16(b)))
		}
		return pipeline.TypeFloat, c, ""
	case schema.BSONLogicalType:
		c.shape = "BSON"
		return 0, c, "a BSON column"
	case schema.IntervalLogicalType:
		c.shape = "intervals"
		return 0, c, "an interval column"
	}
	return pipeline.TypeString, c, "" // STRING, ENUM, and the unmarked texts of old writers
}

const (
	shapeTexts      = "texts"
	shapeTimestamps = "timestamps"
)

// newDecimalConverter converts stored numbers to exact texts. The precision is not part of the shape, because the
// texts are the same.
func newDecimalConverter(c *converter, logical *schema.DecimalLogicalType) (convert func(*big.Int) pipeline.Value,
	t pipeline.Type, why string) {
	precision, scale := int(logical.Precision()), int(logical.Scale())
	if scale < 0 || scale > maxScale {
		return nil, 0, "a decimal of this scale"
	}
	c.shape = fmt.Sprintf("decimals with %d places", scale)
	if precision < 1 || precision > pipeline.MaxPrecision || scale > precision {
		return func(n *big.Int) pipeline.Value { return newDecimal(n, scale) }, pipeline.TypeString, ""
	}
	c.precision, c.scale = precision, scale
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)
	return func(n *big.Int) pipeline.Value {
		if n.CmpAbs(limit) >= 0 {
			return newUnreadable(fmt.Sprintf("a decimal of more than the %d digits of its column", precision))
		}
		return newDecimal(n, scale)
	}, pipeline.TypeDecimal, ""
}

func newIntConverter(d *schema.Column) (t pipeline.Type, c converter, why string) {
	t, c.int, c.shape = pipeline.TypeInt, pipeline.IntValue, "integers"
	switch logical := d.LogicalType().(type) {
	case schema.NullLogicalType:
		t, c.shape = pipeline.TypeString, shapeNulls
	case *schema.IntLogicalType:
		if logical.IsSigned() {
			break
		}
		if logical.BitWidth() <= 32 {
			c.int = func(n int64) pipeline.Value { return pipeline.IntValue(int64(uint32(n))) }
			break
		}
		// Large values do not fit into an int64, so the values are their digits.
		t, c.shape = pipeline.TypeString, "unsigned 64-bit integers"
		c.int = func(n int64) pipeline.Value {
			return pipeline.Value{Kind: pipeline.Number, Text: strconv.FormatUint(uint64(n), 10)}
		}
	case *schema.DecimalLogicalType:
		decimal, t, why := newDecimalConverter(&c, logical)
		c.int = func(n int64) pipeline.Value { return decimal(big.NewInt(n)) }
		return t, c, why
	case schema.DateLogicalType:
		t, c.shape = pipeline.TypeDate, "dates"
		c.int = func(n int64) pipeline.Value {
			day := time.Unix(n*86400, 0).UTC() // n is an int32
			if !hasFourDigitYear(day) {
				return newUnreadable("a date outside the years 0 to 9999")
			}
			return pipeline.Value{Kind: pipeline.Date, Num: n, Text: day.Format(time.DateOnly)}
		}
	case *schema.TimestampLogicalType:
		t, c.shape = pipeline.TypeTimestamp, shapeTimestamps
		switch logical.TimeUnit() {
		case schema.TimeUnitMillis:
			c.int = func(n int64) pipeline.Value { return newTimestamp(time.UnixMilli(n)) }
		case schema.TimeUnitMicros:
			c.int = func(n int64) pipeline.Value { return newTimestamp(time.UnixMicro(n)) }
		case schema.TimeUnitNanos:
			c.int = func(n int64) pipeline.Value { return newTimestamp(time.Unix(0, n)) }
		default:
			return 0, c, "a timestamp of an unknown unit"
		}
	case *schema.TimeLogicalType:
		t, c.shape = pipeline.TypeString, "times"
		unit := time.Nanosecond
		switch logical.TimeUnit() {
		case schema.TimeUnitMillis:
			unit = time.Millisecond
		case schema.TimeUnitMicros:
			unit = time.Microsecond
		}
		c.int = func(n int64) pipeline.Value {
			if n < 0 || n >= int64(24*time.Hour/unit) {
				return newUnreadable("a time outside a day")
			}
			return pipeline.StringValue(time.Unix(0, n*int64(unit)).UTC().Format("15:04:05.999999999"))
		}
	}
	return t, c, ""
}

// hasFourDigitYear reports whether RFC 3339 can represent t.
func hasFourDigitYear(t time.Time) bool { return t.Year() >= 0 && t.Year() <= 9999 }

// newTimestamp returns a time in UTC. A time that is stored without a zone is treated as UTC.
func newTimestamp(t time.Time) pipeline.Value {
	if t = t.UTC(); !hasFourDigitYear(t) {
		return newUnreadable("a timestamp outside the years 0 to 9999")
	}
	return pipeline.Value{Kind: pipeline.Timestamp, Num: t.UnixMicro(), Text: t.Format(time.RFC3339Nano)}
}

// newInt96Timestamp decodes the timestamps of Impala and old Spark: nanoseconds of the day, then the Julian day.
func newInt96Timestamp(v parquet.Int96) pipeline.Value {
	const unixEpoch = 2440588 // as a Julian day
	nanos := int64(v[0]) | int64(v[1])<<8 | int64(v[2])<<16 | int64(v[3])<<24 | int64(v[4])<<32 | int64(v[5])<<40 | int64(v[6])<<48 | int64(v[7])<<56
	day := int64(uint32(v[8]) | uint32(v[9])<<8 | uint32(v[10])<<16 | uint32(v[11])<<24)
	return newTimestamp(time.Unix((day-unixEpoch)*86400, 0).Add(time.Duration(nanos)))
}

// float32Value returns the float64 that prints like the float32: 0.1, not 0.10000000149011612.
func float32Value(f float32) pipeline.Value {
	if f != f || math.IsInf(float64(f), 0) {
		return pipeline.FloatValue(float64(f))
	}
	d, err := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64)
	if err != nil {
		d = float64(f)
	}
	return pipeline.FloatValue(d)
}

// decodeHalf decodes the 16 bits of an IEEE 754 binary16; a float32 represents them exactly.
func decodeHalf(bits uint16) float32 {
	exponent, fraction := int(bits>>10&0x1f), float64(bits&0x3ff)
	var f float64
	switch exponent {
	case 0:
		f = math.Ldexp(fraction, -24)
	case 0x1f:
		if f = math.Inf(1); fraction != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(1024+fraction, exponent-25)
	}
	if bits&0x8000 != 0 {
		f = -f
	}
	return float32(f)
}

// maxScale is far beyond any decimal in use, and keeps a cell small.
const maxScale = 1000

func newDecimal(n *big.Int, scale int) pipeline.Value {
	return pipeline.StringValue(string(pipeline.AppendDecimal(nil, n, scale)))
}

// appendByteValues appends the values of byte arrays: texts, unless convert makes something else. The texts of a batch
// share one string, because an allocation for each would cost more than everything else. Long ones do not, because the
// string stays in memory as long as one of them.
func appendByteValues[T ~[]byte](dst []pipeline.Value, arrays []T,
	convert func([]byte) pipeline.Value) []pipeline.Value {
	size := 0
	if convert == nil {
		for _, b := range arrays {
			size += len(b)
		}
	}
	shared := size <= maxShared
	var all strings.Builder
	if shared && size > 0 {
		all.Grow(size)
		for _, b := range arrays {
			all.Write(b)
		}
	}
	text := all.String()
	for _, b := range arrays {
		var s string
		switch {
		case len(b) > maxRecord:
			dst = append(dst, newUnreadable(errTooLong.Error()))
			continue
		case convert != nil:
			dst = append(dst, convert(b))
			continue
		case shared:
			s, text = text[:len(b)], text[len(b):]
		default:
			s = string(b)
		}
		if utf8.ValidString(s) {
			dst = append(dst, pipeline.StringValue(s))
		} else {
			dst = append(dst, newUnreadable("not valid UTF-8"))
		}
	}
	return dst
}

// maxShared bounds the bytes of texts that share a string.
const maxShared = 256 << 10
