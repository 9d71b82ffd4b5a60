package audit

// Kind is the kind of an event. The texts never change, so you can store and count them.
type Kind string

// The kinds of events.
const (
	LoginSucceeded  Kind = "login.succeeded"
	LoginFailed     Kind = "login.failed"     // wrong password, unknown name, disabled account
	LoginThrottled  Kind = "login.throttled"  // a limit was reached; no password was checked
	LoginChallenged Kind = "login.challenged" // a second factor was requested

	Logout           Kind = "logout"            // by the user: one or more credentials, see Count
	LogoutEverywhere Kind = "logout.everywhere" // every credential of every scheme

	TokenCreated Kind = "token.created"
	TokenRevoked Kind = "token.revoked" // by the application, by the user in the list of tokens, or by a client
	TokenEvicted Kind = "token.evicted" // removed because a limit was reached
	TokenReuse   Kind = "token.reuse"   // a one-time token was used again; it may be stolen

	RefreshSucceeded Kind = "refresh.succeeded"
	RefreshRepeated  Kind = "refresh.repeated" // the same tokens were returned again, within the grace period
	RefreshReuse     Kind = "refresh.reuse"    // the token may be stolen; its family is revoked
	CodeReuse        Kind = "code.reuse"       // as RefreshReuse, for an authorization code

	SessionCreated Kind = "session.created"
	SessionEnded   Kind = "session.ended"   // by the user in the list of sessions, or by the application
	SessionRotated Kind = "session.rotated" // its ID was regenerated

	PasswordChanged  Kind = "password.changed"
	PasswordRehashed Kind = "password.rehashed"

	AccountCreated  Kind = "account.created"
	AccountDisabled Kind = "account.disabled"
	AccountEnabled  Kind = "account.enabled"
	AccountDeleted  Kind = "account.deleted"
	AccountChanged  Kind = "account.changed" // its roles, by an administrator

	LinkCreated Kind = "link.created" // a user of another issuer was linked to the account
	LinkDeleted Kind = "link.deleted" // and the account was logged out everywhere

	ConsentGiven   Kind = "consent.given"
	ConsentDropped Kind = "consent.dropped"
	DeviceApproved Kind = "device.approved"
	DeviceDenied   Kind = "device.denied"

	ClientCreated  Kind = "client.created"
	ClientChanged  Kind = "client.changed"
	ClientDisabled Kind = "client.disabled"

	KeyRotated Kind = "key.rotated" // a signing key was created, or expired by an administrator

	IntrospectionRefused Kind = "introspection.refused"

	// CredentialRejected reports a rejected credential that deserves an event: an expired
	// credential of a known account, or a request with several cookies of the same name. Reason
	// tells them apart.
	CredentialRejected Kind = "credential.rejected"
	// UseUnrecorded reports that the use of a credential could not be stored, so its expiry was not
	// extended. The request continued.
	UseUnrecorded Kind = "use.unrecorded"
	// HeaderIgnored reports an identity header that did not come from a trusted proxy.
	HeaderIgnored Kind = "header.ignored"

	RecoverySent   Kind = "recovery.sent"   // a message with a link was sent
	RecoveryFailed Kind = "recovery.failed" // the message could not be created or sent

	LimitFallback  Kind = "limit.fallback" // the store is down; attempts are counted in memory
	BusBlind       Kind = "bus.blind"      // invalidation messages do not arrive
	BusRestored    Kind = "bus.restored"
	StaleServed    Kind = "stale.served"
	ConfigMismatch Kind = "config.mismatch" // replicas have different settings
)

// Outcome is the result of the event for the caller, with the same values as authn's metrics.
type Outcome string

// The outcomes.
const (
	Accepted Outcome = "accepted"
	Rejected Outcome = "rejected"
	Error    Outcome = "error" // the decision or the operation failed
)

// outcomes holds the outcomes of the kinds whose outcome is not Accepted.
var outcomes = map[Kind]Outcome{
	LoginFailed: Rejected, LoginThrottled: Rejected, LoginChallenged: Rejected,
	TokenReuse: Rejected, RefreshReuse: Rejected, CodeReuse: Rejected,
	IntrospectionRefused: Rejected, CredentialRejected: Rejected, HeaderIgnored: Rejected, DeviceDenied: Rejected,
	UseUnrecorded: Error, RecoveryFailed: Error, LimitFallback: Error, BusBlind: Error, ConfigMismatch: Error,
}

func outcomeOf(k Kind) Outcome {
	if o, ok := outcomes[k]; ok {
		return o
	}
	return Accepted
}

// Kinds returns all kinds of events of this package. Use it for the values of a metric's label.
func Kinds() []Kind {
	return []Kind{
		LoginSucceeded, LoginFailed, LoginThrottled, LoginChallenged, Logout, LogoutEverywhere,
		TokenCreated, TokenRevoked, TokenEvicted, TokenReuse, RefreshSucceeded, RefreshRepeated,
		RefreshReuse, CodeReuse, SessionCreated, SessionEnded, SessionRotated, PasswordChanged,
		PasswordRehashed, AccountCreated, AccountDisabled, AccountEnabled, AccountDeleted, AccountChanged, LinkCreated, LinkDeleted, ConsentGiven,
		ConsentDropped, DeviceApproved, DeviceDenied, ClientCreated, ClientChanged, ClientDisabled,
		KeyRotated, IntrospectionRefused, CredentialRejected, UseUnrecorded, HeaderIgnored, RecoverySent,
		RecoveryFailed, LimitFallback, BusBlind, BusRestored, StaleServed, ConfigMismatch,
	}
}
