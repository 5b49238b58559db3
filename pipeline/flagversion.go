package pipeline

// FlagVersion identifies the configuration of a flag at one time.
type FlagVersion struct {
	Version string `json:"version,omitempty"` // metadata.flagVersion, which every edit changes; "": there is none
	SHA256  string `json:"sha256"`            // of the content, whatever the order of its members: 32 hex digits
}

// FlagVersions are the flags that a run evaluates, as they were configured at one time. The zero value is of a time at
// which nobody asked.
type FlagVersions struct {
	Flags   map[string]FlagVersion `json:"flags"`
	From    []string               `json:"from,omitempty"`    // the requests that they are from
	Partial bool                   `json:"partial,omitempty"` // the server refused to give flags of remote evaluation mode
	Unknown string                 `json:"unknown,omitempty"` // why Flags are not known
}
