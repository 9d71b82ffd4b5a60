package remoteuser

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/storage"
)

var (
	errInvalid = authn.AuthenticationFailed("Invalid remote user.")
	errSeveral = authn.BadRequest("The request has more than one header of the remote user.")

	errUnknown = errors.New("unknown account")
)

// Authenticate reads the header. It costs one query, and one more statement if it creates an
// account.
//
// It returns authn.ErrNoCredentials if the header is missing or empty. It does the same if the
// connection does not come from one of the proxies, because another client could send any name. It
// rejects
//   - several headers of this name, with 400
//   - a malformed name, an unknown name (without Options.Create) and a disabled account, with the
//     same 401
//   - an unsafe request that another site may have caused, with 403 (see csrf.Site.Check); a form
//     that shows no origin counts as such a request
func (s *Scheme) Authenticate(r *http.Request) (authn.Identity, error) {
	lines := r.Header[s.header]
	if len(lines) == 0 {
		return authn.Identity{}, authn.ErrNoCredentials
	}
	if !s.trusts(r) {
		s.opts.Audit.Notify(audit.Context(r), audit.Event{Kind: audit.HeaderIgnored, Reason: "untrusted_peer", Scheme: s.Name()})
		return authn.Identity{}, authn.ErrNoCredentials
	}
	if len(lines) > 1 {
		return authn.Identity{}, errSeveral
	}
	if strings.Trim(lines[0], " \t") == "" {
		return authn.Identity{}, authn.ErrNoCredentials
	}
	var refused error
	name, err := audit.Call("remoteuser.Options.Canonical", func() (name string, _ error) {
		name, refused = s.opts.Canonical(lines[0])
		return name, nil
	})
	switch {
	case err != nil: // the hook panicked
		return authn.Identity{}, err
	case refused == nil:
		refused = storage.CheckID("user name", name)
	}
	if refused != nil {
		return authn.Identity{}, errInvalid.WithCause(refused)
	}
	if err := s.checkOrigin(r); err != nil {
		return authn.Identity{}, err
	}
	u, err := s.account(audit.Context(r), name)
	if err != nil {
		return authn.Identity{}, err
	}
	id := authn.Identity{Subject: u.ID, Scheme: "remoteuser", Roles: u.Roles}
	id.SetStore(s.store)
	account := u.WithPermissions(s.perms)
	if s.opts.User == nil {
		id.User = account
	} else if id.User, err = audit.Call("remoteuser.Options.User", func() (authn.User, error) { return s.opts.User(r.Context(), account.Clone()) }); err != nil {
		return authn.Identity{}, err
	}
	return id, nil
}

func (s *Scheme) trusts(r *http.Request) bool { return s.proxies.TrustsPeer(r) }

// checkOrigin rejects a request that another site may have caused. It also rejects a request that
// would require a CSRF token, because there is no session for the token.
func (s *Scheme) checkOrigin(r *http.Request) error {
	if err := s.site.Check(r); err != nil {
		return err
	}
	if csrf.NeedsToken(r) {
		return authn.PermissionDenied("CSRF Failed: the request does not say where it comes from.")
	}
	return nil
}

// errNotCreated is the result in a dry run (authn.Middleware.Explain) of a request that would
// create an account.
var errNotCreated = errors.New("remoteuser: the request would create an account")

// account returns the active account of a name. It creates the account if Options.Create is set. Of
// several concurrent requests for a new name, one creates it.
func (s *Scheme) account(ctx context.Context, name string) (storage.User, error) {
	u, err := s.users.UserByName(ctx, name)
	if errors.Is(err, storage.ErrNotFound) {
		switch {
		case s.opts.Create == nil:
			return u, errInvalid.WithCause(errUnknown)
		case authn.Explained(ctx):
			return u, errNotCreated
		}
		u, err = s.create(ctx, name)
	}
	switch {
	case err != nil:
		return u, err
	case !u.Active:
		return u, errInvalid.WithCause(credential.ErrDisabled)
	}
	return u, nil
}

func (s *Scheme) create(ctx context.Context, name string) (storage.User, error) {
	u, err := audit.Call("remoteuser.Options.Create", func() (storage.User, error) { return s.opts.Create(ctx, name) })
	if err != nil {
		return u, err
	}
	if u.Name != name {
		return u, errors.New("remoteuser: Options.Create: the account has another name")
	}
	u.ID = storage.SubjectIn(storage.SpaceOf(s.users), u.ID)
	err = s.opts.Audit.Change(ctx, s.users, func(ctx context.Context) error {
		err := s.users.CreateUser(ctx, u)
		if err == nil {
			s.opts.Audit.Notify(ctx, audit.Event{Kind: audit.AccountCreated, Scheme: s.Name(), Subject: u.ID})
		}
		return err
	})
	if err != nil && !errors.Is(err, storage.ErrConflict) {
		return u, err
	}
	u, err = s.users.UserByName(ctx, name)
	if errors.Is(err, storage.ErrNotFound) {
		err = errors.New("remoteuser: Options.Create: the account was neither created nor found (is its ID taken?)")
	}
	return u, err
}

// Renew sets Vary, because the response depends on the header, and Cache-Control: no-store unless
// the handler has set another value.
func (s *Scheme) Renew(w http.ResponseWriter, _ *http.Request, _ authn.Identity) error {
	h := w.Header()
	if !slices.Contains(h["Vary"], s.header) {
		h.Add("Vary", s.header)
	}
	if len(h["Cache-Control"]) == 0 {
		h["Cache-Control"] = s.noStore
	}
	return nil
}

// Strip returns a handler that removes the header from requests that do not come from the proxies,
// and calls next. It removes every spelling that a server could accept as this header. Use it if
// you forward requests to servers that trust the header. You do not need it for this scheme:
// Authenticate ignores such a header.
//
// It also removes the header Upgrade unless the protocol is websocket. After an upgrade to another
// protocol, such as h2c, the server reads further requests from the connection. The headers of
// these requests would bypass this handler.
func (s *Scheme) Strip(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		trusted := s.trusts(r)
		var out http.Header
		for name := range r.Header {
			tunnel := name == "Http2-Settings" || name == "Upgrade" && !isWebSocket(r.Header[name])
			if name == s.header && trusted || !tunnel && !strings.EqualFold(folded(name), s.header) {
				continue
			}
			if out == nil {
				out = r.Header.Clone()
			}
			delete(out, name)
		}
		if out != nil {
			c := *r
			c.Header = out
			r = &c
		}
		next.ServeHTTP(w, r)
	})
}

func isWebSocket(upgrade []string) bool {
	return len(upgrade) == 1 && strings.EqualFold(upgrade[0], "websocket")
}

// folded replaces the separators in a header's name by "-": CGI, WSGI and PHP treat "_", "." and
// other characters as "-".
func folded(name string) string {
	return strings.Map(func(c rune) rune {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			return c
		}
		return '-'
	}, name)
}
