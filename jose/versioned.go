package jose

import "github.com/vestibule-auth/vestibule/internal/same"

// Versioned is a KeySource that reports when its keys change. Verifiers keep what its keys have
// verified until then; of any other KeySource they keep nothing, because a key that was withdrawn
// would verify tokens for as long as they were kept. KeySet, ReloadingKeySet and RemoteKeySet are Versioned.
type Versioned interface {
	KeySource
	// Versions returns the source itself, so that another one that embeds it and has Keys of its
	// own is not taken for it, and a function whose result changes with the keys. It is called
	// before each verification and for each token that was kept, so it must not load keys or wait:
	// while it cannot tell, it returns a value that it never returned before.
	Versions() (self KeySource, generation func() uint64)
}

// GenerationOf returns the generation function of a Versioned source, or nil for any other, and
// for one that merely embeds a Versioned one.
func GenerationOf(keys KeySource) func() uint64 {
	v, ok := keys.(Versioned)
	if !ok {
		return nil
	}
	self, generation := v.Versions()
	if !same.Value(self, keys) {
		return nil
	}
	return generation
}

// Versions implements Versioned.
func (r *KeySet) Versions() (KeySource, func() uint64) { return r, r.Generation }

// Versions implements Versioned.
func (r *ReloadingKeySet) Versions() (KeySource, func() uint64) { return r, r.Generation }

// Versions implements Versioned.
func (r *RemoteKeySet) Versions() (KeySource, func() uint64) { return r, r.Generation }
