package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/rollcall-cli/rollcall/pipeline/durable"
)

// The kinds of frames; they are readable in a hex dump.
const (
	kindHeader  = "HEAD"
	kindRecords = "ROWS"
	kindResumed = "CONT"
	kindCommit  = "DONE"
)

const (
	// formatVersion is the version of the format in doc.go that this package writes and reads.
	formatVersion = 1

	blockSize = 100
	magic     = 0x184D2A57 // one of the 16 of skippable frames (RFC 8878, 3.1.2)
	mark      = "rollcall"

	// MaxBody is how long a record's body may be. Answers end at 8 MiB (amplitude).
	MaxBody = 16 << 20

	maxRecords    = 1 << 16                     // of one frame
	maxText       = frameText + MaxBody + 1<<10 // of one frame
	maxCompressed = maxText + 1<<20             // zstd adds little to what it can't compress
)

// MagicLen is how many bytes HasMagic looks at.
const MagicLen = 16

// HasMagic reports whether a file that begins with head is a journal of any version, or what a crash leaves of one: its
// first bytes, or zeros.
func HasMagic(head []byte) bool {
	n := min(len(head), MagicLen)
	same := (&block{kind: kindHeader}).append(nil)
	return bytes.Equal(head[:n], same[:n]) || bytes.Equal(head[:n], make([]byte, n))
}

// hash is a truncated SHA-256. 128 bits: it is chance that must not hit it, and nobody gains from a collision.
type hash [16]byte

func hashOf(data []byte) hash {
	sum := sha256.Sum256(data)
	return hash(sum[:16])
}

// block is what stands before the compressed content of every frame; doc.go has its layout.
type block struct {
	version uint32
	kind    string
	seq     uint64
	length  uint32 // compressed
	text    uint32 // decoded
	records uint32
	first   int64
	link    hash // the check of the frame before; of the first: zero
	content hash // of the compressed bytes
	check   hash // of all bytes of the block before it
}

// append appends the block's bytes and sets check.
func (b *block) append(dst []byte) []byte {
	start := len(dst)
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, magic)
	dst = le.AppendUint32(dst, blockSize-8)
	dst = append(dst, mark...)
	dst = le.AppendUint32(dst, b.version)
	dst = append(dst, b.kind...)
	dst = le.AppendUint64(dst, b.seq)
	dst = le.AppendUint32(dst, b.length)
	dst = le.AppendUint32(dst, b.text)
	dst = le.AppendUint32(dst, b.records)
	dst = le.AppendUint64(dst, uint64(b.first))
	dst = append(dst, b.link[:]...)
	dst = append(dst, b.content[:]...)
	b.check = hashOf(dst[start:])
	return append(dst, b.check[:]...)
}

// parseBlock reports whether data, blockSize bytes, is a block that somebody has written like this.
func parseBlock(data []byte) (b block, ok bool) {
	le := binary.LittleEndian
	b = block{
		version: le.Uint32(data[16:]), kind: string(data[20:24]), seq: le.Uint64(data[24:]),
		length: le.Uint32(data[32:]), text: le.Uint32(data[36:]), records: le.Uint32(data[40:]), first: int64(le.Uint64(data[44:])),
		link: hash(data[52:68]), content: hash(data[68:84]), check: hash(data[84:100]),
	}
	ok = le.Uint32(data) == magic && le.Uint32(data[4:]) == blockSize-8 && string(data[8:16]) == mark && hashOf(data[:84]) == b.check
	return b, ok
}

// chain is where in the sequence of frames one is.
type chain struct {
	seq  uint64
	link hash
}

func (c *chain) advance(b *block) { c.seq, c.link = b.seq+1, b.check }

// frames reads the frames of a journal one by one.
type frames struct {
	path   string
	log    *durable.Log
	size   int64 // of the file
	offset int64 // of the next frame
	chain  chain
	zstd   *zstd.Decoder

	compressed, text []byte // memory for the next
}

func newFrames(path string, log *durable.Log) (*frames, error) {
	size, err := log.Size()
	if err != nil {
		return nil, durable.WrapError("read journal", path, err)
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxText))
	if err != nil {
		return nil, err // the options are wrong
	}
	return &frames{path: path, log: log, size: size, zstd: decoder}, nil
}

// next is the next frame with its decoded text, which is valid until the next call. Nothing of a frame is handed
// out before all of it has been verified.
//
// A *brokenFrame says that there is none, and why; io.EOF, that the file ends here. Another error is one of
// reading.
func (f *frames) next() (block, []byte, error) {
	if f.offset == f.size {
		return block{}, nil, io.EOF
	}
	var head [blockSize]byte
	if f.size-f.offset < blockSize {
		return block{}, nil, &brokenFrame{"the file ends inside a frame"}
	}
	if err := f.read(head[:], f.offset); err != nil {
		return block{}, nil, err
	}
	b, ok := parseBlock(head[:])
	left := f.size - f.offset - blockSize
	switch {
	case !ok:
		return block{}, nil, &brokenFrame{"the bytes there are not a frame's"}
	case b.version != formatVersion:
		return block{}, nil, &brokenFrame{fmt.Sprintf("a frame of format %d", b.version)}
	case b.seq != f.chain.seq || b.link != f.chain.link:
		return block{}, nil, &brokenFrame{fmt.Sprintf("frame %d where frame %d of this journal belongs", b.seq, f.chain.seq)}
	case b.length > maxCompressed || b.text > maxText:
		return block{}, nil, &brokenFrame{"a frame larger than any"}
	case int64(b.length) > left: // before any memory is taken for it
		return block{}, nil, &brokenFrame{"the file ends inside a frame"}
	}
	f.compressed = resize(f.compressed, int(b.length))
	if err := f.read(f.compressed, f.offset+blockSize); err != nil {
		return block{}, nil, err
	}
	if hashOf(f.compressed) != b.content {
		return block{}, nil, &brokenFrame{"a frame's content does not match its hash"}
	}
	text, err := f.zstd.DecodeAll(f.compressed, f.text[:0])
	if err != nil {
		return block{}, nil, &brokenFrame{"a frame's content does not decode: " + err.Error()}
	}
	if len(text) != int(b.text) {
		return block{}, nil, &brokenFrame{"a frame's content is not as long as it says"}
	}
	f.text = text
	f.offset += blockSize + int64(b.length)
	f.chain.advance(&b)
	return b, text, nil
}

// brokenFrame is why there is no valid frame at the offset.
type brokenFrame struct{ reason string }

func (e *brokenFrame) Error() string { return e.reason }

func (f *frames) read(p []byte, offset int64) error {
	if _, err := f.log.ReadAt(p, offset); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // somebody cuts it while we read
		}
		return durable.WrapError("read journal", f.path, err)
	}
	return nil
}

// followed reports whether a whole block stands anywhere from the offset on, other than the one that belongs
// there. Then what is broken there is not the torn end of the last write.
func (f *frames) followed() (bool, error) {
	const markAt = 8 // in the block
	buf := make([]byte, min(f.size-f.offset, 1<<20))
	for at := f.offset; f.size-at >= blockSize; {
		n := int(min(f.size-at, int64(len(buf))))
		if err := f.read(buf[:n], at); err != nil {
			return false, err
		}
		for from := 0; n-from >= blockSize; {
			i := bytes.Index(buf[from+markAt:n], []byte(mark))
			if i < 0 || n-from-i < blockSize {
				break
			}
			b, ok := parseBlock(buf[from+i : from+i+blockSize])
			own := at+int64(from+i) == f.offset && b.seq == f.chain.seq && b.link == f.chain.link
			if ok && !own {
				return true, nil
			}
			from += i + 1
		}
		at += int64(n - blockSize + 1) // one that began in the last bytes is seen whole next time
	}
	return false, nil
}

// resize gives a slice of that length, reusing the memory.
func resize(p []byte, n int) []byte {
	if cap(p) < n {
		return make([]byte, n)
	}
	return p[:n]
}
