package p

var (
	store throttle.Store
	files http.Handler
)
