package server

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// presented holds the credentials that a client sent.
type presented struct {
	id, secret string
	method     string
	assertion  *jose.Token // for private_key_jwt
}

// client returns the client of a request, authenticated by its registered method and no other (RFC
// 6749, section 2.3). Every failure returns the same invalid_client error; the log has the reason.
func (s *Server) client(r *http.Request, f oauth2.Form) (storage.Client, error) {
	if f.Get("grant_type") == oauth2.RefreshToken {
		return s.authenticate(r, f, s.refreshedClient)
	}
	return s.authenticate(r, f, s.store.ClientByID)
}

// authenticate is client with a function that finds the client of an ID. It returns
// storage.ErrNotFound if there is none, and may return an *oauth2.Error.
func (s *Server) authenticate(r *http.Request, f oauth2.Form, find func(context.Context, string) (storage.Client, error)) (storage.Client, error) {
	p, err := present(r, f)
	if err != nil {
		return storage.Client{}, s.challenged(r, err)
	}
	ctx := withSource(r.Context(), s.opts.Proxies.ClientAddr(r))
	c, err := find(ctx, p.id)
	var refused *oauth2.Error
	switch {
	case errors.Is(err, storage.ErrNotFound), err == nil && c.FromDocument() && s.documents == nil:
		return c, s.reject(r, p, errors.New("unknown client"))
	case errors.As(err, &refused) && refused.Code == errDocument.Code:
		return c, s.reject(r, p, refused)
	case err != nil:
		return c, err
	case c.Disabled:
		return c, s.reject(r, p, errors.New("client disabled"))
	case c.Method != p.method:
		return c, s.reject(r, p, errors.New("authentication method is not the registered one"))
	case s.opts.FAPI2 && c.Method != oauth2.PrivateKeyJWT:
		return c, s.reject(r, p, errors.New("FAPI 2.0 requires private_key_jwt"))
	case c.Public():
		return c, nil
	}
	if p.assertion != nil {
		err := s.assertionFits(ctx, c, p.assertion)
		if errors.Is(err, jose.ErrInvalid) || errors.Is(err, errUsed) {
			return c, s.failed(p, err)
		}
		return c, err
	}
	ok, hashed, err := s.secretFits(r, c, p.secret)
	switch {
	case err != nil:
		return c, err
	case !ok:
		return c, s.failed(p, errors.New("wrong secret"))
	case !hashed:
		return c, nil
	}
	return s.unchanged(r, p, c)
}

// unchanged returns the client's current record. A hash may have waited for a long time, so a
// client that was disabled, deleted or given another secret meanwhile must not be authenticated
// with the old record.
func (s *Server) unchanged(r *http.Request, p presented, c storage.Client) (storage.Client, error) {
	now, err := s.store.ClientByID(r.Context(), c.ID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return now, s.failed(p, errors.New("client deleted while its secret was checked"))
	case err != nil:
		return now, err
	case now.Disabled || now.Method != c.Method || subtle.ConstantTimeCompare([]byte(now.Password), []byte(c.Password)) != 1 || subtle.ConstantTimeCompare(now.Secret[:], c.Secret[:]) != 1:
		return now, s.failed(p, errors.New("client disabled or changed while its secret was checked"))
	}
	return now, nil
}

// failed rejects a client for a reason, with a challenge if it used Basic.
func (s *Server) failed(p presented, why error) error {
	e := errClient.WithCause(why)
	if p.method == oauth2.SecretBasic {
		e.Challenge = s.challengeBasic()
	}
	return e
}

func (s *Server) challengeBasic() string { return `Basic realm="` + s.issuer + `"` }

// challenged adds a challenge to the error if the client sent an Authorization header, whatever it
// contains (RFC 6749, section 5.2).
func (s *Server) challenged(r *http.Request, err error) error {
	var e *oauth2.Error
	if !errors.As(err, &e) || e.Status != http.StatusUnauthorized || len(r.Header["Authorization"]) == 0 {
		return err
	}
	c := *e
	c.Challenge = s.challengeBasic()
	return &c
}

// source returns the client address, in the form that limits count.
func (s *Server) source(r *http.Request) string { return authn.NetworkOf(s.opts.Proxies.ClientAddr(r)) }

// secretFits reports whether the secret is the client's, and whether that took a hash.
func (s *Server) secretFits(r *http.Request, c storage.Client, secret string) (ok, hashed bool, err error) {
	if secret == "" {
		return false, false, nil
	}
	if !c.Secret.IsZero() {
		d := storage.DigestOf(secret)
		if subtle.ConstantTimeCompare(c.Secret[:], d[:]) == 1 {
			return true, false, nil
		}
		c.Password = "" // so that a wrong secret costs the same for both kinds
	}
	if s.chosen == nil {
		return false, false, nil
	}
	return s.chosen.fits(r, s.source(r), c.ID, c.Password, secret)
}

// reject rejects a client for a reason, after the same work as for a wrong secret, so that the
// duration does not reveal which clients exist.
func (s *Server) reject(r *http.Request, p presented, why error) error {
	if s.chosen != nil && p.secret != "" {
		if _, _, err := s.chosen.fits(r, s.source(r), p.id, "", p.secret); err != nil {
			return err
		}
	}
	return s.failed(p, why)
}

var errSeveral = oauth2.NewError("invalid_request", "The request authenticates its client in more than one way.")

// present reads the credentials of a client: Basic, client_id and client_secret, an assertion, or
// only client_id. More than one of them is an error.
func present(r *http.Request, f oauth2.Form) (presented, error) {
	if f.Values.Has("client_assertion") || f.Values.Has("client_assertion_type") {
		return asserted(f, len(r.Header["Authorization"]) > 0)
	}
	p := presented{id: f.Get("client_id"), secret: f.Get("client_secret"), method: oauth2.None}
	if f.Values.Has("client_secret") {
		p.method = oauth2.SecretPost
	}
	text, err := authn.Credentials(r, "Basic", "basic")
	var refused *authn.Error
	switch {
	case err == nil:
		if f.Values.Has("client_secret") {
			return presented{}, errSeveral
		}
		id, secret, ok := basic(text)
		if !ok {
			return presented{}, errClient.WithCause(errors.New("malformed Basic credentials"))
		}
		if p.id != "" && p.id != id {
			return presented{}, errSeveral
		}
		return presented{id: id, secret: secret, method: oauth2.SecretBasic}, nil
	case errors.As(err, &refused) && len(r.Header["Authorization"]) == 1: // "Basic" without credentials
		return presented{}, errClient.WithCause(err)
	case errors.As(err, &refused):
		return presented{}, errRequest.WithCause(err)
	case authn.Keyword(r) != "":
		return presented{}, errClient.WithCause(errors.New("another Authorization scheme"))
	}
	if p.id == "" {
		return presented{}, errClient.WithCause(errors.New("no client"))
	}
	return p, nil
}

// basic decodes Basic credentials. Both parts are form-urlencoded before they are joined (RFC 6749,
// section 2.3.1).
func basic(text string) (id, secret string, ok bool) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return "", "", false
	}
	id, secret, ok = strings.Cut(string(raw), ":")
	if !ok {
		return "", "", false
	}
	id, err1 := url.QueryUnescape(id)
	secret, err2 := url.QueryUnescape(secret)
	valid := utf8.ValidString(id) && utf8.ValidString(secret) && id != "" && strings.IndexByte(id+secret, 0) < 0
	return id, secret, err1 == nil && err2 == nil && valid
}
