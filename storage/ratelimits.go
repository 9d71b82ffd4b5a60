package storage

import (
	"context"
	"time"
)

// LimitKey names what a rate limit counts, or a set of marks. It is a MAC, so that a store contains
// no names and addresses.
type LimitKey [16]byte

// LimitCell is one count of a rate limit. It allows Limit units immediately, and one more after
// each Window/Limit (the generic cell rate algorithm). All three fields identify the count, so a
// changed rate begins a new one. Limit and Window are above 0.
type LimitCell struct {
	Key    LimitKey
	Limit  int
	Window time.Duration
}

// LimitTake is the result of [RateLimits].TakeUnits.
type LimitTake struct {
	// Plan is the index of the plan whose units were taken; -1 if none was.
	Plan int
	// Wait is the time until a plan can be taken; 0 if a plan was taken.
	Wait time.Duration
	// Key identifies the cell that prevented the plan with the shortest wait.
	Key LimitKey
}

// LimitMark is a member of a set, such as an address from which an account logged in.
type LimitMark struct {
	// Member identifies the mark. A set contains each member once.
	Member LimitKey
	// Stamp is a value that the caller stores with the member.
	Stamp LimitKey
	// Seen orders the members. The members with the oldest Seen leave a full set first.
	Seen time.Time
}

// RateLimits counts the units of rate limits for several processes, and keeps their marks. Package
// throttle uses it. It must be safe for concurrent use.
//
// If a store loses changes, limits are looser for at most one window. So a fast store that may lose
// the last second of its changes can implement it, such as package redisstore.
type RateLimits interface {
	// TakeUnits takes one unit of every cell of the first plan for which all units are available.
	// If there is none, it takes nothing. The whole call is atomic, and measures time with the
	// store's own clock. All cells that are ever taken together have the same group, so a store of
	// several servers can keep a group on one of them.
	TakeUnits(ctx context.Context, group LimitKey, plans [][]LimitCell) (LimitTake, error)
	// ReturnUnits gives back one unit to each cell of a group. A full cell stays full.
	ReturnUnits(ctx context.Context, group LimitKey, cells []LimitCell) error
	// PutMark adds m to the set. If the member is already in the set, PutMark replaces its stamp
	// and keeps the later Seen. Then it removes the marks with the oldest Seen until the number of
	// marks is at most keep. A mark expires ttl after its Seen. now is the caller's clock.
	PutMark(ctx context.Context, now time.Time, set LimitKey, m LimitMark, keep int, ttl time.Duration) error
	// MarksOf returns the unexpired marks of each set, in any order. now is the caller's clock.
	MarksOf(ctx context.Context, now time.Time, sets []LimitKey) ([][]LimitMark, error)
}
