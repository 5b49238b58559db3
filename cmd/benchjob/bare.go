//go:build unix

package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"golang.org/x/sync/errgroup"
)

type bareUser struct {
	Country        string `json:"country"`
	Platform       string `json:"platform"`
	Version        string `json:"version"`
	UserProperties struct {
		Plan   string `json:"plan"`
		Seats  string `json:"seats"`
		Cohort string `json:"cohort"`
	} `json:"user_properties"`
}

type bareVariant struct {
	Key     string          `json:"key"`
	Payload json.RawMessage `json:"payload"`
	ExpKey  string          `json:"expKey"`
}

// runBare is the loop to beat: it asks about every user of the file and parses the answers, and does nothing else. It
// has no retries, no limits, no order and no output. It is neither tuned nor slowed down, and does not even have the
// timeout that every client should have.
func runBare(server, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConns: inFlight, MaxIdleConnsPerHost: inFlight}}
	records := make(chan []string, inFlight)
	var g errgroup.Group
	for range inFlight {
		g.Go(func() error {
			for record := range records {
				if err := askOnce(client, server, record); err != nil {
					for range records { // so that the reader ends
					}
					return err
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(records)
		r := csv.NewReader(f)
		if _, err := r.Read(); err != nil { // the header
			return err
		}
		for {
			record, err := r.Read()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			records <- record
		}
	})
	return g.Wait()
}

// requestPath returns the path and query of the request about a user.
func requestPath(record []string) (string, error) {
	u := bareUser{Country: record[colCountry], Platform: record[colPlatform], Version: record[colVersion]}
	u.UserProperties.Plan = record[colPlan]
	u.UserProperties.Seats = record[colSeats]
	u.UserProperties.Cohort = record[colCohort]
	context, err := json.Marshal(u)
	if err != nil {
		return "", err
	}
	query := url.Values{}
	query.Set("user_id", record[colUserID])
	query.Set("device_id", record[colDeviceID])
	query.Set("flag_keys", fiveFlags)
	query.Set("context", string(context))
	return "/v1/vardata?" + query.Encode(), nil
}

func askOnce(client *http.Client, server string, record []string) error {
	path, err := requestPath(record)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodGet, server+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Api-Key bench")
	req.Header.Set("X-Amp-Exp-Track", "no-track")
	req.Header.Set("X-Amp-Exp-Exposure-Track", "no-track")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask: %s", resp.Status)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var variants map[string]bareVariant
	if err := json.Unmarshal(body, &variants); err != nil {
		return err
	}
	if len(variants) != 5 {
		return fmt.Errorf("ask: %d flags answered, want 5", len(variants))
	}
	return nil
}
