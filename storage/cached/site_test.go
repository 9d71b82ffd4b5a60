package cached_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	texts "github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
)

// site is a server with the schemes that share identities, over a world's store.
type site struct {
	*world
	time     *clock // of the schemes
	tokens   *token.Scheme
	devices  *knox.Scheme
	browsers *session.Scheme
	jwts     *jwt.Scheme
	grants   *oauth2.Scheme
	h        http.Handler
	see      func(http.ResponseWriter, *http.Request) // what the handler does, where not nil
}

// siteOptions are of all the schemes of a site.
type siteOptions struct {
	user     func(context.Context, storage.Account) (authn.User, error)
	interval time.Duration // of notes of a use: an hour where 0
	ttl      time.Duration // of credentials: 10 hours where 0
	signing  jwt.Keys
	hex      bool
	master   []byte
}

const origin = "https://app.example"

func newSite(w *world, o siteOptions) *site {
	w.Helper()
	s := &site{world: w, time: w.clock}
	if o.interval == 0 {
		o.interval = time.Hour
	}
	if o.ttl == 0 {
		o.ttl = 10 * time.Hour
	}
	if o.master == nil {
		o.master = keys.Generate()
	}
	if o.signing == nil {
		o.signing = signing(w, "k")
	}
	clock := func() time.Time { return s.time.now() }
	ring, err := keys.NewRing(o.master)
	w.must(err)
	format := token.Prefixed
	if o.hex {
		format = token.Hex40
	}
	s.tokens, err = token.New(w.s, ring, &token.Options{Clock: clock, User: o.user, Format: format})
	w.must(err)
	s.devices, err = knox.New(w.s, &knox.Options{Clock: clock, User: o.user, MinInterval: o.interval, TTL: o.ttl, Renew: true})
	w.must(err)
	s.jwts, err = jwt.New("https://auth.example", "https://api.example", o.signing, w.s, &jwt.Options{Clock: clock, User: o.user, AccessTTL: o.ttl})
	w.must(err)
	where, err := csrf.New(origin, nil)
	w.must(err)
	s.browsers, err = session.New(w.s, where, &session.Options{Clock: clock, User: o.user, Interval: o.interval, Idle: o.ttl, Absolute: 100 * o.ttl})
	w.must(err)
	s.grants, err = oauth2.New("https://grants.example", w.s, &oauth2.Options{Clock: clock, User: o.user, Audience: "https://api.example"})
	w.must(err)
	s.h = authn.New(authn.Chain{s.browsers, s.jwts, s.grants, s.devices, s.tokens}, &authn.Options{Logger: slog.New(slog.DiscardHandler)}).Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s.read(r)
		if s.see != nil {
			s.see(rw, r)
		}
	}))
	return s
}

func signing(t testing.TB, id string) *jose.KeySet {
	t.Helper()
	k, err := jose.NewSecret(id, jose.HS256, []byte(strings.Repeat(id+" 0123456789", 4)[:40]))
	must(t, err)
	ring, err := jose.NewKeySet(k)
	must(t, err)
	return ring
}

// read reads all that there is of an identity.
func (s *site) read(r *http.Request) {
	id := authn.FromContext(r.Context())
	fmt.Fprintf(io.Discard, "%+v %+v %v %s %s", id, id.Credential, id.User, session.SessionID(id), session.Token(id))
	if u, ok := authn.UserFrom[*storage.Account](r.Context()); ok {
		fmt.Fprintf(io.Discard, "%+v", *u)
		if _, err := u.HasPerm(r.Context(), perm); err != nil {
			s.Error(err)
		}
	}
}

// header is the credential's, on the wire.
type header struct{ field, value string }

func (s *site) do(h header) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", origin+"/", nil)
	r.Header.Set(h.field, h.value)
	rec := httptest.NewRecorder()
	s.h.ServeHTTP(rec, r)
	return rec
}

func (s *site) status(h header) int { return s.do(h).Code }

// sent is a credential of a scheme as a client sends it.
type sent struct {
	credential
	header
}

// logIn gives an account a credential of each scheme.
func (s *site) logIn(id string) []sent {
	s.Helper()
	ctx := s.ctx
	epoch, err := s.s.SubjectEpoch(ctx, id)
	s.must(err)
	var list []sent
	give := func(name string, h header, ends map[string]func(*cached.Store) error) {
		list = append(list, sent{credential{name: name, ends: ends, good: func(context.Context, *cached.Store) (bool, error) {
			switch code := s.status(h); code {
			case 200:
				return true, nil
			case 401:
				return false, nil
			default:
				return false, fmt.Errorf("%s: status %d", name, code)
			}
		}}, h})
	}

	text, err := s.tokens.GetOrCreate(ctx, id, epoch)
	s.must(err)
	give("token", header{"Authorization", "Token " + text}, map[string]func(*cached.Store) error{
		"revoke": func(*cached.Store) error { return s.tokens.Revoke(ctx, id) },
		"reset":  func(*cached.Store) error { _, err := s.tokens.Replace(ctx, id, epoch); return err },
	})

	text, device, err := s.devices.Issue(ctx, id, epoch, knox.Token{Name: "phone"})
	s.must(err)
	give("knox", header{"Authorization", "Knox " + text}, map[string]func(*cached.Store) error{
		"revoke":     func(*cached.Store) error { return s.devices.Revoke(ctx, id, device.ID) },
		"revoke_all": func(*cached.Store) error { _, err := s.devices.RevokeAll(ctx, id); return err },
	})

	r, rec := httptest.NewRequest("POST", origin+"/", nil), httptest.NewRecorder()
	s.must(s.browsers.Start(rec, r, authn.Login{Subject: id, Name: id, Epoch: epoch}))
	cookie := header{"Cookie", rec.Result().Cookies()[0].Name + "=" + rec.Result().Cookies()[0].Value}
	give("session", cookie, map[string]func(*cached.Store) error{
		"end_one": func(*cached.Store) error {
			list, err := s.browsers.Sessions(ctx, id, 1)
			if err == nil {
				err = s.browsers.EndOne(ctx, id, list[0].ID)
			}
			return err
		},
		"end_all": func(*cached.Store) error { _, err := s.browsers.EndAll(ctx, id, ""); return err },
		"log_out": func(*cached.Store) error {
			return s.browsers.EndCurrent(httptest.NewRecorder(), s.request(cookie))
		},
		"rename": func(*cached.Store) error {
			return s.browsers.Regenerate(httptest.NewRecorder(), s.request(cookie))
		},
	})

	pair, err := s.jwts.Issue(ctx, id, epoch, nil)
	s.must(err)
	give("jwt", header{"Authorization", "Bearer " + pair.Access}, map[string]func(*cached.Store) error{
		"revoke": func(*cached.Store) error { return s.jwts.Revoke(ctx, pair.Refresh) },
		"revoke_family": func(*cached.Store) error {
			list, err := s.jwts.List(ctx, id, 1)
			if err == nil {
				err = s.jwts.RevokeFamily(ctx, id, list[0].ID)
			}
			return err
		},
	})

	access := s.grant(id, epoch, nil)
	give("oauth2", header{"Authorization", "Bearer " + access.text}, map[string]func(*cached.Store) error{
		"drop":   func(s *cached.Store) error { return s.DeleteAccess(ctx, access.Digest) },
		"family": func(s *cached.Store) error { return s.EndFamily(ctx, access.Family, access.Expires) },
		"client_disabled": func(s *cached.Store) error {
			return s.UpdateClient(ctx, storage.Client{ID: access.Client, Method: "none", Disabled: true})
		},
		"client_deleted": func(s *cached.Store) error { return s.DeleteClient(ctx, access.Client) },
	})
	return list
}

func (s *site) request(h header) *http.Request {
	r := httptest.NewRequest("POST", origin+"/", nil)
	r.Header.Set(h.field, h.value)
	r.Header.Set("Origin", origin)
	return r
}

type granted struct {
	storage.AccessToken
	text string
}

var grantsMade atomic.Int64

// grant makes an access token of a client of its own.
func (s *site) grant(id string, epoch int64, change func(*storage.AccessToken)) granted {
	s.Helper()
	name := fmt.Sprint("grant", grantsMade.Add(1))
	text := texts.MustFormat("vat").Encode(storage.DigestOf(name))
	now := s.time.now()
	end := now.Add(10 * time.Hour)
	s.must(s.s.CreateClient(s.ctx, storage.Client{ID: name, Method: "none", Created: now}))
	if id != "" {
		s.must(s.s.CreateFamily(s.ctx, storage.Family{ID: name, Purpose: "oauth2", Subject: id, Client: name, Epoch: epoch, Created: now, AuthTime: now, Expires: end},
			storage.Refresh{Digest: storage.DigestOf("refresh " + name), Created: now, Expires: end}))
	}
	a := storage.AccessToken{Digest: storage.DigestOf(text), ID: name, Family: name, Client: name, Subject: id, Epoch: epoch, Scopes: []string{"read"}, Resource: []string{"https://api.example"}, Created: now, Expires: end}
	if id == "" {
		a.Family = ""
	}
	if change != nil {
		change(&a)
	}
	s.must(s.s.CreateAccess(s.ctx, a))
	return granted{a, text}
}

// warm sends a credential until its identity is shared.
func (s *site) warm(c sent) {
	s.Helper()
	for range 3 {
		s.is(c.credential, true, "warming")
	}
}

// shared reports whether two requests see one account.
func (s *site) shared(h header) bool {
	s.Helper()
	var seen [2]*authn.Identity
	for i := range seen {
		s.see = func(_ http.ResponseWriter, r *http.Request) { seen[i] = authn.Peek(r.Context()) }
		s.do(h)
	}
	s.see = nil
	if seen[0] == nil || seen[1] == nil {
		s.Error("nobody")
	}
	return seen[0] == seen[1]
}
