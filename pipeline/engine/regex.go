package engine

import (
	"regexp"
)

func compileRegex(pattern string) (*regexp.Regexp, error) { return regexp.Compile(pattern) }

func codeUnits(s string) string { return s }
