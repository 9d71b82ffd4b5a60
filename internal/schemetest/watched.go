package schemetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// Watched is a store that counts the calls that schemes make, by the method's name, and fails
// those that it is told to. It is safe for concurrent use.
type Watched struct {
	storagetest.Store

	mu     sync.Mutex
	calls  map[string]int64
	effect int64
	fails  map[string]error
}

// Watch returns a Watched over s.
func Watch(s storagetest.Store) *Watched { return &Watched{Store: s} }

// Reads and Writes are the methods that Watched counts.
func Reads() []string {
	return []string{"StaticTokenByDigest", "StaticTokenOf", "SubjectEpoch", "CredentialByDigest", "ListCredentials", "SessionByDigest",
		"TokenStatusWithUser", "TokenStatusOf", "RefreshByDigest", "AccessByDigest", "ListFamilies", "FamilyByID", "ListSessions", "SessionByID"}
}

// Writes are the methods that Watched counts and that change something.
func Writes() []string {
	return []string{"PutStaticToken", "DeleteStaticToken", "BumpEpoch", "TouchCredential", "CreateCredential", "DeleteCredential", "DeleteCredentialsOf",
		"CreateSession", "SaveSession", "TouchSession", "DeleteSession", "DeleteSeries", "ClaimRefresh", "EndFamily", "Block"}
}

// Calls returns how often these methods were called; without any, how often all were.
func (w *Watched) Calls(methods ...string) (n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, calls := range w.calls {
		if len(methods) == 0 || slices.Contains(methods, name) {
			n += calls
		}
	}
	return n
}

// Touched returns how many calls of TouchCredential changed the record.
func (w *Watched) Touched() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.effect
}

// Fail makes these methods fail with err from now on; without any, all that are counted. With a
// nil err they serve again.
func (w *Watched) Fail(err error, methods ...string) *Watched {
	if len(methods) == 0 {
		methods = append(Reads(), Writes()...)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fails == nil {
		w.fails = map[string]error{}
	}
	for _, m := range methods {
		w.fails[m] = err
	}
	return w
}

func (w *Watched) call(method string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calls == nil {
		w.calls = map[string]int64{}
	}
	w.calls[method]++
	return w.fails[method]
}

// got is f's result, unless the call is to fail.
func got[T any](w *Watched, method string, f func() (T, error)) (T, error) {
	if err := w.call(method); err != nil {
		var none T
		return none, err
	}
	return f()
}

// got2 is got for two results.
func got2[T, U any](w *Watched, method string, f func() (T, U, error)) (T, U, error) {
	if err := w.call(method); err != nil {
		var t T
		var u U
		return t, u, err
	}
	return f()
}

func (w *Watched) done(method string, f func() error) error {
	if err := w.call(method); err != nil {
		return err
	}
	return f()
}

// StaticTokenByDigest implements storage.StaticTokens.
func (w *Watched) StaticTokenByDigest(ctx context.Context, d storage.Digest) (storage.StaticToken, storage.User, error) {
	return got2(w, "StaticTokenByDigest", func() (storage.StaticToken, storage.User, error) { return w.Store.StaticTokenByDigest(ctx, d) })
}

// StaticTokenOf implements storage.StaticTokens.
func (w *Watched) StaticTokenOf(ctx context.Context, subject string) (storage.StaticToken, error) {
	return got(w, "StaticTokenOf", func() (storage.StaticToken, error) { return w.Store.StaticTokenOf(ctx, subject) })
}

// PutStaticToken implements storage.StaticTokens.
func (w *Watched) PutStaticToken(ctx context.Context, t storage.StaticToken, old storage.Digest) error {
	return w.done("PutStaticToken", func() error { return w.Store.PutStaticToken(ctx, t, old) })
}

// DeleteStaticToken implements storage.StaticTokens.
func (w *Watched) DeleteStaticToken(ctx context.Context, d storage.Digest) error {
	return w.done("DeleteStaticToken", func() error { return w.Store.DeleteStaticToken(ctx, d) })
}

// SubjectEpoch implements storage.Subjects.
func (w *Watched) SubjectEpoch(ctx context.Context, subject string) (int64, error) {
	return got(w, "SubjectEpoch", func() (int64, error) { return w.Store.SubjectEpoch(ctx, subject) })
}

// BumpEpoch implements storage.Subjects.
func (w *Watched) BumpEpoch(ctx context.Context, subject string) (int64, error) {
	return got(w, "BumpEpoch", func() (int64, error) { return w.Store.BumpEpoch(ctx, subject) })
}

// CredentialByDigest implements storage.Credentials.
func (w *Watched) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	return got2(w, "CredentialByDigest", func() (storage.Credential, storage.User, error) {
		return w.Store.CredentialByDigest(ctx, purpose, d)
	})
}

// TouchCredential implements storage.Credentials.
func (w *Watched) TouchCredential(ctx context.Context, purpose string, d storage.Digest, used, expires, before time.Time) (bool, error) {
	changed, err := got(w, "TouchCredential", func() (bool, error) {
		return w.Store.TouchCredential(ctx, purpose, d, used, expires, before)
	})
	if changed {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.effect++
	}
	return changed, err
}

// ListCredentials implements storage.CredentialList.
func (w *Watched) ListCredentials(ctx context.Context, purpose, subject string, limit int) ([]storage.Credential, error) {
	return got(w, "ListCredentials", func() ([]storage.Credential, error) { return w.Store.ListCredentials(ctx, purpose, subject, limit) })
}

// CreateCredential implements storage.Credentials.
func (w *Watched) CreateCredential(ctx context.Context, t storage.Credential, l storage.CredentialLimit) ([]storage.Credential, error) {
	return got(w, "CreateCredential", func() ([]storage.Credential, error) { return w.Store.CreateCredential(ctx, t, l) })
}

// DeleteCredential implements storage.Credentials.
func (w *Watched) DeleteCredential(ctx context.Context, purpose, subject, id string) error {
	return w.done("DeleteCredential", func() error { return w.Store.DeleteCredential(ctx, purpose, subject, id) })
}

// DeleteCredentialsOf implements storage.Credentials.
func (w *Watched) DeleteCredentialsOf(ctx context.Context, purpose, subject, keep string) (int, error) {
	return got(w, "DeleteCredentialsOf", func() (int, error) { return w.Store.DeleteCredentialsOf(ctx, purpose, subject, keep) })
}
