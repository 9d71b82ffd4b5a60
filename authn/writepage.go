package authn

import (
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"

	"github.com/vestibule-auth/vestibule/internal/style"
)

// WritePage writes an error as a small HTML page if the request accepts text/html or is a
// navigation, because a browser then shows the response to a person. Other clients get
// [WriteDetail]. The page runs no script, cannot be framed and sends no Referer.
func WritePage(w http.ResponseWriter, r *http.Request, e *Error) {
	if !forPeople(r) {
		WriteDetail(w, r, e)
		return
	}
	writePage(w, e)
}

func writePage(w http.ResponseWriter, e *Error) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(e.Status)
	var b strings.Builder
	said := e.Detail != ""
	if said {
		b.WriteString("<p>" + html.EscapeString(e.Detail) + "</p>\n")
	}
	for _, m := range e.Members {
		if list, ok := m.Value.([]string); ok { // the messages of a form's field
			said = true
			fmt.Fprintf(&b, "<p>%s: %s</p>\n", html.EscapeString(m.Name), html.EscapeString(strings.Join(list, " ")))
		}
	}
	if !said {
		b.WriteString("<p>" + http.StatusText(e.Status) + "</p>\n")
	}
	b.WriteString("<p class=\"soft\">Error " + strconv.Itoa(e.Status) + "</p>\n")
	_, _ = w.Write([]byte(style.Page("", style.ErrorTitle(e.Status), b.String())))
}

// forPeople reports whether a browser shows the response to a person.
func forPeople(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" || acceptsHTML(r.Header["Accept"])
}

// acceptsHTML reports whether an Accept header (RFC 9110, section 12.5.1) contains an HTML type
// with a weight above zero. Wildcards do not count, because programs send them.
func acceptsHTML(lines []string) bool {
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			kind, params, _ := strings.Cut(part, ";")
			kind = strings.Trim(kind, " \t")
			if !strings.EqualFold(kind, "text/html") && !strings.EqualFold(kind, "application/xhtml+xml") {
				continue
			}
			if !refusesByWeight(params) {
				return true
			}
		}
	}
	return false
}

// refusesByWeight reports whether the parameters of a media range contain a weight of zero.
func refusesByWeight(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.Trim(p, " \t"), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		weight, err := strconv.ParseFloat(value, 64)
		return err == nil && weight <= 0
	}
	return false
}
