package comparison

import (
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	gormpostgres "gorm.io/driver/postgres"
	gormsqlite "gorm.io/driver/sqlite"
	"gorm.io/gorm"

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
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

const (
	issuer   = "http://127.0.0.1:8080"
	audience = "http://127.0.0.1:8080/api"
	callback = "http://127.0.0.1/callback"
	alice    = "alice-in-wonderland" // also what a search of the database must find
	secret   = "Down-the-rabbit-hole-1865"
)

// TB is the part of testing.TB that the experiments use.
type TB interface {
	Cleanup(func())
	Context() context.Context
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Helper()
	TempDir() string
}

// World is everything that outlives a server process: the database, the key file and the time.
type World struct {
	TB
	file string // the SQLite database, or ""
	url  string // the PostgreSQL database, or ""
	key  string
	now  atomic.Int64 // microseconds
}

// NewWorld creates an empty world. Its database is the PostgreSQL database at url, or a new SQLite
// file if url is empty.
func NewWorld(t TB, url string) *World {
	w := &World{TB: t, key: t.TempDir() + "/key"}
	w.set(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))
	if _, _, err := keys.Create(w.key); err != nil {
		t.Fatal(err)
	}
	if w.url = url; url == "" {
		w.file = filepath.Join(t.TempDir(), "db")
	}
	return w
}

func (w *World) clock() time.Time      { return time.UnixMicro(w.now.Load()).UTC() }
func (w *World) set(at time.Time)      { w.now.Store(at.UnixMicro()) }
func (w *World) after(d time.Duration) { w.set(w.clock().Add(d)) }

// NewHasher makes the hasher of each site. The questions log in hundreds of times, so a test sets
// a cheaper one.
var NewHasher = func() (*password.Hasher, error) { return password.NewHasher(nil) }

// Site is one server process.
type Site struct {
	*httptest.Server
	w          *World
	pool       *sql.DB
	db         *gormstore.Store
	hasher     *password.Hasher
	passwords  *password.Checker
	subject    string // Alice
	statements atomic.Int64
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Start starts a server: new objects over the world's database and key file.
func (w *World) Start() *Site {
	w.Helper()
	s := &Site{w: w}
	var dialector gorm.Dialector
	if w.file != "" {
		s.pool = sql.OpenDB(connector{"file:" + (&url.URL{Path: w.file}).EscapedPath() + "?_journal_mode=WAL&_busy_timeout=5000&_foreign_keys=on&_txlock=immediate", &s.statements})
		dialector = gormsqlite.New(gormsqlite.Config{Conn: s.pool})
	} else {
		cfg := must(pgx.ParseConfig(w.url))
		cfg.Tracer = tracer{&s.statements}
		s.pool = stdlib.OpenDB(*cfg)
		dialector = gormpostgres.New(gormpostgres.Config{Conn: s.pool})
	}
	s.db = must(gormstore.Own(must(gorm.Open(dialector, gormstore.Config())), &gormstore.Options{Clock: w.clock, Timeout: 20 * time.Second}))
	ctx := w.Context()
	if err := s.db.Migrate(ctx); err != nil {
		w.Fatal(err)
	}
	s.hasher = must(NewHasher())
	s.passwords = must(password.New(s.db, s.hasher, &password.Options{Clock: w.clock, FailureFloor: time.Millisecond, InsecureNoLimiter: true}))
	if _, err := s.db.UserByName(ctx, alice); err != nil {
		must(s.passwords.Register(ctx, password.NewUser{Name: alice, Password: secret}))
		if err := s.db.CreateClient(ctx, storage.Client{
			ID: "app", Method: oauth2.None, Native: true, Trusted: true, RedirectURIs: []string{callback}, Scopes: []string{"all"}, Default: []string{"all"},
			Grants: []string{oauth2.AuthorizationCode, oauth2.RefreshToken}, Created: w.clock(),
		}); err != nil {
			w.Fatal(err)
		}
	}
	s.subject = must(s.db.UserByName(ctx, alice)).ID
	s.Server = httptest.NewServer(s.routes(ctx))
	w.Cleanup(s.stop)
	return s
}

// stop ends the process.
func (s *Site) stop() {
	s.Close()
	_ = s.db.Close()
}

// routes are, for each scheme: /NAME/login, /NAME/logout and /NAME/refresh where it has them,
// and GET and POST /NAME, for who is authenticated by it.
func (s *Site) routes(ctx context.Context) http.Handler {
	w, quiet := s.w, slog.New(slog.DiscardHandler)
	ring := must(keys.Load(w.key))
	signing := must(jwt.NewStoredKeys(s.db, ring, issuer, &jwt.KeyOptions{Clock: w.clock}))
	if err := signing.Ensure(ctx); err != nil {
		w.Fatal(err)
	}
	local := csrf.Loopback()
	tokens := must(token.New(s.db, ring, &token.Options{Clock: w.clock, Logger: quiet}))
	devices := must(knox.New(s.db, &knox.Options{Clock: w.clock, Logger: quiet}))
	jwts := must(jwt.New(issuer, audience, signing, s.db, &jwt.Options{Clock: w.clock, Logger: quiet}))
	browsers := must(session.New(s.db, local, &session.Options{Clock: w.clock, Logger: quiet}))
	grants := must(oauth2.New(issuer, s.db, &oauth2.Options{Clock: w.clock}))
	srv := must(server.New(grants, s.db, &server.Options{Scopes: map[string]string{"all": "Everything"}, Logger: quiet}))
	pages := must(consent.New(srv, server.Sessions{Of: browsers.FromIdentity, Token: session.Token}, "/login", nil))
	byPassword := must(basic.New(s.passwords, &basic.Options{Site: local}))
	known := must(password.Cached(s.passwords, nil)) // a login costs a hash once; the questions log in often
	cached := must(basic.New(known, &basic.Options{Site: local}))

	opts := &authn.Options{Logger: quiet, Clock: w.clock}
	mux := authz.NewMux(authn.New(authn.Chain{browsers, jwts, grants, devices, tokens, byPassword}, opts))
	who := func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(rw, authn.FromContext(r.Context()).Subject)
	}
	for name, scheme := range map[string]authn.Authenticator{"token": tokens, "knox": devices, "jwt": jwts, "elsewhere": s.elsewhere(jwts), "oauth2": grants, "session": browsers, "basic": byPassword, "cached": cached} {
		mux.With(authn.New(scheme, opts)).HandleFunc("/"+name, who, authz.IsAuthenticated)
	}
	for pattern, h := range map[string]http.Handler{
		"/token/login": tokens.Login(known), "/token/logout": tokens.Logout(), "/knox/login": devices.Login(known), "/knox/logout": devices.Logout(),
		"/jwt/login": jwts.Login(known), "/jwt/logout": jwts.Logout(), "/jwt/refresh": jwts.RefreshPair(),
		"/session/login": browsers.Login(known), "/session/logout": browsers.Logout(), "/oauth2/refresh": srv.Token(), "/oauth2/logout": srv.Revoke(),
	} {
		mux.Public("POST "+pattern, h)
	}
	mux.Handle("/oauth2/authorize", pages.Authorize(), authz.AllowAny)
	mux.HandleFunc("POST /everywhere", func(rw http.ResponseWriter, r *http.Request) {
		if _, err := s.db.BumpEpoch(r.Context(), authn.FromContext(r.Context()).Subject); err != nil {
			authn.Respond(rw, r, err)
		}
	}, authz.IsAuthenticated)
	return mux
}

// elsewhere is another service, which has the issuer's published keys and no database.
func (s *Site) elsewhere(issuing *jwt.Scheme) authn.Authenticator {
	rec := httptest.NewRecorder()
	issuing.JWKS().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	ring := must(jose.NewKeySet(must(jose.ParseJWKS(rec.Body.Bytes()))...))
	return must(jwt.NewVerifier(issuer, audience, ring, &jwt.VerifierOptions{Clock: s.w.clock, Leeway: jwt.LeewayOff}))
}

// call sends a request; headers are name and value by turns. A body that begins with { is
// JSON, any other a form.
func (s *Site) call(method, path, body string, headers ...string) (*http.Response, string) {
	s.w.Helper()
	r := must(http.NewRequest(method, s.URL+path, strings.NewReader(body)))
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.w.Fatal(err)
	}
	defer resp.Body.Close()
	return resp, string(must(io.ReadAll(resp.Body)))
}

// members reads the texts of a JSON object.
func members(text string) map[string]string {
	var all map[string]any
	_ = json.Unmarshal([]byte(text), &all)
	texts := map[string]string{}
	for name, v := range all {
		if v, ok := v.(string); ok {
			texts[name] = v
		}
	}
	return texts
}
