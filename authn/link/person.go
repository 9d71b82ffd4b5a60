package link

import "slices"

// Person contains the claims of an issuer about its user. Only Issuer and Subject identify the
// user; all other claims are for display.
type Person struct {
	Issuer, Subject string

	claims func(name string, v any) error
}

// NewPerson returns a Person. Use it to test your function Options.First. The function claims
// decodes a claim, and can be nil.
func NewPerson(issuer, subject string, claims func(name string, v any) error) Person {
	return Person{issuer, subject, claims}
}

// Claim decodes a claim into v, as json.Unmarshal does. It returns false if the claim is missing or
// of another type. Users can set many claims themselves, such as their name.
func (p Person) Claim(name string, v any) bool { return p.claims != nil && p.claims(name, v) == nil }

// Text returns a claim that is a string. It returns "" if the claim is missing or not a string.
func (p Person) Text(name string) string {
	var s string
	if !p.Claim(name, &s) {
		return ""
	}
	return s
}

// VerifiedEmail returns the claim "email" if the issuer is one of issuers and reports that it
// verified the address ("email_verified" is true). List only issuers that own the addresses that
// they verify, such as your company's provider for its own domain. Other providers have only
// verified, at some earlier time, that the user could read a message; the address may belong to
// another person today.
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
