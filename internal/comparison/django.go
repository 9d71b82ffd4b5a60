package comparison

// Django says what the code and the documentation of the Django packages state for their default
// settings: Django REST framework 3.18 (token, Basic), django-rest-knox 5.0, simplejwt 5.5 (its
// stateless class is the other service), django-oauth-toolkit and Django's sessions in the
// database. "" means unknown or not applicable. None of it is measured here.
var Django = map[string][]string{
	"stateless":                        {"no", "no", "no", "yes", "no", "no", "no", ""},
	"statements a request":             {"1", "3", "1", "0", "1", "2", "1 and a password hash", ""},
	"expires after":                    {"never", "10 hours", "5 minutes", "5 minutes", "10 hours", "14 days after the last change", "never", ""},
	"renewed without the password":     {"no", "no", "yes; a used refresh token works again", "yes; a used refresh token works again", "yes; a used refresh token is refused", "no", "no", ""},
	"several devices":                  {"one credential for all", "each its own", "each its own", "each its own", "each its own", "each its own", "one credential for all", ""},
	"logout revokes it":                {"no logout", "immediately", "when it expires", "when it expires", "immediately", "immediately", "no logout", ""},
	"a new password revokes it":        {"does not revoke it", "does not revoke it", "when it expires", "when it expires", "", "immediately", "immediately", ""},
	"disabling the account revokes it": {"immediately", "immediately", "immediately", "when it expires", "", "immediately", "immediately", ""},
	"a stolen database holds":          {"the credential", "a digest of random bits", "the refresh token, if the blacklist app is installed", "the refresh token, if the blacklist app is installed", "the credential", "the credential", "a slow hash of it", ""},
	"cross-site check":                 {"not needed", "not needed", "not needed", "not needed", "not needed", "needed; other sites are refused, but not at login", "needed, and missing", ""},
}
