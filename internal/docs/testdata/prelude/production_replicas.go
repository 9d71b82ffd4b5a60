package p

var (
	url, directURL, ownerURL string
	users                    *gormstore.UserTable
	courier                  bus.Courier
	redisStore               *redisstore.Store
	settings                 string
)
