package authn

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime/debug"
)

// Render calls the application's function write, which writes a response, and sends the response
// after write has returned. Use it in your own schemes for hooks that write pages. name is the name
// of the option in error texts, such as "session.FormOptions.Render".
//
// If write panics, nothing is sent. Render then returns an error that [Respond] answers with 500.
// Its text does not contain the value of the panic, which may hold a secret. A panic with
// http.ErrAbortHandler is passed on.
//
// If you save state that belongs to the page, do so after Render returned. Then a panic in write
// changes nothing. The function write cannot flush or hijack the connection.
func Render(w http.ResponseWriter, name string, write func(http.ResponseWriter)) error {
	d, err := Draw(w, name, write)
	if err != nil {
		return err
	}
	d.Send()
	return nil
}

// Draw is [Render], but does not send the response. Call [Draft.Send] to send it.
func Draw(w http.ResponseWriter, name string, write func(http.ResponseWriter)) (d *Draft, err error) {
	d = &Draft{w: w, header: w.Header().Clone()}
	if d.header == nil {
		d.header = make(http.Header)
	}
	defer func() {
		if v := recover(); v == http.ErrAbortHandler {
			panic(v)
		} else if v != nil {
			d, err = nil, &hookPanic{name, fmt.Sprintf("%T", v), debug.Stack()}
		}
	}()
	write(d)
	return d, nil
}

// Draft is a response that was written but not sent.
type Draft struct {
	w      http.ResponseWriter
	header http.Header
	status int
	body   bytes.Buffer
}

// Header returns the headers of the response. They start as a copy of the ResponseWriter's headers.
func (d *Draft) Header() http.Header { return d.header }

// WriteHeader sets the status. Only the first call has an effect.
func (d *Draft) WriteHeader(status int) {
	if d.status == 0 && status >= 200 {
		d.status = status
	}
}

// Write appends to the body.
func (d *Draft) Write(b []byte) (int, error) {
	d.WriteHeader(http.StatusOK)
	return d.body.Write(b)
}

// Send sends the response. Call it only once.
func (d *Draft) Send() {
	h := d.w.Header()
	clear(h)
	for name, values := range d.header {
		h[name] = values
	}
	d.WriteHeader(http.StatusOK)
	d.w.WriteHeader(d.status)
	_, _ = d.w.Write(d.body.Bytes())
}

// hookPanic is an error for a panic in a function of the application.
type hookPanic struct {
	hook, kind string
	stack      []byte
}

func (p *hookPanic) Error() string { return "authn: " + p.hook + ": panic of type " + p.kind }

// StatusCode returns 500, because the cause is a bug in the program and a retry does not help.
func (*hookPanic) StatusCode() int { return http.StatusInternalServerError }

// Stack returns the stack of the panic, for the log.
func (p *hookPanic) Stack() string { return string(p.stack) }
