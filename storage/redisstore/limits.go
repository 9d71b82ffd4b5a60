package redisstore

import (
	"context"
	_ "embed"
	"strconv"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

var (
	//go:embed take.lua
	takeSource string
	//go:embed return.lua
	returnSource string

	takeScript, returnScript = newScript(takeSource), newScript(returnSource)
)

// interval returns the time after which a unit comes back, in whole microseconds, rounded up. So a
// full cell has exactly Limit units, and above a million units per second fewer come back than the
// rate says.
func interval(c storage.LimitCell) int64 {
	us := (int64(c.Window) + int64(time.Microsecond) - 1) / int64(time.Microsecond)
	return (us + int64(c.Limit) - 1) / int64(c.Limit)
}

// cellKey returns the key of a cell. All cells of a group have the same hash tag, so they are on the
// same server of a Cluster.
func (s *Store) cellKey(group storage.LimitKey, c storage.LimitCell) string {
	tag := "vl"
	if group != (storage.LimitKey{}) {
		tag = text(group[:])
	}
	return s.prefix + "{" + tag + "}" + text(c.Key[:]) + ":" + strconv.Itoa(c.Limit) + "/" + strconv.FormatInt(int64(c.Window), 36)
}

// TakeUnits implements [storage.RateLimits] with one script. It measures time with the clock of the
// Redis server. If it returns an error, the units may have been taken.
func (s *Store) TakeUnits(ctx context.Context, group storage.LimitKey, plans [][]storage.LimitCell) (storage.LimitTake, error) {
	none := storage.LimitTake{Plan: -1}
	if len(plans) == 0 {
		return none, nil
	}
	var cells []storage.LimitCell // each once; plans share most of them
	index := make(map[storage.LimitCell]int)
	var list []any
	for i, plan := range plans {
		if len(plan) == 0 && len(cells) == 0 {
			return storage.LimitTake{Plan: i}, nil
		}
		list = append(list, len(plan))
		for _, c := range plan {
			n, seen := index[c]
			if !seen {
				cells = append(cells, c)
				n = len(cells)
				index[c] = n
			}
			list = append(list, n)
		}
	}
	keys, args := make([]string, len(cells)), make([]any, 0, 2*len(cells)+len(list))
	for i, c := range cells {
		keys[i] = s.cellKey(group, c)
		args = append(args, interval(c), c.Limit)
	}
	cmd, err := s.run(ctx, "TakeUnits", takeScript, keys, append(args, list...))
	if err != nil {
		return none, err
	}
	got, err := cmd.Int64Slice()
	if err != nil || len(got) != 3 || got[0] < -1 || got[0] >= int64(len(plans)) || got[0] < 0 && (got[1] <= 0 || got[2] < 1 || got[2] > int64(len(cells))) {
		return none, named("TakeUnits", errAnswer)
	}
	if got[0] >= 0 {
		return storage.LimitTake{Plan: int(got[0])}, nil
	}
	return storage.LimitTake{Plan: -1, Wait: time.Duration(got[1]) * time.Microsecond, Key: cells[got[2]-1].Key}, nil
}

// ReturnUnits implements [storage.RateLimits].
func (s *Store) ReturnUnits(ctx context.Context, group storage.LimitKey, cells []storage.LimitCell) error {
	if len(cells) == 0 {
		return nil
	}
	keys, args := make([]string, len(cells)), make([]any, len(cells))
	for i, c := range cells {
		keys[i], args[i] = s.cellKey(group, c), interval(c)
	}
	_, err := s.run(ctx, "ReturnUnits", returnScript, keys, args)
	return err
}
