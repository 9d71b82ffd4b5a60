package oauth2

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"time"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	// maxTries is how many codes a user or an address may try in vain, in each tryWindow.
	maxTries  = 10
	tryWindow = 15 * time.Minute

	purposeDevice = "device"
)

// Device returns the page where a user types the code that a device shows (RFC 8628 section
// 3.3), and then allows or denies what its client asks for. Like that of Authorize it goes
// behind the chain, open to everybody (authz.AllowAny), takes users of a session alone
// (Options.Session, RULES C7), and sends who is not logged in to the page at login.
//
// A GET shows a form and decides nothing, whatever its address says (RULES B5): the code may
// come with a link from somebody else. In a quarter of an hour a user, and an address, may
// try ten codes in vain; see Options.Proxies.
func (s *Server) Device(login string) http.Handler {
	if s.opts.Session == nil || s.opts.Keys == nil {
		panic("oauth2: Device without Options.Session and Options.Keys")
	}
	return authn.Page(login, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, ok, err := s.who(r)
		switch {
		case err != nil:
		case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost:
			w.Header().Set("Allow", "GET, POST")
			err = authn.MethodNotAllowed(r.Method)
		case len(r.URL.RawQuery) > maxNext || longQuery(r) != nil:
			err = fatal{errLong}
		case !ok && authn.FromContext(r.Context()).Authenticated():
			err = forbidden("Log in first.") // by another credential than a session
		case !ok:
			v := r.URL.Query()
			if r.Method == http.MethodPost {
				v = nil
			}
			redirect(w, loginAt(login, r, v))
		case r.Method == http.MethodPost:
			err = s.devicePost(w, r, u)
		default:
			code, ok := readCode(r.URL.Query().Get("user_code"))
			if ok {
				code = shownCode(code)
			} else {
				code = ""
			}
			err = s.deviceForm(w, r, http.StatusOK, code, "")
		}
		s.page(w, r, err)
	}))
}

func (s *Server) devicePost(w http.ResponseWriter, r *http.Request, u user) error {
	f, err := readBody(w, r)
	if err != nil {
		return err
	}
	if f.values.Has("handle") {
		return s.decideDevice(w, r, u, f)
	}
	typed := f.get("user_code")
	if typed == "" {
		return s.deviceForm(w, r, http.StatusBadRequest, "", "Type the code that your device shows.")
	}
	ctx := r.Context()
	names := s.tryNames(r, u)
	if err := s.countTries(ctx, names); err != nil {
		return err
	}
	code, g, c, err := s.typed(ctx, typed)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return s.deviceForm(w, r, http.StatusBadRequest, "", "The code is wrong, has expired, or was used.")
	case err != nil:
		return err
	}
	for _, name := range names { // it was no vain try
		if err := s.store.ForgiveTry(ctx, name); err != nil {
			return err
		}
	}
	handle, err := s.text(handlePrefix)
	if err != nil {
		return err
	}
	shown, err := s.consentOf(r, c, g.Scopes, u, handle)
	if err != nil {
		return err
	}
	now := s.now()
	err = s.await(r, storage.AuthRequest{
		Digest: storage.DigestOf(handle), Purpose: purposeDevice, Client: c.ID, Subject: u.subject, Session: u.session, Data: g.Digest[:], Created: now, Expires: now.Add(consentTTL),
	})
	if err != nil {
		return err
	}
	d := devicePage{Consent: shown, Code: shownCode(code)}
	pageHeaders(w.Header())
	w.WriteHeader(http.StatusOK)
	_ = deviceConsent.Execute(w, d)
	return nil
}

// tryNames are the counters of vain tries: the user's, and that of where the request is from.
func (s *Server) tryNames(r *http.Request, u user) []storage.MAC {
	_, key := s.opts.Keys.Newest(keys.ThrottleNames)
	return []storage.MAC{
		mac(key, "device user", s.issuer, u.subject),
		mac(key, "device source", s.issuer, s.source(r)),
	}
}

// countTries counts a try before anything is looked up, so that of many at once no more are
// let through.
func (s *Server) countTries(ctx context.Context, names []storage.MAC) error {
	now := s.now()
	for _, name := range names {
		n, ends, err := s.store.CountTry(ctx, name, now, now.Add(tryWindow))
		switch {
		case err != nil:
			return err
		case n > maxTries:
			return fatal{&Error{Status: http.StatusTooManyRequests, Code: "temporarily_unavailable", Description: "Too many codes were tried. Wait a while.", retryAfter: ends.Sub(now)}}
		}
	}
	return nil
}

// typed returns the grant, which waits, of a code that a user typed, with its client.
// ErrNotFound for every code that does not fit.
func (s *Server) typed(ctx context.Context, text string) (code string, g storage.DeviceGrant, c storage.Client, err error) {
	code, ok := readCode(text)
	if !ok {
		return code, g, c, storage.ErrNotFound
	}
	for _, id := range s.opts.Keys.IDs() {
		key, _ := s.opts.Keys.ByID(keys.ShortCodes, id)
		if g, err = s.store.DeviceGrantByUserCode(ctx, s.userMAC(key, code)); !errors.Is(err, storage.ErrNotFound) {
			break
		}
	}
	if err != nil {
		return code, g, c, err
	}
	if g.State != storage.DevicePending || g.Expired(s.now()) {
		return code, g, c, storage.ErrNotFound
	}
	if c, err = s.store.ClientByID(ctx, g.Client); err == nil && c.Disabled {
		err = storage.ErrNotFound
	}
	return code, g, c, err
}

func (s *Server) decideDevice(w http.ResponseWriter, r *http.Request, u user, f form) error {
	a, err := s.takeHandle(r.Context(), f.get("handle"), purposeDevice, u)
	if err != nil {
		return err
	}
	decision := f.get("decision")
	if decision != "allow" && decision != "deny" {
		return fatally("The decision is missing.")
	}
	var d storage.Digest
	copy(d[:], a.Data)
	err = s.store.DecideDeviceGrant(r.Context(), storage.DeviceDecision{
		Digest: d, Approve: decision == "allow", Subject: u.subject, Epoch: u.epoch, AuthTime: u.authTime, Now: s.now(),
	})
	switch {
	case errors.Is(err, storage.ErrStale): // logged out everywhere, or disabled, in this moment
		return forbidden("The login has ended.")
	case errors.Is(err, storage.ErrConflict), errors.Is(err, storage.ErrNotFound):
		return fatally("The code has expired, or was used already. Begin again on your device.")
	case err != nil:
		return err
	}
	done := "The device was refused."
	if decision == "allow" {
		s.tell(r.Context(), Event{Kind: Authorized, Client: a.Client, Subject: u.subject})
		done = "The device may act for you now. Go back to it."
	}
	textHeaders(w.Header())
	w.WriteHeader(http.StatusOK)
	_ = deviceDone.Execute(w, done)
	return nil
}

// devicePage is what the pages for devices show.
type devicePage struct {
	Consent
	// Code is the user code, Problem why the last one was not taken.
	Code, Problem string
}

func (s *Server) deviceForm(w http.ResponseWriter, r *http.Request, status int, code, problem string) error {
	token, err := s.formToken(r)
	if err != nil {
		return err
	}
	pageHeaders(w.Header())
	w.WriteHeader(status)
	_ = deviceForm.Execute(w, devicePage{Consent: Consent{Token: token}, Code: code, Problem: problem})
	return nil
}

var deviceForm = template.Must(template.New("device").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Connect a device</title>
` + pageStyle + `
<h1>Connect a device</h1>
{{with .Problem}}<p role="alert">{{.}}</p>{{end}}
<form method="post">
	<p><label>The code that your device shows:
	<input name="user_code" value="{{.Code}}" autocomplete="off" autocapitalize="characters" spellcheck="false" required autofocus></label></p>
	{{with .Token}}<input type="hidden" name="` + csrf.Field + `" value="{{.}}">{{end}}
	<button>Continue</button>
</form>
</html>
`))

var deviceConsent = template.Must(template.New("device consent").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Allow {{.Client}}?</title>
` + pageStyle + `
<h1>Allow {{.Client}}?</h1>
<p>A device that shows the code <strong>{{.Code}}</strong> asks to act for you, {{.User}}:</p>
<ul>{{range .Scopes}}
	<li>{{if .Description}}{{.Description}}{{else}}{{.Name}}{{end}}</li>{{else}}
	<li>nothing but to know that it is you</li>{{end}}
</ul>
<p>Allow it only if you began this yourself, and the device in front of you shows that code. If somebody sent you a link or a code, deny it.</p>
<form method="post">
	<input type="hidden" name="handle" value="{{.Handle}}">
	{{with .Token}}<input type="hidden" name="` + csrf.Field + `" value="{{.}}">{{end}}
	<button name="decision" value="allow">Allow</button>
	<button name="decision" value="deny">Deny</button>
</form>
</html>
`))

var deviceDone = template.Must(template.New("device done").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Done</title>
` + pageStyle + `
<h1>Done</h1>
<p>{{.}}</p>
</html>
`))
