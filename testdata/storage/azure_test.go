//go:build storage

package storage

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/blob/azure"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

var azureKey = base64.StdEncoding.EncodeToString([]byte("storage-test-SECRET-0123456789-0123456789"))

// startAzure starts Azurite, with the container "bucket", and sets the environment of the test for it.
func startAzure(t *testing.T) *server {
	t.Helper()
	var address string
	listens := regexp.MustCompile(`listens on http://([0-9.:]+)`)
	cmd := exec.Command("node", filepath.Join(bin, "../node_modules/azurite/dist/src/blob/main.js"), "--blobHost",
		"127.0.0.1", "--blobPort", "0", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "AZURITE_ACCOUNTS=account:"+azureKey)
	start(t, cmd, func(output string) bool {
		if m := listens.FindStringSubmatch(output); m != nil {
			address = m[1]
		}
		return address != ""
	})
	s := newServer("tcp", address)
	t.Cleanup(s.Close)
	connection := "DefaultEndpointsProtocol=http;AccountName=account;AccountKey=" + azureKey + ";BlobEndpoint=" + s.URL +
		"/account;"
	client, err := container.NewClientFromConnectionString(connection, "bucket", nil)
	if err == nil {
		_, err = client.Create(t.Context(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AZURE_STORAGE_CONNECTION_STRING", connection)
	return s
}

func TestAzure(t *testing.T) {
	startAzure(t)
	pipelinetest.TestBucket(t, pipelinetest.BucketOptions{Resumes: true, KeepsAborted: true, Identifies: true,
		Parallel: true}, func(t *testing.T) (blob.Bucket, string) {
		b, err := azure.Open(t.Context(), "bucket")
		if err != nil {
			t.Fatal(err)
		}
		return b, strings.ToLower(rand.Text()) + "/"
	})
}

var azureStore = &store{name: "Azure", scheme: "az", start: startAzure, open: azure.Open, secret: azureKey}

func TestAzureInputs(t *testing.T) { testInputs(t, azureStore) }

func TestAzureOutputs(t *testing.T) { testOutputs(t, azureStore) }

func TestAzureKills(t *testing.T) { testKills(t, azureStore) }

func TestAzureFaults(t *testing.T) { testFaults(t, azureStore) }

func TestAzureJournal(t *testing.T) { testJournal(t, azureStore) }
