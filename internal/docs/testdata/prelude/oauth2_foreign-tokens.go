package p

func endSessions(context.Context, backchannel.Logout) error

var (
	secret       string
	providerKeys jose.KeySource
)
