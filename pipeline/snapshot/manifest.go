package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Manifest is the record of a finished run. It is published last: where it stands, the outputs are complete.
type Manifest struct {
	Format     int            `json:"format"` // of the manifest; see ManifestFormat
	RunID      string         `json:"run_id"`
	Version    string         `json:"version"` // of rollcall
	StartedAt  time.Time      `json:"started_at"`
	FinishedAt time.Time      `json:"finished_at"`
	Resumes    int            `json:"resumes"`
	Options    RunOptions     `json:"options"` // never the key; set by SetOptions
	typed      map[string]any // the options as they are in the file

	Layout Layout `json:"layout"` // of the outputs

	// Completes is set where the input was the error records of another run.
	Completes *Completes `json:"completes,omitempty"`

	Inputs  []File `json:"inputs"`
	Outputs []File `json:"outputs"` // the error records are the last

	// SideFiles are the other files of the run: the summary, and flag configurations that were downloaded.
	SideFiles []File `json:"side_files,omitempty"`

	// FlagConfigs is the file of flag configurations that a local run evaluated; its rows are flags. nil: the API's were.
	FlagConfigs *File `json:"flag_configs,omitempty"`

	// NoTrack says whether the server that was asked heeds no-track: "honoured" (a documented host, or a server with signs
	// of the API's that Amplitude's self-hosted proxy has not), "embedded" and "local" (in this process, on this machine),
	// "unproven" (nothing told), or "ignored" (the proxy, with --allow-tracking). "": nobody was asked.
	NoTrack string `json:"no_track,omitempty"`

	Users       Users       `json:"users"`
	Assignments int64       `json:"assignments"`
	Requests    Requests    `json:"requests"`
	Flags       []FlagCount `json:"flags"`
	NobodyGot   []string    `json:"flags_nobody_got"`
	Unasked     int64       `json:"unasked_assignments"`
	Warnings    []string    `json:"warnings"`
}

// ManifestFormat is the version of [Manifest] that this rollcall writes. Version 1 is read, too: it had no Layout, which
// its options describe.
const ManifestFormat = 2

// File is an input or an output.
type File struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"`
}

// Users counts users: Read = Answered + Failed.
type Users struct {
	Read         int64                   `json:"read"`
	Answered     int64                   `json:"answered"`
	Failed       int64                   `json:"failed"`
	FailedByKind map[pipeline.Kind]int64 `json:"failed_by_kind"`
}

// Requests is what was on the wire. Times are in milliseconds. Sent, Retries and Statuses are of all processes of the
// run: of those before the last, what the journal had kept, which is all but what was in flight when they ended.
// Pauses, PerSecond and Latency are of the last process.
type Requests struct {
	Sent      int64            `json:"sent"`
	Retries   int64            `json:"retries"`
	Pauses    int64            `json:"pauses"`
	Statuses  map[string]int64 `json:"statuses"` // by HTTP status, the class of a network error, or StatusUnknown
	PerSecond float64          `json:"per_second"`
	Latency   Latency          `json:"latency_ms"`
}

// StatusUnknown stands for the attempts of earlier processes whose status the journal does not keep: all but the last of
// a user.
const StatusUnknown = "unknown"

// Latency is the quantiles of the time that answers took, in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Marshal is the manifest as it stands in its file.
func (m *Manifest) Marshal() ([]byte, error) {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(data, '\n'), nil
}

// maxManifest is far more than any manifest takes.
const maxManifest = 256 << 20

// ReadManifest reads the manifest in file, which may be anything.
func ReadManifest(file string) (*Manifest, error) {
	f, err := OpenOutput(file)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err == nil && len(data) > maxManifest {
		err = fmt.Errorf("%s has more bytes than a manifest", file)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", file, err)
	}
	switch m.Format {
	case ManifestFormat:
	case 1:
		m.Layout = layoutOf(&m)
	default:
		return nil, pipeline.WithHint(fmt.Errorf("read manifest %s: format %d is not known", file, m.Format),
			"it was written by another version of rollcall")
	}
	return &m, nil
}
