package stats

import "github.com/rollcall-cli/rollcall/pipeline/audit/text"

// maxSampled is how many users are remembered: enough to estimate the number of users to about half a percent.
const maxSampled = 1 << 16

// Distinct counts the distinct users among rows, and those who have different answers in different rows. A user is
// identified by the user id, or without one by the device id. The zero value is ready to use, by one goroutine.
//
// It remembers users by a hash of the id: all of them while they are few, and then every second, every fourth and so
// on, those whose hash ends in enough zeros. So either all rows of a user are counted or none, the users who are
// remembered are a fair sample, and memory does not grow with the input.
type Distinct struct {
	rows    int64 // of all users
	sampled int64 // of the users who are remembered
	users   map[uint64]remembered
	mask    uint64
}

type remembered struct {
	rows    uint32
	answers [2]uint64
	differs [2]bool
}

// CountRow counts a row. If sampled is true the user is remembered, and [Distinct.CompareAnswers] must be called with
// the answers of the row.
func (d *Distinct) CountRow(userID, deviceID []byte) (user uint64, sampled bool) {
	h := uint64(14695981039346656037) // FNV-1a, and the end of MurmurHash3 so that the last bits depend on all
	id := userID
	if len(id) == 0 {
		id = deviceID
		h = (h ^ 1) * 1099511628211 // a user id of the same text is another user
	}
	for _, c := range id {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h ^= h >> 33
	return h, d.CountHash(h)
}

// CountHash counts a row of a user by a hash, each bit of which is as good as random.
func (d *Distinct) CountHash(user uint64) (sampled bool) {
	d.rows++
	if user&d.mask != 0 {
		return false
	}
	if d.users == nil {
		d.users = map[uint64]remembered{}
	}
	r := d.users[user]
	r.rows++
	d.users[user] = r
	if d.sampled++; len(d.users) > maxSampled {
		d.mask = d.mask<<1 | 1
		for h, r := range d.users {
			if h&d.mask != 0 {
				d.sampled -= int64(r.rows)
				delete(d.users, h)
			}
		}
	}
	return user&d.mask == 0
}

// CompareAnswers compares the answers of the row that was counted last, hashes of two kinds, with those of the user's
// first row.
func (d *Distinct) CompareAnswers(user uint64, answers [2]uint64) {
	r, ok := d.users[user]
	if !ok {
		return
	}
	if r.rows == 1 {
		r.answers = answers
	}
	for i := range answers {
		r.differs[i] = r.differs[i] || r.answers[i] != answers[i]
	}
	d.users[user] = r
}

// Rows is the number of rows.
func (d *Distinct) Rows() int64 { return d.rows }

// Exact reports whether the users were counted rather than estimated.
func (d *Distinct) Exact() bool { return d.mask == 0 }

// Users is the number of distinct users.
func (d *Distinct) Users() int64 {
	if d.sampled == 0 {
		return d.rows
	}
	return int64(float64(d.rows)*float64(len(d.users))/float64(d.sampled) + 0.5)
}

// Repeated is the share of the rows whose user had a row before.
func (d *Distinct) Repeated() float64 {
	if d.sampled == 0 {
		return 0
	}
	return float64(d.sampled-int64(len(d.users))) / float64(d.sampled)
}

// Differing is the number of users who have different answers of a kind, 0 or 1, in different rows.
func (d *Distinct) Differing(kind int) int64 {
	n := int64(0)
	for _, r := range d.users {
		if r.differs[kind] {
			n++
		}
	}
	return n * int64(d.mask+1)
}

// Unit is what the counts of a snapshot count: users, or rows if users are repeated.
func (d *Distinct) Unit() Unit {
	if d.Repeated() > 0 {
		return UnitRows
	}
	return UnitUsers
}

// Text is the number of users in words: "500 users in 505 rows", "about 90,000 users in 100,000 rows", "7 users".
func (d *Distinct) Text() string { return UsersInRows(d.Users(), d.rows, !d.Exact()) }

// UsersInRows is a number of users in a number of rows, in words.
func UsersInRows(users, rows int64, estimated bool) string {
	s := UnitUsers.Count(users)
	if users == rows {
		return s
	}
	if estimated {
		s = "about " + s
	}
	return s + " in " + UnitRows.Count(rows)
}

// DifferingText says that users have different answers in different rows.
func DifferingText(users int64, estimated bool) string {
	said := text.CountIs(users, "user", "has", "have") + " different variants in different rows, and each row counts as it is"
	if estimated {
		return "about " + said
	}
	return said
}

// Unit is what a number counts.
type Unit string

// The units. A row is one of the input, with the row_number that it has in the output. The zero Unit is UnitUsers.
const (
	UnitUsers Unit = "users"
	UnitRows  Unit = "rows"
)

// Noun is the noun that follows n: "user", "rows".
func (u Unit) Noun(n int64) string {
	if u == "" {
		u = UnitUsers
	}
	if n == 1 {
		return string(u[:len(u)-1])
	}
	return string(u)
}

// Count is a count with its noun: "1 user", "1,234 rows".
func (u Unit) Count(n int64) string { return text.Plural(n, u.Noun(1), u.Noun(2)) }
