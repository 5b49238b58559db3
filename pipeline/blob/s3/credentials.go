package s3

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// Login says where credentials are looked for.
const Login = "credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, web identity, the profile (AWS_PROFILE, " +
	"SSO too), or the container's or instance's role;\n" +
	`for a profile that assumes a role: eval "$(aws configure export-credentials --format env)"`

// newCredentials looks where Amazon's own tools look, in their order.
func newCredentials() *credentials.Credentials {
	// No answer from the metadata address means that this is not an instance.
	role := &credentials.IAM{Client: &http.Client{Timeout: 3 * time.Second}, Region: region()}
	providers := []credentials.Provider{&credentials.EnvAWS{}}
	if os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "" {
		role.Client.Timeout = 30 * time.Second
		providers = append(providers, role)
	}
	providers = append(providers, &credentials.FileAWSCredentials{})
	container := os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") + os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if container != "" || !strings.EqualFold(os.Getenv("AWS_EC2_METADATA_DISABLED"), "true") {
		providers = append(providers, role)
	}
	return credentials.New(&chain{providers: providers})
}

// chain is the first provider that has credentials. Unlike [credentials.Chain], it fails if none has, and says why.
type chain struct {
	providers []credentials.Provider
	current   credentials.Provider
}

// RetrieveWithCredContext implements [credentials.Provider].
func (c *chain) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	why := ""
	for _, p := range c.providers {
		v, err := p.RetrieveWithCredContext(cc)
		if err == nil && v.AccessKeyID != "" && v.SecretAccessKey != "" {
			c.current = p
			return v, nil
		}
		if _, isFile := p.(*credentials.FileAWSCredentials); isFile && err != nil && why == "" && !os.IsNotExist(err) {
			why, _, _ = strings.Cut(err.Error(), "\n")
			why = ": " + why[:min(len(why), 200)]
		}
	}
	return credentials.Value{}, &blob.Error{Err: fmt.Errorf("%w%s", blob.ErrNoCredentials, why)}
}

// Retrieve implements [credentials.Provider].
func (c *chain) Retrieve() (credentials.Value, error) { return c.RetrieveWithCredContext(nil) }

// IsExpired implements [credentials.Provider].
func (c *chain) IsExpired() bool { return c.current == nil || c.current.IsExpired() }

func region() string {
	if r := os.Getenv("AWS_REGION"); r != "" {
		return r
	}
	return os.Getenv("AWS_DEFAULT_REGION")
}
