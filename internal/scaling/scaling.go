// Package scaling computes what an application with many users needs. The numbers of the page
// docs/production/scaling.md come from it.
package scaling

import (
	"math"
	"time"
)

// Reads is the load on the caches of all replicas.
type Reads struct {
	// PerSecond is the number of authenticated requests per second, at all replicas together.
	PerSecond float64
	// Credentials is the number of credentials in use. The n-th most used one gets a share of the
	// requests that is proportional to 1/n^Zipf.
	Credentials int
	Zipf        float64
	Replicas    int
	// Sticky means that the load balancer sends all requests with a credential to the same replica.
	Sticky bool
	// TTL is how long an answer is cached.
	TTL time.Duration
}

// Queries returns how many lookups per second reach the database.
//
// Each replica looks a credential up at its first request, and again at the first request after
// each TTL. With a rate of λ requests per second, the first request after the TTL comes 1/λ later on
// average, so a replica sends one query every TTL + 1/λ seconds.
func (r Reads) Queries() float64 {
	return r.replicas() * r.sum(func(rate float64) float64 { return rate / (1 + rate*r.TTL.Seconds()) })
}

// Entries returns how many answers the cache of one replica contains.
func (r Reads) Entries() float64 {
	all := r.replicas() * r.sum(func(rate float64) float64 { t := rate * r.TTL.Seconds(); return t / (1 + t) })
	return all / float64(r.Replicas)
}

// replicas returns how many replicas get requests with the same credential.
func (r Reads) replicas() float64 {
	if r.Sticky {
		return 1
	}
	return float64(r.Replicas)
}

// sum adds f of each credential's rate at one replica.
func (r Reads) sum(f func(rate float64) float64) float64 {
	whole := shares(r.Credentials, r.Zipf, func(share float64) float64 { return share })
	return shares(r.Credentials, r.Zipf, func(share float64) float64 { return f(r.PerSecond * share / whole / r.replicas()) })
}

// shares adds f(1/n^zipf) for each n up to count. Above 1,000 it computes f once for a group of
// neighbors, at their middle; groups are narrower than 0.1 percent.
func shares(count int, zipf float64, f func(share float64) float64) (sum float64) {
	for n := 1; n <= count; {
		width := min(max(1, n/1000), count-n+1)
		middle := float64(n) + float64(width-1)/2
		sum += float64(width) * f(math.Pow(middle, -zipf))
		n += width
	}
	return sum
}

// Fleet describes an application for the rates that do not depend on its requests.
type Fleet struct {
	Replicas int
	// Active is the number of credentials in use.
	Active float64
	// Revocations and Logins are per second.
	Revocations, Logins float64
	// Poll is the outbox courier's interval, AccessTTL the lifetime of access tokens, and Touch the
	// shortest time between two records of a credential's use.
	Poll, AccessTTL, Touch time.Duration
}

// Polls returns the outbox courier's queries per second.
func (f Fleet) Polls() float64 { return float64(f.Replicas) / f.Poll.Seconds() }

// Messages returns how many messages per second the replicas receive.
func (f Fleet) Messages() float64 { return f.Revocations * float64(f.Replicas) }

// Refreshes returns the token refreshes per second, if each active user has one client.
func (f Fleet) Refreshes() float64 { return f.Active / f.AccessTTL.Seconds() }

// Touches returns the largest number of recorded uses per second.
func (f Fleet) Touches() float64 { return f.Active / f.Touch.Seconds() }

// hashSeconds is the processor time of a password hash with the default settings.
const hashSeconds = 0.03

// HashCores returns how many cores the password hashes of the logins occupy.
func (f Fleet) HashCores() float64 { return f.Logins * hashSeconds }

// DenyEntries returns how many revocations a deny set contains, with a mean number per second.
func DenyEntries(perSecond float64, accessTTL time.Duration) float64 {
	return perSecond * accessTTL.Seconds()
}
