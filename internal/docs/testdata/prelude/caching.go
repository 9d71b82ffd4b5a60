package p

var (
	url             string
	store           *cached.Store
	sessionsInRedis interface {
		storage.Sessions
		storage.SessionList
	}
	payload []byte
	tx      *gorm.DB
	id      string
)
