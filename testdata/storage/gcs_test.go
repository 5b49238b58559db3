//go:build storage

package storage

import (
	"crypto/rand"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/blob/gcs"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

// startGCS starts fake-gcs-server, with the bucket "bucket", and sets the environment of the test for it.
func startGCS(t *testing.T) *server {
	t.Helper()
	s := startOnSocket(t, func(socket string) *exec.Cmd { return exec.Command(filepath.Join(bin, "gcs"), socket) })
	t.Setenv("STORAGE_EMULATOR_HOST", s.URL)
	return s
}

// TestGCS: the server does not say how much of a session it has, so nothing can be resumed there.
func TestGCS(t *testing.T) {
	startGCS(t)
	pipelinetest.TestBucket(t, pipelinetest.BucketOptions{Identifies: true}, func(t *testing.T) (blob.Bucket, string) {
		b, err := gcs.Open(t.Context(), "bucket")
		if err != nil {
			t.Fatal(err)
		}
		return b, strings.ToLower(rand.Text()) + "/"
	})
}

var gcsStore = &store{name: "GCS", scheme: "gs", start: startGCS, open: gcs.Open, secret: "no secret"}

func TestGCSInputs(t *testing.T) { testInputs(t, gcsStore) }

func TestGCSOutputs(t *testing.T) { testOutputs(t, gcsStore) }

func TestGCSKills(t *testing.T) { testKills(t, gcsStore) }

func TestGCSFaults(t *testing.T) { testFaults(t, gcsStore) }

func TestGCSJournal(t *testing.T) { testJournal(t, gcsStore) }
