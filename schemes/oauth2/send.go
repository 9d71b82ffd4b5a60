package oauth2

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/vestibule-auth/vestibule/storage"
)

// send sends the browser to the redirect URI, with the values or the refusal. Other errors are
// returned.
func (s *Server) send(w http.ResponseWriter, r *http.Request, q request, v url.Values, err error) error {
	if err != nil {
		var f fatal
		var e *Error
		if errors.As(err, &f) || !errors.As(err, &e) || q.to == "" {
			return err
		}
		s.logger().LogAttrs(r.Context(), slog.LevelInfo, "authorization refused", slog.String("scheme", "oauth2"), slog.String("client", q.Client), slog.Any("reason", e))
		v = url.Values{"error": {e.Code}, "error_description": {e.Description}}
		known, fault := s.knows(r, q.client)
		if fault != nil {
			return fault
		}
		if !known {
			showRefused(w, q, e, q.answer(s.issuer, v))
			return nil
		}
	}
	redirect(w, q.answer(s.issuer, v))
	return nil
}

// answer is the address that the values go to.
func (q *request) answer(issuer string, v url.Values) string {
	if q.State != "" {
		v.Set("state", q.State)
	}
	v.Set("iss", issuer)
	mark := "?"
	switch {
	case q.Implicit: // encoded all the same, so that no value makes another parameter
		mark = "#"
	case strings.Contains(q.to, "?"):
		mark = "&"
	}
	return q.to + mark + v.Encode()
}

// knows reports whether an error may send the browser on to the client without a word. A client
// that registered itself could be anybody's, and its redirect URI any site: with a request
// that cannot succeed it would make of this server a redirector that people trust (RFC 9700
// section 4.11.2). It is known to a user who gave it a grant.
func (s *Server) knows(r *http.Request, c storage.Client) (bool, error) {
	if c.Registration.IsZero() || c.Trusted {
		return true, nil
	}
	u, ok, err := s.who(r)
	if err != nil || !ok {
		return false, err
	}
	return s.hasGrant(r.Context(), u.subject, c.ID)
}

// redirect answers with 303, so that no browser sends a form's fields on (RFC 9700 section
// 4.12).
func redirect(w http.ResponseWriter, to string) {
	h := w.Header()
	h.Set("Location", to)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

// loginAt is the address of the login page that leads back to r's path with those parameters.
// The path begins with one slash: two would name another host.
func loginAt(login string, r *http.Request, v url.Values) string {
	next := "/" + strings.TrimLeft(r.URL.EscapedPath(), "/")
	if len(v) > 0 {
		next += "?" + v.Encode()
	}
	mark := "?"
	if strings.Contains(login, "?") {
		mark = "&"
	}
	return login + mark + "next=" + url.QueryEscape(next)
}
