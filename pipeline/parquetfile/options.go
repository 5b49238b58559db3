package parquetfile

import (
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Options say which files are accepted. The zero value accepts all that can be read.
type Options struct {
	// Codecs and Encodings are the accepted ones; nil means all that can be read.
	Codecs    []compress.Compression
	Encodings []parquet.Encoding

	// TightIndices treats indices of more than 20 bits as damage if the dictionary is too small to need them. Only
	// xitongsys/parquet-go writes such indices. Without TightIndices each of them is checked.
	TightIndices bool

	// Refuse makes the error of what is not accepted; nil means [Refusal.Err].
	Refuse func(Refusal) error
}

// RefusalKind is a reason not to accept a file.
type RefusalKind uint8

// The kinds of Refusal.
const (
	LargePage         RefusalKind = iota // a page of more than 128 MiB: Refusal.Size
	LargePages                           // more than 256 MiB in the pages of all columns that are read
	LargeDictionaries                    // more than 256 MiB in their dictionaries
	Codec                                // a compression: Refusal.Codec
	Encoding                             // an encoding: Refusal.Encoding of values of Refusal.Type
)

// Refusal describes a part of a file that is not accepted although it does not seem to be damaged.
type Refusal struct {
	Kind     RefusalKind
	Size     int64
	Codec    compress.Compression
	Encoding parquet.Encoding
	Type     parquet.Type
}

const smallerPages = "write the file again with smaller pages (1 MiB is usual) and row groups"

// Err returns the refusal as an error, with a hint how to write the file again.
func (r Refusal) Err() error {
	switch r.Kind {
	case LargePage:
		return pipeline.WithHint(fmt.Errorf("a page of %d bytes cannot be read", r.Size), smallerPages)
	case LargePages:
		return pipeline.WithHint(errors.New("the pages of this row group take more than 256 MiB and cannot be read"),
			smallerPages)
	case LargeDictionaries:
		return pipeline.WithHint(errors.New("the dictionary pages of this row group take more than 256 MiB and cannot be read"), smallerPages)
	case Codec:
		return pipeline.WithHint(fmt.Errorf("the compression %s cannot be read", r.Codec),
			"write the file again with zstd or snappy")
	default:
		return pipeline.WithHint(fmt.Errorf("the encoding %s of values of type %s cannot be read", r.Encoding, r.Type),
			"write the file again in the usual encodings, plain or dictionary")
	}
}

func (o *Options) refuse(r Refusal) error {
	if o.Refuse != nil {
		return o.Refuse(r)
	}
	return r.Err()
}

// checkCodec returns an error if a compression is not accepted.
func (o *Options) checkCodec(codec compress.Compression) error {
	if slices.Contains(codecs, codec) && (o.Codecs == nil || slices.Contains(o.Codecs, codec)) {
		return nil
	}
	return o.refuse(Refusal{Kind: Codec, Codec: codec})
}

// checkEncoding returns an error if an encoding is not accepted for values of that type.
func (o *Options) checkEncoding(typ parquet.Type, enc parquet.Encoding) error {
	if slices.Contains(encodings[typ], enc) && (o.Encodings == nil || slices.Contains(o.Encodings, enc)) {
		return nil
	}
	return o.refuse(Refusal{Kind: Encoding, Encoding: enc, Type: typ})
}
