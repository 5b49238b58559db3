package pipeline

import (
	"math/big"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestDecimals(t *testing.T) {
	for _, test := range []struct {
		n     string
		scale int
		want  string
	}{
		{"0", 0, "0"}, {"0", 2, "0.00"}, {"5", 2, "0.05"}, {"-5", 2, "-0.05"}, {"12345", 2, "123.45"},
		{"-12345", 0, "-12345"}, {"-12345", 5, "-0.12345"},
		{"99999999999999999999999999999999999999", 0, "99999999999999999999999999999999999999"},
		{"-99999999999999999999999999999999999999", 38, "-0.99999999999999999999999999999999999999"},
		{"1", 38, "0.00000000000000000000000000000000000001"},
		{"123456789012345678901234567890123456789012345678901", 3, "123456789012345678901234567890123456789012345678.901"},
	} {
		t.Run(test.n+"/"+strconv.Itoa(test.scale), func(t *testing.T) {
			n, ok := new(big.Int).SetString(test.n, 10)
			if got := string(AppendDecimal([]byte("x"), n, test.scale)); !ok || got != "x"+test.want {
				t.Errorf("%s with %d places is %q, want %q after x", test.n, test.scale, got, test.want)
			}
			digits := max(len(strings.TrimPrefix(test.n, "-")), test.scale, 1)
			if !ValidDecimal(test.want, digits, test.scale) {
				t.Errorf("ValidDecimal(%q, %d, %d) = false, want true", test.want, digits, test.scale)
			}
			if digits > max(test.scale, 1) && ValidDecimal(test.want, digits-1, test.scale) {
				t.Errorf("ValidDecimal(%q, %d, %d) = true, want false", test.want, digits-1, test.scale)
			}
		})
	}
}

// A text is valid if and only if AppendDecimal gives it back for its own digits.
func TestValidDecimal(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	alphabet := []string{"0", "0", "1", "9", "5", ".", "-", "+", "e", " ", ""}
	form := regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)
	valid := 0
	for range 300_000 {
		var text strings.Builder
		for range r.IntN(7) {
			text.WriteString(alphabet[r.IntN(len(alphabet))])
		}
		s, precision := text.String(), 1+r.IntN(5)
		scale := r.IntN(precision + 1)
		want := false
		if n, ok := new(big.Int).SetString(strings.Replace(s, ".", "", 1), 10); ok && form.MatchString(s) {
			limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)
			want = n.CmpAbs(limit) < 0 && string(AppendDecimal(nil, n, scale)) == s
		}
		if got := ValidDecimal(s, precision, scale); got != want {
			t.Fatalf("ValidDecimal(%q, %d, %d) = %v, want %v", s, precision, scale, got, want)
		}
		if want {
			valid++
		}
	}
	if valid < 1000 {
		t.Errorf("only %d texts were valid: the test checks too little", valid)
	}
}
