package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// The kinds of frames, readable in a hex dump.
const (
	kindHeader  = "HEAD"
	kindRecords = "ROWS"
	kindResumed = "CONT"
	kindCommit  = "DONE"
)

const (
	// formatVersion is the version of the format in doc.go that this package writes and reads.
	formatVersion = 1

	blockSize      = 100
	skippableMagic = 0x184D2A57 // one of the 16 of skippable frames (RFC 8878, 3.1.2)
	blockMark      = "rollcall"

	// MaxBody is the length of the longest body of a record. Package amplitude accepts answers of at most 8 MiB.
	MaxBody = 16 << 20

	maxRecords    = 1 << 16                     // in one frame
	maxText       = frameText + MaxBody + 1<<10 // in one frame
	maxCompressed = maxText + 1<<20             // zstd adds little to data that it cannot compress
)

// MagicLen is the number of bytes that HasMagic looks at.
const MagicLen = 16

// HasMagic reports whether a file that begins with head is a journal of any version, or the rest of one after a crash:
// its first bytes, or zeros.
func HasMagic(head []byte) bool {
	n := min(len(head), MagicLen)
	same := (&block{kind: kindHeader}).appendTo(nil)
	return bytes.Equal(head[:n], same[:n]) || bytes.Equal(head[:n], make([]byte, n))
}

// hash is a truncated SHA-256. 128 bits protect against chance, and nobody gains from a collision.
type hash [16]byte

func hashOf(data []byte) hash {
	sum := sha256.Sum256(data)
	return hash(sum[:16])
}

// block precedes the compressed content of every frame; doc.go has its layout.
type block struct {
	version uint32
	kind    string
	seq     uint64
	length  uint32 // compressed
	text    uint32 // decoded
	records uint32
	first   int64
	link    hash // the check of the frame before; zero in the first frame
	content hash // of the compressed bytes
	check   hash // of all bytes of the block before this field
}

// appendTo appends the bytes of the block to dst and sets check.
func (b *block) appendTo(dst []byte) []byte {
	start := len(dst)
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, skippableMagic)
	dst = le.AppendUint32(dst, blockSize-8)
	dst = append(dst, blockMark...)
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

// parseBlock parses data, which has blockSize bytes. ok reports whether it is a valid block, of any version.
func parseBlock(data []byte) (b block, ok bool) {
	le := binary.LittleEndian
	b = block{
		version: le.Uint32(data[16:]), kind: string(data[20:24]), seq: le.Uint64(data[24:]),
		length: le.Uint32(data[32:]), text: le.Uint32(data[36:]), records: le.Uint32(data[40:]),
		first: int64(le.Uint64(data[44:])),
		link:  hash(data[52:68]), content: hash(data[68:84]), check: hash(data[84:100]),
	}
	ok = le.Uint32(data) == skippableMagic && le.Uint32(data[4:]) == blockSize-8 && string(data[8:16]) == blockMark &&
		hashOf(data[:84]) == b.check
	return b, ok
}

// chain is the position in the sequence of frames.
type chain struct {
	seq  uint64
	link hash
}

func (c *chain) advance(b *block) { c.seq, c.link = b.seq+1, b.check }

// frames reads the frames of a journal one by one.
type frames struct {
	path   string
	log    file
	size   int64 // of the file
	offset int64 // of the next frame
	chain  chain
	zstd   *zstd.Decoder

	compressed, text []byte // reused by readFrame
}

func newFrames(path string, log file) (*frames, error) {
	size, err := log.Size()
	if err != nil {
		return nil, log.wrap("read journal", err)
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxText))
	if err != nil {
		return nil, err // the options are wrong
	}
	return &frames{path: path, log: log, size: size, zstd: decoder}, nil
}

// readFrame returns the next frame with its decoded text, which is valid until the next call. It verifies all of a
// frame before it returns any of it. Of frames of the kind undecoded, it verifies the hashes alone, and returns no text.
//
// It returns a *brokenFrame if there is no valid frame, io.EOF at the end of the file, a [DamagedError] for a frame whose
// hashes are right and whose content does not decode, and any other error if reading failed.
func (f *frames) readFrame(undecoded string) (block, []byte, error) {
	if f.offset == f.size {
		return block{}, nil, io.EOF
	}
	var head [blockSize]byte
	if f.size-f.offset < blockSize {
		return block{}, nil, &brokenFrame{"the file ends inside a frame"}
	}
	if err := f.readAt(head[:], f.offset); err != nil {
		return block{}, nil, err
	}
	b, ok := parseBlock(head[:])
	left := f.size - f.offset - blockSize
	switch {
	case !ok:
		return block{}, nil, &brokenFrame{"not a valid frame"}
	case b.version != formatVersion:
		return block{}, nil, &brokenFrame{fmt.Sprintf("a frame of format %d", b.version)}
	case b.seq != f.chain.seq || b.link != f.chain.link:
		return block{}, nil, &brokenFrame{fmt.Sprintf("frame %d in place of frame %d of this journal", b.seq, f.chain.seq)}
	case b.length > maxCompressed || b.text > maxText:
		return block{}, nil, &brokenFrame{"a frame that is too large"}
	case int64(b.length) > left: // check before memory is allocated for it
		return block{}, nil, &brokenFrame{"the file ends inside a frame"}
	}
	f.compressed = resizeBuffer(f.compressed, int(b.length))
	if err := f.readAt(f.compressed, f.offset+blockSize); err != nil {
		return block{}, nil, err
	}
	if hashOf(f.compressed) != b.content {
		return block{}, nil, &brokenFrame{"a frame's content does not match its hash"}
	}
	var text []byte
	if b.kind != undecoded { // what follows is no incomplete write: that would not have its hash
		var err error
		if text, err = f.zstd.DecodeAll(f.compressed, f.text[:0]); err != nil {
			return block{}, nil, newDamagedError(f.path, f.offset, "a frame's content does not decode: "+err.Error())
		}
		if len(text) != int(b.text) {
			return block{}, nil, newDamagedError(f.path, f.offset, "a frame's content does not have its length")
		}
		f.text = text
	}
	f.offset += blockSize + int64(b.length)
	f.chain.advance(&b)
	return b, text, nil
}

// brokenFrame says why there is no valid frame at the offset.
type brokenFrame struct{ reason string }

func (e *brokenFrame) Error() string { return e.reason }

func (f *frames) readAt(p []byte, offset int64) error {
	if _, err := f.log.ReadAt(p, offset); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // the file was cut while it was read
		}
		return f.log.wrap("read journal", err)
	}
	return nil
}

// hasLaterBlock reports whether there is a valid block anywhere after the offset, not counting the expected one at the
// offset. If there is one, the broken frame at the offset is not an incomplete last write.
func (f *frames) hasLaterBlock() (bool, error) {
	const markAt = 8 // in the block
	buf := make([]byte, min(f.size-f.offset, 1<<20))
	for at := f.offset; f.size-at >= blockSize; {
		n := int(min(f.size-at, int64(len(buf))))
		if err := f.readAt(buf[:n], at); err != nil {
			return false, err
		}
		for from := 0; n-from >= blockSize; {
			i := bytes.Index(buf[from+markAt:n], []byte(blockMark))
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
		at += int64(n - blockSize + 1) // a block that begins in the last bytes is in the next part as a whole
	}
	return false, nil
}

// resizeBuffer returns a slice of length n, reusing the memory of p if it is large enough.
func resizeBuffer(p []byte, n int) []byte {
	if cap(p) < n {
		return make([]byte, n)
	}
	return p[:n]
}
