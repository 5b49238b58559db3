package azure

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

const secret = "SECRET-0123456789"

func setEnv(t *testing.T, variables map[string]string) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "AZURE_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	for name, value := range variables {
		t.Setenv(name, value)
	}
}

// TestErrors: the error has nothing of what the server said, and no signature.
func TestErrors(t *testing.T) {
	for _, test := range []struct {
		status    int
		code      string
		want      error
		temporary bool
	}{
		{403, "AuthorizationFailure", blob.ErrDenied, false}, {404, "BlobNotFound", blob.ErrNotExist, false},
		{404, "ContainerNotFound", blob.ErrNoBucket, false}, {503, "ServerBusy", nil, true}, {500, secret + " x", nil, true},
		{409, "BlobAlreadyExists", blob.ErrExists, false},
	} {
		t.Run(test.code, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("x-ms-error-code", test.code)
				w.WriteHeader(test.status)
				fmt.Fprint(w, secret, r.URL)
			}))
			defer server.Close()
			setEnv(t, map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "DefaultEndpointsProtocol=http;BlobEndpoint=" +
				server.URL + "/account;SharedAccessSignature=sig=" + secret + "&se=2027"})
			b, err := Open(t.Context(), "container")
			if err != nil {
				t.Fatal(err)
			}
			_, err = b.Stat(t.Context(), "key")
			e, ok := errors.AsType[*blob.Error](err)
			if !ok || test.want != nil && !errors.Is(err, test.want) || e.Temporary != test.temporary ||
				!strings.HasPrefix(err.Error(), "open az://container/key: ") {
				t.Errorf("%d %s: %v, want %v", test.status, test.code, err, test.want)
			}
			wantNoSecret(t, err)
			server.Close()
			_, err = b.Stat(t.Context(), "key")
			if err == nil {
				t.Error("without a server: no error")
			}
			wantNoSecret(t, err)
		})
	}
}

func wantNoSecret(t *testing.T, err error) {
	t.Helper()
	if err != nil && strings.Contains(err.Error()+pipeline.Hint(err), secret) {
		t.Errorf("the error has the secret: %v", err)
	}
}

// TestEnvironment: what is wrong with the environment is said without repeating it.
func TestEnvironment(t *testing.T) {
	for _, test := range []struct {
		name string
		env  map[string]string
		want string // "": none
	}{
		{"nothing", nil, "AZURE_STORAGE_ACCOUNT is not set"},
		{"not a connection string", map[string]string{"AZURE_STORAGE_CONNECTION_STRING": secret},
			"AZURE_STORAGE_CONNECTION_STRING is not a connection string"},
		{"not an account", map[string]string{"AZURE_STORAGE_ACCOUNT": "https://" + secret}, "AZURE_STORAGE_ACCOUNT is not a name"},
		{"not a key", map[string]string{"AZURE_STORAGE_ACCOUNT": "a", "AZURE_STORAGE_KEY": secret + "!"},
			"AZURE_STORAGE_KEY is not a key"},
		{"a key", map[string]string{"AZURE_STORAGE_ACCOUNT": "a",
			"AZURE_STORAGE_KEY": base64.StdEncoding.EncodeToString([]byte(secret))}, ""},
		{"a signature", map[string]string{"AZURE_STORAGE_ACCOUNT": "a", "AZURE_STORAGE_SAS_TOKEN": "?sig=" + secret}, ""},
		{"an account", map[string]string{"AZURE_STORAGE_ACCOUNT": "a"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			setEnv(t, test.env)
			_, err := Open(t.Context(), "container")
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			wantNoSecret(t, err)
		})
	}
}
