package pipelinetest

import (
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

func TestMemory(t *testing.T) {
	TestBucket(t, BucketOptions{Resumes: true, ListsPending: true, Identifies: true,
		Parallel: true}, func(*testing.T) (blob.Bucket, string) {
		return &Memory{}, "prefix/"
	})
}
