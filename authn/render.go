package authn

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime/debug"
)

// Render calls write, a function of an application that writes an answer, and sends what it wrote
// once it has returned. If write panics, nothing was sent, and Render returns an error that
// [Respond] answers with 500 and whose text does not repeat the panic's, which may hold a secret.
// name is that of the option, such as "session.FormOptions.Render".
//
// Use Render in schemes of your own for hooks that write pages. Store what belongs to the page
// after the hook, so that a panic leaves nothing behind. write can neither flush nor hijack.
// A panic with http.ErrAbortHandler is passed on.
func Render(w http.ResponseWriter, name string, write func(http.ResponseWriter)) error {
	d, err := Draw(w, name, write)
	if err != nil {
		return err
	}
	d.Send()
	return nil
}

// Draw is Render that does not send the answer yet.
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

// Draft is an answer that was written and not sent.
type Draft struct {
	w      http.ResponseWriter
	header http.Header
	status int
	body   bytes.Buffer
}

// Header returns the headers of the answer, which begin as those of the ResponseWriter.
func (d *Draft) Header() http.Header { return d.header }

// WriteHeader sets the status; the first one counts.
func (d *Draft) WriteHeader(status int) {
	if d.status == 0 && status >= 200 {
		d.status = status
	}
}

// Write adds to the body.
func (d *Draft) Write(b []byte) (int, error) {
	d.WriteHeader(http.StatusOK)
	return d.body.Write(b)
}

// Send sends the answer. Call it once.
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

// hookPanic is a panic in a function of the application.
type hookPanic struct {
	hook, kind string
	stack      []byte
}

func (p *hookPanic) Error() string { return "authn: " + p.hook + ": panic of type " + p.kind }

// StatusCode returns 500: the program is at fault, and another request does not help.
func (*hookPanic) StatusCode() int { return http.StatusInternalServerError }

// Stack returns where the hook panicked, for the log.
func (p *hookPanic) Stack() string { return string(p.stack) }
