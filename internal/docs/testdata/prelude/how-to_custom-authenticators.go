package p

type keyScheme struct{ store *gormstore.Store }

func (*keyScheme) Authenticate(*http.Request) (authn.Identity, error)

var (
	s   *keyScheme
	u   storage.Account
	key storage.Credential
)
