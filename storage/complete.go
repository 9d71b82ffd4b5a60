package storage

// Complete is a store with every part, as packages memory and gormstore have one. Require the
// parts that you use instead: a store need not have the others.
type Complete interface {
	Users
	Accounts
	Subjects
	Permissions
	StaticTokens
	Credentials
	CredentialList
	Sessions
	SessionList
	Families
	Blocklist
	Replays
	SigningKeys
	OneTimeTokens
	Clients
	Codes
	AccessTokens
	AuthRequests
	DeviceGrants
	Attempts
	Consents
	Pruner
	Transactor
}
