package stats

import (
	"fmt"
	"math"
	"testing"
)

func TestDistinct(t *testing.T) {
	for _, test := range []struct {
		name                   string
		users, twice, devices  int // users, those of them who have two rows, and device ids with the same texts
		rows, distinct, differ int64
		exact                  bool
		unit                   Unit
		text                   string
	}{
		{"none", 0, 0, 0, 0, 0, 0, true, UnitUsers, "0 users"},
		{"each once", 500, 0, 0, 500, 500, 0, true, UnitUsers, "500 users"},
		{"five twice", 500, 5, 0, 505, 500, 5, true, UnitRows, "500 users in 505 rows"},
		{"a device id is not a user id", 10, 0, 10, 20, 20, 0, true, UnitUsers, "20 users"},
		{"many", 300_000, 0, 0, 300_000, 300_000, 0, false, UnitUsers, "300,000 users"},
		{"many twice", 300_000, 100_000, 0, 400_000, 300_000, 100_000, false, UnitRows, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var d Distinct
			add := func(user, device string, answer uint64) {
				if key, sampled := d.CountRow([]byte(user), []byte(device)); sampled {
					d.CompareAnswers(key, [2]uint64{answer, 7})
				}
			}
			for i := range test.users {
				add(fmt.Sprint("id-", i), "same", 1)
			}
			for i := range test.twice {
				add(fmt.Sprint("id-", i), "other", 2)
			}
			for i := range test.devices {
				add("", fmt.Sprint("id-", i), 1)
			}
			near := func(got, want int64) bool { return math.Abs(float64(got-want)) <= 0.02*float64(want) }
			if test.exact || test.twice == 0 {
				near = func(got, want int64) bool { return got == want }
			}
			if d.Rows() != test.rows || !near(d.Users(), test.distinct) || d.Exact() != test.exact || d.Unit() != test.unit {
				t.Errorf("%d rows, %d users, exact %v, unit %s; want %d, %d, %v, %s", d.Rows(), d.Users(), d.Exact(), d.Unit(),
					test.rows, test.distinct, test.exact, test.unit)
			}
			if !near(d.Differing(0), test.differ) || d.Differing(1) != 0 {
				t.Errorf("%d and %d users have different answers, want %d and 0", d.Differing(0), d.Differing(1), test.differ)
			}
			if got := d.Text(); test.text != "" && got != test.text {
				t.Errorf("Text() = %q, want %q", got, test.text)
			}
			if len(d.users) > maxSampled {
				t.Errorf("%d users are remembered, want at most %d", len(d.users), maxSampled)
			}
		})
	}
}

func TestUnit(t *testing.T) {
	for _, test := range []struct {
		unit Unit
		n    int64
		want string
	}{{"", 1, "1 user"}, {UnitUsers, 0, "0 users"}, {UnitRows, 1, "1 row"}, {UnitRows, -1234567, "-1,234,567 rows"},
		{UnitRows, 999, "999 rows"}} {
		t.Run(test.want, func(t *testing.T) {
			if got := test.unit.Count(test.n); got != test.want {
				t.Errorf("Unit(%q).Count(%d) = %q, want %q", test.unit, test.n, got, test.want)
			}
		})
	}
}
