package observe

// Lookup is one lookup in a cache.
type Lookup struct {
	Kind   Kind
	Result Result
}

// Kind is the kind of the records that a cache looks up.
type Kind uint8

// The kinds of cached records. All except Identities are kinds of package bus, with the same
// numbers.
const (
	StaticTokens  Kind = iota
	Credentials        // device tokens, API keys
	Sessions           // browser sessions
	AccessTokens       // opaque access tokens
	Standings          // revocation status of JWTs
	UserStandings      // revocation status of JWTs, with the account
	Blocks             // keys of the blocklist; never looked up, only invalidated
	LiveUsers          // accounts whose password was verified
	Permissions        // permissions of accounts
	Clients            // OAuth 2.0 clients
	Links              // links of other issuers' users to accounts
	Identities         // identities that a middleware keeps
	Kinds              // the number of kinds; not a kind
)

// String returns a name such as "session".
func (k Kind) String() string {
	return nameOf(k, "static_token", "credential", "session", "access_token", "standing", "user_standing", "block", "account", "permissions", "client", "link", "identity")
}

// Result is the result of a [Lookup].
type Result uint8

// The results of a lookup.
const (
	Hit      Result = iota // answered by the cache
	Negative               // the cache knows that there is no such record
	Shared                 // waited for the lookup of another request
	Miss                   // the store was queried, and the cache can keep its answer
	Bypass                 // the cache was not used: a transaction, a kind that is not cached, or no proof that it is up to date
	Flood                  // rejected: too many lookups of unknown records
	Results                // the number of results; not a result
)

// String returns "hit", "negative", "shared", "miss", "bypass" or "flood".
func (r Result) String() string {
	return nameOf(r, "hit", "negative", "shared", "miss", "bypass", "flood")
}
