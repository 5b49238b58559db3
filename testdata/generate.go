//go:build ignore

// Generate writes the users of testdata. Run it from the root of the repository:
//
//	go run testdata/generate.go            # rewrites testdata/users.csv, users.parquet and few.csv
//	go run testdata/generate.go -dir /tmp  # writes them there; a test compares them with the committed ones
//
// The same bytes come out every time: math/rand (whose sequence for a seed Go promises to keep), no clock, and
// the versions in go.mod. Nobody in these files exists: every address is at example.com (RFC 2606).
//
// # users.csv and users.parquet
//
// The same 2,000 users, the same columns, the same order. In the CSV an empty cell is null; in the Parquet file
// it is a null of the column's type (string, date, int64, bool, double), in three row groups, zstd.
//
//	user_id, device_id     ids of many shapes: UUIDs, numbers, addresses, and those of oddIDs, which sit on every
//	                       37th row from row 50 on. 1 in 10 users is anonymous (device_id only), 1 in 7 has no
//	                       device. Exactly three, in rows 404, 1203 and 1777, have neither: missing_id.
//	country … version      fields of the user; some are null, and in some versions only a semantic comparison is right
//	user_properties.*      plan, signup_date, seats, beta, and tags: a JSON array as text, which set operators read
//	groups.org             the organization; null for 2 users in 3
//	email, name, lifetime_value, note
//	                       map to nothing, so they must never be sent; note holds quotes, commas and line breaks
//
// # few.csv
//
// The first twelve users with seven of the columns, to be read by people: all have an id and all are answered.
//
// # vips.csv
//
// Written by hand: a cohort as Amplitude exports it, with a tab before each cell and no header. Eleven users of
// users.csv whom checkout-redesign and pricing-test give no treatment, and one who is not in it.
//
// # flags.json
//
// Written by hand: what GET /v1/flags answers. The shapes (key names, "segmentName", "flag-dependencies", ranges
// that touch) are those of configurations that Amplitude's SDKs publish in their tests.
//
//	dark-mode              release, 30 % of devices
//	checkout-redesign      experiment, 1:1, object payload, under holdout-2026-h1
//	express-pay            release, on for who sees the treatment of checkout-redesign (a prerequisite)
//	pricing-test           experiment, three variants 50:30:20, number payload; first slot of mutex-growth
//	onboarding-flow        experiment of the free plan, 1:1, string payload; second slot of mutex-growth: nobody is in both
//	recommendations        experiment for 80 % of the teams with five seats or more, array and null payload; two
//	                       users are always in (individual inclusions)
//	new-player             release, for 4.10.0 and later on iOS and Android ("4.9.3" is earlier)
//	cookie-banner          release, by a list of countries, and for who has no country at all: "(none)"
//	partner-api            release, by tags: set contains any
//	staff-tools            release, by a regular expression on user_id
//	team-workspaces        release, half of the organizations of a list, whole organizations at once
//	legacy-export          switched off: nobody gets it, and a run has to say so
//	search-v2              not deployed (metadata.deployed): never in an answer
//	holdout-2026-h1, mutex-growth
//	                       the groups behind the experiments: never in an answer
package main

import (
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"flag"
	"fmt"
	"log"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"
)

const (
	users    = 2000
	fewUsers = 12
	rowGroup = 800
)

// day0 is the first day on which anybody signed up.
var day0 = time.Date(2021, time.March, 1, 0, 0, 0, 0, time.UTC)

// noID are the rows, from 1, whose user has neither id.
var noID = map[int]bool{404: true, 1203: true, 1777: true}

// oddIDs are ids that real exports hold and that careless code changes, cuts or misreads.
var oddIDs = []string{
	"007", "1e5", "0", "-1", "+4915201234567", "1_000", "0x1F", "NaN", "null", "true", "undefined", "9007199254740993",
	"ana+news@example.com", "a&flag_keys=x", "50%", "%2F", "a%20b", "#42", "?id=1", "a/b/../c", `back\slash`, "tab\tin",
	`Jim "Jimbo" Jones`, "O'Neil", "Smith, Anna", " leading", "trailing ", "two  spaces", "=1+1", "@handle", `{"id":1}`,
	"[1,2]",
	"Zoë Müller", "Łukasz", "Ολυμπία", "Дарья", "田中さくら", "김민준", "محمد", "🦊", "👩‍👩‍👧", "e\u0301", "é", "a\u200db", "ﬁ",
	strings.Repeat("x7f-", 75), // 300 bytes
}

type place struct {
	weight            int
	country, language string
	cities            []string
}

var places = []place{
	{32, "United States", "English", []string{"New York", "San Francisco", "Austin", "St. Louis", "Winston-Salem"}},
	{10, "Germany", "German", []string{"Berlin", "München", "Köln", "Düsseldorf"}},
	{9, "Brazil", "Portuguese", []string{"São Paulo", "Brasília", "Belém"}},
	{8, "United Kingdom", "English", []string{"London", "Leeds", "King's Lynn"}},
	{8, "Japan", "Japanese", []string{"東京", "大阪", "札幌"}},
	{7, "France", "French", []string{"Paris", "Nîmes", "Besançon"}},
	{6, "India", "Hindi", []string{"मुंबई", "Bengaluru"}},
	{5, "Poland", "Polish", []string{"Łódź", "Kraków", "Gdańsk"}},
	{4, "Mexico", "Spanish", []string{"Ciudad de México", "Mérida"}},
	{3, "Türkiye", "Turkish", []string{"İstanbul", "Diyarbakır"}},
	{3, "Côte d'Ivoire", "French", []string{"Abidjan"}},
	{5, "", "", nil},
}

var (
	firstNames = []string{"Maria", "James", "Zoë", "José", "Łukasz", "Ayşe", "Søren", "Nguyễn", "Дарья", "さくら", "Priya",
		"Chloé", "Ali", "Ingrid", "Mateo", "Anna"}
	lastNames = []string{"Santos", "Smith", "Müller", "O'Neil", "García", "Kowalska", "Yılmaz", "Ångström", "Иванова",
		"田中", "Patel", "d'Arc", "Khan", "Berg", "López", "van der Berg"}
	mailNames = []string{"maria", "james", "zoe", "jose", "lukasz", "ayse", "soren", "nguyen", "darya", "sakura", "priya",
		"chloe", "ali", "ingrid", "mateo", "anna"}
	plans = []string{"free", "free", "free", "free", "pro", "pro", "team", "team", "enterprise"}
	orgs  = []string{"Acme", "Globex", "Initech", "Umbrella & Söhne", "Hooli", "Stark, Inc.", "Wayne \"Bats\" Ltd",
		"株式会社さくら"}
	allTags  = []string{"beta-tester", "partner", "vip", "newsletter", "at-risk", "student"}
	versions = []string{"4.12.1", "4.12.0", "4.10.0", "4.9.3", "4.9.0", "4.2.11", "3.19.0", "3.0.0", "5.0.0-rc.1"}
	systems  = map[string][]string{"iOS": {"iOS 18.4", "iOS 17.6.1"}, "Android": {"Android 15", "Android 13"},
		"Web": {"Windows 11", "macOS 15", "Linux"}}
	notes = []string{
		"Asked for an invoice.\nPaid on the second reminder.",
		`Says "it just works", twice.`,
		"Prefers mail, not phone;\n\n\tnever on Mondays",
		"Zahlt per SEPA – Rückfrage nötig 🙂",
	}
)

// user is a row. An empty string and a nil pointer are null.
type user struct {
	userID, deviceID, country, city, language, platform, os, version string

	plan   string
	signup *int32 // days since 1970
	seats  *int64
	beta   *bool
	tags   string
	org    string

	email, name string
	value       *float64
	note        string
}

func main() {
	dir := flag.String("dir", "testdata", "the folder to write into")
	flag.Parse()
	log.SetFlags(0)
	list := generate()
	for name, write := range map[string]func(string, []user) error{
		"users.csv": writeCSV, "users.parquet": writeParquet, "few.csv": writeFew,
	} {
		if err := write(filepath.Join(*dir, name), list); err != nil {
			log.Fatal(err)
		}
	}
}

func generate() []user {
	r := rand.New(rand.NewSource(20260321))
	list := make([]user, users)
	odd := 0
	for i := range list {
		row := i + 1
		u := &list[i]
		first, last := r.Intn(len(firstNames)), r.Intn(len(lastNames))
		u.name = firstNames[first] + " " + lastNames[last]
		u.email = fmt.Sprintf("%s.%d@example.com", mailNames[first], row)
		fillPlace(r, u)
		fillDevice(r, u)
		fillProperties(r, u)
		u.userID = userID(r, u)
		if row > fewUsers {
			switch n := r.Intn(100); {
			case n < 10:
				u.userID, u.email, u.name = "", "", ""
			case n < 24:
				u.deviceID = ""
			}
		}
		if row == 7 {
			u.userID, u.email, u.name = "", "", "" // few.csv has one anonymous user, too
		}
		if row > fewUsers && r.Intn(200) == 0 && list[i-5].userID != "" { // one person, two devices
			u.userID, u.email, u.name = list[i-5].userID, list[i-5].email, list[i-5].name
		}
		if row >= 50 && (row-50)%37 == 0 && odd < len(oddIDs) {
			u.userID = oddIDs[odd]
			odd++
		}
		if noID[row] {
			u.userID, u.deviceID = "", ""
		}
	}
	return list
}

func userID(r *rand.Rand, u *user) string {
	switch n := r.Intn(100); {
	case n < 45:
		return uuid(r)
	case n < 70:
		return strconv.Itoa(100000 + r.Intn(9000000))
	case n < 88:
		return u.email
	default:
		return "usr_" + hex.EncodeToString(randomBytes(r, 6))
	}
}

func fillPlace(r *rand.Rand, u *user) {
	n := r.Intn(100)
	for _, p := range places {
		if n -= p.weight; n >= 0 {
			continue
		}
		u.country, u.language = p.country, p.language
		if len(p.cities) > 0 && r.Intn(10) > 0 {
			u.city = p.cities[r.Intn(len(p.cities))]
		}
		return
	}
}

func fillDevice(r *rand.Rand, u *user) {
	switch n := r.Intn(100); {
	case n < 38:
		u.platform, u.deviceID = "iOS", strings.ToUpper(uuid(r))
	case n < 72:
		u.platform, u.deviceID = "Android", hex.EncodeToString(randomBytes(r, 8))
	default:
		u.platform, u.deviceID = "Web", base64.RawURLEncoding.EncodeToString(randomBytes(r, 16))
	}
	u.os = systems[u.platform][r.Intn(len(systems[u.platform]))]
	if r.Intn(20) > 0 {
		u.version = versions[r.Intn(len(versions))]
	}
}

func fillProperties(r *rand.Rand, u *user) {
	u.plan = plans[r.Intn(len(plans))]
	if r.Intn(25) > 0 {
		days := int32(day0.Unix()/86400) + int32(r.Intn(1800))
		u.signup = &days
	}
	if u.plan == "team" || u.plan == "enterprise" {
		seats := int64(2 + r.Intn(40))
		u.seats = &seats
	} else if u.plan == "pro" {
		seats := int64(1)
		u.seats = &seats
	}
	if r.Intn(12) > 0 {
		beta := r.Intn(5) == 0
		u.beta = &beta
	}
	if r.Intn(3) == 0 {
		one, two := r.Intn(len(allTags)), r.Intn(len(allTags))
		u.tags = `["` + allTags[one] + `"]`
		if one != two {
			u.tags = `["` + allTags[one] + `","` + allTags[two] + `"]`
		}
	}
	if r.Intn(3) == 0 {
		u.org = orgs[r.Intn(len(orgs))]
	}
	if u.plan != "free" || r.Intn(4) == 0 {
		value := float64(r.Intn(900000)) / 100
		u.value = &value
	}
	if r.Intn(30) == 0 {
		u.note = notes[r.Intn(len(notes))]
	}
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Intn(256))
	}
	return b
}

func uuid(r *rand.Rand) string {
	b := randomBytes(r, 16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// column is a column of both files. Exactly one of the functions is set, by the column's type; each gives nil
// for null.
type column struct {
	name string
	text func(*user) string // "" is null
	date func(*user) *int32
	num  func(*user) *int64
	yes  func(*user) *bool
	real func(*user) *float64
}

var columns = []column{
	{name: "user_id", text: func(u *user) string { return u.userID }},
	{name: "device_id", text: func(u *user) string { return u.deviceID }},
	{name: "country", text: func(u *user) string { return u.country }},
	{name: "city", text: func(u *user) string { return u.city }},
	{name: "language", text: func(u *user) string { return u.language }},
	{name: "platform", text: func(u *user) string { return u.platform }},
	{name: "os", text: func(u *user) string { return u.os }},
	{name: "version", text: func(u *user) string { return u.version }},
	{name: "user_properties.plan", text: func(u *user) string { return u.plan }},
	{name: "user_properties.signup_date", date: func(u *user) *int32 { return u.signup }},
	{name: "user_properties.seats", num: func(u *user) *int64 { return u.seats }},
	{name: "user_properties.beta", yes: func(u *user) *bool { return u.beta }},
	{name: "user_properties.tags", text: func(u *user) string { return u.tags }},
	{name: "groups.org", text: func(u *user) string { return u.org }},
	{name: "email", text: func(u *user) string { return u.email }},
	{name: "name", text: func(u *user) string { return u.name }},
	{name: "lifetime_value", real: func(u *user) *float64 { return u.value }},
	{name: "note", text: func(u *user) string { return u.note }},
}

// cell is the value of the column as the CSV holds it.
func (c *column) cell(u *user) string {
	switch {
	case c.text != nil:
		return c.text(u)
	case c.date != nil:
		if v := c.date(u); v != nil {
			return time.Unix(int64(*v)*86400, 0).UTC().Format(time.DateOnly)
		}
	case c.num != nil:
		if v := c.num(u); v != nil {
			return strconv.FormatInt(*v, 10)
		}
	case c.yes != nil:
		if v := c.yes(u); v != nil {
			return strconv.FormatBool(*v)
		}
	default:
		if v := c.real(u); v != nil {
			return strconv.FormatFloat(*v, 'f', 2, 64)
		}
	}
	return ""
}

func writeCSV(path string, list []user) error { return writeColumns(path, list, columns) }

func writeFew(path string, list []user) error {
	keep := map[string]bool{"user_id": true, "device_id": true, "country": true, "platform": true, "version": true,
		"user_properties.plan": true, "user_properties.seats": true}
	var few []column
	for _, c := range columns {
		if keep[c.name] {
			few = append(few, c)
		}
	}
	return writeColumns(path, list[:fewUsers], few)
}

func writeColumns(path string, list []user, columns []column) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	record := make([]string, len(columns))
	for i := range columns {
		record[i] = columns[i].name
	}
	if err := w.Write(record); err != nil {
		return err
	}
	for i := range list {
		for j := range columns {
			record[j] = columns[j].cell(&list[i])
		}
		if err := w.Write(record); err != nil {
			return err
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	return f.Close()
}

func writeParquet(path string, list []user) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := file.NewParquetWriter(f, parquetSchema(), file.WithWriterProps(parquet.NewWriterProperties(
		parquet.WithCompression(compress.Codecs.Zstd), parquet.WithStats(true))))
	for start := 0; start < len(list); start += rowGroup {
		group := list[start:min(start+rowGroup, len(list))]
		rg := w.AppendRowGroup()
		for i := range columns {
			cw, err := rg.NextColumn()
			if err != nil {
				return err
			}
			if err := columns[i].writeChunk(cw, group); err != nil {
				return fmt.Errorf("write column %s: %w", columns[i].name, err)
			}
			if err := cw.Close(); err != nil {
				return err
			}
		}
		if err := rg.Close(); err != nil {
			return err
		}
	}
	return w.Close() // closes f, too
}

func parquetSchema() *schema.GroupNode {
	var fields schema.FieldList
	for _, c := range columns {
		var logical schema.LogicalType = schema.NoLogicalType{}
		physical := parquet.Types.Double
		switch {
		case c.text != nil:
			logical, physical = schema.StringLogicalType{}, parquet.Types.ByteArray
		case c.date != nil:
			logical, physical = schema.DateLogicalType{}, parquet.Types.Int32
		case c.num != nil:
			physical = parquet.Types.Int64
		case c.yes != nil:
			physical = parquet.Types.Boolean
		}
		fields = append(fields, schema.MustPrimitive(
			schema.NewPrimitiveNodeLogical(c.name, parquet.Repetitions.Optional, logical, physical, -1, -1)))
	}
	return schema.MustGroup(schema.NewGroupNode("users", parquet.Repetitions.Required, fields, -1))
}

func (c *column) writeChunk(w file.ColumnChunkWriter, group []user) (err error) {
	switch w := w.(type) {
	case *file.ByteArrayColumnChunkWriter:
		values, levels := chunk(group, func(u *user) *parquet.ByteArray {
			if s := c.text(u); s != "" {
				return new(parquet.ByteArray(s))
			}
			return nil
		})
		_, err = w.WriteBatch(values, levels, nil)
	case *file.Int32ColumnChunkWriter:
		values, levels := chunk(group, c.date)
		_, err = w.WriteBatch(values, levels, nil)
	case *file.Int64ColumnChunkWriter:
		values, levels := chunk(group, c.num)
		_, err = w.WriteBatch(values, levels, nil)
	case *file.BooleanColumnChunkWriter:
		values, levels := chunk(group, c.yes)
		_, err = w.WriteBatch(values, levels, nil)
	case *file.Float64ColumnChunkWriter:
		values, levels := chunk(group, c.real)
		_, err = w.WriteBatch(values, levels, nil)
	default:
		err = fmt.Errorf("no such type: %T", w)
	}
	return err
}

// chunk is the column's values without the nulls, and its definition levels: 1 for a value, 0 for null.
func chunk[T any](group []user, get func(*user) *T) (values []T, levels []int16) {
	for i := range group {
		v := get(&group[i])
		if v == nil {
			levels = append(levels, 0)
			continue
		}
		values, levels = append(values, *v), append(levels, 1)
	}
	return values, levels
}
