package p

var (
	tokens       *knox.Scheme
	newUser      password.NewUser
	text, userID string
)
