//go:build storage

package storage

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/blob/s3"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

// The credentials of the test's server.
const (
	accessKey = "storage-test"
	secretKey = "storage-test-SECRET-0123456789"
)

// startS3 starts versitygw, with the bucket "bucket", and sets the environment of the test for it.
func startS3(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"data", "meta"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s := startOnSocket(t, func(socket string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, "versitygw"), "--port", socket, "--quiet", "posix",
			"--sidecar", filepath.Join(dir, "meta"), filepath.Join(dir, "data"))
		cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+accessKey, "ROOT_SECRET_KEY="+secretKey)
		return cmd
	})
	client, err := minio.New(strings.TrimPrefix(s.URL, "http://"), &minio.Options{Region: "us-east-1",
		Creds: credentials.NewStaticV4(accessKey, secretKey, "")})
	if err == nil {
		err = client.MakeBucket(t.Context(), "bucket", minio.MakeBucketOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ENDPOINT_URL", s.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for _, other := range []string{"AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE",
		"AWS_SESSION_TOKEN"} {
		t.Setenv(other, "")
	}
	return s
}

func TestS3(t *testing.T) {
	startS3(t)
	pipelinetest.TestBucket(t, pipelinetest.BucketOptions{Resumes: true, ListsPending: true, Identifies: true,
		Parallel: true},
		func(t *testing.T) (blob.Bucket, string) {
			b, err := s3.Open(t.Context(), "bucket")
			if err != nil {
				t.Fatal(err)
			}
			return b, strings.ToLower(rand.Text()) + "/"
		})
}

var s3Store = &store{name: "S3", scheme: "s3", start: startS3, open: s3.Open, secret: secretKey}

func TestS3Inputs(t *testing.T) { testInputs(t, s3Store) }

// TestS3WrongKey: the error says that access is denied, and where credentials come from.
func TestS3WrongKey(t *testing.T) {
	startS3(t)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "WRONG-"+secretKey)
	for _, url := range []string{"s3://bucket/users.csv", "s3://bucket/*.csv"} {
		dir, said := runCommand(t, 1, snapshotArgs(t, url)...)
		wantNothing(t, s3Store, dir, said, "access denied", "AWS_PROFILE")
	}
}

func TestS3Outputs(t *testing.T) { testOutputs(t, s3Store) }

func TestS3Kills(t *testing.T) { testKills(t, s3Store) }

func TestS3Faults(t *testing.T) { testFaults(t, s3Store) }

func TestS3Journal(t *testing.T) { testJournal(t, s3Store) }
