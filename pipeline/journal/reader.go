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
)

// Reader replays a journal and holds its lock. It is used from one goroutine.
type Reader struct {
	place  Place
	frames frames
	header Header

	batch   []Record // the records of the current frame
	given   int      // how many of them Next has returned
	resumes int
	newKeys int
	commit  []CommittedFile
	done    bool  // the last frame so far is a commit
	torn    int64 // bytes of an incomplete frame at the end
	end     error // io.EOF, or the error that ended the replay
}

// Open locks the journal and reads its header. It returns [ErrNone] if there is no journal, and removes a file that has
// only the beginning of a header; [ErrLocked] if a run has the journal open; and a [DamagedError] or a [VersionError]
// if it cannot be used.
func Open(path string) (*Reader, error) { return OpenIn(OnDisk(path)) }

// OpenIn is like [Open], for a journal in any place.
func OpenIn(p Place) (*Reader, error) {
	log, err := openFile(p, false)
	if err != nil {
		return nil, err
	}
	r, err := newReader(p, log)
	if errors.Is(err, ErrNone) {
		err = errors.Join(err, log.Remove())
	}
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return r, nil
}

func newReader(p Place, log file) (*Reader, error) {
	path := p.String()
	f, err := newFrames(path, log)
	if err != nil {
		return nil, err
	}
	r := &Reader{place: p, frames: *f}
	b, text, err := r.frames.readFrame("")
	if broken, ok := errors.AsType[*brokenFrame](err); ok {
		return nil, r.explainNoHeader(broken)
	}
	if err == io.EOF {
		return nil, fmt.Errorf("%s is empty: %w", path, ErrNone)
	}
	if err != nil {
		return nil, err
	}
	if b.kind != kindHeader {
		return nil, newDamagedError(path, 0, "the first frame is not a header")
	}
	if err := json.Unmarshal(text, &r.header); err != nil {
		return nil, newDamagedError(path, 0, "the header does not parse: "+err.Error())
	}
	return r, nil
}

// explainNoHeader returns the error for a file that does not begin with a valid header.
func (r *Reader) explainNoHeader(broken *brokenFrame) error {
	path := r.frames.path
	head := make([]byte, min(r.frames.size, blockSize))
	if err := r.frames.readAt(head, 0); err != nil {
		return err
	}
	// The bytes up to the version are the same in every version of the format.
	same := (&block{version: formatVersion, kind: kindHeader}).appendTo(nil)[:20]
	if len(head) >= 20 && bytes.Equal(head[:4], same[:4]) && bytes.Equal(head[8:16], same[8:16]) {
		if version := binary.LittleEndian.Uint32(head[16:]); version != formatVersion && version != 0 {
			return pipeline.WithHint(&VersionError{path, version},
				"finish with the version of rollcall that started the run, or "+freshHint)
		}
	}
	if followed, err := r.frames.hasLaterBlock(); err != nil {
		return err
	} else if followed {
		return newDamagedError(path, 0, broken.reason)
	}
	n := min(len(head), len(same))
	if zero := make([]byte, len(head)); !bytes.Equal(head[:n], same[:n]) && !bytes.Equal(head, zero) {
		return newDamagedError(path, 0, "it is not a journal of rollcall")
	}
	return fmt.Errorf("%s has only the beginning of a header: %w", path, ErrNone)
}

// Header returns the header.
func (r *Reader) Header() *Header { return &r.header }

// Next fills rec with the next record. It returns io.EOF after the last one; an incomplete frame at the end is not an
// error, see Torn. A [DamagedError] says that frames are missing or altered: the records before it are right, but they
// are not all that were written.
func (r *Reader) Next(rec *Record) error {
	for r.given == len(r.batch) {
		if r.end == nil {
			_, r.end = r.readBatch("")
		}
		if r.end != nil {
			return r.end
		}
	}
	*rec = r.batch[r.given]
	r.batch[r.given] = Record{} // do not keep a long body until the next frame
	r.given++
	return nil
}

// Count goes to the end, as if Next had returned all records that are left, and returns how many these are. Its error
// is io.EOF, or that which ended the journal early. It checks the hashes of all frames but does not decode the records,
// which takes a fraction of the time. [Reader.Rewind] goes back to them.
func (r *Reader) Count() (records int64, err error) {
	records = int64(len(r.batch) - r.given)
	r.batch, r.given = nil, 0
	for r.end == nil {
		var b block
		b, r.end = r.readBatch(kindRecords)
		records += int64(b.records)
	}
	return records, r.end
}

// readBatch reads the next frame and accepts its content, or only the block of one of the kind undecoded.
func (r *Reader) readBatch(undecoded string) (block, error) {
	offset := r.frames.offset
	b, text, err := r.frames.readFrame(undecoded)
	if broken, ok := errors.AsType[*brokenFrame](err); ok {
		followed, err := r.frames.hasLaterBlock()
		if err != nil {
			return block{}, err
		}
		if followed {
			return block{}, newDamagedError(r.frames.path, offset, broken.reason)
		}
		r.torn = r.frames.size - offset
		return block{}, io.EOF
	}
	if err != nil {
		return block{}, err
	}
	if reason := r.acceptFrame(&b, text, b.kind != undecoded); reason != "" {
		return block{}, newDamagedError(r.frames.path, offset, reason)
	}
	return b, nil
}

// acceptFrame keeps the content of a frame, unless it is not decoded. It returns what is wrong with the frame, or "".
func (r *Reader) acceptFrame(b *block, text []byte, decoded bool) string {
	if r.done && b.kind != kindResumed {
		return "a frame after the commit"
	}
	r.batch, r.given = r.batch[:0], 0
	switch b.kind {
	case kindRecords:
		if b.records > maxRecords {
			return "a frame with too many records"
		}
		if decoded {
			return r.acceptRecords(b, text)
		}
	case kindResumed:
		r.resumes++
		r.commit, r.done = nil, false
		var c resumedFrame
		if err := json.Unmarshal(text, &c); err != nil {
			return err.Error()
		}
		if c.Key != nil {
			r.newKeys++
			r.header.Key = *c.Key
		}
	case kindCommit:
		var c commitFrame
		if err := json.Unmarshal(text, &c); err != nil {
			return err.Error()
		}
		r.commit, r.done = c.Files, true
	default:
		return fmt.Sprintf("a frame of the unknown kind %q", b.kind)
	}
	return ""
}

func (r *Reader) acceptRecords(b *block, text []byte) string {
	batch := r.batch
	shared := string(text) // the bodies are parts of it
	for len(text) > 0 {
		if len(batch) == int(b.records) {
			break
		}
		var rec Record
		var err error
		if text, err = parseRecord(text, shared[len(shared)-len(text):], &rec); err != nil {
			return err.Error()
		}
		batch = append(batch, rec)
	}
	if len(text) > 0 || len(batch) != int(b.records) || len(batch) == 0 || batch[0].Row != b.first {
		return "a frame whose records are not those that its block announces"
	}
	r.batch = batch
	return ""
}

// Torn returns the number of bytes at the end that belong to an incomplete frame, which the run that wrote it never
// relied on. It is known after io.EOF.
func (r *Reader) Torn() int64 { return r.torn }

// Resumes returns how often the run was resumed before. It is known after io.EOF.
func (r *Reader) Resumes() int { return r.resumes }

// NewKeys returns how often the run was resumed with another key, which Header then has. It is known after io.EOF.
func (r *Reader) NewKeys() int { return r.newKeys }

// Committed returns the files to publish if the run has committed them, and nil otherwise. It is known after io.EOF.
func (r *Reader) Committed() []CommittedFile { return r.commit }

// Resume continues the journal after Next has returned io.EOF. It cuts off an incomplete frame, records the time, and
// makes a commit void. The lock passes to the Writer, and the Reader can no longer be used.
func (r *Reader) Resume() (*Writer, error) { return r.resume(nil) }

// ResumeWithKey is like Resume with another key of the same deployment, which replaces the key in the header.
func (r *Reader) ResumeWithKey(key Key) (*Writer, error) { return r.resume(&key) }

func (r *Reader) resume(key *Key) (*Writer, error) {
	if r.frames.log == nil || r.end != io.EOF {
		return nil, fmt.Errorf("resume journal %s: it has not been read to the end", r.frames.path)
	}
	if r.torn > 0 {
		if err := r.frames.log.Truncate(r.frames.offset); err != nil {
			return nil, &WriteError{r.frames.path, r.frames.log.wrap("resume journal", err)}
		}
	}
	w, err := newWriter(r.place, r.frames.log, r.frames.chain)
	if err != nil {
		return nil, err
	}
	if err := w.writeJSON(kindResumed, resumedFrame{time.Now().UTC(), key}); err != nil {
		return nil, err
	}
	r.frames.log = nil
	return w, nil
}

// Remove removes the journal and closes it, for a run that has found it committed and has published its files.
func (r *Reader) Remove() error {
	if r.frames.log == nil {
		return fmt.Errorf("remove journal %s: it is closed", r.frames.path)
	}
	err := r.frames.log.Remove()
	if err == nil {
		err = r.frames.log.SyncName()
	}
	return errors.Join(err, r.Close())
}

// Close releases the lock, unless Resume has passed it on. The journal stays as it is.
func (r *Reader) Close() error {
	if r.frames.log == nil {
		return nil
	}
	err := r.frames.log.wrap("close journal", r.frames.log.Close())
	r.frames.log = nil
	r.end = fmt.Errorf("read journal %s: it is closed", r.frames.path)
	r.batch, r.given = nil, 0
	return err
}
