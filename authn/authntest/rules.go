package authntest

// rules are the promises, in the order in which they are proven.
var rules = []Rule{
	{"absent", "A request without a credential of the scheme's kind gives ErrNoCredentials, not a rejection and not ErrUnrecognized.", "", absentRule},
	{"accepted", "A good credential gives an identity and a nil error.", "", acceptedRule},
	{"names_somebody", "The identity of an accepted credential has a Subject or a Client.", "", namesSomebody},
	{"scheme_name", "Identity.Scheme is what Name returns.", "authn.Namer", schemeName},
	{"client_has_scopes", "An identity with a Client is limited by scopes: Scopes is not nil.", "", clientHasScopes},
	{"rejected", "A bad credential is rejected with an *authn.Error (or ErrUnrecognized), so that it is never anonymous and never a fault.", "", rejectedRule},
	{"rejection_answer", "A rejection has a status from 400 to 499, a code and a text.", "", rejectionAnswer},
	{"error_without_identity", "With an error the identity is the zero one.", "", errorWithoutIdentity},
	{"bad_changes_nothing", "After bad credentials a good one is still accepted.", "", badChangesNothing},

	{"fault", "If the store fails, the request is answered with 503: not with 401, and not as an anonymous request.", "Fail", faultRule},
	{"fault_absent", "A request without credentials needs no store: if the store fails, it is still ErrNoCredentials.", "Fail", faultAbsent},
	{"canceled", "A canceled request is a fault or accepted: it is no reason to reject a credential.", "", canceledRule},

	{"expired", "An expired credential is rejected.", "Expire", ended("Expire")},
	{"revoked", "A revoked credential is rejected.", "Revoke", ended("Revoke")},
	{"disabled", "A credential of a disabled account is rejected.", "Disable", ended("Disable")},
	{"logged_out_everywhere", "After \"log out everywhere\" the account's credentials are rejected.", "LogoutEverywhere", ended("LogoutEverywhere")},
	{"expiry_is_reported", "The identity of a credential that expires has Expires, so that a long-lived connection can end.", "Expire", expiryIsReported},
	{"alike", "Unknown, expired, revoked and outdated credentials and those of disabled accounts are rejected with the same status, code and text.", "", alike},
	{"others_stay", "What ends one account's credential leaves another account's.", "Other", othersStay},
	{"accounts_apart", "Each credential gives its own account, whatever was asked before.", "Other", accountsApart},

	{"scoped", "A credential that is limited to scopes gives these Scopes and no Roles.", "Scoped", scopedRule},
	{"scopeless", "A credential that is limited to no scope gives an empty list of Scopes: nil is no limit.", "Scopeless", scopelessRule},
	{"fresh_lists", "The lists of an identity are its own: editing them changes no later identity.", "", freshLists},

	{"request_unchanged", "Authenticate changes nothing of the request: header, URL, body, context.", "", requestUnchanged},
	{"headers", "Headers names the headers that the scheme reads, in canonical form: without them a request has no credential.", "authn.HeaderReader", headersRule},
	{"claims", "Claims names the keyword and the beginning of the credentials that the scheme accepts.", "authn.FormatDeclarer", claimsRule},
	{"elsewhere", "A credential is read in its own place only: not in the query, in a form, in a cookie or in another header.", "", elsewhere},
	{"chain", "In a chain the scheme decides as by itself: good is accepted, bad is rejected, absent is anonymous.", "", chainRule},
	{"ambient", "A cross-site request that changes something is rejected if browsers or proxies attach the credential.", "authn.Ambient", ambientRule},

	{"two_headers", "Two headers of the name, or two cookies, are rejected, whatever they hold.", "", twoHeaders},
	{"two_credentials", "Two credentials in one header are rejected.", "", twoCredentials},
	{"odd_input_accepted", "No other text is accepted for a credential: shorter, longer, in another case, with NUL or other characters.", "", oddInput(oddAccepted)},
	{"odd_input_panics", "No text makes the scheme panic.", "", oddInput(oddPanics)},
	{"odd_input_fault", "No text is a fault: it is rejected, or not the scheme's.", "", oddInput(oddFault)},

	{"secret_in_error", "No error has the credential in its text, its cause or its answer.", "", secretInError},
	{"secret_in_identity", "The identity does not hold the credential.", "", secretInIdentity},
	{"secret_in_challenge", "No challenge holds the credential.", "authn.Challenger", secretInChallenge},
	{"secret_in_log", "The scheme writes the credential neither to a log nor into an audit event.", "Written", secretInLog},

	{"challenge_syntax", "A challenge is that of RFC 9110, section 11.6.1, for every error and for a request that has only a method and a path.", "authn.Challenger", challengeSyntax},
	{"challenge_scheme", "A challenge names one authentication scheme, the same for every error, and one that is claimed.", "authn.Challenger", challengeScheme},

	{"kept_same", "A kept identity is given to no request that Authenticate would answer otherwise.", "authn.Keeper", keptSame},
	{"kept_expired", "A kept identity ends when the credential expires.", "Expire", keptEnds("Expire")},
	{"kept_revoked", "A kept identity ends when the credential is revoked.", "Revoke", keptEnds("Revoke")},
	{"kept_disabled", "A kept identity ends when the account is disabled.", "Disable", keptEnds("Disable")},
	{"kept_logged_out_everywhere", "A kept identity ends with \"log out everywhere\".", "LogoutEverywhere", keptEnds("LogoutEverywhere")},

	{"concurrent", "Concurrent requests get what each gets alone.", "", concurrentRule},
}
