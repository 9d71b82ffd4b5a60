package throttle

import "time"

const (
	maxGood      = 10_000
	maxGoodOfOne = 100 // per account
)

// acceptedTable holds credentials that were accepted from places over a limit, with the time until
// which each is remembered. It is a tree: IPv4 /16 or IPv6 /32, then /24 or /48, then the address.
//
// An account with too many credentials drops its own oldest one. If the table is full, it drops an
// entry from the wide network with most entries; in that, from the narrower network with most; and
// there, from the account with most. So a client with many addresses or many credentials drops its
// own entries and not those of others.
//
// Each operation takes less than a millisecond. The table is not safe for concurrent use. The zero
// value is empty.
type acceptedTable struct {
	root     branch
	accounts map[uint64][]mine
}

// mine is the place of an account's credential in the tree.
type mine struct {
	at         [3]string
	credential uint64
}

// branch is a network. It contains narrower networks or, if it is an address, credentials.
type branch struct {
	n           int // number of credentials
	narrower    map[string]*branch
	credentials map[uint64]accepted
	accounts    map[uint64]int // number of credentials per account
}

type accepted struct {
	until   time.Time
	account uint64
}

func (p places) path() [3]string { return [3]string{p.vast, p.net, p.source} }

// get returns the time until which a credential from that place is remembered, or the zero time.
func (t *acceptedTable) get(at places, credential uint64) time.Time {
	return t.find(at.path(), credential).until
}

func (t *acceptedTable) find(path [3]string, credential uint64) accepted {
	b := &t.root
	for _, name := range path {
		if b = b.narrower[name]; b == nil {
			return accepted{}
		}
	}
	return b.credentials[credential]
}

// put adds a credential. It drops another one if there are too many.
func (t *acceptedTable) put(at places, credential, account uint64, until time.Time) {
	path := at.path()
	if old := t.find(path, credential); !old.until.IsZero() {
		if old.account == account {
			t.leaf(path).credentials[credential] = accepted{until, account}
			return
		}
		t.remove(mine{path, credential})
	}
	if t.accounts == nil {
		t.accounts = make(map[uint64][]mine)
	}
	if list := t.accounts[account]; len(list) >= maxGoodOfOne {
		oldest, ends := list[0], t.find(list[0].at, list[0].credential).until
		for _, m := range list[1:] {
			if until := t.find(m.at, m.credential).until; until.Before(ends) {
				oldest, ends = m, until
			}
		}
		t.remove(oldest)
	}
	if t.root.n >= maxGood {
		t.remove(t.spare())
	}
	t.accounts[account] = append(t.accounts[account], mine{path, credential})
	b := t.leaf(path)
	if b.credentials == nil {
		b.credentials, b.accounts = make(map[uint64]accepted), make(map[uint64]int)
	}
	b.credentials[credential] = accepted{until, account}
	b.accounts[account]++
	t.add(path, 1)
}

// leaf returns the branch of an address. It adds the branch if it is new.
func (t *acceptedTable) leaf(path [3]string) *branch {
	b := &t.root
	for _, name := range path {
		next := b.narrower[name]
		if next == nil {
			if next = new(branch); b.narrower == nil {
				b.narrower = make(map[string]*branch)
			}
			b.narrower[name] = next
		}
		b = next
	}
	return b
}

// add changes the counts of an address and of the networks around it. It removes those without
// credentials.
func (t *acceptedTable) add(path [3]string, n int) {
	b := &t.root
	b.n += n
	for _, name := range path {
		next := b.narrower[name]
		if next.n += n; next.n == 0 {
			delete(b.narrower, name)
			return
		}
		b = next
	}
}

// remove removes a credential that is in the table.
func (t *acceptedTable) remove(m mine) {
	b := t.leaf(m.at)
	account := b.credentials[m.credential].account
	delete(b.credentials, m.credential)
	if b.accounts[account]--; b.accounts[account] == 0 {
		delete(b.accounts, account)
	}
	list := t.accounts[account]
	for i := range list {
		if list[i] == m {
			list[i] = list[len(list)-1]
			list = list[:len(list)-1]
			break
		}
	}
	if t.accounts[account] = list; len(list) == 0 {
		delete(t.accounts, account)
	}
	t.add(m.at, -1)
}

// spare returns the credential to drop from a full table: in the network with most credentials, of
// the account with most, the one that expires first.
func (t *acceptedTable) spare() (m mine) {
	b := &t.root
	for i := range m.at {
		var widest *branch
		for name, next := range b.narrower {
			if widest == nil || next.n > widest.n {
				m.at[i], widest = name, next
			}
		}
		b = widest
	}
	var account uint64
	most := 0
	for a, n := range b.accounts {
		if n > most {
			account, most = a, n
		}
	}
	var ends time.Time
	for c, x := range b.credentials {
		if x.account == account && (ends.IsZero() || x.until.Before(ends)) {
			m.credential, ends = c, x.until
		}
	}
	return m
}
