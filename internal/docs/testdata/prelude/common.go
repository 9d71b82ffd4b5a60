package p

// What the blocks of most pages use without declaring it.
var (
	ctx context.Context
	err error
	w   http.ResponseWriter
	r   *http.Request

	db        *gormstore.Store
	ring      *keys.Ring
	hasher    *password.Hasher
	passwords *password.Checker
	site      *csrf.Site
	proxies   authn.TrustedProxies
	mux       *authz.Mux
	auth      *authn.Middleware
	chain     authn.Chain
	router    http.Handler
	handler   http.Handler
	logger    *slog.Logger

	tokens   *token.Scheme
	devices  *knox.Scheme
	browsers *session.Scheme
	api      *oauth2.Scheme
	srv      *server.Server

	user  storage.Account
	id    authn.Identity
	me    http.Handler
	epoch int64
)
