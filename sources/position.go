package sources

// FileIndex is the position among the files of the one that the last row came from; 0 is the first.
func (in *Input) FileIndex() int { return in.next - 1 }
