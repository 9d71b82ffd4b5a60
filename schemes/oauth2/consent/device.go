package consent

import (
	"context"
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/authn/csrf"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/page"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
)

// Device returns the page on which a user enters the code that a device shows (RFC 8628, section
// 3.3) and then allows or denies the request of the device's client. Mount it like
// [Pages.Authorize]. It panics without server.Options.Keys.
//
// A GET only shows a form, even if its query contains a code, because an attacker may have sent the
// link to the user. Limits per 15 minutes: 10 wrong codes per user and 100 per client address; see
// server.Options.Proxies.
func (p *Pages) Device() http.Handler {
	if p.server.Options().Keys == nil {
		panic("consent: Device requires server.Options.Keys")
	}
	return authn.Page(p.login, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(audit.Context(r))
		page.Error(w, r, p.device(w, r), p.log)
	}))
}

func (p *Pages) device(w http.ResponseWriter, r *http.Request) error {
	u, ok, err := p.sessions.User(r)
	switch {
	case err != nil:
		return err
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost:
		w.Header().Set("Allow", "GET, POST")
		return authn.MethodNotAllowed(r.Method)
	case len(r.URL.RawQuery) > page.MaxAddress || oauth2.CheckQuery(r) != nil:
		return oauth2.ErrLong
	case !ok && authn.FromContext(r.Context()).Authenticated():
		return forbidden("Log in first.") // authenticated, but not by a session
	case !ok:
		v := r.URL.Query()
		if r.Method == http.MethodPost {
			v = nil
		}
		page.Redirect(w, page.LoginURL(p.login, r, v))
		return nil
	case r.Method == http.MethodPost:
		return p.devicePost(w, r, u)
	}
	return p.deviceForm(w, r, http.StatusOK, p.server.ReadUserCode(r.URL.Query().Get("user_code")), "")
}

func (p *Pages) devicePost(w http.ResponseWriter, r *http.Request, u server.SessionUser) error {
	f, err := oauth2.ReadPageForm(w, r)
	if err != nil {
		return err
	}
	if f.Values.Has("handle") {
		return p.decideDevice(w, r, u, f)
	}
	typed := f.Get("user_code")
	if typed == "" {
		return p.deviceForm(w, r, http.StatusBadRequest, "", "Enter the code that your device shows.")
	}
	d, err := p.server.FindDevice(r, u.Subject, typed)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return p.deviceForm(w, r, http.StatusBadRequest, p.server.ReadUserCode(typed), "The code is wrong, has expired, or was already used.")
	case err != nil:
		return err
	}
	handle, err := p.server.NewText(handlePrefix)
	if err != nil {
		return err
	}
	shown, err := p.consent(r, d.Client, d.Grant.Scopes, d.Grant.Resource, u, handle)
	if err != nil {
		return err
	}
	drawn, err := draw(w, r, "consent.Options.RenderDevice", http.StatusOK, p.opts.RenderDevice, deviceConsent, DevicePage{Step: DeviceDecision, Consent: shown, Code: d.UserCode})
	if err != nil {
		return err
	}
	if err := p.server.Keep(r, handle, purposeDevice, d.Client.ID, d.Grant.Digest[:], u, consentTTL); err != nil {
		return err
	}
	drawn.Send()
	return nil
}

func (p *Pages) decideDevice(w http.ResponseWriter, r *http.Request, u server.SessionUser, f oauth2.Form) error {
	a, err := p.peek(r.Context(), f.Get("handle"), purposeDevice, u)
	if err != nil {
		return err
	}
	decision := f.Get("decision")
	err = p.once(r.Context(), a.Digest, errAnswered, func(ctx context.Context) error {
		if decision != "allow" && decision != "deny" {
			return oauth2.PageError("The decision is missing.")
		}
		var d storage.Digest
		copy(d[:], a.Data)
		err := p.store.DecideDeviceGrant(ctx, storage.DeviceDecision{
			Digest: d, Approve: decision == "allow", Subject: u.Subject, Epoch: u.Epoch, AuthTime: u.AuthTime, ACR: u.ACR, AMR: u.AMR, Now: p.server.Now(),
		})
		switch {
		case errors.Is(err, storage.ErrStale): // concurrently logged out everywhere or disabled
			return forbidden("The login is no longer valid.")
		case errors.Is(err, storage.ErrConflict), errors.Is(err, storage.ErrNotFound):
			return oauth2.PageError("The code has expired, or was used already. Begin again on your device.")
		}
		if err == nil {
			kind := audit.DeviceDenied
			if decision == "allow" {
				kind = audit.DeviceApproved
			}
			p.report(ctx, kind, "", a.Client, u)
		}
		return err
	})
	if err != nil {
		return err
	}
	done := "The device has no access."
	if decision == "allow" {
		done = "The device has access now."
	}
	page.TextHeaders(w.Header())
	w.WriteHeader(http.StatusOK)
	_ = deviceDone.Execute(w, done)
	return nil
}

// DeviceStep is a page for devices.
type DeviceStep string

const (
	// DeviceCode: the user enters the code that the device shows, in a field with the name
	// "user_code". The form sends it to its own address by POST, with Consent.Token.
	DeviceCode DeviceStep = "code"
	// DeviceDecision: the user allows or denies access. The form has the same fields as for
	// Consent. The page MUST show Code, and MUST tell users to deny requests that they did not
	// start themselves.
	DeviceDecision DeviceStep = "decision"
)

// DevicePage contains the values for the pages for devices.
type DevicePage struct {
	Step DeviceStep
	// If Step is DeviceCode, only the field Token of Consent is set.
	Consent
	// Code is the user code. Problem is the reason why the last code was not accepted, or "".
	Code, Problem string
}

func (p *Pages) deviceForm(w http.ResponseWriter, r *http.Request, status int, code, problem string) error {
	token, err := p.sessions.FormToken(r)
	if err != nil {
		return err
	}
	d, err := draw(w, r, "consent.Options.RenderDevice", status, p.opts.RenderDevice, deviceForm, DevicePage{Step: DeviceCode, Consent: Consent{Token: token}, Code: code, Problem: problem})
	if err != nil {
		return err
	}
	d.Send()
	return nil
}

var deviceForm = page.Template("device", "Connect a device", `{{with .Problem}}<p role="alert" id="problem">{{.}}</p>
{{end}}<form method="post">
	<label>Code on your device
	<input class="code" name="user_code" value="{{.Code}}" autocomplete="off" autocapitalize="characters" spellcheck="false" required{{if .Problem}} aria-invalid="true" aria-describedby="problem"{{end}} autofocus></label>
	{{with .Token}}<input type="hidden" name="`+csrf.Field+`" value="{{.}}">{{end}}
	<div class="buttons"><button class="main">Continue</button></div>
</form>
`)

var deviceConsent = page.Template("device consent", "Allow {{.Client}}?", `<p>A device with the code <strong>{{.Code}}</strong> requests access to your account, <strong>{{.User}}</strong>. It can then:</p>
`+scopeList+`<p class="note">Allow it only if you began this yourself and the device in front of you shows that code. If somebody sent you a link or a code, deny it.</p>
`+decisionForm)

var deviceDone = page.Template("device done", "{{.}}", `<p>You can close this page.</p>
`)
