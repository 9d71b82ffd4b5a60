package benchmarks

import (
	"context"
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
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/schemes/jwt"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/consent"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/schemes/session"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/cached"
	"github.com/vestibule-auth/vestibule/storage/gormstore/sqlite"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

const (
	issuer   = "https://auth.example"
	audience = "https://api.example"
	redirect = "https://app.example/cb"
)

var secret = []byte("0123456789abcdef0123456789abcdef") // of every HS256 here

type where string

const (
	inMemory where = "memory"
	onSQLite where = "SQLite"
)

// world is the six schemes over one store that holds size users, and a credential of alice
// for each scheme.
type world struct {
	db              cached.Base
	tokens          *token.Scheme
	devices         *knox.Scheme
	jwts            *jwt.Scheme
	browsers        *session.Scheme
	grants          *oauth2.Scheme
	server          *server.Server
	pages           *consent.Pages
	basic           *basic.Scheme
	chain           authn.Chain
	client          string // the secret of the OAuth2 client "app"
	refresh, cookie string // alice's OAuth2 refresh token, and her session's cookie
	credential      func(scheme string) (name, value string)
}

const size = 1000

// world returns the world of that store, made at the first call.
func (e *Env) world(at where, keep bool) (*world, error) {
	name := fmt.Sprint(at, keep)
	if w := e.worlds[name]; w != nil {
		return w, nil
	}
	w, err := newWorld(e, at, keep)
	if err != nil {
		return nil, err
	}
	e.worlds[name] = w
	return w, nil
}

func newWorld(e *Env, at where, keep bool) (*world, error) {
	w := &world{}
	if at == inMemory {
		w.db = memory.New(nil)
	} else {
		dir, err := e.Dir()
		if err != nil {
			return nil, err
		}
		db, err := sqlite.Open(filepath.Join(dir, "db"), nil)
		if err != nil {
			return nil, err
		}
		e.Cleanup(func() { db.Close() })
		if err := db.Migrate(e); err != nil {
			return nil, err
		}
		w.db = db
	}
	if keep {
		kept, err := cached.New(w.db, nil)
		if err != nil {
			return nil, err
		}
		w.db = kept
	}
	hasher, err := password.NewHasher(nil)
	if err != nil {
		return nil, err
	}
	checker, err := password.New(w.db, hasher, &password.Options{InsecureNoLimiter: true})
	if err != nil {
		return nil, err
	}
	hash, err := hasher.Hash(e, "", "wonderland-42")
	if err != nil {
		return nil, err
	}
	// The first is alice. Each of the others has a token too, so that tables have a size.
	for i := range size {
		u := storage.User{ID: fmt.Sprint("id-", i), Name: fmt.Sprint("user", i), Active: true}
		if i == 0 {
			u = storage.User{ID: subject, Name: "alice", Email: "alice@example.com", Active: true, Password: hash}
		}
		if err := w.db.CreateUser(e, u); err != nil {
			return nil, err
		}
	}
	if err := w.schemes(checker, keep); err != nil {
		return nil, err
	}
	for i := 1; i < size; i++ {
		id := fmt.Sprint("id-", i)
		if _, err := w.tokens.GetOrCreate(e, id, 0); err != nil {
			return nil, err
		}
		if _, _, err := w.devices.Issue(e, id, 0, knox.Token{}); err != nil {
			return nil, err
		}
	}
	return w, w.issue(e)
}

func (w *world) schemes(checker *password.Checker, keep bool) error {
	ring, err := keys.NewRing(keys.Generate())
	if err != nil {
		return err
	}
	k, err := jose.NewSecret("k", jose.HS256, secret)
	if err != nil {
		return err
	}
	signing, err := jose.NewKeySet(k)
	if err != nil {
		return err
	}
	var basicPasswords authn.PasswordChecker = checker
	entries := -1
	if keep {
		entries = 0
		if basicPasswords, err = password.Cached(checker, nil); err != nil {
			return err
		}
	}
	var errs [6]error
	w.tokens, errs[0] = token.New(w.db, ring, nil)
	w.devices, errs[1] = knox.New(w.db, nil)
	w.jwts, errs[2] = jwt.New(issuer, audience, signing, w.db, &jwt.Options{AccessTTL: 24 * time.Hour, RefreshTTL: 24 * time.Hour, CacheEntries: entries})
	site, err := csrf.New(issuer, nil)
	if err != nil {
		return err
	}
	w.browsers, errs[3] = session.New(w.db, site, nil)
	if w.grants, err = oauth2.New(issuer+"/oauth2", w.db, nil); err != nil {
		return err
	}
	w.server, err = server.New(w.grants, w.db, &server.Options{
		Scopes: map[string]string{"profile": "See your name"}, Lifetimes: server.Lifetimes{AccessTTL: 24 * time.Hour},
	})
	if err != nil {
		return err
	}
	w.pages, errs[4] = consent.New(w.server, server.Sessions{Of: w.browsers.FromIdentity}, "/login", nil)
	w.basic, errs[5] = basic.New(basicPasswords, nil)
	w.chain = authn.Chain{w.browsers, w.jwts, w.grants, w.devices, w.tokens, w.basic}
	return errors.Join(errs[:]...)
}

// issue makes alice's credentials.
func (w *world) issue(e *Env) error {
	static, err := w.tokens.GetOrCreate(e, subject, 0)
	if err != nil {
		return err
	}
	device, _, err := w.devices.Issue(e, subject, 0, knox.Token{})
	if err != nil {
		return err
	}
	pair, err := w.jwts.Issue(e, subject, 0, nil)
	if err != nil {
		return err
	}
	rec := httptest.NewRecorder()
	if err := w.browsers.Start(rec, post("/login", ""), authn.Login{Subject: subject}); err != nil {
		return err
	}
	cookie := rec.Result().Cookies()[0]
	access, err := w.grant(e, cookie.Name+"="+cookie.Value)
	if err != nil {
		return err
	}
	w.credential = func(scheme string) (name, value string) {
		switch scheme {
		case "token":
			return "Authorization", "Token " + static
		case "knox":
			return "Authorization", "Knox " + device
		case "jwt":
			return "Authorization", "Bearer " + pair.Access
		case "oauth2":
			return "Authorization", "Bearer " + access
		case "session":
			return "Cookie", cookie.Name + "=" + cookie.Value
		default:
			return "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:wonderland-42"))
		}
	}
	return nil
}

// grant registers a trusted client, lets alice allow it something, and exchanges the code.
func (w *world) grant(ctx context.Context, cookie string) (access string, err error) {
	c := storage.Client{ID: "app", Method: oauth2.SecretBasic, Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken, oauth2.ClientCredentials},
		Scopes: []string{"profile"}, Default: []string{"profile"}, RedirectURIs: []string{redirect}, Trusted: true}
	w.client, c.Secret, err = oauth2.NewSecret()
	if err != nil {
		return "", err
	}
	if err := w.db.CreateClient(ctx, c); err != nil {
		return "", err
	}
	w.cookie = cookie
	return w.allow()
}

// allow lets alice allow the client something, and exchanges the code.
func (w *world) allow() (access string, err error) {
	query := url.Values{"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {redirect}, "state": {"s"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}}
	r := request(http.Header{"Cookie": {w.cookie}})
	r.URL.Path, r.URL.RawQuery = "/oauth2/authorize", query.Encode()
	rec := httptest.NewRecorder()
	w.middleware().Handler(w.pages.Authorize()).ServeHTTP(rec, r)
	to, err := url.Parse(rec.Header().Get("Location"))
	if err != nil || to.Query().Get("code") == "" {
		return "", fmt.Errorf("no code: %d %s %s", rec.Code, to, rec.Body)
	}
	var body struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	err = answer(w.server.Token(), w.asApp("grant_type=authorization_code&redirect_uri="+url.QueryEscape(redirect)+
		"&code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk&code="+to.Query().Get("code")), 200, &body)
	w.refresh = body.Refresh
	return body.Access, err
}

func (w *world) middleware() *authn.Middleware {
	return authn.New(w.chain, &authn.Options{Logger: slog.New(slog.DiscardHandler)})
}

// asApp is a request of the client "app" with a form.
func (w *world) asApp(form string) *http.Request {
	r := post("/oauth2/token", form)
	r.SetBasicAuth("app", w.client)
	return r
}

// post is a request with a form.
func post(path, form string) *http.Request {
	r := httptest.NewRequest("POST", issuer+path, strings.NewReader(form))
	r.RemoteAddr = "192.0.2.1:40000"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r.WithContext(served(r.Context()))
}

// answer sends r and reads the answer's JSON into v, where it is not nil.
func answer(h http.Handler, r *http.Request, status int, v any) error {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if rec.Code != status {
		return fmt.Errorf("%s %s: %d %s", r.Method, r.URL.Path, rec.Code, rec.Body)
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(rec.Body.Bytes(), v)
}

// worldGate is the chain of all six schemes, and a guard, in front of the handler.
func worldGate(scheme string, at where, keep bool) func(*Env, Seen) (*Gate, error) {
	return func(e *Env, seen Seen) (*Gate, error) {
		w, err := e.world(at, keep)
		if err != nil {
			return nil, err
		}
		guard := authz.Require(authz.IsAuthenticated, authz.HasScope("profile"))
		g := &Gate{Handler: w.middleware().Handler(guard.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			seen(rw, authn.FromContext(r.Context()).Subject)
		}))}
		name, value := w.credential(scheme)
		g.Good, g.Bad = header(name, value)
		return g, nil
	}
}
