package parquetfile

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// encodePage returns a data page of testPage with its values in that encoding.
func encodePage(page []byte, enc parquet.Encoding) []byte {
	page = bytes.Clone(page)
	page[bytes.Index(page, []byte{0x15, 0, 0x15, 6, 0x15, 6})+1] = byte(enc * 2)
	return page
}

// The caller makes the error of what is not accepted; the default one has a hint.
func TestOptions(t *testing.T) {
	refused := errors.New("refused")
	text := testPage(0, 5, 1, 0, []byte{1, 0, 0, 0, 'x'})
	dictionary := testPage(2, 10, 2, 0, []byte{1, 0, 0, 0, 'a', 1, 0, 0, 0, 'b'})
	wide := append(bytes.Clone(dictionary), encodePage(testPage(0, 5, 8, 0, []byte{24, 8 << 1, 1, 0, 0}),
		parquet.Encodings.RLEDict)...)
	for _, test := range []struct {
		name  string
		codec compress.Compression
		data  []byte
		o     Options
		want  Refusal // of o.Refuse
		text  string  // without it
	}{
		{"all", compress.Codecs.Uncompressed, text, Options{}, Refusal{}, ""},
		{"one of the codecs", compress.Codecs.Uncompressed, text,
			Options{Codecs: []compress.Compression{compress.Codecs.Uncompressed}}, Refusal{}, ""},
		{"none of the codecs", compress.Codecs.Gzip, text, Options{Codecs: codecs[:2]},
			Refusal{Kind: Codec, Codec: compress.Codecs.Gzip}, "the compression GZIP cannot be read"},
		{"a codec that cannot be read", compress.Codecs.Lzo, text,
			Options{Codecs: []compress.Compression{compress.Codecs.Lzo}},
			Refusal{Kind: Codec, Codec: compress.Codecs.Lzo}, "the compression LZO cannot be read"},
		{"none of the encodings", compress.Codecs.Uncompressed, text,
			Options{Encodings: []parquet.Encoding{parquet.Encodings.RLEDict}},
			Refusal{Kind: Encoding, Encoding: parquet.Encodings.Plain, Type: parquet.Types.ByteArray},
			"the encoding PLAIN of values of type BYTE_ARRAY cannot be read"},
		{"not an encoding of the type", compress.Codecs.Uncompressed, encodePage(text, parquet.Encodings.DeltaBinaryPacked),
			Options{Encodings: []parquet.Encoding{parquet.Encodings.DeltaBinaryPacked}},
			Refusal{Kind: Encoding, Encoding: parquet.Encodings.DeltaBinaryPacked, Type: parquet.Types.ByteArray},
			"the encoding DELTA_BINARY_PACKED"},
		{"a large page", compress.Codecs.Uncompressed, testPage(0, maxPage+1, 1, 0, nil), Options{},
			Refusal{Kind: LargePage, Size: maxPage + 1}, "a page of 134217729 bytes cannot be read"},
		{"wide indices", compress.Codecs.Uncompressed, wide, Options{}, Refusal{}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, own := range []bool{false, true} {
				var got Refusal
				if test.o.Refuse = nil; own {
					test.o.Refuse = func(r Refusal) error { got = r; return refused }
				}
				c := NewColumn(testColumn(t, parquet.Types.ByteArray, 0, 0), test.o, 64)
				err := c.Begin(bytes.NewReader(test.data), 8, test.codec)
				if err == nil && !c.HasNext() {
					err = c.Err()
				}
				switch {
				case test.text == "":
					if err != nil {
						t.Errorf("%s: %v", test.name, err)
					}
				case own:
					if err != refused || got != test.want {
						t.Errorf("%s: %v, refuses %+v; want %+v", test.name, err, got, test.want)
					}
				case err == nil || !strings.Contains(err.Error(), test.text) || pipeline.Hint(err) == "":
					t.Errorf("%s: %v; want %q and a hint", test.name, err, test.text)
				}
			}
		})
	}
	c := NewColumn(testColumn(t, parquet.Types.ByteArray, 0, 0), Options{TightIndices: true}, 64)
	if err := c.Begin(bytes.NewReader(wide), 8, compress.Codecs.Uncompressed); err != nil || c.HasNext() ||
		c.Err() == nil || !strings.Contains(c.Err().Error(), "has indices that are not in its dictionary") {
		t.Errorf("wide indices that are not taken: %v, %v", err, c.Err())
	}
}
