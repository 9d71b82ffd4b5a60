package p

type keyScheme struct{ store *gormstore.Store }

func (*keyScheme) Authenticate(*http.Request) (authn.Identity, error)

func allowScripts(origins []string, api http.Handler) http.Handler

var (
	s         *keyScheme
	u         storage.Account
	key       storage.Credential
	basicAuth *basic.Scheme
	text      string
	addr      string
)
