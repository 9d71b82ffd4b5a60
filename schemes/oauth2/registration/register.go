package registration

import (
	"cmp"
	"errors"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/vestibule-auth/vestibule/authn"
	"github.com/vestibule-auth/vestibule/authn/audit"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
)

// Register returns the registration endpoint (RFC 7591): POST of a JSON object with the client's
// metadata, answered with 201, the "client_id", the "client_secret" of a confidential client,
// which cannot be retrieved again, and the token for ClientConfiguration. oauth2.CheckClient
// decides what can be registered. Unknown members are ignored, and no URL in them is fetched.
// Mount it outside the chain.
func (g *Registration) Register() http.Handler {
	return g.server.CORS("POST", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := g.register(w, r)
		if err != nil {
			oauth2.RespondError(w, r, err, g.log)
			return
		}
		oauth2.WriteJSON(w, http.StatusCreated, answer)
	}))
}

func (g *Registration) register(w http.ResponseWriter, r *http.Request) (*registered, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, &oauth2.Error{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "The request is not a POST."}
	}
	_, err := audit.Call("registration.New allow", func() (any, error) { return nil, g.allow(r) })
	if err := refused(err); err != nil {
		return nil, err
	}
	m, err := readMetadata(w, r)
	if err != nil {
		return nil, err
	}
	id, err := g.server.NewID()
	if err != nil {
		return nil, err
	}
	token, err := g.server.NewText(registrationPrefix)
	if err != nil {
		return nil, err
	}
	c := storage.Client{ID: id, Created: g.server.Now(), Registration: storage.DigestOf(token), Resources: slices.Clone(g.opts.Resources)}
	secret, err := g.apply(m, &c)
	if err != nil {
		return nil, err
	}
	if err := g.server.AdmitRegistration(r); err != nil {
		return nil, err
	}
	if err := g.store.CreateClient(r.Context(), c); err != nil {
		return nil, err
	}
	g.server.Notify(r.Context(), audit.Event{Kind: audit.ClientCreated, Client: c.ID})
	return g.describe(c, secret, token), nil
}

// refused returns the error response of RFC 6750 for an error of a chain.
func refused(err error) error {
	var e *authn.Error
	switch {
	case errors.As(err, &e) && e.Status == http.StatusTooManyRequests:
		return err
	case errors.As(err, &e) && e.Status == http.StatusForbidden:
		return (&oauth2.Error{Status: http.StatusForbidden, Code: "access_denied", Description: "Registration was refused."}).WithCause(err)
	case errors.As(err, &e), errors.Is(err, authn.ErrNoCredentials):
		return errToken.WithCause(err)
	}
	return err
}

var errToken = &oauth2.Error{Status: http.StatusUnauthorized, Code: "invalid_token", Description: "The access token is missing or invalid.", Challenge: `Bearer error="invalid_token"`}

func badMetadata(description string) *oauth2.Error {
	return oauth2.NewError("invalid_client_metadata", description)
}

// readMetadata reads the JSON object of a registration.
func readMetadata(w http.ResponseWriter, r *http.Request) (metadata, error) {
	var m metadata
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return m, badMetadata("The body is not application/json.")
	}
	body, err := oauth2.ReadBody(w, r)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return m, &oauth2.Error{Status: http.StatusRequestEntityTooLarge, Code: "invalid_client_metadata", Description: "The body is too large."}
		}
		return m, badMetadata("The body could not be read.")
	}
	if err := m.decode([]byte(body)); err != nil {
		return m, badMetadata("The body is no JSON object, or a member is not of its type.").WithCause(err)
	}
	return m, nil
}

// apply copies the metadata of a client into its record. It returns the secret if the client gets
// a new one.
func (g *Registration) apply(m metadata, c *storage.Client) (secret string, err error) {
	c.Name, c.Method, c.RedirectURIs, c.Native = m.Name, cmp.Or(m.Method, oauth2.SecretBasic), m.RedirectURIs, m.Type == "native"
	if c.Grants = m.Grants; c.Grants == nil {
		c.Grants = []string{oauth2.AuthorizationCode}
	}
	if c.Scopes = oauth2.SplitScopes(m.Scope); m.Scope == "" {
		c.Scopes = slices.Clone(g.opts.Scopes)
	}
	c.Default, c.Keys = nil, nil
	if c.Method == oauth2.PrivateKeyJWT {
		c.Keys = m.Keys
	}
	unknown := func(list, known []string) bool {
		return slices.ContainsFunc(list, func(one string) bool { return !slices.Contains(known, one) })
	}
	for _, uri := range c.RedirectURIs {
		if err := oauth2.CheckRedirect(uri, c.Native); err != nil {
			return "", oauth2.NewError("invalid_redirect_uri", "A redirect URI cannot be registered: https, or a loopback address, or for a native client a private scheme, without a fragment.").WithCause(err)
		}
	}
	switch {
	case slices.Contains(c.Grants, oauth2.AuthorizationCode) && len(c.RedirectURIs) == 0:
		return "", oauth2.NewError("invalid_redirect_uri", "A redirect URI is needed.")
	case m.Type != "" && m.Type != "web" && m.Type != "native":
		return "", badMetadata("The application_type is unknown.")
	case strings.ContainsFunc(c.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", badMetadata("The client_name holds characters that cannot be shown.")
	case unknown(c.Grants, g.opts.Grants):
		return "", badMetadata("A grant type is unknown, or not for registered clients.")
	case unknown(m.Responses, []string{"code"}), m.Responses != nil && slices.Contains(m.Responses, "code") != slices.Contains(c.Grants, oauth2.AuthorizationCode):
		return "", badMetadata("The response types are unknown, or do not fit the grant types.")
	case unknown(c.Scopes, g.opts.Scopes):
		return "", badMetadata("A scope is unknown, or not for registered clients.")
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
