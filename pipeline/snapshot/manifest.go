package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// Manifest is the record of a finished run. It is published last: where there is a manifest, the outputs are complete.
type Manifest struct {
	Format     int        `json:"format"` // of the manifest; see ManifestFormat
	RunID      string     `json:"run_id"`
	Version    string     `json:"version"` // of rollcall
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt time.Time  `json:"finished_at"`
	Resumes    int        `json:"resumes"`
	Options    RunOptions `json:"options"` // never the key

	// Path is where the manifest is, as --manifest or --latest named it. The paths of the outputs lead from there. "": it
	// is beside the first output.
	Path   string `json:"path,omitempty"`
	Latest bool   `json:"latest,omitempty"` // it is the copy that --latest has made

	Layout Layout `json:"layout"` // of the outputs

	// Completes is set if the input was the error records of another run.
	Completes *Completes `json:"completes,omitempty"`

	// Shard is set if the run is one of several that evaluated the input together.
	Shard *Shard `json:"shard,omitempty"`

	// Shards is set if the run is those of all shards, merged.
	Shards []ShardRun `json:"shards,omitempty"`

	Inputs  []File `json:"inputs"`
	Outputs []File `json:"outputs"` // the last one is the error records

	// SideFiles are the other files of the run: the summary, flag configurations that were downloaded, and what a
	// cross-check found.
	SideFiles []File `json:"side_files,omitempty"`

	// FlagConfigs is the file of flag configurations that a local run evaluated; its rows are flags. nil: a server
	// evaluated its own.
	FlagConfigs *File `json:"flag_configs,omitempty"`

	// FlagSource says where flag configurations that were downloaded are from. nil: they were not.
	FlagSource *FlagSource `json:"flag_source,omitempty"`

	// Cohorts are those whose members files gave: the cohorts that the flags of a local run name, and carried ones.
	Cohorts []Cohort `json:"cohorts,omitempty"`

	// Caches counts the answers by what they say of caches. nil: --include cache was not given.
	Caches *Caches `json:"caches,omitempty"`

	// NoTrack says whether the server that was asked honours no-track: "honoured" (a documented host, or a server whose
	// answers show that it is not Amplitude's self-hosted proxy), "embedded" and "local" (in this process, on this
	// machine), "unproven" (nothing showed it), or "ignored" (the proxy, with --allow-tracking). "": no server was asked.
	NoTrack string `json:"no_track,omitempty"`

	// FlagChanges says whether somebody edited flags while the run went on. nil: the run was made by a version of rollcall
	// that did not compare.
	FlagChanges *FlagChanges `json:"flag_changes,omitempty"`

	// CrossCheck says how far the answers of a local run are the API's. nil: nobody asked.
	CrossCheck *CrossCheck `json:"cross_check,omitempty"`

	// Semantics says which of Amplitude's engines answered: "hosted" or "node". "": a server did or, if FlagConfigs is
	// set, the run was made by a version of rollcall that had only "node". See [Manifest.EngineSemantics].
	Semantics string `json:"semantics,omitempty"`

	// Disagreements counts the users to whom the other engine gives another answer. nil: they were not compared.
	Disagreements *Disagreements `json:"disagreements,omitempty"`

	Users       Users       `json:"users"`
	Assignments int64       `json:"assignments"`
	Requests    Requests    `json:"requests"`
	Flags       []FlagCount `json:"flags"`
	NobodyGot   []string    `json:"flags_nobody_got"`
	Unasked     int64       `json:"unasked_assignments"`

	// UnaskedFlags are flags that came although they were not asked for, and were dropped: the first 1,000, sorted.
	UnaskedFlags []string `json:"unasked_flags,omitempty"`

	Warnings []string `json:"warnings"`
}

// Cohort is a cohort whose members a file gave.
type Cohort struct {
	ID           string `json:"id"`                      // what flags call it
	Name         string `json:"name,omitempty"`          // what reports and rules call it, if that is not the id
	Size         int64  `json:"size"`                    // how many members it has
	LastModified int64  `json:"last_modified,omitempty"` // milliseconds since 1970, according to the file
	SHA256       string `json:"sha256"`                  // of the file
}

// EngineSemantics returns which of Amplitude's engines the answers are of: "hosted" or "node".
func (m *Manifest) EngineSemantics() string {
	switch {
	case m.Semantics != "":
		return m.Semantics
	case m.FlagConfigs != nil, m.Options.Text("server") == "embedded":
		return "node" // an older rollcall
	}
	return "hosted"
}

// ManifestFormat is the version of [Manifest] that this rollcall writes. Version 1 is read, too: it had no Layout,
// which its options describe.
const ManifestFormat = 2

// File is an input or an output.
type File struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"`

	// Partitioned is set for an output that is several files. Then Path is no file: its directory is that of the files, and
	// its base the beginning of their names. Bytes and Rows are those of all, and SHA256 is that of a list of them: a line
	// for each, as sha256sum prints it.
	Partitioned *Partitioned `json:"partitioned,omitempty"`

	Part *InputPart `json:"part,omitempty"` // of an input of a shard
}

// Partitioned is the files of an output that is several.
type Partitioned struct {
	By    []string        `json:"by"`    // the columns that the directories are named after, outermost first
	Files []PartitionFile `json:"files"` // in the order of their paths
}

// PartitionFile is one file of an output.
type PartitionFile struct {
	Path   string `json:"path"` // below the directory of the output, with slashes: country=DE/part-00000.parquet
	Bytes  int64  `json:"bytes"`
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"`
}

// InputPart is the part of an input that a shard has read. The file's Bytes, Rows and SHA256 are those of the part.
type InputPart struct {
	File int   `json:"file"` // the index of the file in the input of all shards
	From int64 `json:"from"` // the first byte
	To   int64 `json:"to"`   // the byte after the last one
	Row  int64 `json:"row"`  // how many rows of the input are before it

	FileBytes   int64  `json:"file_bytes"`   // of the whole file
	FileVersion string `json:"file_version"` // the version of an object, or when a local file was written; "": not known
}

// Shard says which part of a job a run is.
type Shard struct {
	Number int `json:"number"` // from 1
	Of     int `json:"of"`

	// Flags are the flags before the first user; nil: nobody asked.
	Flags *pipeline.FlagVersions `json:"flags,omitempty"`
}

// Disagreements are the flags for which the other of Amplitude's engines gives users of the run another answer.
type Disagreements struct {
	Semantics string      `json:"semantics"` // of the other engine
	Flags     []FlagUsers `json:"flags"`     // most users first

	// NotCompared are the flags that one of the engines cannot run.
	NotCompared []string `json:"not_compared,omitempty"`
}

// FlagUsers is a number of users of a flag.
type FlagUsers struct {
	Flag  string `json:"flag"`
	Users int64  `json:"users"`
}

// FlagSource says where flag configurations are from.
type FlagSource struct {
	From []string `json:"from"` // the requests: "/v1/flags", "/sdk/v2/flags", "/sdk/v2/flags?eval_mode=remote"

	// RemoteMode is the result of asking for flags of remote evaluation mode, too: "included", "same" (no other flags:
	// there are none, or the server ignores eval_mode), or "refused". "": not asked for.
	RemoteMode string `json:"remote_mode,omitempty"`
}

// Users counts users: Read = Answered + Failed.
type Users struct {
	Read         int64                   `json:"read"`
	Answered     int64                   `json:"answered"`
	Failed       int64                   `json:"failed"`
	FailedByKind map[pipeline.Kind]int64 `json:"failed_by_kind"`
}

// Requests counts the requests that were sent. Times are in milliseconds. Sent, Retries and Statuses are of all
// processes of the run; of a process that was interrupted, without the requests that were in flight then, which the
// journal does not have. Pauses, PerSecond, FoundRate and Latency are of the last process.
type Requests struct {
	Sent      int64            `json:"sent"`
	Retries   int64            `json:"retries"`
	Pauses    int64            `json:"pauses"`
	Statuses  map[string]int64 `json:"statuses"` // by HTTP status, the class of a network error, or StatusUnknown
	PerSecond float64          `json:"per_second"`
	FoundRate float64          `json:"found_rate,omitempty"` // about how many a second the API takes; 0: it never refused
	Latency   Latency          `json:"latency_ms"`

	// Method says how users were asked about: "auto" (those whose URL is too long by POST /sdk/v2/vardata) or "post" (all).
	// "": all by GET /v1/vardata. Posted counts the users who went by POST.
	Method string `json:"method,omitempty"`
	Posted int64  `json:"users_by_post,omitempty"`
}

// StatusUnknown is the status of attempts of earlier processes that the journal does not have: all but the last of a
// user.
const StatusUnknown = "unknown"

// Latency is the quantiles of the time that answers took, in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Marshal returns the manifest as its file has it.
func (m *Manifest) Marshal() ([]byte, error) {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(data, '\n'), nil
}

// maxManifest is far more than any manifest takes.
const maxManifest = 256 << 20

// ReadManifest reads the manifest in file. It is safe on any file: what is too long, or not regular, is refused.
func ReadManifest(files *blob.Files, file string) (*Manifest, error) {
	f, err := files.Open(file)
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
