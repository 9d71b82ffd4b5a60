package audit

// Kind says what happened. The texts are stable: you can store and count them.
type Kind string

// The kinds of events.
const (
	LoginSucceeded  Kind = "login.succeeded"
	LoginFailed     Kind = "login.failed"     // wrong password, unknown name, disabled account
	LoginThrottled  Kind = "login.throttled"  // a limit was reached; no password was checked
	LoginChallenged Kind = "login.challenged" // a second factor was requested

	Logout           Kind = "logout"            // by the user: one credential, or Count of them
	LogoutEverywhere Kind = "logout.everywhere" // every credential of every scheme

	TokenCreated Kind = "token.created"
	TokenRevoked Kind = "token.revoked" // by the program, the user's list, or a client
	TokenEvicted Kind = "token.evicted" // removed at a limit to make room for a new one
	TokenReuse   Kind = "token.reuse"   // a one-time token was used again; it may be stolen

	RefreshSucceeded Kind = "refresh.succeeded"
	RefreshRepeated  Kind = "refresh.repeated" // the same answer again, within the grace period
	RefreshReuse     Kind = "refresh.reuse"    // the token may be stolen; its family is revoked
	CodeReuse        Kind = "code.reuse"       // as RefreshReuse, for an authorization code

	SessionCreated Kind = "session.created"
	SessionEnded   Kind = "session.ended"   // from the user's list, or by the program
	SessionRotated Kind = "session.rotated" // it got a new ID

	PasswordChanged  Kind = "password.changed"
	PasswordRehashed Kind = "password.rehashed"

	AccountCreated  Kind = "account.created"
	AccountDisabled Kind = "account.disabled"
	AccountEnabled  Kind = "account.enabled"
	AccountDeleted  Kind = "account.deleted"

	ConsentGiven   Kind = "consent.given"
	ConsentDropped Kind = "consent.dropped"
	DeviceApproved Kind = "device.approved"
	DeviceDenied   Kind = "device.denied"

	ClientCreated  Kind = "client.created"
	ClientChanged  Kind = "client.changed"
	ClientDisabled Kind = "client.disabled"

	KeyRotated Kind = "key.rotated"

	IntrospectionRefused Kind = "introspection.refused"

	// CredentialRejected reports a credential whose rejection is worth an event: an expired one
	// of a known account, or a request with several cookies of one name. Reason says which.
	CredentialRejected Kind = "credential.rejected"
	// UseUnrecorded reports that a use of a credential could not be written, so that its expiry
	// was not renewed. The request went on.
	UseUnrecorded Kind = "use.unrecorded"
	// HeaderIgnored reports an identity header that did not come from a trusted proxy.
	HeaderIgnored Kind = "header.ignored"

	RecoverySent   Kind = "recovery.sent"   // a message with a link went out
	RecoveryFailed Kind = "recovery.failed" // it could not be created or sent

	LimitFallback  Kind = "limit.fallback" // attempts are counted in memory: the store is down
	BusBlind       Kind = "bus.blind"      // invalidation messages do not arrive
	BusRestored    Kind = "bus.restored"
	StaleServed    Kind = "stale.served"
	ConfigMismatch Kind = "config.mismatch" // replicas have different settings
)

// Outcome is how the event ended for the caller, in the words of authn's metrics.
type Outcome string

// The outcomes.
const (
	Accepted Outcome = "accepted"
	Rejected Outcome = "rejected"
	Error    Outcome = "error" // it could not be decided or done
)

// outcomes of the kinds that are not Accepted.
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
