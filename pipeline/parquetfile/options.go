package parquetfile

import (
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Options say what is taken of what Parquet allows. The zero value takes all that can be read.
type Options struct {
	// Codecs and Encodings are those that are taken, of the ones that can be read; nil: all of them.
	Codecs    []compress.Compression
	Encodings []parquet.Encoding

	// TightIndices takes indices that are wider than 20 bits for damage where the dictionary is too small to need them.
	// Only xitongsys/parquet-go writes such; to take them, each is looked at.
	TightIndices bool

	// Refuse makes the error of what is not taken; nil: [Refusal.Err].
	Refuse func(Refusal) error
}

// RefusalKind is what is refused.
type RefusalKind uint8

// What is refused.
const (
	LargePage         RefusalKind = iota // a page that takes more than 128 MiB: Refusal.Size
	LargePages                           // the pages of all columns that are read take more than 256 MiB
	LargeDictionaries                    // and so do the dictionaries
	Codec                                // a compression: Refusal.Codec
	Encoding                             // an encoding of values: Refusal.Encoding, of values of Refusal.Type
)

// Refusal is something that is not damaged, as far as one can tell, but is not taken.
type Refusal struct {
	Kind     RefusalKind
	Size     int64
	Codec    compress.Compression
	Encoding parquet.Encoding
	Type     parquet.Type
}

const smallerPages = "write the file again with smaller pages (1 MiB is usual) and row groups"

// Err is the refusal in words for whoever has the file, with a hint how to write it again.
func (r Refusal) Err() error {
	switch r.Kind {
	case LargePage:
		return pipeline.WithHint(fmt.Errorf("a page of %d bytes cannot be read", r.Size), smallerPages)
	case LargePages:
		return pipeline.WithHint(errors.New("the pages of this row group take more than 256 MiB, and cannot be read"), smallerPages)
	case LargeDictionaries:
		return pipeline.WithHint(errors.New("the dictionary pages of this row group take more than 256 MiB, and cannot be read"), smallerPages)
	case Codec:
		return pipeline.WithHint(fmt.Errorf("the compression %s cannot be read", r.Codec), "write the file again with zstd or snappy")
	default:
		return pipeline.WithHint(fmt.Errorf("the encoding %s of values of the type %s cannot be read", r.Encoding, r.Type), "write the file again in the usual encodings, plain or dictionary")
	}
}

func (o *Options) refuse(r Refusal) error {
	if o.Refuse != nil {
		return o.Refuse(r)
	}
	return r.Err()
}

// checkCodec refuses a compression that is not taken.
func (o *Options) checkCodec(codec compress.Compression) error {
	if slices.Contains(codecs, codec) && (o.Codecs == nil || slices.Contains(o.Codecs, codec)) {
		return nil
	}
	return o.refuse(Refusal{Kind: Codec, Codec: codec})
}

// checkEncoding refuses an encoding that is not taken, or not of values of that type.
func (o *Options) checkEncoding(typ parquet.Type, enc parquet.Encoding) error {
	if slices.Contains(encodings[typ], enc) && (o.Encodings == nil || slices.Contains(o.Encodings, enc)) {
		return nil
	}
	return o.refuse(Refusal{Kind: Encoding, Encoding: enc, Type: typ})
}
