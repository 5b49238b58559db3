//go:build unix

package main

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"os"
	"strconv"
)

// The columns of the input. The remote part has the first ones, up to columns; the others have all.
const (
	colUserID = iota
	colDeviceID
	colCountry
	colPlatform
	colVersion
	colPlan
	colSeats
	colCohort
	columns
	colTags = iota - 1
	colOrg
	allColumns
)

var header = []string{"user_id", "device_id", "country", "platform", "version", "user_properties.plan",
	"user_properties.seats", "user_properties.cohort", "user_properties.tags", "groups.org"}

// writeInput writes a CSV with that many users and the first columns. It is the same file every time.
func writeInput(path string, users, columns int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(f, 1<<20)
	w := csv.NewWriter(buffered)
	_ = w.Write(header[:columns]) // w.Error returns the error below
	countries := []string{"United States", "Germany", "Brazil", "Japan", "Côte d'Ivoire"}
	platforms := []string{"iOS", "Android", "Web"}
	plans := []string{"free", "pro", "team", "enterprise"}
	tags := []string{"", "", `["newsletter"]`, `["partner","vip"]`}
	orgs := []string{"", "", "", "Acme", "Initech", "Umbrella & Söhne"}
	record := make([]string, allColumns)
	for i := range users {
		h := uint64(i+1) * 0x9e3779b97f4a7c15 // Fibonacci hashing: well distributed, and the same every time
		record[colUserID] = userName(i)
		record[colDeviceID] = fmt.Sprintf("%016x", h)
		record[colCountry] = countries[h>>60%uint64(len(countries))]
		record[colPlatform] = platforms[h>>50%uint64(len(platforms))]
		record[colVersion] = fmt.Sprintf("4.%d.%d", h>>40%20, h>>30%10)
		record[colPlan] = plans[h>>20%uint64(len(plans))]
		record[colSeats] = strconv.FormatUint(h>>10%50, 10)
		record[colCohort] = fmt.Sprintf("week-%02d", h>>45%52)
		record[colTags] = tags[h>>25%uint64(len(tags))]
		record[colOrg] = orgs[h>>35%uint64(len(orgs))]
		_ = w.Write(record[:columns])
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// userName is the id of a user.
func userName(i int) string { return fmt.Sprintf("user-%07d@example.com", i) }
