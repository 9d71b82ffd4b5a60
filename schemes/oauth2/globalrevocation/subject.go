package globalrevocation

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/internal/params"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// maxBody is the maximum size of a request, in bytes.
const maxBody = 4 << 10

// identifier is a subject identifier (RFC 9493).
type identifier struct{ format, id, issuer, subject, email string }

var errBody = oauth2.NewError("invalid_request", "The body must be JSON of at most 4 KiB with one member, sub_id: a subject identifier of a supported format.")

// read returns the identifier of a request. It rejects duplicate and unknown members, because
// another parser could find another account in such a body.
func read(w http.ResponseWriter, r *http.Request) (id identifier, err error) {
	if kind, _, err := params.MediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return id, errBody.WithCause(errors.New("Content-Type is not application/json"))
	}
	text, err := oauth2.ReadBody(w, r)
	if err != nil || len(text) > maxBody {
		return id, errBody.WithCause(errors.Join(errors.New("body too long or not readable"), err))
	}
	body, err := members([]byte(text), "sub_id")
	if err != nil {
		return id, errBody.WithCause(err)
	}
	raw, _ := body.Get("sub_id")
	var f struct {
		Format string `json:"format"`
	}
	if json.Unmarshal(raw, &f) != nil {
		return id, errBody.WithCause(errors.New("sub_id has no format"))
	}
	fields := map[string]map[string]*string{
		"opaque":  {"id": &id.id},
		"iss_sub": {"iss": &id.issuer, "sub": &id.subject},
		"email":   {"email": &id.email},
	}[f.Format]
	names := []string{"format"}
	for name := range fields {
		names = append(names, name)
	}
	claims, err := members(raw, names...)
	if err != nil || fields == nil {
		return id, errBody.WithCause(errors.Join(errors.New("unknown format or members"), err))
	}
	for name, to := range fields {
		var ok bool
		if *to, ok = claims.Text(name); !ok || storage.CheckID(name, *to) != nil {
			return id, errBody.WithCause(errors.New(name + " is not an identifier"))
		}
	}
	id.format = f.Format
	return id, nil
}

// members parses a JSON object, which must have exactly the members in names.
func members(raw []byte, names ...string) (jose.Claims, error) {
	c, err := jose.ParseClaims(raw)
	if err != nil {
		return c, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return c, err
	}
	for _, name := range names {
		if _, ok := all[name]; !ok {
			return c, errors.New(name + " is missing")
		}
	}
	if len(all) != len(names) {
		return c, errors.New("unknown members")
	}
	return c, nil
}

// subject returns the subject of an identifier. It returns storage.ErrNotFound if the identifier
// leads to no subject. It does not check that the account exists.
func (e *Endpoint) subject(ctx context.Context, id identifier) (string, error) {
	var of func(context.Context, string) (string, error)
	name, value := "globalrevocation.Options.Issuers", id.subject
	switch {
	case id.format == "opaque":
		return id.id, nil
	case id.format == "iss_sub" && id.issuer == e.server.Scheme().Issuer():
		return id.subject, nil
	case id.format == "iss_sub":
		if of = e.opts.Issuers[id.issuer]; of == nil {
			return "", storage.ErrNotFound
		}
	case e.opts.Email == nil:
		return "", errBody.WithCause(errors.New("format email without Options.Email"))
	default:
		name, value, of = "globalrevocation.Options.Email", id.email, e.opts.Email
	}
	subject, err := audit.Call(name, func() (string, error) { return of(ctx, value) })
	if err == nil && subject == "" { // an empty subject belongs to no account
		err = storage.ErrNotFound
	}
	return subject, err
}
