package engine

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

// version is a version as the reference parses it: major.minor, or major.minor.patch with an optional
// -prerelease. It is not quite semantic versioning: prereleases compare as strings, and there is no build.
type version struct {
	major, minor, patch float64 // JavaScript numbers: too many digits are an infinity, not an error
	pre                 string  // with its hyphen; "": not a prerelease
}

// parseVersion matches ^(\d+)\.(\d+)(\.(\d+)(-(([-\w]+\.?)*))?)?$
func parseVersion(s string) (v version, ok bool) {
	if v.major, s, ok = cutNumber(s); !ok || !strings.HasPrefix(s, ".") {
		return v, false
	}
	if v.minor, s, ok = cutNumber(s[1:]); !ok || s == "" {
		return v, ok
	}
	if s[0] != '.' {
		return v, false
	}
	if v.patch, s, ok = cutNumber(s[1:]); !ok || s == "" {
		return v, ok
	}
	if s[0] != '-' {
		return v, false
	}
	dot := true // a dot may not come here
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '.' && dot:
			return v, false
		case c == '.':
			dot = true
		case c == '-', c == '_', '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			dot = false
		default:
			return v, false
		}
	}
	v.pre = s
	return v, true
}

func cutNumber(s string) (n float64, rest string, ok bool) {
	end := 0
	for end < len(s) && '0' <= s[end] && s[end] <= '9' {
		if end < 15 { // exact in a float64
			n = n*10 + float64(s[end]-'0')
		}
		end++
	}
	if end > 15 {
		var err error
		if n, err = strconv.ParseFloat(s[:end], 64); err != nil {
			n = math.Inf(1)
		}
	}
	return n, s[end:], end > 0
}

func (v *version) compare(w *version) int {
	if c := cmp.Compare(v.major, w.major); c != 0 {
		return c
	}
	if c := cmp.Compare(v.minor, w.minor); c != 0 {
		return c
	}
	if c := cmp.Compare(v.patch, w.patch); c != 0 {
		return c
	}
	switch {
	case v.pre == "" || w.pre == "": // a release comes after its prereleases
		return cmp.Compare(len(w.pre), len(v.pre))
	default:
		return strings.Compare(v.pre, w.pre)
	}
}

// parseSemanticVersion is parseVersion of the hosted engine: semantic versioning, but the patch may be missing, and
// numbers may begin with zeros. A build is allowed and ignored.
func parseSemanticVersion(s string) (v version, ok bool) {
	if v.major, s, ok = cutNumber(s); !ok || v.major > math.MaxInt32 || !strings.HasPrefix(s, ".") {
		return v, false
	}
	if v.minor, s, ok = cutNumber(s[1:]); !ok || v.minor > math.MaxInt32 || s == "" {
		return v, ok && v.minor <= math.MaxInt32
	}
	if s[0] != '.' {
		return v, false
	}
	if v.patch, s, ok = cutNumber(s[1:]); !ok {
		return v, false
	}
	if v.patch > math.MaxInt32 {
		v.patch = 0
	}
	rest, build, hasBuild := strings.Cut(s, "+")
	if hasBuild {
		for part := range strings.SplitSeq(build, ".") {
			if !isIdentifier(part) {
				return v, false
			}
		}
	}
	if rest == "" {
		return v, true
	}
	if rest[0] != '-' {
		return v, false
	}
	for part := range strings.SplitSeq(rest[1:], ".") {
		number := strings.Trim(part, "0123456789") == ""
		if !isIdentifier(part) || number && part[0] == '0' && part != "0" {
			return v, false
		}
	}
	v.pre = rest
	return v, true
}

// isPlain reports whether s, which is the version, is the same one for both engines.
func (v *version) isPlain(s string) bool {
	if v.pre != "" || v.major > math.MaxInt32 || v.minor > math.MaxInt32 || v.patch > math.MaxInt32 {
		return false
	}
	// A hosted patch of 0 may have been too large.
	return !strings.Contains(s, "+") && (v.patch != 0 || strings.HasSuffix(s, ".0") || strings.Count(s, ".") == 1)
}

// isIdentifier reports whether s is a part of a prerelease or a build.
func isIdentifier(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '-' && !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return false
		}
	}
	return s != ""
}
