package stats

import "strconv"

// maxSampled is how many users are remembered: with so many, their number is known to about half a percent.
const maxSampled = 1 << 16

// Distinct counts the different users among rows, and those who have different answers in different rows. A user is a user
// id, or where there is none a device id. The zero value is ready. It is used from one goroutine.
//
// It remembers users by a hash of the id, all of them as long as there are few, and then every second, every fourth, … :
// those whose hash ends in enough zeros. A user is remembered always or never, so that what is true of those is true of
// all, and memory does not grow with the input.
type Distinct struct {
	rows    int64 // all of them
	sampled int64 // of the users who are remembered
	users   map[uint64]remembered
	mask    uint64
}

type remembered struct {
	rows    uint32
	answers [2]uint64
	differs [2]bool
}

// Row counts a row. Where sampled is true the user is one of those who are remembered, and [Distinct.Answer] is to be told
// what the row says of them.
func (d *Distinct) Row(userID, deviceID []byte) (user uint64, sampled bool) {
	h := uint64(14695981039346656037) // FNV-1a, and the end of MurmurHash3 so that the last bits depend on all
	id := userID
	if len(id) == 0 {
		id = deviceID
		h = (h ^ 1) * 1099511628211 // the same text as a user id is somebody else
	}
	for _, c := range id {
		h = (h ^ uint64(c)) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h ^= h >> 33
	return h, d.RowOf(h)
}

// RowOf counts a row of a user whose hash is known, all of whose bits are as good as random.
func (d *Distinct) RowOf(user uint64) (sampled bool) {
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

// Answer says what the row that was counted last says of the user, as hashes of two kinds of answers.
func (d *Distinct) Answer(user uint64, answers [2]uint64) {
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

// Rows is how many rows there are.
func (d *Distinct) Rows() int64 { return d.rows }

// Exact reports whether users were counted, and not estimated.
func (d *Distinct) Exact() bool { return d.mask == 0 }

// Users is how many users there are.
func (d *Distinct) Users() int64 {
	if d.sampled == 0 {
		return d.rows // nobody is remembered: none, or far too many for that
	}
	return int64(float64(d.rows)*float64(len(d.users))/float64(d.sampled) + 0.5)
}

// Repeated is the share of the rows whose user was there before.
func (d *Distinct) Repeated() float64 {
	if d.sampled == 0 {
		return 0
	}
	return float64(d.sampled-int64(len(d.users))) / float64(d.sampled)
}

// Differing is how many users have different answers of the first or the second kind in different rows.
func (d *Distinct) Differing(kind int) int64 {
	n := int64(0)
	for _, r := range d.users {
		if r.differs[kind] {
			n++
		}
	}
	return n * int64(d.mask+1)
}

// Unit is what counts of a snapshot are of: a row is a user, unless users are repeated.
func (d *Distinct) Unit() Unit {
	if d.Repeated() > 0 {
		return UnitRows
	}
	return UnitUsers
}

// Text is how many users there are, in words: "500 users in 505 rows", "about 90,000 users in 100,000 rows", "7 users".
func (d *Distinct) Text() string {
	return UsersInRows(d.Users(), d.rows, !d.Exact())
}

// UsersInRows is how many users there are in how many rows, in words.
func UsersInRows(users, rows int64, estimated bool) string {
	text := UnitUsers.Count(users)
	if users == rows {
		return text
	}
	if estimated {
		text = "about " + text
	}
	return text + " in " + UnitRows.Count(rows)
}

// Unit is what something is a count of.
type Unit string

// The units. A row is one of the input, with the row_number that it has in the output. The zero Unit is UnitUsers.
const (
	UnitUsers Unit = "users"
	UnitRows  Unit = "rows"
)

// Noun is the unit of so many: "user", "rows".
func (u Unit) Noun(n int64) string {
	if u == "" {
		u = UnitUsers
	}
	if n == 1 {
		return string(u[:len(u)-1])
	}
	return string(u)
}

// Count is so many of them: "1 user", "1,234 rows".
func (u Unit) Count(n int64) string { return thousands(n) + " " + u.Noun(n) }

// thousands is a count with separators.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
