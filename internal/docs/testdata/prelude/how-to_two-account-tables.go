package p

var (
	url                       string
	customerTable, staffTable gormstore.UserTable
)
