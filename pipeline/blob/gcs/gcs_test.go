package gcs

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

const token = "TOKEN-0123456789"

// openBucket returns a bucket on a server, to which it sends the token.
func openBucket(t *testing.T, handler http.HandlerFunc) blob.Bucket {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	t.Setenv("STORAGE_EMULATOR_HOST", server.URL)
	b, err := Open(t.Context(), "bucket")
	if err != nil {
		t.Fatal(err)
	}
	b.(*bucket).login = func() (oauth2.TokenSource, error) {
		return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token}), nil
	}
	return b
}

// TestErrors: the error has nothing of what the server said, which may repeat the token.
func TestErrors(t *testing.T) {
	for _, test := range []struct {
		status    int
		want      error
		temporary bool
	}{
		{403, blob.ErrDenied, false}, {401, blob.ErrDenied, false}, {404, blob.ErrNotExist, false},
		{429, nil, true}, {503, nil, true}, {302, nil, false}, {200, nil, true}, // the body is not JSON
	} {
		t.Run(fmt.Sprint(test.status), func(t *testing.T) {
			redirected := false
			b := openBucket(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer "+token {
					t.Errorf("the token is not sent")
				}
				if redirected = redirected || r.URL.Path == "/other"; r.URL.Path == "/storage/v1/b/bucket/o" { // it exists
					return
				}
				w.Header().Set("Location", "/other")
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(test.status)
				fmt.Fprintf(w, "%s", r.Header.Get("Authorization"))
			})
			_, err := b.Stat(t.Context(), "dir/key")
			e, ok := errors.AsType[*blob.Error](err)
			if !ok || test.want != nil && !errors.Is(err, test.want) || e.Temporary != test.temporary ||
				!strings.HasPrefix(err.Error(), "open gs://bucket/dir/key: ") {
				t.Errorf("%d: %v, want %v", test.status, err, test.want)
			}
			if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err)+pipeline.Hint(err), token) {
				t.Errorf("%d: the error has the token: %v", test.status, err)
			}
			if redirected {
				t.Errorf("%d: the redirect was followed", test.status)
			}
		})
	}
}

// TestSessionOfAnotherServer: the token goes to no other server.
func TestSessionOfAnotherServer(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a request to another server")
	}))
	defer other.Close()
	b := openBucket(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Location", other.URL+"/session") })
	if _, err := b.Stage(t.Context(), "key", blob.Condition{}); err == nil {
		t.Error("stage: no error")
	}
}

// TestParts: what the store does not have of a part is sent again, also after an answer that is lost.
func TestParts(t *testing.T) {
	t.Run("whole chunks", func(t *testing.T) { testParts(t, 0) })
	t.Run("a rest", func(t *testing.T) { testParts(t, 777) })
}

func testParts(t *testing.T, rest int) {
	var stored []byte
	calls, done := 0, false
	b := openBucket(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Location", "http://"+r.Host+"/session")
			return
		}
		var from, to, total int
		contentRange := r.Header.Get("Content-Range")
		body := make([]byte, r.ContentLength)
		if n, _ := r.Body.Read(body); n != len(body) && len(body) > 0 {
			for n < len(body) {
				m, err := r.Body.Read(body[n:])
				if n += m; err != nil {
					break
				}
			}
		}
		if n, _ := fmt.Sscanf(contentRange, "bytes */%d", &total); n == 1 && total == len(stored) {
			done = true
			fmt.Fprintf(w, `{"name":"key","size":"%d","generation":"7"}`, len(stored))
			return
		}
		if n, _ := fmt.Sscanf(contentRange, "bytes %d-%d/%d", &from, &to, &total); n >= 2 {
			if from != len(stored) {
				t.Errorf("bytes from %d after %d", from, len(stored))
			}
			if calls++; calls == 1 { // it keeps only some
				body = body[:256<<10]
			}
			stored = append(stored, body...)
			if calls == 2 { // it keeps all, and nobody learns it
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			if done = total > 0; done {
				fmt.Fprintf(w, `{"name":"key","size":"%d","generation":"7"}`, len(stored))
				return
			}
		}
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", len(stored)-1))
		w.WriteHeader(http.StatusPermanentRedirect)
	})
	u, err := b.Stage(t.Context(), "key", blob.Condition{})
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for i := range 3 {
		part := []byte(strings.Repeat(string(rune('a'+i)), blob.PartSize))
		if i == 2 {
			part = part[:blob.PartSize-rest]
		}
		want = append(want, part...)
		err := u.Write(t.Context(), part)
		for range 2 {
			if err != nil {
				err = u.Write(t.Context(), part)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	a, err := u.Commit(t.Context())
	if err != nil || a.Version != "7" || !done || string(stored) != string(want) {
		t.Errorf("%+v, %v; %d bytes stored, want %d as they were written", a, err, len(stored), len(want))
	}
}

// TestServiceAccount: the key of a service account buys a token, which is sent, and neither is in an error.
func TestServiceAccount(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{200, 400} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if r.URL.Path == "/token" {
					w.WriteHeader(status)
					fmt.Fprintf(w, `{"access_token":"%s","expires_in":3600,"error":"invalid_grant","error_description":"%s"}`, token,
						token)
					return
				}
				if r.Header.Get("Authorization") != "Bearer "+token {
					t.Errorf("Authorization is %q", r.Header.Get("Authorization"))
				}
				fmt.Fprint(w, `{"name":"key","size":"3","generation":"1"}`)
			}))
			defer server.Close()
			file := filepath.Join(t.TempDir(), "account.json")
			data, err := json.Marshal(map[string]string{"type": "service_account", "client_email": "a@b", "token_uri": server.URL +
				"/token", "private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
			if err == nil {
				err = os.WriteFile(file, data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Setenv("STORAGE_EMULATOR_HOST", "")
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
			b, err := Open(t.Context(), "bucket")
			if err != nil {
				t.Fatal(err)
			}
			b.(*bucket).base = server.URL
			a, err := b.Stat(t.Context(), "key")
			if status == 200 {
				if err != nil || a.Size != 3 {
					t.Errorf("%+v, %v", a, err)
				}
				return
			}
			if !errors.Is(err, blob.ErrNoCredentials) || strings.Contains(err.Error(), token) {
				t.Errorf("%v, want %v without what the server said", err, blob.ErrNoCredentials)
			}
		})
	}
}
