package consent

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/page"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
	"github.com/vestibule-auth/vestibule/storage"
)

// send redirects the browser to the redirect URI, with the values or with the error. It returns
// errors that must not be sent there.
func (p *Pages) send(w http.ResponseWriter, r *http.Request, q server.AuthorizationRequest, v url.Values, err error) error {
	if err != nil {
		var e *oauth2.Error
		if !errors.As(err, &e) || e.NoRedirect || q.To == "" {
			return err
		}
		p.log.LogAttrs(r.Context(), slog.LevelInfo, "authorization rejected", slog.String("scheme", "oauth2"), slog.String("client", q.Client), slog.Any("reason", e))
		v = url.Values{"error": {e.Code}, "error_description": {e.Description}}
		known, fault := p.knows(r, q.Registered)
		if fault != nil {
			return fault
		}
		if !known && q.FormPost {
			return showRefusedForm(w, q, e, p.server.Response(q, v))
		}
		if !known {
			showRefused(w, q, e, p.server.Redirect(q, v))
			return nil
		}
	}
	if q.FormPost {
		return postForm(w, q, p.server.Response(q, v))
	}
	page.Redirect(w, p.server.Redirect(q, v))
	return nil
}

// knows reports whether an error may redirect the browser to the client without confirmation.
// Anyone can register a client with any site as its redirect URI. With a request that always fails,
// such a client could use this server as an open redirector that users trust (RFC 9700, section
// 4.11.2). If the user has granted the client access, the user knows the client.
func (p *Pages) knows(r *http.Request, c storage.Client) (bool, error) {
	if c.Registration.IsZero() || c.Trusted {
		return true, nil
	}
	u, ok, err := p.sessions.User(r)
	if err != nil || !ok {
		return false, err
	}
	return p.server.HasGrant(r.Context(), u.Subject, c.ID)
}
