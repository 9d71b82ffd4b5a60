package storetest_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authn/recovery"
	"github.com/vestibule-auth/vestibule/credential"
	"github.com/vestibule-auth/vestibule/internal/passwordtest"
	"github.com/vestibule-auth/vestibule/internal/storetest"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
	"github.com/vestibule-auth/vestibule/storage/gormstore/postgres"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
	"github.com/vestibule-auth/vestibule/storage/memory"
	"github.com/vestibule-auth/vestibule/storage/storagetest"
)

// sharedKeys are what two applications of one organisation have in common.
type sharedKeys struct {
	ring    *keys.Ring
	signing *jose.KeySet
}

// space is one application: an account table and every scheme over it.
type space struct {
	name    string
	s       storagetest.Store
	subject string // of the account with the ID 1

	knox     *knox.Scheme
	token    *token.Scheme
	jwt      *jwt.Scheme
	claims   *jwt.Scheme // stateless
	session  *session.Scheme
	sealed   *session.Sealed
	oauth2   *server.Server
	signed   *server.Server
	recovery *recovery.Recovery
	links    chan string
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newApplication(t *testing.T, name string, s storagetest.Store, k sharedKeys) *space {
	t.Helper()
	a := &space{name: name, s: s, links: make(chan string, 1)}
	u, err := s.UserByName(t.Context(), "ann")
	must(t, err)
	a.subject = u.ID
	origin, err := csrf.New("https://app.example", nil)
	must(t, err)
	hasher := passwordtest.New(t, nil)
	passwords, err := password.New(s, hasher, nil)
	must(t, err)
	a.knox, err = knox.New(s, nil)
	must(t, err)
	a.token, err = token.New(s, k.ring, nil)
	must(t, err)
	a.jwt, err = jwt.New("https://id.example", "https://api.example", k.signing, s, nil)
	must(t, err)
	a.claims, err = jwt.New("https://id.example", "https://api.example", k.signing, s, &jwt.Options{Stateless: true})
	must(t, err)
	a.session, err = session.New(s, origin, &session.Options{Remember: &session.RememberOptions{}})
	must(t, err)
	a.sealed, err = session.NewSealed(k.ring, origin, &session.SealedOptions{Options: session.Options{Cookie: "sealed"}, Space: name})
	must(t, err)
	o := server.Options{Scopes: map[string]string{"read": "Read"}, Keys: k.ring, SigningKeys: k.signing, Logger: slog.New(slog.DiscardHandler)}
	opaque, err := oauth2.New("https://id.example", s, &oauth2.Options{Audience: "https://api.example"})
	must(t, err)
	a.oauth2, err = server.New(opaque, s, &o)
	must(t, err)
	signed, err := oauth2.New("https://id.example", s, &oauth2.Options{Audience: "https://api.example", SignedAccess: k.signing})
	must(t, err)
	a.signed, err = server.New(signed, s, &o)
	must(t, err)
	a.recovery, err = recovery.New(s, passwords, "https://app.example/reset", func(ctx context.Context, _ string) (storage.User, error) {
		return s.UserByName(ctx, "ann")
	}, func(_ context.Context, m recovery.Message) error {
		a.links <- m.Token
		return nil
	}, nil)
	must(t, err)
	return a
}

func (a *space) epoch(t *testing.T) int64 {
	t.Helper()
	epoch, err := a.s.SubjectEpoch(t.Context(), a.subject)
	must(t, err)
	return epoch
}

// header and cookies make a request with a credential.
func header(value string) *http.Request {
	r := httptest.NewRequest("GET", "https://app.example/", nil)
	r.Header.Set("Authorization", value)
	return r
}

func cookies(rec *httptest.ResponseRecorder) *http.Request {
	r := httptest.NewRequest("GET", "https://app.example/", nil)
	for _, c := range rec.Result().Cookies() {
		r.AddCookie(c)
	}
	return r
}

// only keeps the cookies whose names hold that word.
func only(r *http.Request, word string) *http.Request {
	out := httptest.NewRequest("GET", "https://app.example/", nil)
	for _, c := range r.Cookies() {
		if strings.Contains(c.Name, word) {
			out.AddCookie(c)
		}
	}
	return out
}

func (a *space) post(h http.Handler, pairs ...string) (access, refresh, failure string) {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequest("POST", "https://id.example/oauth2/token", strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	var out struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Error   string `json:"error"`
	}
	_ = json.Unmarshal(rec.Body.Bytes(), &out)
	if rec.Code >= 500 {
		out.Error = fmt.Sprint(rec.Code)
	}
	return out.Access, out.Refresh, out.Error
}

// random is the text of a credential that the OAuth2 server would have made.
func random(prefix string) string {
	var body [credential.Size]byte
	_, _ = rand.Read(body[:])
	return credential.MustFormat(prefix).Encode(body)
}

const codeVerifier = "a-verifier-of-more-than-forty-three-characters-1"

func (a *space) code(t *testing.T) string {
	t.Helper()
	text := random("vac")
	sum := sha256.Sum256([]byte(codeVerifier))
	now := time.Now()
	c := storage.Code{
		Digest: storage.DigestOf(text), Client: "spa", Subject: a.subject, Epoch: a.epoch(t), RedirectURI: "https://spa.example/", Scopes: []string{"read"}, Resource: []string{"https://api.example"},
		Challenge: base64.RawURLEncoding.EncodeToString(sum[:]), AuthTime: now, Created: now, Expires: now.Add(time.Minute), Kept: now.Add(time.Hour),
	}
	must(t, a.s.CreateCode(t.Context(), c))
	return text
}

func (a *space) exchange(s *server.Server, code string) (access, refresh, failure string) {
	return a.post(s.Token(), "grant_type", "authorization_code", "client_id", "spa", "code", code, "redirect_uri", "https://spa.example/", "code_verifier", codeVerifier)
}

// kinds are the credentials: issue makes one of the account, and use presents it to an
// application and returns whom it names there. A refusal is an *authn.Error, errRefused or an
// answer of the store; any other error is a fault.
var kinds = map[string]struct {
	issue func(*testing.T, *space) any
	use   func(*testing.T, *space, any) (string, error)
}{
	"device token": {func(t *testing.T, a *space) any {
		text, _, err := a.knox.Issue(t.Context(), a.subject, a.epoch(t), knox.Token{})
		must(t, err)
		return header("Token " + text)
	}, func(_ *testing.T, b *space, c any) (string, error) { return ask(b.knox, c) }},
	"static token": {func(t *testing.T, a *space) any {
		text, err := a.token.GetOrCreate(t.Context(), a.subject, a.epoch(t))
		must(t, err)
		return header("Token " + text)
	}, func(_ *testing.T, b *space, c any) (string, error) { return ask(b.token, c) }},
	"access JWT": {func(t *testing.T, a *space) any {
		p, err := a.jwt.Issue(t.Context(), a.subject, a.epoch(t), nil)
		must(t, err)
		return header("Bearer " + p.Access)
	}, func(_ *testing.T, b *space, c any) (string, error) { return ask(b.jwt, c) }},
	"access JWT, stateless": {func(t *testing.T, a *space) any {
		p, err := a.claims.Issue(t.Context(), a.subject, a.epoch(t), nil)
		must(t, err)
		return header("Bearer " + p.Access)
	}, func(_ *testing.T, b *space, c any) (string, error) { return ask(b.claims, c) }},
	"refresh token": {func(t *testing.T, a *space) any {
		p, err := a.jwt.Issue(t.Context(), a.subject, a.epoch(t), nil)
		must(t, err)
		return p.Refresh
	}, func(t *testing.T, b *space, c any) (string, error) {
		p, _, err := b.jwt.Refresh(t.Context(), c.(string))
		if err != nil {
			return "", err
		}
		return ask(b.jwt, header("Bearer "+p.Access))
	}},
	"session": {func(t *testing.T, a *space) any {
		rec := httptest.NewRecorder()
		must(t, a.session.Start(rec, httptest.NewRequest("POST", "https://app.example/", nil), authn.Login{Subject: a.subject, Epoch: a.epoch(t)}))
		return cookies(rec)
	}, func(_ *testing.T, b *space, c any) (string, error) { return ask(b.session, c) }},
	"remember-me": {func(t *testing.T, a *space) any {
		rec := httptest.NewRecorder()
		must(t, a.session.StartRemembered(rec, httptest.NewRequest("POST", "https://app.example/", nil), authn.Login{Subject: a.subject, Epoch: a.epoch(t)}))
		return only(cookies(rec), "remember")
	}, func(_ *testing.T, b *space, c any) (string, error) { return ask(b.session, c) }},
	"sealed session": {func(t *testing.T, a *space) any {
		rec := httptest.NewRecorder()
		must(t, a.sealed.Start(rec, httptest.NewRequest("POST", "https://app.example/", nil), authn.Login{Subject: a.subject, Epoch: a.epoch(t), Roles: []string{"admin"}}))
		return cookies(rec)
	}, func(_ *testing.T, b *space, c any) (string, error) { return ask(b.sealed, c) }},
	"OAuth2 access token": {func(t *testing.T, a *space) any {
		access, _, failure := a.exchange(a.oauth2, a.code(t))
		if access == "" {
			t.Fatal(failure)
		}
		return header("Bearer " + access)
	}, func(_ *testing.T, b *space, c any) (string, error) { return ask(b.oauth2.Scheme(), c) }},
	"OAuth2 signed access token": {func(t *testing.T, a *space) any {
		access, _, failure := a.exchange(a.signed, a.code(t))
		if access == "" {
			t.Fatal(failure)
		}
		return header("Bearer " + access)
	}, func(_ *testing.T, b *space, c any) (string, error) { return ask(b.signed.Scheme(), c) }},
	"OAuth2 refresh token": {func(t *testing.T, a *space) any {
		_, refresh, failure := a.exchange(a.oauth2, a.code(t))
		if refresh == "" {
			t.Fatal(failure)
		}
		return refresh
	}, func(_ *testing.T, b *space, c any) (string, error) {
		access, _, failure := b.post(b.oauth2.Token(), "grant_type", "refresh_token", "client_id", "spa", "refresh_token", c.(string))
		return granted(b, access, failure)
	}},
	"OAuth2 code": {func(t *testing.T, a *space) any { return a.code(t) }, func(_ *testing.T, b *space, c any) (string, error) {
		access, _, failure := b.exchange(b.oauth2, c.(string))
		return granted(b, access, failure)
	}},
	"consent": {func(t *testing.T, a *space) any {
		now := time.Now()
		must(t, a.s.PutConsent(t.Context(), storage.Consent{Subject: a.subject, Client: "spa", Scopes: []string{"read"}, Epoch: a.epoch(t), Created: now, Expires: now.Add(time.Hour)}))
		return nil
	}, func(t *testing.T, b *space, _ any) (string, error) {
		c, err := b.s.ConsentOf(t.Context(), b.subject, "spa") // what b's authorization endpoint asks
		if epoch := b.epoch(t); err == nil && c.Epoch != epoch {
			err = errRefused
		}
		return c.Subject, err
	}},
	"reset link": {func(t *testing.T, a *space) any {
		r := httptest.NewRequest("POST", "https://app.example/forgot", strings.NewReader("address=ann"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		rec := httptest.NewRecorder()
		if a.recovery.Request().ServeHTTP(rec, r); rec.Code != 200 {
			t.Fatal(rec.Code, rec.Body)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = a.recovery.Run(ctx) }()
		select {
		case link := <-a.links:
			return link
		case <-time.After(time.Minute):
			t.Fatal("no link was sent")
			return nil
		}
	}, func(t *testing.T, b *space, c any) (string, error) {
		err := b.recovery.ResetPassword(t.Context(), c.(string), "a new and long enough password")
		return b.subject, err
	}},
	"device grant": {func(t *testing.T, a *space) any {
		now := time.Now()
		code := random("vdc")
		d := storage.DigestOf(code)
		must(t, a.s.CreateDeviceGrant(t.Context(), storage.DeviceGrant{Digest: d, UserCode: storage.MAC(d), Client: "tv", Scopes: []string{"read"}, Resource: []string{"https://api.example"}, Interval: time.Second, Created: now, Expires: now.Add(time.Hour)}))
		must(t, a.s.DecideDeviceGrant(t.Context(), storage.DeviceDecision{Digest: d, Approve: true, Subject: a.subject, Epoch: a.epoch(t), AuthTime: now, Now: now}))
		return code
	}, func(_ *testing.T, b *space, c any) (string, error) {
		access, _, failure := b.post(b.oauth2.Token(), "grant_type", oauth2.DeviceCode, "client_id", "tv", "device_code", c.(string))
		return granted(b, access, failure)
	}},
	"opaque token of a client alone": {func(t *testing.T, a *space) any {
		text := random("vat")
		now := time.Now()
		must(t, a.s.CreateAccess(t.Context(), storage.AccessToken{Digest: storage.DigestOf(text), ID: rand.Text(), Client: "spa", Scopes: []string{"read"}, Resource: []string{"https://api.example"}, Created: now, Expires: now.Add(time.Hour)}))
		return header("Bearer " + text)
	}, func(_ *testing.T, b *space, c any) (string, error) { return ask(b.oauth2.Scheme(), c) }},
}

var errRefused = errors.New("refused")

func ask(by authn.Authenticator, c any) (string, error) {
	id, err := authn.Chain{by}.Authenticate(c.(*http.Request))
	if id.Subject == "" && id.Client != "" {
		return id.Client, err
	}
	return id.Subject, err
}

func granted(b *space, access, failure string) (string, error) {
	switch {
	case access != "":
		return ask(b.oauth2.Scheme(), header("Bearer "+access))
	case failure == "invalid_grant":
		return "", errRefused
	}
	return "", errors.New("fault: " + failure)
}

// counted notes what attempts count as.
type counted struct{ accounts []string }

func (c *counted) Reserve(_ *http.Request, account string) (authn.LoginAttempt, error) {
	c.accounts = append(c.accounts, account)
	return nil, authn.PermissionDenied("enough")
}

// Accounts that are made in a space are named in it, and equal names of two spaces count as two.
func TestSpaceOfNewAccounts(t *testing.T) {
	var c counted
	hasher := passwordtest.New(t, nil)
	master := keys.Generate()
	ring, err := keys.NewRing(master[:])
	must(t, err)
	for _, name := range []string{"", "customers", "staff"} {
		s, err := sqlite.Open(":memory:", &gormstore.Options{Space: name, Timeout: 20 * time.Second})
		must(t, err)
		t.Cleanup(func() { _ = s.Close() })
		must(t, s.Migrate(t.Context()))
		kept, err := cached.New(s, nil)
		must(t, err)
		tokens, err := token.New(kept, ring, nil)
		must(t, err)
		passwords, err := password.New(kept, hasher, &password.Options{Limiter: &c})
		must(t, err)
		for _, id := range []string{"7", ""} {
			u, err := passwords.Register(t.Context(), password.NewUser{ID: id, Name: "ann" + id, Password: "wonderland-and-42"}, tokens.IssueOnRegister)
			if err != nil || u.Space() != name || !storage.BelongsTo(name, u.ID) || id != "" && u.LocalID() != id {
				t.Fatalf("edge_A01: %+v, %v", u, err)
			}
			text, err := tokens.GetOrCreate(t.Context(), u.ID, u.Epoch)
			must(t, err)
			for range 2 { // the second time from the cache
				got, err := authn.Chain{tokens}.Authenticate(header("Token " + text))
				if err != nil || got.Subject != u.ID || got.User.UserID() != u.LocalID() {
					t.Errorf("edge_A01: %+v, %v", got, err)
				}
			}
		}
		if _, err := passwords.Register(t.Context(), password.NewUser{ID: "7", Name: "other", Password: "wonderland-and-42"}); !errors.Is(err, storage.ErrConflict) {
			t.Errorf("an ID that is taken: %v", err)
		}
		_, _ = passwords.CheckPassword(httptest.NewRequest("POST", "/", nil), "ann", "x")
	}
	if fmt.Sprintf("%q", c.accounts) != `["\x00ann" "customers\x00ann" "staff\x00ann"]` {
		t.Errorf("edge_A01: attempts count as %q", c.accounts)
	}
}

// Two account tables behind one database, one issuer and one master key: what one application
// issues is nobody's at the other, and what ends there leaves it alone.
func TestSpaces_attack_253(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing is concurrent")
	}
	each := func(t *testing.T, two func(t *testing.T) (customers, staff storagetest.Store)) {
		for kind, k := range kinds {
			t.Run("edge_A01/"+kind, func(t *testing.T) {
				master := keys.Generate()
				ring, err := keys.NewRing(master[:])
				must(t, err)
				key, err := jose.Generate(jose.ES256)
				must(t, err)
				signing, err := jose.NewKeySet(key)
				must(t, err)
				shared := sharedKeys{ring, signing}
				s1, s2 := two(t)
				for _, s := range []storagetest.Store{s1, s2} {
					for _, c := range []storage.Client{
						{ID: "spa", Method: oauth2.None, Trusted: true, Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken}, Scopes: []string{"read"}, RedirectURIs: []string{"https://spa.example/"}},
						{ID: "tv", Method: oauth2.None, Trusted: true, Grants: []string{oauth2.DeviceCode, oauth2.RefreshToken}, Scopes: []string{"read"}},
					} {
						if err := s.CreateClient(t.Context(), c); err != nil && !errors.Is(err, storage.ErrConflict) {
							t.Fatal(err)
						}
					}
				}
				customers, staff := newApplication(t, "customers", s1, shared), newApplication(t, "staff", s2, shared)
				c := k.issue(t, customers)
				who, err := k.use(t, staff, c)
				var refused *authn.Error
				switch {
				case err == nil:
					t.Errorf("the credential of customer 1 names %q at the staff server", who)
				case !errors.As(err, &refused) && !errors.Is(err, authn.ErrNoCredentials) && !errors.Is(err, errRefused) && !errors.Is(err, storage.ErrNotFound):
					t.Errorf("a fault: %v", err)
				}
				if kind == "OAuth2 code" || kind == "device grant" {
					c = k.issue(t, customers) // presented where it is not known, it may be burnt
				}
				mine := k.issue(t, staff)
				// The end of staff 1 leaves customer 1.
				must(t, staff.s.SetActive(t.Context(), staff.subject, false))
				if who, err := k.use(t, customers, c); err != nil || who != customers.subject && who != "spa" {
					t.Errorf("the customer's own: %q, %v", who, err)
				}
				if who, err := k.use(t, staff, mine); err == nil && kind != "sealed session" && who != "spa" {
					t.Errorf("disabled staff 1 is %q", who)
				}
			})
		}
	}
	table := func(name string) *gormstore.UserTable {
		return &gormstore.UserTable{Table: name, ID: "id", IDType: "integer", Name: "login", Password: "hash", Active: "active", Roles: "roles"}
	}
	fill := func(t *testing.T, s *gormstore.Store, name string) {
		t.Helper()
		must(t, s.Migrate(t.Context()))
		must(t, errors.Join(
			s.DB(t.Context()).Exec("CREATE TABLE "+name+" (id BIGINT PRIMARY KEY, login TEXT UNIQUE NOT NULL, hash TEXT NOT NULL, active BOOLEAN NOT NULL, roles TEXT NOT NULL DEFAULT '')").Error,
			s.DB(t.Context()).Exec("INSERT INTO "+name+" VALUES (1, 'ann', 'pbkdf2_sha256$1$salt$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', TRUE, 'admin')").Error))
	}
	databases := map[string]func(t *testing.T) func(*gormstore.Options) (*gormstore.Store, error){
		"sqlite": func(t *testing.T) func(*gormstore.Options) (*gormstore.Store, error) {
			path := filepath.Join(t.TempDir(), "db")
			return func(o *gormstore.Options) (*gormstore.Store, error) { return sqlite.Open(path, o) }
		},
		"postgres": func(t *testing.T) func(*gormstore.Options) (*gormstore.Store, error) {
			at := storetest.URL(t)
			return func(o *gormstore.Options) (*gormstore.Store, error) { return postgres.Open(at, o) }
		},
	}
	two := func(t *testing.T, open func(*gormstore.Options) (*gormstore.Store, error)) (out [2]*gormstore.Store) {
		for i, name := range []string{"customers", "staff"} {
			s, err := open(&gormstore.Options{Users: table(name), Space: name, Timeout: 20 * time.Second})
			must(t, err)
			t.Cleanup(func() { _ = s.Close() })
			fill(t, s, name)
			out[i] = s
		}
		return out
	}
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T) (storagetest.Store, storagetest.Store) {
				both := two(t, database(t))
				return both[0], both[1]
			})
		})
	}
	t.Run("sqlite, cached", func(t *testing.T) {
		each(t, func(t *testing.T) (storagetest.Store, storagetest.Store) {
			both := two(t, databases["sqlite"](t))
			c1, err := cached.New(both[0], nil)
			must(t, err)
			c2, err := cached.New(both[1], nil)
			must(t, err)
			return c1, c2
		})
	})
	// Two stores in memory have nothing in common but the keys.
	t.Run("memory", func(t *testing.T) {
		each(t, func(t *testing.T) (storagetest.Store, storagetest.Store) {
			var out []storagetest.Store
			for _, name := range []string{"customers", "staff"} {
				s := memory.New(&memory.Options{Space: name})
				must(t, s.CreateUser(t.Context(), storage.User{ID: storage.SubjectIn(storage.SpaceOf(s), "1"), Name: "ann", Password: "pbkdf2_sha256$1$salt$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", Active: true, Roles: []string{"admin"}}))
				out = append(out, s)
			}
			return out[0], out[1]
		})
	})
}
