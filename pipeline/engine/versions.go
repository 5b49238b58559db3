package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// maxVersion bounds the text of a flag's version.
const maxVersion = 64

// FlagVersions returns the versions of the flags in an array of flag configurations: those of the named flags and of
// the flags that they depend on (nil: of all). It reads what [Parse] refuses, too: a flag that cannot be evaluated here
// has a version. A named flag that is not configured has none.
func FlagVersions(data []byte, flagKeys []string) (map[string]pipeline.FlagVersion, error) {
	options := json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var raw []jsontext.Value
	if err := json.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &raw, options); err != nil {
		return nil, fmt.Errorf("flag configurations: %w", jsonError(err))
	}
	versions := make(map[string]pipeline.FlagVersion, len(raw))
	dependencies := map[string][]string{}
	for i, element := range raw {
		var key struct {
			Key string `json:"key"`
		}
		if err := json.Unmarshal(element, &key, options); err != nil || key.Key == "" {
			return nil, fmt.Errorf("flag configurations: flag %d of the list has no key", i+1)
		}
		if flagKeys != nil {
			var c flagConfig
			_ = json.Unmarshal(element, &c, options) // what it has of dependencies
			c.eachDependency(func(_, on string) { dependencies[key.Key] = append(dependencies[key.Key], on) })
		}
		versions[key.Key] = newFlagVersion(element, options)
	}
	if flagKeys == nil {
		return versions, nil
	}
	asked := map[string]pipeline.FlagVersion{}
	for queue := append([]string{}, flagKeys...); len(queue) > 0; queue = queue[1:] {
		key := queue[0]
		v, configured := versions[key]
		if _, done := asked[key]; done || !configured {
			continue
		}
		asked[key] = v
		queue = append(queue, dependencies[key]...)
	}
	return asked, nil
}

// newFlagVersion returns the version of one flag's configuration.
func newFlagVersion(config jsontext.Value, options json.Options) pipeline.FlagVersion {
	var c struct {
		Metadata struct {
			FlagVersion jsontext.Value `json:"flagVersion"`
		} `json:"metadata"`
	}
	_ = json.Unmarshal(config, &c, options) // metadata of another kind has no version
	var v pipeline.FlagVersion
	switch raw := c.Metadata.FlagVersion; {
	case len(raw) > maxVersion:
	case raw.Kind() == '"':
		_ = json.Unmarshal(raw, &v.Version, options)
	case raw.Kind() == '0':
		v.Version = string(raw)
	}
	content := config.Clone()
	_ = content.Canonicalize(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) // or else as it is
	sum := sha256.Sum256(content)
	v.SHA256 = hex.EncodeToString(sum[:16])
	return v
}
