// Package globalrevocation lets another system, such as an identity provider or a security service,
// log a user out everywhere (Global Token Revocation,
// draft-parecki-oauth-global-token-revocation-04).
//
// Call [New] after server.New. The server then has an additional endpoint. One request to it
// revokes every credential of an account: the sessions, tokens and grants of every scheme, and
// codes and device requests that are not exchanged yet.
//
// The caller must be a client that an administrator registered. It sends an access token that it
// requested for itself (client_credentials), with the scope [Scope]. Do not give the scope to other
// clients, because a client that has it can log out every account.
package globalrevocation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	// Scope is the scope that a client must have, in its record and in its access token.
	Scope = "global_token_revocation"
	// DefaultPath is the default of Options.Path.
	DefaultPath = "/oauth2/global-token-revocation"
)

// ErrNotPossible means that the credentials of an account cannot be revoked here, for example
// because another system manages the account. Your functions in [Options] can return it. The
// response is then 422.
var ErrNotPossible = errors.New("globalrevocation: credentials cannot be revoked here")

// Options configure an [Endpoint]. A nil *Options means all defaults.
type Options struct {
	// Path is the path of the endpoint; "" means DefaultPath.
	Path string
	// Email returns the subject of the account that has this e-mail address, for the format
	// "email". It MUST use verified addresses only. Otherwise a user can enter the address of
	// another person, and the wrong account is logged out. It returns storage.ErrNotFound if no
	// account has the address. If Email is nil, the format is rejected with 400.
	Email func(ctx context.Context, address string) (subject string, err error)
	// Issuers has a function for each other issuer, by the issuer's URL, for the format "iss_sub".
	// The function returns the subject of the account to which that issuer's "sub" belongs, or
	// storage.ErrNotFound if there is no such account. The server's own issuer needs no function.
	Issuers map[string]func(ctx context.Context, sub string) (subject string, err error)
	// Allow reports whether a client may log out this account, for example because both belong to
	// the same tenant. It is also called for accounts that do not exist. If it returns false, the
	// response is 403. If Allow is nil, a client may log out every account.
	Allow func(ctx context.Context, client, subject string) (bool, error)
	// Others are additional stores whose records are deleted; see storage.LogoutEverywhere.
	Others []any
}

// Endpoint is the revocation endpoint. It is safe for concurrent use.
type Endpoint struct {
	server *server.Server
	users  storage.Subjects
	log    *slog.Logger
	opts   Options
	alone  *authn.Middleware
}

// New adds the endpoint to srv. The argument accounts is the store that holds the epochs of the
// accounts, usually the server's store. A nil opts means all defaults. New returns an error if srv
// or accounts is nil, or if an option is invalid.
func New(srv *server.Server, accounts storage.Subjects, opts *Options) (*Endpoint, error) {
	if srv == nil || accounts == nil {
		return nil, errors.New("globalrevocation: New: srv and accounts are required")
	}
	e := &Endpoint{server: srv, users: accounts, log: srv.Options().Logger}
	if opts != nil {
		e.opts = *opts
	}
	e.opts.Path = cmp.Or(e.opts.Path, DefaultPath)
	if !strings.HasPrefix(e.opts.Path, "/") || strings.ContainsAny(e.opts.Path, " {}?#") {
		return nil, fmt.Errorf("globalrevocation: New: invalid Path %q (such as %q)", e.opts.Path, DefaultPath)
	}
	for issuer, of := range e.opts.Issuers {
		if issuer == "" || issuer == srv.Scheme().Issuer() || of == nil {
			return nil, fmt.Errorf("globalrevocation: New: Issuers: %q has no function, or is the server's own issuer", issuer)
		}
	}
	own := srv.Scheme().Own(srv.URL(e.opts.Path))
	e.alone = authn.New(authn.Chain{own}, &authn.Options{Logger: e.log})
	err := srv.Extend(server.Extension{
		Scopes: map[string]string{Scope: "Log users out everywhere"},
		Metadata: func(context.Context) (any, error) {
			return map[string]string{"global_token_revocation_endpoint": srv.URL(e.opts.Path)}, nil
		},
		Routes: []server.Route{srv.Route(e.opts.Path, e, server.ForClients)},
	})
	if err != nil {
		return nil, fmt.Errorf("globalrevocation: New: %w", err)
	}
	return e, nil
}

// ServeHTTP implements [http.Handler]. It accepts a POST of JSON, at most 4 KiB, whose only member
// is "sub_id": a subject identifier (RFC 9493) of the format "opaque" (the account's Subject),
// "iss_sub", or "email". Mount the endpoint outside the chain. Cookies have no effect, and scripts
// of other origins cannot call the endpoint.
//
// The response is 204 if the credentials are revoked, and also if the account had none. Errors:
//
//   - 400: the body is malformed, or the format is not supported.
//   - 401: the access token is missing or invalid.
//   - 403: the token belongs to a user or does not have the scope, or the client may not log out
//     the account.
//   - 404: the account is unknown.
//   - 422: a function returned [ErrNotPossible].
//   - 429: the client sent more than 1,000 requests in the last hour.
//   - 503: a store or a function of [Options] failed. The client cannot know whether the
//     credentials were revoked, so it should repeat the request.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.alone.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		client, err := caller(w, r)
		if err != nil {
			authn.Respond(w, r, err)
			return
		}
		if err := e.revoke(w, r, client); err != nil {
			oauth2.RespondError(w, r, err, e.log)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})).ServeHTTP(w, r)
}

// caller returns the client of the request.
func caller(w http.ResponseWriter, r *http.Request) (string, error) {
	id := authn.FromContext(r.Context())
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		return "", authn.MethodNotAllowed(r.Method)
	case !id.Authenticated():
		return "", authn.NotAuthenticated()
	case id.Subject != "" || id.Client == "": // a user must not log out others, whatever the client may do
		return "", authn.PermissionDenied("")
	case !slices.Contains(id.Scopes, Scope):
		refused := authn.PermissionDenied("")
		refused.Code, refused.Scopes = authn.CodeInsufficientScope, []string{Scope}
		return "", refused
	}
	return id.Client, nil
}

var (
	errAccount  = &oauth2.Error{Status: http.StatusNotFound, Code: "not_found", Description: "The account is unknown."}
	errTenant   = &oauth2.Error{Status: http.StatusForbidden, Code: "access_denied", Description: "The client may not log out this account."}
	errPossible = &oauth2.Error{Status: http.StatusUnprocessableEntity, Code: "not_possible", Description: "The credentials of this account cannot be revoked here."}
)

func (e *Endpoint) revoke(w http.ResponseWriter, r *http.Request, client string) error {
	ctx := r.Context()
	if err := e.server.AdmitGlobalRevocation(r, client); err != nil {
		return err
	}
	id, err := read(w, r)
	if err != nil {
		return err
	}
	subject, err := e.subject(ctx, id)
	if err == nil {
		err = e.allowed(ctx, client, subject)
	}
	if err == nil {
		_, err = e.server.Store().UserByID(ctx, subject) // active or not
	}
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return errAccount
	case errors.Is(err, ErrNotPossible):
		return errPossible
	case err != nil:
		return err
	}
	// The stores are cleaned after the change, because a record that cannot be deleted is invalid
	// anyway.
	out, err := storage.LogoutEverywhere(ctx, recorded{e.users, e.server, client}, subject, append([]any{e.users}, e.opts.Others...)...)
	if out.Uncleaned != nil {
		e.log.LogAttrs(ctx, slog.LevelWarn, "revoked credentials not deleted", slog.String("scheme", "oauth2"), slog.String("subject", subject), slog.Any("error", out.Uncleaned))
	}
	return err
}

// allowed returns an error if the client may not log out the account.
func (e *Endpoint) allowed(ctx context.Context, client, subject string) error {
	if e.opts.Allow == nil {
		return nil
	}
	ok, err := audit.Call("globalrevocation.Options.Allow", func() (bool, error) { return e.opts.Allow(ctx, client, subject) })
	if err == nil && !ok {
		err = errTenant
	}
	return err
}

// recorded is the store of accounts. Its BumpEpoch also records the event of the logout.
type recorded struct {
	storage.Subjects
	server *server.Server
	client string
}

// BumpEpoch implements [storage.Subjects].
func (s recorded) BumpEpoch(ctx context.Context, subject string) (epoch int64, err error) {
	err = s.server.Change(ctx, func(ctx context.Context) error {
		if epoch, err = s.Subjects.BumpEpoch(ctx, subject); err != nil {
			return err
		}
		s.server.Notify(ctx, audit.Event{Kind: audit.LogoutEverywhere, Client: s.client, Subject: subject, Epoch: epoch})
		return nil
	})
	return epoch, err
}
