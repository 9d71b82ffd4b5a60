package p

func open(*testing.T, storage.Users) any

var (
	url               string
	id, text, subject string
	scopes            []string
	expires, now      time.Time
)
