package cached

import (
	"slices"
	"strings"
	"sync"
	"time"
	"unique"

	"github.com/vestibule-auth/vestibule/internal/bounded"
	"github.com/vestibule-auth/vestibule/storage"
)

// What is kept is smaller than the records it stands for: their texts are parts of one
// string, times are numbers, lists and what many records share are kept once, and what a
// live credential says twice (subject and account, epoch and epoch, active) once.

// words are the texts of a record, one behind the other.
type words struct {
	all  string
	ends [7]uint16
	in   uint8 // length of the name space that the first text begins with
}

// newWords returns false for texts that are too long together.
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

// Places of the account's texts; those of the credential follow.
const (
	wordID = iota
	wordName
	wordEmail
	wordOwn
)

// account is a storage.User that is active, without its password hash.
type account struct {
	words
	lists   *lists
	created int64
	epoch   int64
}

// user returns the account, or one that is zero but for its lease where there is none.
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

// newAccount keeps u and the texts and lists of its credential. ok is false where that
// cannot be done.
func (s *Store) newAccount(u *storage.User, scopes, resource []string, own ...string) (a account, size int, ok bool) {
	a.words, ok = newWords(append([]string{u.ID, u.Name, u.Email}, own...)...)
	a.lists, size = s.strings.lists(u.Roles, scopes, resource)
	a.created, a.epoch, a.in = micros(u.Created), u.Epoch, uint8(len(u.Space()))
	return a, size + recordSize + len(a.all)*9/8, ok
}

// recordSize is what a record takes besides its texts, lists and data: itself and its
// place in a map that is half empty.
const recordSize = 310

// micros is a time in microseconds; no time is the least one.
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

// lists are those of a record. Records share them; whatever leaves the Store is a copy.
type lists struct{ roles, scopes, resource []string }

// interned keeps lists that many records have, each once.
type interned struct {
	mu   sync.Mutex
	seen *bounded.Map[string, *lists]
}

// maxInterned bounds how many lists are known. One that is forgotten stays with the records that
// have it.
const maxInterned = 1024

// maxList is the size from which lists are not known to others: what is known counts in no
// bound but maxInterned.
const maxList = 1024

// lists returns copies of the three, and what they take if nobody else has them.
func (t *interned) lists(roles, scopes, resource []string) (*lists, int) {
	if roles == nil && scopes == nil && resource == nil {
		return nil, 0
	}
	var b strings.Builder
	size := 0
	for _, list := range [...][]string{roles, scopes, resource} {
		if list == nil {
			b.WriteByte(1)
		}
		for _, s := range list {
			b.WriteString(s)
			b.WriteByte(0) // no role or scope holds it
			size += len(s) + 32
		}
		b.WriteByte(2)
	}
	if size > maxList {
		return &lists{own(roles), own(scopes), own(resource)}, size + 96
	}
	key := b.String()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil {
		t.seen = bounded.New[string, *lists](maxInterned, maxInterned)
	}
	l, ok := t.seen.Get(key)
	if !ok {
		l = &lists{own(roles), own(scopes), own(resource)}
		t.seen.Put(key, l, 1)
	}
	return l, size + 96
}

// own is a copy without room: who appends to it gets another one.
func own[T any](list []T) []T { return slices.Clip(slices.Clone(list)) }

// staticRecord is a storage.StaticToken that is live.
type staticRecord struct {
	head
	account
	salt  []byte
	since int64
}

func (r *staticRecord) token(d *storage.Digest) storage.StaticToken {
	return storage.StaticToken{Digest: *d, Subject: r.at(wordID), Salt: own(r.salt), KeyID: r.at(wordOwn), Epoch: r.epoch, Created: timeOf(r.since)}
}

// credentialRecord is a storage.Credential that is live.
type credentialRecord struct {
	head
	account
	since, expires, lastUsed, max int64
	ttl                           time.Duration
	data                          *[]byte // nil: none
}

// wordPurpose is the place of the purpose in a credentialRecord.
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

// sessionRecord is a storage.Session that is live.
type sessionRecord struct {
	head
	account
	version                                   int64
	data                                      *[]byte // nil: none
	userAgent                                 unique.Handle[string]
	since, authTime, lastSeen, expires, until int64
}

func (r *sessionRecord) session(d *storage.Digest) storage.Session {
	v := storage.Session{
		Digest: *d, ID: r.at(wordOwn), Subject: r.at(wordID), Epoch: r.epoch, Version: r.version,
		Created: timeOf(r.since), AuthTime: timeOf(r.authTime), LastSeen: timeOf(r.lastSeen),
		Expires: timeOf(r.expires), Ends: timeOf(r.until), UserAgent: r.userAgent.Value(), Address: r.at(wordOwn + 1),
	}
	if r.data != nil {
		v.Data = own(*r.data)
	}
	return v
}

// accessRecord is a storage.AccessState that is live.
type accessRecord struct {
	head
	account
	authTime, since, expires int64
}

func (r *accessRecord) state(d *storage.Digest) storage.AccessState {
	a := storage.AccessToken{
		Digest: *d, ID: r.at(wordOwn), Family: r.at(wordOwn + 1), Client: r.at(wordOwn + 2), Subject: r.at(wordID), Epoch: r.epoch,
		Confirm: r.at(wordOwn + 3), AuthTime: timeOf(r.authTime), Created: timeOf(r.since), Expires: timeOf(r.expires),
	}
	if r.lists != nil {
		a.Scopes, a.Resource = own(r.lists.scopes), own(r.lists.resource)
	}
	return storage.AccessState{Access: a, User: r.user(&r.head)}
}

// standingRecord is a storage.TokenStatus that is not blocked, of a token with these other
// keys and this subject.
type standingRecord struct {
	head
	subject      string
	sid, ofAll   storage.BlockKey
	subjectEpoch int64
}

// userStandingRecord is a standingRecord with an account that is active.
type userStandingRecord struct {
	head
	account
	sid, ofAll storage.BlockKey
}
