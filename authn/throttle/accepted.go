package throttle

import "time"

// acceptedTable holds the credentials that were accepted from places over a limit, until when. It
// is a tree: IPv4 /16 or IPv6 /32, then /24 or /48, then the address. If it is full, the widest
// network with most entries loses one, and within it again the one with most: somebody with many
// addresses, or with many accounts, drops entries of its own and not those of others. Each
// operation takes less than a millisecond. It is not safe for concurrent use.
type acceptedTable struct {
	root branch
	most int
}

// branch is a network: it has either narrower ones or, if it is an address, credentials.
type branch struct {
	n           int // credentials
	narrower    map[string]*branch
	credentials map[uint64]time.Time
}

func (p places) path() [3]string { return [3]string{p.vast, p.net, p.source} }

// get returns until when a credential of that place is known, or the zero time.
func (t *acceptedTable) get(at places, credential uint64) time.Time {
	b := &t.root
	for _, name := range at.path() {
		if b = b.narrower[name]; b == nil {
			return time.Time{}
		}
	}
	return b.credentials[credential]
}

// put notes a credential, and drops another one if there are too many.
func (t *acceptedTable) put(at places, credential uint64, until time.Time) {
	added := t.get(at, credential).IsZero()
	b := &t.root
	if added {
		b.n++
	}
	for _, name := range at.path() {
		next := b.narrower[name]
		if next == nil {
			if next = new(branch); b.narrower == nil {
				b.narrower = make(map[string]*branch)
			}
			b.narrower[name] = next
		}
		if b = next; added {
			b.n++
		}
	}
	if b.credentials == nil {
		b.credentials = make(map[uint64]time.Time)
	}
	b.credentials[credential] = until
	if t.root.n > t.most {
		t.root.drop()
	}
}

// drop removes a credential of the network that has most of them: the one that ends first.
func (b *branch) drop() {
	b.n--
	var name string
	most := 0
	for k, next := range b.narrower {
		if next.n > most {
			name, most = k, next.n
		}
	}
	if most > 0 {
		if next := b.narrower[name]; most == 1 {
			delete(b.narrower, name)
		} else {
			next.drop()
		}
		return
	}
	var oldest uint64
	var ends time.Time
	for c, until := range b.credentials {
		if ends.IsZero() || until.Before(ends) {
			oldest, ends = c, until
		}
	}
	delete(b.credentials, oldest)
}
