package p

var (
	hostname string
	events   *audit.Notifier
	key      storage.Credential
)

var subject, admin string
