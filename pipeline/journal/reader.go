package journal

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
)

// Reader replays a journal, and holds its lock. It is used from one goroutine.
type Reader struct {
	frames frames
	header Header

	batch   []Record // of the frame that is being handed out
	given   int      // of them
	resumes int
	newKeys int
	commit  []CommittedFile
	done    bool  // a commit is the last frame so far
	torn    int64 // bytes at the end that are no frame
	end     error // io.EOF, or what ended it
}

// Open locks the journal and reads its header. [ErrNone] says that there is none, and a file that is only the beginning
// of one is removed; [ErrLocked] that a run has it; a [DamagedError] or a [VersionError], that it can't be used.
func Open(path string) (*Reader, error) {
	log, err := openLog(path, false)
	if err != nil {
		return nil, err
	}
	r, err := newReader(path, log)
	if errors.Is(err, ErrNone) {
		err = errors.Join(err, log.Remove())
	}
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return r, nil
}

func newReader(path string, log *durable.Log) (*Reader, error) {
	f, err := newFrames(path, log)
	if err != nil {
		return nil, err
	}
	r := &Reader{frames: *f}
	b, text, err := r.frames.next()
	if broken, ok := errors.AsType[*brokenFrame](err); ok {
		return nil, r.noHeader(broken)
	}
	if err == io.EOF {
		return nil, fmt.Errorf("%s is empty: %w", path, ErrNone)
	}
	if err != nil {
		return nil, err
	}
	if b.kind != kindHeader {
		return nil, damaged(path, 0, "the first frame is not a header")
	}
	if err := json.Unmarshal(text, &r.header); err != nil {
		return nil, damaged(path, 0, "the header does not parse: "+err.Error())
	}
	return r, nil
}

// noHeader says what a file is that does not begin with a valid header.
func (r *Reader) noHeader(broken *brokenFrame) error {
	path := r.frames.path
	head := make([]byte, min(r.frames.size, blockSize))
	if err := r.frames.read(head, 0); err != nil {
		return err
	}
	// The bytes up to the version are the same in every version of the format.
	same := (&block{version: formatVersion, kind: kindHeader}).append(nil)[:20]
	if len(head) >= 20 && bytes.Equal(head[:4], same[:4]) && bytes.Equal(head[8:16], same[8:16]) {
		if version := binary.LittleEndian.Uint32(head[16:]); version != formatVersion && version != 0 {
			return pipeline.WithHint(&VersionError{path, version}, "finish with the version of rollcall that began, or "+freshHint)
		}
	}
	if followed, err := r.frames.followed(); err != nil {
		return err
	} else if followed {
		return damaged(path, 0, broken.reason)
	}
	n := min(len(head), len(same))
	if zero := make([]byte, len(head)); !bytes.Equal(head[:n], same[:n]) && !bytes.Equal(head, zero) {
		return damaged(path, 0, "it is not a journal of rollcall")
	}
	return fmt.Errorf("%s holds only the beginning of a header: %w", path, ErrNone)
}

// Header is what the journal is bound to.
func (r *Reader) Header() *Header { return &r.header }

// Next fills the next record. It returns io.EOF after the last one; a torn tail is not an error, see Torn. A
// [DamagedError] says that frames are missing or altered: what Next gave before it was right, but it is not all
// that was written.
func (r *Reader) Next(rec *Record) error {
	for r.given == len(r.batch) {
		if r.end == nil {
			r.end = r.advance()
		}
		if r.end != nil {
			return r.end
		}
	}
	*rec = r.batch[r.given]
	r.batch[r.given] = Record{} // a long body is not kept until the next frame
	r.given++
	return nil
}

// advance reads the next frame.
func (r *Reader) advance() error {
	offset := r.frames.offset
	b, text, err := r.frames.next()
	if broken, ok := errors.AsType[*brokenFrame](err); ok {
		followed, err := r.frames.followed()
		if err != nil {
			return err
		}
		if followed {
			return damaged(r.frames.path, offset, broken.reason)
		}
		r.torn = r.frames.size - offset
		return io.EOF
	}
	if err != nil {
		return err
	}
	if reason := r.take(&b, text); reason != "" {
		return damaged(r.frames.path, offset, reason)
	}
	return nil
}

// take keeps the content of a frame, or says what is wrong with it.
func (r *Reader) take(b *block, text []byte) string {
	if r.done && b.kind != kindResumed {
		return "a frame after the last"
	}
	r.batch, r.given = r.batch[:0], 0
	switch b.kind {
	case kindRecords:
		return r.takeRecords(b, text)
	case kindResumed:
		r.resumes++
		r.commit, r.done = nil, false
		var c resumed
		if err := json.Unmarshal(text, &c); err != nil {
			return err.Error()
		}
		if c.Key != nil {
			r.newKeys++
			r.header.Key = *c.Key
		}
	case kindCommit:
		var c commit
		if err := json.Unmarshal(text, &c); err != nil {
			return err.Error()
		}
		r.commit, r.done = c.Files, true
	default:
		return fmt.Sprintf("a frame of the unknown kind %q", b.kind)
	}
	return ""
}

func (r *Reader) takeRecords(b *block, text []byte) string {
	if b.records > maxRecords {
		return "a frame with more records than any"
	}
	batch := r.batch
	for len(text) > 0 {
		if len(batch) == int(b.records) {
			break
		}
		var rec Record
		var err error
		if text, err = parseRecord(text, &rec); err != nil {
			return err.Error()
		}
		batch = append(batch, rec)
	}
	if len(text) > 0 || len(batch) != int(b.records) || len(batch) == 0 || batch[0].Row != b.first {
		return "a frame that does not hold the records it says"
	}
	r.batch = batch
	return ""
}

// Torn is how many bytes at the end belong to a frame that was not written whole; the run that wrote them did not
// get to rely on them. It is known after io.EOF.
func (r *Reader) Torn() int64 { return r.torn }

// Resumes is how often the run was resumed before. It is known after io.EOF.
func (r *Reader) Resumes() int { return r.resumes }

// NewKeys is how often the run went on with another key, which is then the one of Header. It is known after io.EOF.
func (r *Reader) NewKeys() int { return r.newKeys }

// Committed is what is left to publish, if the run had come that far, and nil otherwise. It is known after io.EOF.
func (r *Reader) Committed() []CommittedFile { return r.commit }

// Resume goes on with the journal after Next has returned io.EOF: it cuts what is torn, and notes the time. The
// lock passes on; the reader is of no use any more. A commit is void from here on.
func (r *Reader) Resume() (*Writer, error) { return r.resume(nil) }

// ResumeWithKey is Resume with another key of the same deployment, to which the journal is bound from here on.
func (r *Reader) ResumeWithKey(key Key) (*Writer, error) { return r.resume(&key) }

func (r *Reader) resume(key *Key) (*Writer, error) {
	if r.frames.log == nil || r.end != io.EOF {
		return nil, fmt.Errorf("resume journal %s: it has not been read to its end", r.frames.path)
	}
	if r.torn > 0 {
		if err := r.frames.log.Truncate(r.frames.offset); err != nil {
			return nil, &WriteError{r.frames.path, durable.WrapError("resume journal", r.frames.path, err)}
		}
	}
	w, err := newWriter(r.frames.path, r.frames.log, r.frames.chain)
	if err != nil {
		return nil, err
	}
	if err := w.writeJSON(kindResumed, resumed{time.Now().UTC(), key}); err != nil {
		return nil, err
	}
	r.frames.log = nil
	return w, nil
}

// Remove removes the journal and closes it: for the run that finds it committed, and has published.
func (r *Reader) Remove() error {
	if r.frames.log == nil {
		return fmt.Errorf("remove journal %s: it is closed", r.frames.path)
	}
	err := r.frames.log.Remove()
	if err == nil {
		err = durable.SyncDir(r.frames.path)
	}
	return errors.Join(err, r.Close())
}

// Close gives the lock back, unless Resume has passed it on. The journal stays as it is.
func (r *Reader) Close() error {
	if r.frames.log == nil {
		return nil
	}
	err := durable.WrapError("close journal", r.frames.path, r.frames.log.Close())
	r.frames.log = nil
	r.end = fmt.Errorf("read journal %s: it is closed", r.frames.path)
	r.batch, r.given = nil, 0
	return err
}
