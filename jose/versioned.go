package jose

import "github.com/vestibule-auth/vestibule/internal/same"

// Versioned is a [KeySource] that reports when its keys change. Verifiers cache tokens that were
// verified with keys of a Versioned source, until the generation changes. They cache nothing from
// other sources, because a key that was removed would stay valid for cached tokens. KeySet,
// ReloadingKeySet and RemoteKeySet are Versioned.
type Versioned interface {
	KeySource
	// Versions returns the source itself and a function whose result changes with the keys. self
	// lets callers detect a type that embeds this source but has its own Keys. generation is called
	// before each verification and for each cached token, so it MUST NOT load keys or wait. While
	// it does not know the current keys, it returns a value that it never returned before.
	Versions() (self KeySource, generation func() uint64)
}

// GenerationOf returns the generation function of a [Versioned] source. It returns nil for any
// other source, and for a type that only embeds a Versioned one.
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
