package p

func routes(*authn.Middleware) http.Handler
func malformed(*http.Request)
func junk(*http.Request)

var (
	scheme  *knox.Scheme
	key, id string
)
