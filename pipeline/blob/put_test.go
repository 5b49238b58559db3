package blob_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

// answerLost is a bucket whose first Put succeeds, but with an error.
type answerLost struct {
	blob.Bucket
	lost bool
}

func (b *answerLost) Put(ctx context.Context, key string, data []byte, c blob.Condition) (blob.Attrs, error) {
	a, err := b.Bucket.Put(ctx, key, data, c)
	if err == nil && !b.lost {
		b.lost = true
		return blob.Attrs{}, blob.NewStatusError("write", "mem://"+key, 503, "")
	}
	return a, err
}

// TestPutWhoseAnswerIsLost: the attempt after it finds the object, and takes it for its own if it is.
func TestPutWhoseAnswerIsLost(t *testing.T) {
	for _, replace := range []bool{false, true} {
		t.Run(fmt.Sprintf("replace %v", replace), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := &pipelinetest.Memory{}
				var c blob.Condition
				if replace {
					a, err := memory.Put(t.Context(), "x", []byte("old"), c)
					if err != nil {
						t.Fatal(err)
					}
					c.Version = a.Version
				}
				b := blob.WithRetries(&answerLost{Bucket: memory}, "")
				a, err := b.Put(t.Context(), "x", []byte("ours"), c)
				there, serr := memory.Stat(t.Context(), "x")
				if err != nil || serr != nil || a != there {
					t.Errorf("Put: %+v, %v; want %+v (%v)", a, err, there, serr)
				}
				for _, other := range []string{"them", "others"} { // of the same size, and of another
					if _, err := b.Put(t.Context(), "x", []byte(other), c); !errors.Is(err, blob.ErrExists) {
						t.Errorf("Put of %q where there is \"ours\": %v, want ErrExists", other, err)
					}
				}
			})
		})
	}
}
