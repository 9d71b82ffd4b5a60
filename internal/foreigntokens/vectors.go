// Package foreigntokens has tokens in the form that other issuers document, for tests: the options
// of a verifier, the header and the claims, and the expected result. All names and IDs in
// tokens.json are invented. The package signs the tokens with keys of its own.
package foreigntokens

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"time"
)

//go:embed tokens.json
var tokens []byte

// Text returns the content of tokens.json.
func Text() []byte { return bytes.Clone(tokens) }

// Vector is a token and its expected result.
type Vector struct {
	ID      string
	Issuer  string // short name of the issuer
	Case    string
	Now     int64 // Unix time
	Options Options
	Header  json.RawMessage
	Claims  json.RawMessage
	Expect  struct {
		Accepted, Refused       bool
		Issuer, Subject, Client string
		Scopes, Roles           []string
		Why                     string // the check that refuses
	}
}

// Time returns the time at which the token is presented.
func (v *Vector) Time() time.Time { return time.Unix(v.Now, 0) }

// Options are the options of the verifier. Leeway and MaxLifetime are in seconds. The first element
// of a rule is its name in lower case, the second the path.
type Options struct {
	Issuer, Audience                                          string
	Algorithms                                                []string
	Types, Issuers, Audiences, Tenants, Clients, Roles        []string
	ClientClaims, ScopeClaims, MachineScopeClaims             []string
	FirstPartyClients                                         []string
	SameIssuer, TenantClaim, SubjectClaim, IDClaim, Header    string
	Untyped, NoID, NoIssuer, NoSubject, AllowIDTokens, Padded bool
	FirstParty, OwnIssuer                                     bool
	RoleMap                                                   map[string]string
	Require, Machine                                          [][]string
	Leeway, MaxLifetime                                       int
}

// All returns all vectors. It returns an error if one of them has an option that Options lacks.
func All() ([]Vector, error) {
	d := json.NewDecoder(bytes.NewReader(tokens))
	d.DisallowUnknownFields()
	var all []Vector
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("foreigntokens: %w", err)
	}
	return all, nil
}
