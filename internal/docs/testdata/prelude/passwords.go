package p

func register(passwords *password.Checker, devices *knox.Scheme) http.Handler

var limits authn.LoginLimiter
