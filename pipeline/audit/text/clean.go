package text

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean returns s without anything that a terminal acts on or a reader cannot see: control characters, the ends of
// lines among them, marks that change the direction of text, other format characters, and bytes that are not UTF-8
// become escapes such as \x1b and \u202e. A text that is clean comes back as it is.
func Clean(s string) string { return clean(s, "") }

// CleanLines is [Clean] for a text of several lines: their ends stay.
func CleanLines(s string) string { return clean(s, "\n") }

func clean(s, keep string) string {
	dirty := func(r rune) bool { return !unicode.IsPrint(r) && !strings.ContainsRune(keep, r) || r == utf8.RuneError }
	at := strings.IndexFunc(s, dirty)
	if at < 0 {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:at])
	for s = s[at:]; s != ""; {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[0])|0x100, 16)[1:])
		case r != utf8.RuneError && dirty(r):
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// markdown is what means something in Markdown or HTML.
var markdown = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "{", `\{`, "}", `\}`, "[", `\[`, "]",
	`\]`,
	"#", `\#`, "|", `\|`, "~", `\~`, "!", `\!`, "$", `\$`, "<", "&lt;", ">", "&gt;", "&", "&amp;")

// Markdown is s as a text of Markdown: nothing in it is markup.
func Markdown(s string) string { return markdown.Replace(Clean(s)) }

// MarkdownTable is rows of cells as a table of Markdown, the first row its head. The first left columns are aligned to
// the left, the others to the right.
func MarkdownTable(left int, rows [][]string) string {
	var b strings.Builder
	for i, row := range rows {
		for _, cell := range row {
			if b.WriteString("| " + Markdown(cell)); i > 0 || cell != "" {
				b.WriteByte(' ')
			}
		}
		if b.WriteString("|\n"); i == 0 {
			b.WriteString(strings.Repeat("|---", left) + strings.Repeat("|---:", len(row)-left) + "|\n")
		}
	}
	return b.String()
}

// Code is s as a code span of Markdown, in a table too.
func Code(s string) string {
	return "`" + strings.NewReplacer("`", "'", "|", "¦").Replace(Clean(s)) + "`"
}
