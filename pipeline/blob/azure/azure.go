// Package azure is the driver for Azure Blob Storage. Package blob describes what it relies on.
package azure

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// Login says where credentials are looked for.
const Login = "credentials come from AZURE_STORAGE_CONNECTION_STRING, or, for the account AZURE_STORAGE_ACCOUNT, from " +
	"AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN, AZURE_CLIENT_ID and its like, workload or managed identity, or `az login`"

// Store is az://container/blob.
var Store = blob.Store{Open: Open, Login: Login}

// Open returns a container. It sends nothing. The environment names the account.
func Open(_ context.Context, name string) (blob.Bucket, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	transport.ResponseHeaderTimeout = 30 * time.Second
	transport.MaxIdleConnsPerHost = 16
	o := &container.ClientOptions{ClientOptions: policy.ClientOptions{
		Transport: &http.Client{Transport: transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		Retry: policy.RetryOptions{MaxRetries: -1}, // package blob has the retries
	}}
	client, err := newClient(name, o)
	if err != nil {
		return nil, err
	}
	return &bucket{client, name}, nil
}

// newClient looks where Azure's own tools look. Its errors repeat nothing of the environment.
func newClient(name string, o *container.ClientOptions) (*container.Client, error) {
	if text := os.Getenv("AZURE_STORAGE_CONNECTION_STRING"); text != "" {
		client, err := container.NewClientFromConnectionString(text, name, o)
		if err != nil {
			return nil, pipeline.WithHint(errors.New("AZURE_STORAGE_CONNECTION_STRING is not a connection string"),
				"copy it anew: Azure's portal, or az storage account show-connection-string")
		}
		return client, nil
	}
	account := os.Getenv("AZURE_STORAGE_ACCOUNT")
	if account == "" {
		return nil, pipeline.WithHint(errors.New("AZURE_STORAGE_ACCOUNT is not set"), "it is the name of the storage account; "+
			Login)
	}
	address := &url.URL{Scheme: "https", Host: account + ".blob.core.windows.net", Path: "/" + name}
	if strings.ContainsAny(account, "/.:@") {
		return nil, pipeline.WithHint(errors.New("AZURE_STORAGE_ACCOUNT is not a name"), "for example mycompanydata")
	}
	if key := os.Getenv("AZURE_STORAGE_KEY"); key != "" {
		credential, err := azblob.NewSharedKeyCredential(account, key)
		if err != nil {
			return nil, errors.New("AZURE_STORAGE_KEY is not a key: it is not base64")
		}
		return container.NewClientWithSharedKeyCredential(address.String(), credential, o)
	}
	if token := os.Getenv("AZURE_STORAGE_SAS_TOKEN"); token != "" {
		return container.NewClientWithNoCredential(address.String()+"?"+strings.TrimPrefix(token, "?"), o)
	}
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, blob.ErrNoCredentials
	}
	return container.NewClient(address.String(), credential, o)
}

type bucket struct {
	client *container.Client
	name   string
}

func (b *bucket) url(key string) string { return "az://" + b.name + "/" + key }

// wrapError returns the error of a request. What Azure's library says is not used: it prints the whole answer.
func (b *bucket) wrapError(op, key string, err error) error {
	if err == nil {
		return nil
	}
	answer, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		e := &blob.Error{Op: op, URL: b.url(key)}
		_, failed := errors.AsType[*azidentity.AuthenticationFailedError](err)
		if failed || strings.Contains(err.Error(), "Credential") { // the type for "unavailable" is not exported
			e.Err = blob.ErrNoCredentials
			return e
		}
		for u, isURL := errors.AsType[*url.Error](err); isURL; u, isURL = errors.AsType[*url.Error](err) {
			err = u.Err // the URL may have a token
		}
		e.Err, e.Temporary = err, true
		return e
	}
	e := blob.NewStatusError(op, b.url(key), answer.StatusCode, answer.ErrorCode)
	switch bloberror.Code(answer.ErrorCode) {
	case bloberror.ContainerNotFound, bloberror.InvalidResourceName:
		e.Err = blob.ErrNoBucket
	case bloberror.BlobAlreadyExists:
		e.Err = blob.ErrExists
	case bloberror.ServerBusy, bloberror.OperationTimedOut, bloberror.InternalError:
		e.Temporary = true
	}
	return e
}

// Stat implements [blob.Bucket].
func (b *bucket) Stat(ctx context.Context, key string) (blob.Attrs, error) {
	p, err := b.client.NewBlobClient(key).GetProperties(ctx, nil)
	if err != nil {
		return blob.Attrs{}, b.wrapError("open", key, err)
	}
	mark := ""
	for name, value := range p.Metadata {
		if strings.EqualFold(name, markKey) {
			mark = valueOf(value)
		}
	}
	return newAttrs(key, p.ContentLength, p.ETag, p.LastModified).WithUpload(mark), nil
}

// valueOf is the value that p points to, or the zero value.
func valueOf[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func newAttrs(key string, size *int64, tag *azcore.ETag, modified *time.Time) blob.Attrs {
	return blob.Attrs{Key: key, Size: valueOf(size), Version: string(valueOf(tag)), Modified: valueOf(modified)}
}

func ifMatch(version string) *azblob.AccessConditions {
	tag := azcore.ETag(version)
	return &azblob.AccessConditions{ModifiedAccessConditions: &azblob.ModifiedAccessConditions{IfMatch: &tag}}
}

// ReadRange implements [blob.Bucket].
func (b *bucket) ReadRange(ctx context.Context, a blob.Attrs, offset int64, p []byte) (int, error) {
	answer, err := b.client.NewBlobClient(a.Key).DownloadStream(ctx, &azblob.DownloadStreamOptions{
		Range: azblob.HTTPRange{Offset: offset, Count: int64(len(p))}, AccessConditions: ifMatch(a.Version)})
	if err != nil {
		err := b.wrapError("read", a.Key, err)
		if errors.Is(err, blob.ErrNotExist) || errors.Is(err, blob.ErrExists) { // 404, or 412
			err = &blob.Error{Op: "read", URL: b.url(a.Key), Err: blob.ErrChanged}
		}
		return 0, err
	}
	defer answer.Body.Close() //nolint:errcheck // only read
	if answer.ContentRange == nil && int64(len(p)) != a.Size {
		return 0, &blob.Error{Op: "read", URL: b.url(a.Key), Err: errors.New("the server ignores the range")}
	}
	n, err := io.ReadFull(answer.Body, p)
	if err != nil {
		err = &blob.Error{Op: "read", URL: b.url(a.Key), Err: errors.New("the connection broke"), Temporary: true}
	}
	return n, err
}

// ListPage implements [blob.Bucket].
func (b *bucket) ListPage(ctx context.Context, prefix string, flat bool,
	token string) (page []blob.Attrs, next string, err error) {
	var marker *string
	if token != "" {
		marker = &token
	}
	var items []*container.BlobItem
	var end *string
	if flat {
		r, err := b.client.NewListBlobsHierarchyPager("/", &container.ListBlobsHierarchyOptions{Prefix: &prefix,
			Marker: marker}).NextPage(ctx)
		if err != nil {
			return nil, "", b.wrapError("list", prefix, err)
		}
		items, end = r.Segment.BlobItems, r.NextMarker
	} else {
		r, err := b.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &prefix,
			Marker: marker}).NextPage(ctx)
		if err != nil {
			return nil, "", b.wrapError("list", prefix, err)
		}
		items, end = r.Segment.BlobItems, r.NextMarker
	}
	for _, item := range items {
		if p := item.Properties; item.Name != nil && p != nil {
			page = append(page, newAttrs(*item.Name, p.ContentLength, quoted(p.ETag), p.LastModified))
		}
	}
	return page, valueOf(end), nil
}

// quoted is an ETag as the header has it. A list has it without the quotes.
func quoted(tag *azcore.ETag) *azcore.ETag {
	text := `"` + strings.Trim(string(valueOf(tag)), `"`) + `"`
	return (*azcore.ETag)(&text)
}

// Delete implements [blob.Bucket].
func (b *bucket) Delete(ctx context.Context, key string) error {
	_, err := b.client.NewBlobClient(key).Delete(ctx, nil)
	if err := b.wrapError("delete", key, err); !errors.Is(err, blob.ErrNotExist) {
		return err
	}
	return nil
}

// Put implements [blob.Bucket].
func (b *bucket) Put(ctx context.Context, key string, data []byte, c blob.Condition) (blob.Attrs, error) {
	answer, err := b.client.NewBlockBlobClient(key).Upload(ctx, streaming.NopCloser(bytes.NewReader(data)),
		&blockblob.UploadOptions{AccessConditions: accessConditions(c)})
	if err != nil {
		err = b.wrapError("write", key, err)
		if _, serr := b.Stat(ctx, key); c.Version == "" && errors.Is(err, blob.ErrExists) && errors.Is(serr, blob.ErrNotExist) {
			// There are blocks that nobody has committed, for which it counts as one that exists. A list of blocks may be put.
			u := b.newUpload(key, rand.Text(), c)
			if err := u.Write(ctx, data); err != nil {
				return blob.Attrs{}, err
			}
			return u.Commit(ctx)
		}
		return blob.Attrs{}, err
	}
	size := int64(len(data))
	return newAttrs(key, &size, answer.ETag, answer.LastModified), nil
}

// accessConditions are the headers of a condition.
func accessConditions(c blob.Condition) *azblob.AccessConditions {
	if c.Version != "" {
		return ifMatch(c.Version)
	}
	anyTag := azcore.ETagAny
	return &azblob.AccessConditions{ModifiedAccessConditions: &azblob.ModifiedAccessConditions{IfNoneMatch: &anyTag}}
}

// markKey is the metadata that tells our upload from another that won.
const markKey = "rollcallupload"

// upload is a list of uncommitted blocks, whose ids begin with the mark. All uploads of a blob share one list in the
// store, and the first commit empties it.
type upload struct {
	b         *bucket
	client    *blockblob.Client
	key, mark string
	condition blob.Condition
	aborted   bool

	mu     sync.Mutex
	blocks []string
}

// Stage implements [blob.Bucket].
func (b *bucket) Stage(_ context.Context, key string, c blob.Condition) (blob.Upload, error) {
	return b.newUpload(key, rand.Text(), c), nil
}

func (b *bucket) newUpload(key, mark string, c blob.Condition) *upload {
	return &upload{b: b, client: b.client.NewBlockBlobClient(key), key: key, mark: mark, condition: c}
}

// blockID is the id of a block. All ids of a blob have the same length.
func (u *upload) blockID(i int) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s-%06d", u.mark, i))
}

// Resume implements [blob.Bucket].
func (b *bucket) Resume(ctx context.Context, key, id string, size int64, c blob.Condition) (blob.Upload, error) {
	u := b.newUpload(key, id, c)
	r, err := u.client.GetBlockList(ctx, blockblob.BlockListTypeUncommitted, nil)
	if err != nil && (size > 0 || !bloberror.HasCode(err, bloberror.BlobNotFound)) { // without a block there is no list
		return nil, b.wrapError("resume", key, err)
	}
	has := map[string]int64{}
	for _, block := range r.UncommittedBlocks {
		has[valueOf(block.Name)] = valueOf(block.Size)
	}
	for size > 0 {
		n, ok := has[u.blockID(len(u.blocks))]
		if !ok {
			break
		}
		u.blocks = append(u.blocks, u.blockID(len(u.blocks)))
		size -= n
	}
	if size != 0 {
		return nil, &blob.Error{Op: "resume", URL: b.url(key), Err: blob.ErrNotExist}
	}
	return u, nil
}

// ID implements [blob.Upload].
func (u *upload) ID() string { return u.mark }

// Write implements [blob.Upload].
func (u *upload) Write(ctx context.Context, part []byte) error {
	return u.WritePart(ctx, len(u.blocks), part)
}

// WritePart implements [blob.ParallelUpload].
func (u *upload) WritePart(ctx context.Context, n int, part []byte) error {
	if len(part) == 0 {
		return nil // there are no empty blocks
	}
	id := u.blockID(n)
	if _, err := u.client.StageBlock(ctx, id, streaming.NopCloser(bytes.NewReader(part)), nil); err != nil {
		return u.b.wrapError("write", u.key, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.blocks) <= n {
		u.blocks = append(u.blocks, "")
	}
	u.blocks[n] = id
	return nil
}

// Commit implements [blob.Upload].
func (u *upload) Commit(ctx context.Context) (blob.Attrs, error) {
	if u.aborted {
		return blob.Attrs{}, &blob.Error{Op: "commit", URL: u.b.url(u.key), Err: blob.ErrNotExist}
	}
	o := &blockblob.CommitBlockListOptions{Metadata: map[string]*string{markKey: &u.mark},
		AccessConditions: accessConditions(u.condition)}
	_, err := u.client.CommitBlockList(ctx, u.blocks, o)
	if err == nil {
		return u.b.Stat(ctx, u.key)
	}
	wrapped := u.b.wrapError("commit", u.key, err)
	a, serr := u.b.Stat(ctx, u.key)
	switch {
	case serr == nil && a.IsOf(u.mark): // the answer to an earlier attempt was lost
		return a, nil
	case bloberror.HasCode(err, bloberror.InvalidBlockList) && serr == nil && a.Version != u.condition.Version:
		// Another upload of this blob was committed, and its commit has discarded the blocks of this one.
		return blob.Attrs{}, &blob.Error{Op: "commit", URL: u.b.url(u.key), Err: blob.ErrExists}
	}
	return blob.Attrs{}, wrapped
}

// Abort implements [blob.Upload].
func (u *upload) Abort(context.Context) error {
	u.aborted = true
	return nil
}

// Abort implements [blob.Bucket]. Azure cannot discard the blocks of one upload. It discards what nobody commits within
// a week, and the next commit of the blob discards it, too.
func (b *bucket) Abort(context.Context, blob.PendingUpload) error { return nil }

// Pending implements [blob.Bucket]. There is nothing that could be aborted.
func (b *bucket) Pending(context.Context, string) iter.Seq2[blob.PendingUpload, error] {
	return func(func(blob.PendingUpload, error) bool) {}
}
