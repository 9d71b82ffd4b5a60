package p

func open(*testing.T, storage.Users) any

var (
	url                       string
	customerTable, staffTable gormstore.UserTable
	id, text, subject         string
	scopes                    []string
	expires, now              time.Time
)
