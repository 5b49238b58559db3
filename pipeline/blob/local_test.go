package blob_test

import (
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

func TestLocal(t *testing.T) {
	pipelinetest.TestBucket(t, pipelinetest.BucketOptions{ListsPending: true, LosesReplace: true},
		func(t *testing.T) (blob.Bucket, string) { return blob.Local(), t.TempDir() + "/" })
}
