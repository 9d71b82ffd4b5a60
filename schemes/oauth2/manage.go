package oauth2

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/internal/rotation"
	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/storage"
)

// Revoke returns the endpoint by which a client gives a token back (RFC 7009): POST of a form
// with "token", answered with 200 whether there was one or not. A token of a grant, access or
// refresh, ends the whole grant. One of another client is left alone (RULES I2). A store that
// can not write is a 503: the token is still good then. "token_type_hint" is not needed.
func (s *Server) Revoke() http.Handler {
	return s.cors("POST", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.revoke(w, r); err != nil {
			s.fail(w, r, err)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusOK)
	}))
}

func (s *Server) revoke(w http.ResponseWriter, r *http.Request) error {
	c, text, err := s.tokenRequest(w, r)
	if err != nil {
		return err
	}
	ctx := r.Context()
	switch {
	case !tokentext.HasPrefix(refreshPrefix, text):
		return s.revokeAccess(ctx, c, text)
	case tokentext.Valid(refreshPrefix, text):
		st, err := s.rotator.Revoke(ctx, rotation.Use{Secret: text, Purpose: s.purpose, Client: c.ID})
		switch {
		case errors.Is(err, rotation.ErrMismatch):
			s.tell(ctx, Event{Kind: ForeignRevocation, Client: c.ID})
			return nil
		case errors.Is(err, rotation.ErrUnknown):
			return nil
		case err != nil:
			return err
		}
		s.tell(ctx, Event{Revoked, st.Family.Client, st.Family.Subject, st.Family.ID})
	}
	return nil
}

func (s *Server) revokeAccess(ctx context.Context, c storage.Client, text string) error {
	st, err := s.load(ctx, text)
	a := st.Access
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil
	case err != nil:
		return err
	case a.Client != c.ID:
		s.tell(ctx, Event{Kind: ForeignRevocation, Client: c.ID})
		return nil
	case a.Family != "":
		err = s.rotator.EndFamily(ctx, a.Family)
	case a.Digest.IsZero(): // a signed one: nobody asks for it once it has expired everywhere
		err = s.store.Block(ctx, a.Expires.Add(leeway), storage.BlockKeyOf(storage.BlockJTI, s.issuer, a.ID))
	default:
		if err = s.store.DropAccess(ctx, a.Digest); errors.Is(err, storage.ErrNotFound) {
			err = nil // somebody else was first
		}
	}
	if err == nil {
		s.tell(ctx, Event{Revoked, a.Client, a.Subject, a.Family})
	}
	return err
}

// tokenRequest reads a request about one token, of a client that is authenticated.
func (s *Server) tokenRequest(w http.ResponseWriter, r *http.Request) (storage.Client, string, error) {
	f, err := readForm(w, r)
	if err != nil {
		return storage.Client{}, "", err
	}
	c, err := s.client(r, f)
	if err != nil {
		return storage.Client{}, "", err
	}
	text := f.get("token")
	if text == "" {
		return storage.Client{}, "", refuse("invalid_request", "The token is missing.")
	}
	return c, text, nil
}

// introspection is what Introspect says of a live token (RFC 7662 section 2.2).
type introspection struct {
	Active   bool     `json:"active"`
	Scope    string   `json:"scope,omitempty"`
	Client   string   `json:"client_id,omitempty"`
	Username string   `json:"username,omitempty"`
	Type     string   `json:"token_type,omitempty"`
	Expires  int64    `json:"exp,omitempty"`
	Issued   int64    `json:"iat,omitempty"`
	Subject  string   `json:"sub,omitempty"`
	Audience []string `json:"aud,omitempty"`
	Issuer   string   `json:"iss,omitempty"`
	ID       string   `json:"jti,omitempty"`
	Confirm  *confirm `json:"cnf,omitempty"`
}

// confirm is the key that a token is bound to (RFC 9449 section 6).
type confirm struct {
	Thumbprint string `json:"jkt"`
}

func confirmOf(key string) *confirm {
	if key == "" {
		return nil
	}
	return &confirm{key}
}

// typeOf is the "token_type" of a token that is bound to a key, or to none.
func typeOf(key string) string {
	if key == "" {
		return "Bearer"
	}
	return "DPoP"
}

// Introspect returns the endpoint that tells a resource server about a token (RFC 7662): POST
// of a form with "token". It answers to confidential clients: about tokens of their own, and
// about access tokens for a resource that they serve (storage.Client.Serves), whichever client
// holds them. A client that may request tokens for a resource has no such right by that. To
// others, and about whatever is not live, it answers {"active":false} and no more.
func (s *Server) Introspect() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		about, err := s.introspect(w, r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		write(w, http.StatusOK, about)
	})
}

func (s *Server) introspect(w http.ResponseWriter, r *http.Request) (introspection, error) {
	none := introspection{}
	c, text, err := s.tokenRequest(w, r)
	if err != nil {
		return none, err
	}
	if c.Public() {
		return none, errClient.with(errors.New("introspection by a public client"))
	}
	switch {
	case !tokentext.HasPrefix(refreshPrefix, text):
		return s.aboutAccess(r.Context(), c, text)
	case tokentext.Valid(refreshPrefix, text):
		st, err := s.rotator.Inspect(r.Context(), rotation.Use{Secret: text, Purpose: s.purpose, Client: c.ID})
		switch {
		case s.refusal(err) != nil:
			return none, nil
		case err != nil:
			return none, err
		}
		f := st.Family
		return introspection{
			Active: true, Scope: strings.Join(f.Scopes, " "), Client: f.Client, Username: st.User.Name, Expires: st.Refresh.Expires.Unix(),
			Issued: st.Refresh.Created.Unix(), Subject: f.Subject, Audience: f.Resource, Issuer: s.issuer, Confirm: confirmOf(f.Confirm),
		}, nil
	}
	return none, nil
}

func (s *Server) aboutAccess(ctx context.Context, c storage.Client, text string) (introspection, error) {
	st, err := s.load(ctx, text)
	a := st.Access
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return introspection{}, nil
	case err != nil:
		return introspection{}, err
	case s.dead(&st, s.now()) != nil:
		return introspection{}, nil
	case a.Client != c.ID && !slices.ContainsFunc(s.audienceOf(&a), func(uri string) bool { return slices.Contains(c.Serves, uri) }):
		return introspection{}, nil
	}
	if err := s.rotator.Used(ctx, a.Family, a.Created, s.now()); err != nil { // by whoever asks whether it is good
		return introspection{}, err
	}
	return introspection{
		Active: true, Scope: strings.Join(a.Scopes, " "), Client: a.Client, Username: st.User.Name, Type: typeOf(a.Confirm), Expires: a.Expires.Unix(),
		Issued: a.Created.Unix(), Subject: a.Subject, Audience: s.audienceOf(&a), Issuer: s.issuer, ID: a.ID, Confirm: confirmOf(a.Confirm),
	}, nil
}

// audienceOf is what an access token is for: the resources that were asked for, or else this
// application's API.
func (s *Server) audienceOf(a *storage.AccessToken) []string {
	if len(a.Resource) == 0 && s.opts.Audience != "" {
		return []string{s.opts.Audience}
	}
	return a.Resource
}
