package authntest

// rules are the requirements, in the order in which they are tested.
var rules = []Rule{
	{"absent", "A request without credentials of the scheme's kind returns ErrNoCredentials, not a rejection and not ErrUnrecognized.", "", absentRule},
	{"accepted", "A valid credential returns an identity and a nil error.", "", acceptedRule},
	{"names_somebody", "The identity of an accepted credential has a Subject or a Client.", "", namesSomebody},
	{"scheme_name", "Identity.Scheme equals the result of Name.", "authn.Namer", schemeName},
	{"client_has_scopes", "An identity with a Client is scope-limited: Scopes is not nil.", "", clientHasScopes},
	{"rejected", "A bad credential is rejected with an *authn.Error (or ErrUnrecognized). The request is never anonymous, and the result is never another error.", "", rejectedRule},
	{"rejection_answer", "A rejection has a status from 400 to 499, a code and a text.", "", rejectionAnswer},
	{"error_without_identity", "If an error is returned, the identity is the zero value.", "", errorWithoutIdentity},
	{"bad_changes_nothing", "A valid credential is still accepted after bad ones.", "", badChangesNothing},

	{"fault", "If the store fails, the response is 503, not 401, and the request is not anonymous.", "Fail", faultRule},
	{"fault_absent", "A request without credentials needs no store: if the store fails, the result is still ErrNoCredentials.", "Fail", faultAbsent},
	{"canceled", "A canceled request is accepted or returns an error, but its credential is not rejected.", "", canceledRule},

	{"expired", "An expired credential is rejected.", "Expire", ended("Expire")},
	{"revoked", "A revoked credential is rejected.", "Revoke", ended("Revoke")},
	{"disabled", "A credential of a disabled account is rejected.", "Disable", ended("Disable")},
	{"logged_out_everywhere", "After \"log out everywhere\", the account's credentials are rejected.", "LogoutEverywhere", ended("LogoutEverywhere")},
	{"expiry_is_reported", "The identity of a credential that expires has Expires, so that long-lived connections can be closed.", "Expire", expiryIsReported},
	{"alike", "All invalid credentials are rejected with the same status, code and text: unknown, expired, revoked and outdated credentials, and credentials of disabled accounts.", "", alike},
	{"others_stay", "An event that invalidates one account's credential does not affect another account's.", "Other", othersStay},
	{"accounts_apart", "Each credential returns its own account, whatever requests came before.", "Other", accountsApart},

	{"scoped", "A credential that is limited to scopes returns these Scopes and no Roles.", "Scoped", scopedRule},
	{"scopeless", "A credential that is limited to an empty list of scopes returns empty, non-nil Scopes, because nil means no limit.", "Scopeless", scopelessRule},
	{"fresh_lists", "Each identity has its own lists: editing them changes no later identity.", "", freshLists},

	{"request_unchanged", "Authenticate does not change the request: header, URL, body, context.", "", requestUnchanged},
	{"headers", "Headers returns the headers that the scheme reads, in canonical form. A request without them has no credentials.", "authn.HeaderReader", headersRule},
	{"formats", "Formats returns the keyword and the prefix of the credentials that the scheme accepts.", "authn.FormatDeclarer", claimsRule},
	{"elsewhere", "A credential is read only from its own place: not from the query, a form, a cookie or another header.", "", elsewhere},
	{"chain", "In a chain the scheme decides in the same way: valid credentials are accepted, bad ones rejected, and requests without credentials are anonymous.", "", chainRule},
	{"ambient", "A cross-site request that changes something is rejected if browsers or proxies attach the credential.", "authn.Ambient", ambientRule},

	{"two_headers", "Two headers or two cookies with the same name are rejected, whatever they contain.", "", twoHeaders},
	{"two_credentials", "Two credentials in one header are rejected.", "", twoCredentials},
	{"odd_input_accepted", "No other text is accepted: shorter, longer, in another case, with NUL or other characters.", "", oddInput(oddAccepted)},
	{"odd_input_panics", "No text makes the scheme panic.", "", oddInput(oddPanics)},
	{"odd_input_fault", "No text causes an error other than a rejection or ErrNoCredentials.", "", oddInput(oddFault)},

	{"secret_in_error", "No error contains the credential in its text, its cause or its response.", "", secretInError},
	{"secret_in_identity", "The identity does not contain the credential.", "", secretInIdentity},
	{"secret_in_challenge", "No challenge contains the credential.", "authn.Challenger", secretInChallenge},
	{"secret_in_log", "The scheme does not write the credential to a log or an audit event.", "Written", secretInLog},

	{"challenge_syntax", "A challenge follows RFC 9110, section 11.6.1, for every error, also for a request that has only a method and a path.", "authn.Challenger", challengeSyntax},
	{"challenge_scheme", "A challenge names the same authentication schemes for every error, each of them once, and only declared ones.", "authn.Challenger", challengeScheme},

	{"kept_same", "A kept identity is not used for a request for which Authenticate would have another result.", "authn.Keeper", keptSame},
	{"kept_expired", "A kept identity is not used after the credential expired.", "Expire", keptEnds("Expire")},
	{"kept_revoked", "A kept identity is not used after the credential was revoked.", "Revoke", keptEnds("Revoke")},
	{"kept_disabled", "A kept identity is not used after the account was disabled.", "Disable", keptEnds("Disable")},
	{"kept_logged_out_everywhere", "A kept identity is not used after \"log out everywhere\".", "LogoutEverywhere", keptEnds("LogoutEverywhere")},

	{"concurrent", "Concurrent requests have the same results as sequential ones.", "", concurrentRule},
}
