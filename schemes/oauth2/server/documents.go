package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/bounded"
	"github.com/vestibule-auth/vestibule/internal/flight"
	"github.com/vestibule-auth/vestibule/internal/publicfetch"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/clientdoc"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
	"github.com/vestibule-auth/vestibule/storage"
)

// ClientDocuments accepts clients that nobody registered: their ID is the URL of a document with
// their metadata (draft-ietf-oauth-client-id-metadata-document). Model Context Protocol clients use
// them. The document is fetched at an authorization or pushed request, see [Fetching], and at a
// refresh if the record is old. The client gets a record in the store when a user allows it.
//
// Such a client is public or authenticates by private_key_jwt. It can use authorization_code and
// refresh_token, always needs a code challenge and the user's consent, and is never trusted. An
// administrator can disable its record, which blocks the ID.
//
// Limits: 10 fetches per minute for a client address, 6 for a host and a client's network, and 16 at
// the same time. URLs of clients that a user has allowed, and URLs whose document is known, have
// limits of their own. A document is used for 5 minutes to
// 24 hours, as its server says, or else one hour. If it then cannot be fetched, the last one is used
// for another 24 hours at authorization requests, and for another 7 days at refreshes.
type ClientDocuments struct {
	// Scopes are the scopes that such clients may request. Nil means none.
	Scopes []string
	// Resources are the resources for which such clients may request tokens, in addition to the
	// server's own API.
	Resources []string
	// MaxBytes is the maximum length of a document: 1 to 64 KiB; 0 means 5 KiB.
	MaxBytes int
	// SameOrigin requires that redirect URIs with https have the origin of the document.
	SameOrigin bool
	// Allow decides whether a client is accepted, each time its document was fetched. If it changes
	// its mind, a client whose document cannot be fetched can still refresh for up to 8 days; to stop a
	// client at once, disable its record. Allow returns nil, an *authn.Error to reject the client, or any other error if it failed. Nil accepts all.
	Allow func(ctx context.Context, id string, document []byte) error
}

const (
	// maxDocuments and maxDocumentBytes limit the documents in memory.
	maxDocuments, maxDocumentBytes = 1_000, 16 << 20
	// A document is fresh for freshLeast to freshMost.
	freshLeast, freshUsual, freshMost = 5 * time.Minute, time.Hour, 24 * time.Hour
	// staleAuthorize and staleRefresh are how long an old document is used if it cannot be fetched.
	staleAuthorize, staleRefresh = 24 * time.Hour, 7 * 24 * time.Hour
)

// documents are the documents of clients without a record.
type documents struct {
	opts ClientDocuments

	mu      sync.Mutex
	good    *bounded.Map[string, documentClient] // documents that were valid; failures are never kept
	fetches flight.Group[string, documentResult]
}

// documentClient is a client and the document that describes it.
type documentClient struct {
	client storage.Client
	body   []byte
}

type documentResult struct {
	documentClient
	err error
}

// newDocuments checks the options. A nil result accepts no documents.
func newDocuments(o *ClientDocuments) (*documents, error) {
	if o == nil {
		return nil, nil
	}
	d := &documents{opts: *o, good: bounded.New[string, documentClient](maxDocuments, maxDocumentBytes)}
	d.opts.MaxBytes = cmp.Or(o.MaxBytes, 5<<10)
	d.opts.Scopes, d.opts.Resources = slices.Clone(o.Scopes), slices.Clone(o.Resources)
	if d.opts.MaxBytes < 1<<10 || d.opts.MaxBytes > 64<<10 {
		return nil, fmt.Errorf("server: New: ClientDocuments.MaxBytes %d out of range (1 KiB to 64 KiB)", o.MaxBytes)
	}
	for _, name := range d.opts.Scopes {
		if !syntax.IsScope(name) {
			return nil, fmt.Errorf("server: New: invalid scope %q in ClientDocuments.Scopes", name)
		}
	}
	return d, nil
}

// isDocument reports whether an ID is the URL of a document.
func (s *Server) isDocument(id string) bool {
	return s.documents != nil && strings.HasPrefix(id, clientdoc.Prefix)
}

// errDocument is the response if a document cannot be used. The log has the reason.
var errDocument = oauth2.OnPage(oauth2.NewError("invalid_client", "The client is unknown, or its metadata document cannot be used.")).(*oauth2.Error)

// clientOfRequest returns the client of an authorization request. If it has no record, the result
// is the client and its document. had is the document that the stored request holds; nil without
// one. check, if it is not nil, checks the rest of the request before a document is read for it. A disabled client is returned, too. If there is no client, the error is storage.ErrNotFound
// or an *oauth2.Error for a page. Any other error is a server error.
func (s *Server) clientOfRequest(ctx context.Context, id string, from netip.Addr, had *documentClient, check func() error) (storage.Client, []byte, error) {
	c, err := s.store.ClientByID(ctx, id)
	c = s.withinOptions(c)
	recorded := err == nil
	switch {
	case err != nil && !errors.Is(err, storage.ErrNotFound):
		return c, nil, err
	case recorded && (!c.FromDocument() || c.Disabled):
		return c, nil, nil
	case !s.isDocument(id):
		return c, nil, storage.ErrNotFound
	}
	if check != nil {
		if err := check(); err != nil {
			return c, nil, err
		}
	}
	known, kind, has := documentClient{client: c}, allowedURL, true
	if !recorded {
		if known, has = s.documents.cached(id); !has && had != nil {
			known, has = *had, true
		}
		if kind = strangeURL; has {
			kind = cachedURL
		}
	}
	if has && s.isFresh(known.client) {
		return known.client, known.body, nil
	}
	next, err := s.document(ctx, id, known.client, kind, from)
	var refused *authn.Error
	switch {
	case err == nil && recorded:
		c, err := s.updateFromDocument(ctx, next.client)
		return c, nil, err
	case err == nil:
		return next.client, next.body, nil
	case errors.As(err, &refused):
		return c, nil, errDocument.WithCause(err)
	case has && s.now().Before(known.client.Document.Fresh.Add(staleAuthorize)):
		return known.client, known.body, nil
	case isLimited(err):
		return c, nil, oauth2.OnPage(err)
	case errors.Is(err, errHook):
		return c, nil, err
	}
	return c, nil, errDocument.WithCause(err)
}

// withinOptions returns a client with a document without the scopes and resources that
// ClientDocuments has lost since the document was read. The record can be much older.
func (s *Server) withinOptions(c storage.Client) storage.Client {
	if !c.FromDocument() || s.documents == nil {
		return c
	}
	o := &s.documents.opts
	c.Scopes, c.Default, c.Resources = common(c.Scopes, o.Scopes), common(c.Default, o.Scopes), common(c.Resources, o.Resources)
	return c
}

// common returns the elements of list that are in other. It does not change list.
func common(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(name string) bool { return !slices.Contains(other, name) })
}

// refreshedClient returns the record of a client that refreshes, made anew if its document is old.
func (s *Server) refreshedClient(ctx context.Context, id string) (storage.Client, error) {
	c, err := s.store.ClientByID(ctx, id)
	if err != nil || !c.FromDocument() || c.Disabled || s.documents == nil || s.isFresh(c) {
		return c, err
	}
	next, err := s.document(ctx, id, c, allowedURL, storage.ClientAddr(ctx))
	var refused *authn.Error
	switch {
	case err == nil:
		return s.updateFromDocument(ctx, next.client)
	case errors.As(err, &refused):
		return c, storage.ErrNotFound
	case s.now().Before(c.Document.Fresh.Add(staleRefresh)):
		return c, nil
	case errors.Is(err, errHook):
		return c, err
	}
	return c, storage.ErrNotFound
}

// isFresh reports whether a client's document need not be read again.
func (s *Server) isFresh(c storage.Client) bool {
	now := s.now()
	return now.Before(c.Document.Fresh) && !storage.Ahead(now, c.Document.Fetched)
}

func (d *documents) cached(id string) (documentClient, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.good.Get(id)
}

// document fetches a document. Requests for the same ID share one fetch. If the request that made
// it was limited by its own address, the others try for themselves.
func (s *Server) document(ctx context.Context, id string, old storage.Client, kind urlKind, from netip.Addr) (documentResult, error) {
	if err := clientdoc.CheckID(id); err != nil {
		return documentResult{}, err
	}
	d := s.documents
	paid := false
	for {
		d.mu.Lock()
		f := d.fetches.Get(id)
		mine := f == nil
		if mine {
			f = d.fetches.Begin(id, 0)
		}
		d.mu.Unlock()
		if mine {
			s.runFetch(context.WithoutCancel(ctx), id, old, kind, paid, from, f)
			return f.Result, f.Result.err
		}
		if err := f.Wait(ctx); err != nil {
			return documentResult{}, err
		}
		if paid || !isLimited(f.Result.err) {
			return f.Result, f.Result.err
		}
		if err := s.admitSource(ctx, from); err != nil {
			return documentResult{}, err
		}
		paid = true
	}
}

// runFetch makes a shared fetch.
func (s *Server) runFetch(ctx context.Context, id string, old storage.Client, kind urlKind, paid bool, from netip.Addr, f *flight.Call[documentResult]) {
	f.Result.err = errDocument // if the hook panics
	d := s.documents
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if f.Result.err == nil {
			d.good.Put(id, f.Result.documentClient, len(f.Result.body)+len(id)+1024)
		}
		d.fetches.End(id, f)
	}()
	if !paid {
		if err := s.admitSource(ctx, from); err != nil {
			f.Result.err = err
			return
		}
	}
	f.Result.client, f.Result.body, f.Result.err = s.readDocument(ctx, id, old, kind, from)
}

// errHook is the error of ClientDocuments.Allow that is not a rejection.
var errHook = errors.New("server: ClientDocuments.Allow failed")

func (s *Server) readDocument(ctx context.Context, id string, old storage.Client, kind urlKind, from netip.Addr) (storage.Client, []byte, error) {
	d := s.documents
	read, err := s.fetch(ctx, id, d.opts.MaxBytes, kind, from)
	if err != nil {
		return storage.Client{}, nil, err
	}
	c, err := d.parse(id, read.Body)
	if err != nil {
		return c, nil, err
	}
	if d.opts.Allow != nil {
		_, err := audit.Call("server.ClientDocuments.Allow", func() (any, error) { return nil, d.opts.Allow(ctx, id, slices.Clone(read.Body)) })
		var refused *authn.Error
		if errors.As(err, &refused) {
			return c, nil, err
		}
		if err != nil {
			return c, nil, fmt.Errorf("%w: %w", errHook, err)
		}
	}
	age := read.MaxAge
	if age == publicfetch.Unsaid {
		age = freshUsual
	}
	now := s.now()
	c.Document = storage.ClientDocument{Fetched: now, Fresh: now.Add(min(max(age, freshLeast), freshMost)), Changed: now}
	if old.FromDocument() && old.Name == c.Name && slices.Equal(old.RedirectURIs, c.RedirectURIs) {
		c.Document.Changed = old.Document.Changed
	}
	return c, read.Body, nil
}

func (d *documents) parse(id string, body []byte) (storage.Client, error) {
	return clientdoc.Parse(id, body, clientdoc.Rights{Scopes: d.opts.Scopes, Resources: d.opts.Resources, SameOrigin: d.opts.SameOrigin})
}

// errDropped means that the document no longer has the redirect URI of the request.
var errDropped = &oauth2.Error{Status: http.StatusBadRequest, Code: "invalid_request", Description: "The redirect_uri is no longer registered.", NoRedirect: true}
