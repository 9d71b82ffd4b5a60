package storage

// Complete is a store that implements every interface, such as the stores of packages memory and
// gormstore. In your own code, require only the interfaces that you use, because other stores may
// lack some.
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
	Factors
	Links
	Pruner
	Transactor
}
