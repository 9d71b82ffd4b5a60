module github.com/vestibule-auth/vestibule/examples/routers/chi

go 1.26.0

replace github.com/vestibule-auth/vestibule => ../../..

require github.com/vestibule-auth/vestibule v0.0.0

require (
	github.com/go-chi/chi/v5 v5.3.1
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)
