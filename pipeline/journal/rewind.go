package journal

// Rewind goes back to the first record, for a run that has checked the journal and now replays it.
func (r *Reader) Rewind() error {
	log, size := r.frames.log, r.frames.size
	again, err := newReader(r.place, log)
	if err != nil {
		return err
	}
	*r = *again
	if r.frames.size != size {
		return newDamagedError(r.frames.path, size, "it changed while it was locked")
	}
	return nil
}
