package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// splitList splits the text of a list option into its items: at commas and line ends, without the blanks around an
// item. What is in double quotes is taken as it is, commas and blanks too ("" is a quote), so that every name can be
// said. Blank lines are skipped; an item that is empty between commas is an error.
//
// Where the items are pairs, cut is the separator in them, and the blanks around it go too: '=' is the first one of an
// item, ':' the last. Otherwise cut is 0.
func splitList(text string, cut byte) ([]string, error) {
	var items []string
	var item []byte
	var quoted []bool // of each byte of item
	inQuotes, wasQuoted := false, false
	before := byte('\n') // the separator before the item
	end := func(separator byte) error {
		trimmed := trimItem(item, quoted, cut)
		switch {
		case trimmed != "" || wasQuoted:
			items = append(items, trimmed)
		case before == ',' && separator == ',' || separator == ',' && len(items) == 0 || before == ',' && separator == 0:
			return fmt.Errorf("item %d of %q is empty", len(items)+1, text)
		}
		item, quoted, wasQuoted, before = nil, nil, false, separator
		return nil
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '"' && inQuotes && i+1 < len(text) && text[i+1] == '"':
			item, quoted = append(item, c), append(quoted, true)
			i++
		case c == '"':
			inQuotes, wasQuoted = !inQuotes, true
		case !inQuotes && (c == ',' || c == '\n'):
			if err := end(c); err != nil {
				return nil, err
			}
		default:
			item, quoted = append(item, c), append(quoted, inQuotes)
		}
	}
	if inQuotes {
		return nil, fmt.Errorf("a quote in %q does not end", text)
	}
	if strings.TrimFunc(text, isBlank) == "" {
		return nil, nil
	}
	return items, end(0)
}

// trimItem is an item without the blanks around it, and around its separator, that are not quoted.
func trimItem(item []byte, quoted []bool, cut byte) string {
	trim := func(from, to int) string {
		for from < to && !quoted[from] {
			r, n := utf8.DecodeRune(item[from:to])
			if !isBlank(r) {
				break
			}
			from += n
		}
		for from < to && !quoted[to-1] {
			r, n := utf8.DecodeLastRune(item[from:to])
			if !isBlank(r) {
				break
			}
			to -= n
		}
		return string(item[from:to])
	}
	at := -1
	for i, c := range item {
		if c == cut && cut != 0 && !quoted[i] && (at < 0 || cut != '=') {
			at = i
		}
	}
	if at < 0 {
		return trim(0, len(item))
	}
	return trim(0, at) + string(cut) + trim(at+1, len(item))
}

// isBlank reports whether a rune at the end of an item is not part of it: a byte order mark stands where files were
// joined.
func isBlank(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' }

// listValue is the value of an option that is a list. Given again, the option adds to the list.
type listValue struct {
	items *[]string
	cut   byte // the separator in an item; 0: there is none
	whole bool // on the command line the text is one item, as it is: a file's name may hold commas
	set   bool
}

var _ pflag.SliceValue = (*listValue)(nil)

// defineList adds an option that is a list, split by splitList.
func defineList(options *pflag.FlagSet, items *[]string, name, usage string) {
	options.Var(&listValue{items: items}, name, usage)
}

// definePairs adds an option that is a list of pairs with a separator in them.
func definePairs(options *pflag.FlagSet, items *[]string, name string, cut byte, usage string) {
	options.Var(&listValue{items: items, cut: cut}, name, usage)
}

// definePaths adds an option that names one file each time it is given.
func definePaths(options *pflag.FlagSet, items *[]string, name, shorthand, usage string) {
	options.VarP(&listValue{items: items, whole: true}, name, shorthand, usage)
}

// Set adds what the command line says.
func (l *listValue) Set(text string) error {
	if l.whole {
		return l.appendItems([]string{text})
	}
	return l.SetList(text)
}

// SetList adds the items of a text that is a list.
func (l *listValue) SetList(text string) error {
	items, err := splitList(text, l.cut)
	if err != nil {
		return err
	}
	return l.appendItems(items)
}

func (l *listValue) appendItems(items []string) error {
	if !l.set { // the default goes
		*l.items, l.set = nil, true
	}
	*l.items = append(*l.items, items...)
	return nil
}

// Type names the kind of option in messages of pflag.
func (l *listValue) Type() string { return "list" }

// String is the list as it could be given.
func (l *listValue) String() string {
	if l.items == nil {
		return ""
	}
	return strings.Join(*l.items, ",")
}

// Append adds one item as it is.
func (l *listValue) Append(item string) error {
	*l.items = append(*l.items, item)
	return nil
}

// Replace makes the list these items as they are.
func (l *listValue) Replace(items []string) error {
	*l.items, l.set = items, true
	return nil
}

// GetSlice is the list.
func (l *listValue) GetSlice() []string { return *l.items }

// maxListBytes bounds a file that is a list.
const maxListBytes = 64 << 20

// readList reads a file that is a list: items on lines, or between commas. Blank lines, and what follows a # that
// is at the start of a line or after a blank, are not items. A byte order mark is skipped.
func readList(r io.Reader) ([]string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxListBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxListBytes {
		return nil, fmt.Errorf("it is larger than %d MiB", maxListBytes>>20)
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) ||
		bytes.IndexByte(data, 0) >= 0 {
		return nil, pipeline.WithHint(fmt.Errorf("it is not UTF-8: it looks like UTF-16"),
			"save it as UTF-8, or convert it: iconv -f UTF-16 -t UTF-8")
	}
	var items []string
	n := 0
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(bytes.TrimPrefix(data, []byte("\ufeff"))))
	for line := range strings.SplitSeq(text, "\n") {
		n++
		if !utf8.ValidString(line) {
			return nil, pipeline.WithHint(fmt.Errorf("line %d is not UTF-8", n), "save it as UTF-8")
		}
		found, err := splitList(cutComment(line)+"\n", 0)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		items = append(items, found...)
	}
	return items, nil
}

// cutComment is a line without its comment.
func cutComment(line string) string {
	before := ' '
	for i, r := range line {
		if r == '#' && isBlank(before) {
			return line[:i]
		}
		before = r
	}
	return line
}

// oddKey says why a flag key does not look like one; "" if it does. The API may still know it.
func oddKey(key string) string {
	for _, r := range key {
		switch {
		case unicode.IsSpace(r):
			return "it holds a blank"
		case r == utf8.RuneError || !unicode.IsGraphic(r):
			return "it holds a character that cannot be seen"
		case strings.ContainsRune("\"'`#“”‘’«»", r):
			return fmt.Sprintf("it holds a %c", r)
		case r > unicode.MaxASCII:
			return fmt.Sprintf("it holds %c, which is not ASCII", r)
		}
	}
	return ""
}

// warnOfOddKeys warns of flag keys that are probably a slip, such as one with a quote in it.
func warnOfOddKeys(con *console, keys []string) {
	var odd, oddKeys []string
	for _, key := range keys {
		if why := oddKey(key); why != "" {
			oddKeys = append(oddKeys, key)
			odd = append(odd, fmt.Sprintf("%q (%s)", key, why))
		}
	}
	if len(odd) > 0 {
		con.Warn("flag keys that look wrong: "+text.List(odd, 5),
			"the API does not say that a flag is unknown: check the list",
			about{code: warnOddFlagKeys, subjects: oddKeys})
	}
}

// checkKnown refuses the first flag that a configuration does not have. from names the configuration.
func checkKnown(keys, known []string, from string) error {
	has := map[string]bool{}
	for _, key := range known {
		has[key] = true
	}
	for _, key := range keys {
		if !has[key] {
			return pipeline.WithHint(usageErrorf("flag %s is not in %s", quoteOdd(key), text.Clean(from)),
				pipeline.Suggest(key, known))
		}
	}
	return nil
}

// quoteOdd is a key as it is, or quoted where it looks wrong.
func quoteOdd(key string) string {
	if oddKey(key) != "" {
		return fmt.Sprintf("%q", key)
	}
	return key
}
