package consent

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/page"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/server"
)

// submitScript submits the form of a response. Its digest is the only script that the page allows.
const submitScript = "document.forms[0].submit()"

var submitDigest = func() string {
	sum := sha256.Sum256([]byte(submitScript))
	return base64.StdEncoding.EncodeToString(sum[:])
}()

// field is a hidden field of a form.
type field struct{ Name, Value string }

func fieldsOf(v url.Values) (list []field) {
	for _, name := range slices.Sorted(maps.Keys(v)) {
		list = append(list, field{name, v.Get(name)})
	}
	return list
}

// postForm sends a page that submits the response to the redirect URI by POST (OAuth 2.0 Form Post
// Response Mode).
func postForm(w http.ResponseWriter, q server.AuthorizationRequest, v url.Values) error {
	var body bytes.Buffer
	err := formPostTemplate.Execute(&body, struct {
		To     template.URL
		Fields []field
	}{template.URL(q.To), fieldsOf(v)}) // a redirect URI that oauth2.CheckRedirect accepted
	if err != nil {
		return err
	}
	h := w.Header()
	page.Headers(h)
	frames := "'none'"
	if q.Prompt == "none" { // clients renew a login in a hidden frame
		frames = syntax.Origin(q.To)
		h.Del("X-Frame-Options")
	}
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'sha256-"+submitDigest+"'; base-uri 'none'; frame-ancestors "+frames)
	// Browsers send "Origin: null" with a form of a page without a referrer, and clients check it.
	h.Set("Referrer-Policy", "origin")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body.Bytes())
	return nil
}

var formPostTemplate = template.Must(template.New("form post").Parse(`<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Continue</title></head>
<body>
<form method="post" action="{{.To}}">
{{range .Fields}}<input type="hidden" name="{{.Name}}" value="{{.Value}}">
{{end}}<noscript><button>Continue</button></noscript>
</form>
<script>` + submitScript + `</script>
</body>
</html>
`))

// showRefusedForm is showRefused for a response by POST: a button sends it.
func showRefusedForm(w http.ResponseWriter, q server.AuthorizationRequest, e *oauth2.Error, v url.Values) error {
	shown := refusedOf(q, e, q.To)
	shown.Fields = fieldsOf(v)
	page.Headers(w.Header())
	w.Header().Set("Referrer-Policy", "origin")
	w.WriteHeader(e.Status)
	_ = refusedTemplate.Execute(w, shown)
	return nil
}
