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

// send sends the browser to the redirect URI, with the values or the error. It returns errors that
// must not be sent there.
func (p *Pages) send(w http.ResponseWriter, r *http.Request, q server.AuthorizationRequest, v url.Values, err error) error {
	if err != nil {
		var e *oauth2.Error
		if !errors.As(err, &e) || e.NoRedirect || q.To == "" {
			return err
		}
		p.log.LogAttrs(r.Context(), slog.LevelInfo, "authorization refused", slog.String("scheme", "oauth2"), slog.String("client", q.Client), slog.Any("reason", e))
		v = url.Values{"error": {e.Code}, "error_description": {e.Description}}
		known, fault := p.knows(r, q.Registered)
		if fault != nil {
			return fault
		}
		if !known {
			showRefused(w, q, e, p.server.Redirect(q, v))
			return nil
		}
	}
	page.Redirect(w, p.server.Redirect(q, v))
	return nil
}

// knows reports whether an error may send the browser on to the client without asking. Anyone can
// register a client whose redirect URI is any site: with a request that cannot succeed it would use
// this server as a redirector that people trust (RFC 9700, section 4.11.2). A user who granted it
// access knows it.
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
