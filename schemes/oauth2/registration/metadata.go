package registration

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
	"github.com/vestibule-auth/vestibule/storage"
)

// metadata is the part of a client's metadata that is used (RFC 7591, section 2).
type metadata struct {
	RedirectURIs []string
	Method       string
	Grants       []string
	Responses    []string
	Name         string
	Scope        string
	Type         string // "application_type" of OpenID Connect
	Keys         json.RawMessage
	KeysURI      string
	Pushed       bool // "require_pushed_authorization_requests"
	// ID and Secret are sent with a change (RFC 7592, section 2.2).
	ID, Secret string
}

const (
	// maxRedirects limits redirect_uris, and maxTypes limits grant_types and response_types,
	// because checking long lists costs far more than receiving them.
	maxRedirects = 32
	maxTypes     = 16
)

var errTooMany = fmt.Errorf("too many list members (at most %d redirect_uris, %d grant_types and response_types)", maxRedirects, maxTypes)

// decode reads a JSON object. Each name may appear once. Names are compared exactly, unlike in
// encoding/json, and unknown names are ignored.
func (m *metadata) decode(body []byte) error {
	known := map[string]any{
		"redirect_uris": &m.RedirectURIs, "token_endpoint_auth_method": &m.Method, "grant_types": &m.Grants, "response_types": &m.Responses,
		"client_name": &m.Name, "scope": &m.Scope, "application_type": &m.Type, "jwks": &m.Keys, "jwks_uri": &m.KeysURI, "require_pushed_authorization_requests": &m.Pushed, "client_id": &m.ID, "client_secret": &m.Secret,
	}
	// The strict parser rejects deep objects and many members, and copies nothing.
	claims, err := jose.ParseObject(body)
	if err != nil {
		return err
	}
	for name, to := range known {
		raw, there := claims.Get(name)
		if !there {
			continue
		}
		var err error
		switch to := to.(type) {
		case *json.RawMessage:
			*to = raw
		case *[]string:
			most := maxTypes
			if to == &m.RedirectURIs {
				most = maxRedirects
			}
			*to, err = listOf(raw, most)
		default:
			if len(raw) > storage.MaxScopesBytes {
				return fmt.Errorf("%s: too long", name)
			}
			err = json.Unmarshal(raw, to)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// listOf reads a list of at most most strings, and stops after that. It returns nil for null.
func listOf(raw []byte, most int) ([]string, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	switch t, err := d.Token(); {
	case err != nil || t == nil:
		return nil, err
	case t != json.Delim('['):
		return nil, errors.New("not a list")
	}
	list := []string{}
	for d.More() {
		if len(list) == most {
			return nil, errTooMany
		}
		var one string
		if err := d.Decode(&one); err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

// native reports whether the client runs on the user's machine. A client that does not say so does
// if all its redirect URIs lead to loopback addresses.
func (m *metadata) native() bool {
	if m.Type != "" {
		return m.Type == "native"
	}
	return len(m.RedirectURIs) > 0 && !slices.ContainsFunc(m.RedirectURIs, func(uri string) bool {
		return !strings.HasPrefix(uri, "http://") || !syntax.LeadsToDevice(uri)
	})
}

// scopes returns the scopes that a client registers, without duplicates. It drops scopes that are
// not allowed; the response names the others (RFC 7591, section 2).
func (g *Registration) scopes(text string) (list []string) {
	switch {
	case text == "" && g.opts.Default != nil:
		return slices.Clone(g.opts.Default)
	case text == "":
		return slices.Clone(g.opts.Scopes)
	}
	for name := range strings.SplitSeq(text, " ") {
		if slices.Contains(g.opts.Scopes, name) && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// registered is the response about a client (RFC 7591, section 3.2.1; RFC 7592, section 3).
type registered struct {
	ID        string   `json:"client_id"`
	Issued    int64    `json:"client_id_issued_at"`
	Secret    string   `json:"client_secret,omitempty"`
	Expires   *int     `json:"client_secret_expires_at,omitempty"`
	Redirects []string `json:"redirect_uris,omitempty"`
	Method    string   `json:"token_endpoint_auth_method"`
	Grants    []string `json:"grant_types"`
	Responses []string `json:"response_types"`
	Name      string   `json:"client_name,omitempty"`
	Scope     string   `json:"scope,omitempty"`
	Type      string   `json:"application_type"`
	KeysURI   string   `json:"jwks_uri,omitempty"`
	Pushed    bool     `json:"require_pushed_authorization_requests,omitempty"`
	Token     string   `json:"registration_access_token"`
	URI       string   `json:"registration_client_uri"`
}

// describe returns the response about a client, with its secret if that is new.
func (g *Registration) describe(c storage.Client, secret, token string) *registered {
	a := &registered{
		ID: c.ID, Issued: c.Created.Unix(), Secret: secret, Redirects: c.RedirectURIs, Method: c.Method, Grants: c.Grants, Responses: []string{},
		Name: c.Name, Scope: strings.Join(c.Scopes, " "), Type: "web", KeysURI: c.KeysURI, Pushed: c.RequirePushed, Token: token, URI: g.server.URL(g.server.Options().Endpoints.Register) + "/" + c.ID,
	}
	if secret != "" {
		a.Expires = new(int) // 0 means never
	}
	if slices.Contains(c.Grants, oauth2.AuthorizationCode) {
		a.Responses = []string{"code"}
	}
	if c.Native {
		a.Type = "native"
	}
	return a
}

// apply copies the metadata of a client into its record. It returns the secret if the client gets a
// new one.
func (g *Registration) apply(m metadata, c *storage.Client) (secret string, err error) {
	c.Name, c.Method, c.RedirectURIs, c.Native = m.Name, cmp.Or(m.Method, oauth2.SecretBasic), m.RedirectURIs, m.native()
	if c.Grants = m.Grants; c.Grants == nil {
		c.Grants = []string{oauth2.AuthorizationCode}
	}
	c.Scopes, c.RequirePushed = g.scopes(m.Scope), m.Pushed || c.RequirePushed // an administrator may have set it
	c.Default, c.Keys, c.KeysURI = nil, nil, ""
	if c.Method == oauth2.PrivateKeyJWT {
		c.Keys, c.KeysURI = m.Keys, m.KeysURI
	}
	unknown := func(list, known []string) bool {
		return slices.ContainsFunc(list, func(one string) bool { return !slices.Contains(known, one) })
	}
	for _, uri := range c.RedirectURIs {
		if err := oauth2.CheckRedirect(uri, c.Native); err != nil {
			return "", oauth2.NewError("invalid_redirect_uri", "A redirect URI cannot be registered. It must have https or a loopback address, or for a native client a private scheme, and no fragment.").WithCause(err)
		}
	}
	switch {
	case slices.Contains(c.Grants, oauth2.AuthorizationCode) && len(c.RedirectURIs) == 0:
		return "", oauth2.NewError("invalid_redirect_uri", "A redirect URI is required.")
	case m.Type != "" && m.Type != "web" && m.Type != "native":
		return "", badMetadata("The application_type is unknown.")
	case strings.ContainsFunc(c.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", badMetadata("The client_name holds characters that cannot be shown.")
	case unknown(c.Grants, g.opts.Grants):
		return "", badMetadata("A grant type is unknown, or not for registered clients.")
	case unknown(m.Responses, []string{"code"}), m.Responses != nil && slices.Contains(m.Responses, "code") != slices.Contains(c.Grants, oauth2.AuthorizationCode):
		return "", badMetadata("The response types are unknown, or do not fit the grant types.")
	case m.Keys != nil && m.KeysURI != "":
		return "", badMetadata("The metadata have both jwks and jwks_uri.")
	}
	bySecret := c.Method == oauth2.SecretBasic || c.Method == oauth2.SecretPost
	if !bySecret {
		c.Secret, c.Password = storage.Digest{}, ""
	}
	if err := oauth2.CheckClient(*c); err != nil {
		return "", badMetadata("The metadata do not fit together.").WithCause(err)
	}
	if bySecret && c.Secret.IsZero() && c.Password == "" {
		if secret, err = g.server.NewText(oauth2.SecretPrefix); err != nil {
			return "", err
		}
		c.Secret = storage.DigestOf(secret)
	}
	return secret, nil
}
