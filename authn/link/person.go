package link

import "slices"

// Person is what an issuer says about its user. Issuer and Subject identify the user; everything else
// is for display.
type Person struct {
	Issuer, Subject string

	claims func(name string, v any) error
}

// NewPerson returns a Person, for tests of your function Options.First. claims can be nil.
func NewPerson(issuer, subject string, claims func(name string, v any) error) Person {
	return Person{issuer, subject, claims}
}

// Claim decodes a claim into v, as json.Unmarshal does. It returns false if the claim is missing or of
// another type. Users can set many claims themselves, such as their name.
func (p Person) Claim(name string, v any) bool { return p.claims != nil && p.claims(name, v) == nil }

// Text returns a claim that is a text, or "".
func (p Person) Text(name string) string {
	var s string
	if !p.Claim(name, &s) {
		return ""
	}
	return s
}

// VerifiedEmail returns the claim "email" if the issuer is one of issuers and says that it verified the
// address ("email_verified" is true). Name only issuers that own the addresses they verify, such as the
// provider of your company for its own domain. Other providers have verified some time ago that the
// user read one message; the address may belong to somebody else now.
//
// To link accounts by address, find the account yourself and return [To].
func (p Person) VerifiedEmail(issuers ...string) (email string, ok bool) {
	var verified bool
	if !slices.Contains(issuers, p.Issuer) || !p.Claim("email_verified", &verified) || !verified {
		return "", false
	}
	email = p.Text("email")
	return email, email != ""
}
