package oauth2

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
)

// presented is how a client says who it is.
type presented struct {
	id, secret string
	method     string
	assertion  *jose.Token // of PrivateKeyJWT
}

// client returns the client that makes the request, authenticated by its registered method
// and no other (RFC 6749 section 2.3). Every failure is the same invalid_client, and the
// reason goes to the log.
func (s *Server) client(r *http.Request, f form) (storage.Client, error) {
	p, err := present(r, f)
	if err != nil {
		return storage.Client{}, s.challenged(r, err)
	}
	c, err := s.store.ClientByID(r.Context(), p.id)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return c, s.reject(r, p, errors.New("unknown client"))
	case err != nil:
		return c, err
	case c.Disabled:
		return c, s.reject(r, p, errors.New("client disabled"))
	case c.Method != p.method:
		return c, s.reject(r, p, errors.New("another method than the registered one"))
	case c.Public():
		return c, nil
	}
	if p.assertion != nil {
		err := s.assertionFits(r.Context(), c, p.assertion)
		if errors.Is(err, jose.ErrInvalid) || errors.Is(err, errUsed) {
			return c, s.failed(p, err)
		}
		return c, err
	}
	ok, err := s.secretFits(r, c, p.secret)
	switch {
	case err != nil:
		return c, err
	case !ok:
		return c, s.failed(p, errors.New("wrong secret"))
	}
	return c, nil
}

// failed refuses a client for that reason, with a challenge where it came by Basic.
func (s *Server) failed(p presented, why error) error {
	e := errClient.with(why)
	if p.method == SecretBasic {
		e.challenge = s.challengeBasic()
	}
	return e
}

func (s *Server) challengeBasic() string { return `Basic realm="` + s.issuer + `"` }

// challenged adds the challenge to the refusal of a client that came by Authorization (RFC 6749
// section 5.2), whatever it wrote there.
func (s *Server) challenged(r *http.Request, err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusUnauthorized || len(r.Header["Authorization"]) == 0 {
		return err
	}
	e = e.with(e.cause)
	e.challenge = s.challengeBasic()
	return e
}

// source is where a request comes from (RULES L1).
func (s *Server) source(r *http.Request) string { return authn.SourceOf(s.opts.Proxies.ClientAddr(r)) }

func (s *Server) secretFits(r *http.Request, c storage.Client, secret string) (bool, error) {
	if secret == "" {
		return false, nil
	}
	if !c.Secret.IsZero() {
		d := storage.DigestOf(secret)
		if subtle.ConstantTimeCompare(c.Secret[:], d[:]) == 1 {
			return true, nil
		}
		c.Password = "" // wrong: it costs what a wrong one of the other kind costs
	}
	if s.chosen == nil {
		return false, nil
	}
	return s.chosen.fits(r, s.source(r), c.ID, c.Password, secret)
}

// reject refuses a client for that reason, at the cost of a wrong secret: its time does not tell
// which clients exist.
func (s *Server) reject(r *http.Request, p presented, why error) error {
	if s.chosen != nil && p.secret != "" {
		if _, err := s.chosen.fits(r, s.source(r), p.id, "", p.secret); err != nil {
			return err
		}
	}
	return s.failed(p, why)
}

var errSeveral = refuse("invalid_request", "The request authenticates its client in more than one way.")

// present reads what the request says of its client: by Basic, by client_id and
// client_secret, by an assertion, or by client_id alone. Two ways at once are refused.
func present(r *http.Request, f form) (presented, error) {
	if f.values.Has("client_assertion") || f.values.Has("client_assertion_type") {
		return asserted(f, len(r.Header["Authorization"]) > 0)
	}
	p := presented{id: f.get("client_id"), secret: f.get("client_secret"), method: None}
	if f.values.Has("client_secret") {
		p.method = SecretPost
	}
	text, err := authn.Credentials(r, "Basic", "basic")
	var refused *authn.Error
	switch {
	case err == nil:
		if f.values.Has("client_secret") {
			return presented{}, errSeveral
		}
		id, secret, ok := basic(text)
		if !ok {
			return presented{}, errClient.with(errors.New("malformed Basic credentials"))
		}
		if p.id != "" && p.id != id {
			return presented{}, errSeveral
		}
		return presented{id: id, secret: secret, method: SecretBasic}, nil
	case errors.As(err, &refused) && len(r.Header["Authorization"]) == 1: // "Basic" without anything
		return presented{}, errClient.with(err)
	case errors.As(err, &refused):
		return presented{}, errRequest.with(err)
	case authn.Keyword(r) != "":
		return presented{}, errClient.with(errors.New("an Authorization of another kind"))
	}
	if p.id == "" {
		return presented{}, errClient.with(errors.New("no client"))
	}
	return p, nil
}

// basic decodes Basic credentials. Both parts are form-urlencoded before they are joined
// (RFC 6749 section 2.3.1).
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
