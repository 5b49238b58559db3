package journal

// Rewind goes back to the first record, for a run that has looked through the journal before it replays it.
func (r *Reader) Rewind() error {
	log, size := r.frames.log, r.frames.size
	again, err := newReader(r.frames.path, log)
	if err != nil {
		return err
	}
	*r = *again
	if r.frames.size != size {
		return damaged(r.frames.path, size, "it has changed while it was locked")
	}
	return nil
}
