package p

func notes(w http.ResponseWriter, r *http.Request)

var (
	pem, claims []byte
	sessions    server.Sessions
	secret      string
)
