//go:build unix

package main

import (
	"bufio"
	"fmt"
	"os"
)

// writeInput writes a CSV of that many users, the same every time.
func writeInput(path string, users int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprintln(w, "user_id,device_id,country,platform,version,"+
		"user_properties.plan,user_properties.seats,user_properties.cohort")
	countries := []string{"United States", "Germany", "Brazil", "Japan", "Côte d'Ivoire"}
	platforms := []string{"iOS", "Android", "Web"}
	plans := []string{"free", "pro", "team", "enterprise"}
	for i := range users {
		h := uint64(i+1) * 0x9e3779b97f4a7c15 // Fibonacci hashing: spread, and the same every time
		fmt.Fprintf(w, "user-%07d@example.com,%016x,%s,%s,4.%d.%d,%s,%d,week-%02d\n", i, h,
			countries[h>>60%uint64(len(countries))], platforms[h>>50%uint64(len(platforms))], h>>40%20, h>>30%10,
			plans[h>>20%uint64(len(plans))], h>>10%50, h>>45%52)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
