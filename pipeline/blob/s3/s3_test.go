package s3

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

const secret = "SECRET-0123456789"

// setEnv sets the environment to these credentials alone.
func setEnv(t *testing.T, variables map[string]string) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for name, value := range variables {
		t.Setenv(name, value)
	}
}

func openStores() *blob.Stores { return blob.NewStores(map[string]blob.Store{"s3": Store}) }

// TestErrors: the error says what a person can do, and repeats nothing of what the server said.
func TestErrors(t *testing.T) {
	for _, test := range []struct {
		name, code string
		status     int
		want, hint string
	}{
		{"denied", "AccessDenied", 403, "open s3://bucket/dir/key: access denied", "AWS_PROFILE"},
		{"another key", "InvalidAccessKeyId", 403, "access denied", "AWS_PROFILE"},
		{"expired", "ExpiredToken", 400, "open s3://bucket/dir/key: ", ""},
		{"missing", "NoSuchKey", 404, "open s3://bucket/dir/key: no such object", ""},
		{"not implemented", "NotImplemented", 501, "open s3://bucket/dir/key: the store refused it (status 501)", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/bucket/" { // it exists
					return
				}
				w.Header().Set("X-Echo", r.Header.Get("Authorization"))
				w.WriteHeader(test.status)
				fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s %s</Message></Error>", test.code, secret,
					r.Header.Get("Authorization"))
			}))
			defer server.Close()
			setEnv(t, map[string]string{"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": "AKIA-TEST",
				"AWS_SECRET_ACCESS_KEY": secret})
			_, err := openStores().Open(t.Context(), "s3://bucket/dir/key")
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(pipeline.Hint(err), test.hint) {
				t.Errorf("%d %s: %v (hint %q), want %q, %q", test.status, test.code, err, pipeline.Hint(err), test.want,
					test.hint)
			}
			wantNoSecret(t, err)
		})
	}
}

func wantNoSecret(t *testing.T, err error) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		for _, hidden := range []string{secret, "AKIA-TEST", "Signature", "Credential="} {
			if text := e.Error() + pipeline.Hint(e); strings.Contains(text, hidden) {
				t.Errorf("the error has %q: %s", hidden, text)
			}
		}
	}
}

func TestCredentials(t *testing.T) {
	config := func(text string) map[string]string {
		return map[string]string{".aws/config": text}
	}
	for _, test := range []struct {
		name  string
		env   map[string]string
		files map[string]string
		user  string // whose signature the server sees
		want  string // of the error
	}{
		{name: "environment", env: map[string]string{"AWS_ACCESS_KEY_ID": "AKIA-ENV", "AWS_SECRET_ACCESS_KEY": secret},
			user: "AKIA-ENV"},
		{name: "profile", files: map[string]string{".aws/credentials": "[default]\naws_access_key_id = AKIA-FILE\n" +
			"aws_secret_access_key = " + secret + "\n"}, user: "AKIA-FILE"},
		{name: "named profile", env: map[string]string{"AWS_PROFILE": "night"},
			files: config("[profile night]\naws_access_key_id = AKIA-NIGHT\naws_secret_access_key = " + secret + "\n"),
			user:  "AKIA-NIGHT"},
		{name: "none", want: "open s3://bucket/key: no credentials found"},
		{name: "SSO that has expired", files: config("[default]\nsso_start_url = https://x\nsso_region = eu-west-1\n" +
			"sso_account_id = 1\nsso_role_name = r\n"), want: "aws sso login"},
		{name: "half a key", env: map[string]string{"AWS_ACCESS_KEY_ID": "AKIA-HALF"},
			want: "open s3://bucket/key: no credentials found"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var requests atomic.Int64
			user := ""
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				_, user, _ = strings.Cut(r.Header.Get("Authorization"), "Credential=")
				user, _, _ = strings.Cut(user, "/")
				w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
				w.Header().Set("ETag", `"1"`)
				w.Header().Set("Content-Length", "3")
			}))
			defer server.Close()
			setEnv(t, test.env)
			t.Setenv("AWS_ENDPOINT_URL", server.URL)
			for name, text := range test.files {
				path := filepath.Join(os.Getenv("HOME"), name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			o, err := openStores().Open(t.Context(), "s3://bucket/key")
			if test.want == "" {
				if err != nil || o.Size() != 3 || user != test.user {
					t.Errorf("%v, signed by %q; want %q", err, user, test.user)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(pipeline.Hint(err), "AWS_PROFILE") {
				t.Errorf("%v (hint %q), want %q and where they are looked for", err, pipeline.Hint(err), test.want)
			}
			if n := requests.Load(); n > 0 {
				t.Errorf("%d requests without credentials", n)
			}
			wantNoSecret(t, err)
		})
	}
}

// TestEndpoint: what is not an address is refused, and not repeated.
func TestEndpoint(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"not a URL", "localhost:9000", "AWS_ENDPOINT_URL is not the address of a server"},
		{"with a path", "https://host/path", "AWS_ENDPOINT_URL is not the address of a server"},
		{"with a password", "https://user:" + secret + "@host", "AWS_ENDPOINT_URL is not the address of a server"},
		{"another scheme", "ftp://host", "AWS_ENDPOINT_URL is not the address of a server"},
	} {
		t.Run(test.name, func(t *testing.T) {
			setEnv(t, map[string]string{"AWS_ENDPOINT_URL": test.value})
			_, err := openStores().Open(t.Context(), "s3://bucket/key")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, want %q", test.value, err, test.want)
			}
			wantNoSecret(t, err)
		})
	}
}

// TestNetwork: an error of the network names the object, not the request.
func TestNetwork(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	setEnv(t, map[string]string{"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": "AKIA-TEST",
		"AWS_SECRET_ACCESS_KEY": secret})
	b, err := Open(t.Context(), "bucket")
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Stat(t.Context(), "key") // one attempt
	e, ok := errors.AsType[*blob.Error](err)
	if !ok || !e.Temporary || !strings.Contains(err.Error(), "open s3://bucket/key: dial tcp") {
		t.Errorf("%v, want a temporary error of the dial", err)
	}
	wantNoSecret(t, err)
}
