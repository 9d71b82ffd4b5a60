package cached

import (
	"slices"
	"strings"
	"sync"
	"time"
	"unique"

	"github.com/vestibule-auth/vestibule/internal/actors"
	"github.com/vestibule-auth/vestibule/internal/bounded"
	"github.com/vestibule-auth/vestibule/storage"
)

// Cached records are smaller than the records that they represent: all texts are parts of one
// string, times are numbers, lists that many records share are stored once, and so is data that a
// valid credential and its account have in common (subject, epoch, active).

// words are the texts of a record, joined to one string.
type words struct {
	all  string
	ends [7]uint16
	in   uint8 // length of the name space at the start of the first text
}

// newWords returns false if the texts are too long together.
func newWords(list ...string) (w words, ok bool) {
	w.all = strings.Join(list, "")
	if len(w.all) >= 1<<16 {
		return words{}, false
	}
	end := 0
	for i, s := range list {
		end += len(s)
		w.ends[i] = uint16(end)
	}
	return w, true
}

func (w *words) at(i int) string {
	if i == 0 {
		return w.all[:w.ends[0]]
	}
	return w.all[w.ends[i-1]:w.ends[i]]
}

// Indexes of the account's texts. The texts of the credential follow.
const (
	wordID = iota
	wordName
	wordEmail
	wordOwn
)

// account is an enabled storage.User without its password hash.
type account struct {
	words
	lists   *lists
	created int64
	epoch   int64
}

// user returns the account with the lease. If there is no account, it returns a zero User with the
// lease.
func (a *account) user(lease storage.Lease) storage.User {
	if a.ends[wordID] == 0 {
		return storage.User{}.Leased(lease)
	}
	u := storage.User{ID: a.at(wordID), Name: a.at(wordName), Email: a.at(wordEmail), Active: true, Created: timeOf(a.created), Epoch: a.epoch}
	if a.lists != nil {
		u.Roles = own(a.lists.roles)
	}
	if a.in > 0 {
		u = u.InSpace(u.ID[:a.in])
	}
	return u.Leased(lease)
}

// newAccount returns the cached form of u and of the texts and lists of its credential. ok is false
// if they cannot be cached.
func (s *Store) newAccount(u *storage.User, scopes, resource, login []string, own ...string) (a account, size int, ok bool) {
	a.words, ok = newWords(append([]string{u.ID, u.Name, u.Email}, own...)...)
	a.lists, size = s.strings.lists(u.Roles, scopes, resource, login)
	a.created, a.epoch, a.in = micros(u.Created), u.Epoch, uint8(len(u.Space()))
	return a, size + recordSize + len(a.all)*9/8, ok
}

// recordSize is the estimated memory of a record, in bytes, without its texts, lists and data: the
// record itself and its place in a half-empty map.
const recordSize = 310

// micros returns a time in microseconds since 1970, and noTime for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return noTime
	}
	return t.UnixMicro()
}

const noTime = -1 << 63

func timeOf(micros int64) time.Time {
	if micros == noTime {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// lists are the lists of a record. Records share them; the Store returns only copies.
type lists struct {
	roles, scopes, resource []string
	login                   []string // see loginOf
}

// loginOf returns how a user logged in as one list, so that records share it: the class, and then
// the methods. It is nil if both are unknown.
func loginOf(acr string, amr []string) []string {
	if acr == "" && amr == nil {
		return nil
	}
	return append([]string{acr}, amr...)
}

// methods is the reverse of loginOf.
func (l *lists) methods() (acr string, amr []string) {
	if len(l.login) == 0 {
		return "", nil
	}
	if len(l.login) > 1 {
		amr = own(l.login[1:])
	}
	return l.login[0], amr
}

// interned stores lists that many records share.
type interned struct {
	mu   sync.Mutex
	seen *bounded.Map[string, *lists]
}

// maxInterned is the maximum number of interned lists. Lists that are removed remain in the records
// that use them.
const maxInterned = 1024

// maxList is the size, in bytes, above which lists are not interned, because the memory of interned
// lists is limited only by maxInterned.
const maxList = 1024

// lists returns copies of the four lists and their estimated memory, in bytes, if no other record
// shares them.
func (t *interned) lists(roles, scopes, resource, login []string) (*lists, int) {
	if roles == nil && scopes == nil && resource == nil && login == nil {
		return nil, 0
	}
	var b strings.Builder
	size := 0
	for _, list := range [...][]string{roles, scopes, resource, login} {
		if list == nil {
			b.WriteByte(1)
		}
		for _, s := range list {
			b.WriteString(s)
			b.WriteByte(0) // no role or scope contains NUL
			size += len(s) + 32
		}
		b.WriteByte(2)
	}
	if size > maxList {
		return &lists{own(roles), own(scopes), own(resource), own(login)}, size + 120
	}
	key := b.String()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil {
		t.seen = bounded.New[string, *lists](maxInterned, maxInterned)
	}
	l, ok := t.seen.Get(key)
	if !ok {
		l = &lists{own(roles), own(scopes), own(resource), own(login)}
		t.seen.Put(key, l, 1)
	}
	return l, size + 120
}

// own returns a copy without spare capacity, so that append copies it.
func own[T any](list []T) []T { return slices.Clip(slices.Clone(list)) }

// staticRecord is a valid storage.StaticToken.
type staticRecord struct {
	head
	account
	salt  []byte
	since int64
}

func (r *staticRecord) token(d *storage.Digest) storage.StaticToken {
	return storage.StaticToken{Digest: *d, Subject: r.at(wordID), Salt: own(r.salt), KeyID: r.at(wordOwn), Epoch: r.epoch, Created: timeOf(r.since)}
}

// credentialRecord is a valid storage.Credential.
type credentialRecord struct {
	head
	account
	since, expires, lastUsed, max int64
	ttl                           time.Duration
	data                          *[]byte // nil if there is none
}

// wordPurpose is the index of the purpose in a credentialRecord.
const wordPurpose = wordOwn + 2

func (r *credentialRecord) credential(d *storage.Digest) storage.Credential {
	c := storage.Credential{
		Digest: *d, Purpose: r.at(wordPurpose), ID: r.at(wordOwn), Subject: r.at(wordID), Name: r.at(wordOwn + 1), Epoch: r.epoch, TTL: r.ttl,
		Created: timeOf(r.since), Expires: timeOf(r.expires), LastUsed: timeOf(r.lastUsed), Max: timeOf(r.max),
	}
	if r.lists != nil {
		c.Scopes = own(r.lists.scopes)
	}
	if r.data != nil {
		c.Data = own(*r.data)
	}
	return c
}

// sessionRecord is a valid storage.Session.
type sessionRecord struct {
	head
	account
	version                                   int64
	data                                      *[]byte // nil if there is none
	userAgent                                 unique.Handle[string]
	since, authTime, lastSeen, expires, until int64
}

func (r *sessionRecord) session(d *storage.Digest) storage.Session {
	v := storage.Session{
		Digest: *d, ID: r.at(wordOwn), Subject: r.at(wordID), Epoch: r.epoch, Version: r.version,
		Created: timeOf(r.since), AuthTime: timeOf(r.authTime), LastSeen: timeOf(r.lastSeen),
		Expires: timeOf(r.expires), Ends: timeOf(r.until), UserAgent: r.userAgent.Value(), Address: r.at(wordOwn + 1),
	}
	if r.lists != nil {
		v.ACR, v.AMR = r.lists.methods()
	}
	if r.data != nil {
		v.Data = own(*r.data)
	}
	return v
}

// accessRecord is a valid storage.AccessState.
type accessRecord struct {
	head
	account
	authTime, since, expires int64
}

func (r *accessRecord) state(d *storage.Digest) storage.AccessState {
	a := storage.AccessToken{
		Digest: *d, ID: r.at(wordOwn), Family: r.at(wordOwn + 1), Client: r.at(wordOwn + 2), Subject: r.at(wordID), Epoch: r.epoch,
		AuthTime: timeOf(r.authTime), Created: timeOf(r.since), Expires: timeOf(r.expires),
	}
	a.Confirm, a.Actors, _ = actors.Unpack(r.at(wordOwn + 3)) // packed by this process
	if r.lists != nil {
		a.Scopes, a.Resource = own(r.lists.scopes), own(r.lists.resource)
		a.ACR, a.AMR = r.lists.methods()
	}
	return storage.AccessState{Access: a, User: r.user(&r.head)}
}

// standingRecord is a storage.TokenStatus that is not blocked, of a token with this subject and
// these other keys.
type standingRecord struct {
	head
	subject      string
	sid, subKey  storage.BlockKey
	subjectEpoch int64
}

// userStandingRecord is a standingRecord with an enabled account.
type userStandingRecord struct {
	head
	account
	sid, subKey storage.BlockKey
}
