package guides

import (
	"fmt"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/cookie"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/authn/login"
	"github.com/vestibule-auth/vestibule/authn/password"
	"github.com/vestibule-auth/vestibule/authz"
	"github.com/vestibule-auth/vestibule/schemes/basic"
	"github.com/vestibule-auth/vestibule/schemes/knox"
	"github.com/vestibule-auth/vestibule/schemes/token"
	"github.com/vestibule-auth/vestibule/storage"
)

// #region chain

// newAPI accepts device tokens and, for simple clients, a name and a password.
func newAPI(devices *knox.Scheme, passwords *password.Checker) (http.Handler, error) {
	cached, err := password.Cached(passwords, nil) // saves most password hashes
	if err != nil {
		return nil, err
	}
	basicAuth, err := basic.New(cached, nil)
	if err != nil {
		return nil, err
	}
	auth := authn.New(authn.Chain{devices, basicAuth}, nil)
	mux := http.NewServeMux()
	mux.Handle("GET /whoami", auth.Handler(http.HandlerFunc(whoami)))
	return mux, nil
}

func whoami(w http.ResponseWriter, r *http.Request) {
	id := authn.FromContext(r.Context())
	if !id.Authenticated() {
		fmt.Fprintln(w, "anonymous")
		return
	}
	if user, ok := authn.UserFrom[*storage.Account](r.Context()); ok {
		fmt.Fprintf(w, "%s, by %s\n", user.Name, id.Scheme)
		return
	}
	fmt.Fprintf(w, "%s%s, by %s\n", id.Subject, id.Client, id.Scheme) // no account was loaded
}

// #endregion chain

// #region apikey

// apiKeys accepts the header X-Api-Key. It maps the digest of each key to a subject.
type apiKeys map[storage.Digest]string

func (a apiKeys) Authenticate(r *http.Request) (authn.Identity, error) {
	lines := r.Header["X-Api-Key"]
	if len(lines) == 0 {
		return authn.Identity{}, authn.ErrNoCredentials
	}
	if len(lines) > 1 { // a proxy in front may read the other one
		return authn.Identity{}, authn.BadRequest("The request has more than one X-Api-Key header.")
	}
	subject, ok := a[storage.DigestOf(lines[0])]
	if !ok {
		return authn.Identity{}, authn.AuthenticationFailed("Invalid API key.")
	}
	return authn.Identity{Subject: subject, Scheme: "apikey"}, nil
}

func (apiKeys) Name() string      { return "apikey" }
func (apiKeys) Headers() []string { return []string{"X-Api-Key"} }
func (apiKeys) Challenge(*http.Request, error) string {
	return `ApiKey realm="api"`
}

// #endregion apikey

// #region wrap

// officeHours accepts static tokens, but only from 8 to 18 o'clock.
type officeHours struct {
	*token.Scheme
	now func() time.Time
}

func (officeHours) Name() string { return "office" } // in the log, in Routes and in Observe

func (o officeHours) Authenticate(r *http.Request) (authn.Identity, error) {
	id, err := o.Scheme.Authenticate(r)
	if err != nil {
		return id, err
	}
	if h := o.now().Hour(); h < 8 || h >= 18 {
		return authn.Identity{}, authn.PermissionDenied("Only from 8 to 18.")
	}
	id.Scheme = "office" // the name that ViaScheme compares
	return id, nil
}

// #endregion wrap

// #region cookie

// withCookie accepts device tokens in Authorization and, from web pages, in a cookie.
func withCookie(devices *knox.Scheme, origin string) (*authn.Middleware, *cookie.Scheme, error) {
	site, err := csrf.New(origin, nil) // such as "https://app.example"
	if err != nil {
		return nil, nil, err
	}
	pages, err := cookie.New("access", site, devices, nil)
	if err != nil {
		return nil, nil, err
	}
	return authn.New(authn.Chain{devices, pages}, nil), pages, nil
}

// rememberToken stores a token of the scheme in the browser for one hour.
func rememberToken(w http.ResponseWriter, pages *cookie.Scheme, text string) {
	http.SetCookie(w, pages.Cookie(text, 3600)) // __Host-access, HttpOnly, Secure, SameSite=Lax
}

// #endregion cookie

// #region everywhere

// logoutEverywhere revokes every credential of the caller.
func logoutEverywhere(db storage.Subjects) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := authn.FromContext(r.Context())
		if err := login.FirstPartyOf(id, db); err != nil {
			authn.Respond(w, r, err) // 403: for example an account of another store of the chain
			return
		}
		if _, err := storage.LogoutEverywhere(r.Context(), db, id.Subject); err != nil {
			authn.Respond(w, r, err) // 503: nothing was revoked
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// mountLogoutEverywhere rejects clients, scope-limited tokens and users of other issuers.
func mountLogoutEverywhere(mux *authz.Mux, db storage.Subjects) {
	mux.Handle("POST /logout-everywhere", logoutEverywhere(db), authz.FirstParty)
}

// #endregion everywhere
