//go:build linux

package hydra

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/vestibule-auth/vestibule/benchmarks/postgres/machine"
)

// Options configure a run.
type Options struct {
	// Rounds is the number of rounds, and Slot the length of a server's turn in a round.
	Rounds int
	Slot   time.Duration
	// Hydra is the file of the program. It is built if it does not exist; "" means a temporary file.
	Hydra string
	// Self is this program, which Serve runs in, with its arguments.
	Self []string
	// Progress is called before each turn.
	Progress func(what string)
}

// bufferSetting lets all tables of the benchmark fit into memory.
const bufferSetting = "shared_buffers=1GB"

// Run measures Vestibule and Hydra in turns.
func Run(ctx context.Context, o Options) (r *Results, err error) {
	dir, err := os.MkdirTemp("", "bench-hydra-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if o.Hydra == "" {
		o.Hydra = filepath.Join(dir, "hydra")
	}
	o.Progress("build Hydra")
	if err := Build(ctx, o.Hydra); err != nil {
		return nil, err
	}
	pg, err := machine.StartPostgreSQL(ctx, "max_connections=200", bufferSetting, "shared_preload_libraries=pg_stat_statements")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pg.Close()) }()
	r = &Results{
		Time: time.Now().UTC().Truncate(time.Second), Commit: machine.Commit(), Machine: machine.Describe(), Go: runtime.Version(), Load: machine.Load(),
		Hydra: Version, Rounds: o.Rounds, Slot: o.Slot.String(),
	}
	if r.PostgreSQL, err = pg.Version(ctx); err != nil {
		return nil, err
	}
	if err := pg.Do(ctx, "postgres", "CREATE EXTENSION pg_stat_statements"); err != nil {
		return nil, err
	}
	var list []*contestant
	for _, cache := range []bool{false, true} {
		k, err := startOurs(ctx, o.Self, dir, pg, cache)
		if err != nil {
			return nil, err
		}
		defer k.process.Stop(syscall.SIGTERM)
		list = append(list, k)
	}
	dsn, err := pg.Create(ctx, "hydra")
	if err != nil {
		return nil, err
	}
	theirs, servers, err := startHydra(ctx, o.Hydra, dir, dsn, "hydra")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, theirs.close()) }()
	for _, s := range slices.Backward(servers) {
		list = append(list, &contestant{server: s})
	}
	for _, k := range list {
		defer k.close()
		o.Progress("prepare " + k.name)
		if err := k.prepare(); err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
		r.Servers = append(r.Servers, Server{Name: k.name, Note: k.note})
	}
	if err := r.measure(ctx, o, pg, list); err != nil {
		return nil, err
	}
	for i, k := range list {
		r.Servers[i].Memory = k.process.Memory()
	}
	r.LoadAfter = machine.Load()
	return r, nil
}

// measure gives every server a turn in each round of each work. The first server changes.
func (r *Results) measure(ctx context.Context, o Options, pg *machine.PostgreSQL, list []*contestant) error {
	for _, work := range Works {
		samples := make([]*Sample, len(list))
		before := make([]float64, len(list))
		for i, k := range list {
			samples[i] = &Sample{Work: work, Server: k.name}
			var err error
			if before[i], err = statements(ctx, pg, k.database); err != nil {
				return err
			}
		}
		for round := range o.Rounds {
			for i := range list {
				i = (i + round) % len(list)
				k := list[i]
				o.Progress(fmt.Sprintf("%s, round %d of %d: %s", work, round+1, o.Rounds, k.name))
				if samples[i].Waits == nil {
					samples[i].Waits = make(map[string]int)
				}
				stop, err := watch(ctx, pg.URL("postgres"), k.database, samples[i].Waits)
				if err != nil {
					return err
				}
				slot, err := k.turn(ctx, work, o.Slot, func() (m meter, err error) {
					m = meter{server: k.process.CPU(), postgresql: pg.CPU(), client: ownCPU()}
					m.wal, err = pg.Number(ctx, "postgres", "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8")
					return m, err
				})
				if err = cmp.Or(err, stop()); err != nil {
					return err
				}
				samples[i].Slots = append(samples[i].Slots, slot)
			}
		}
		for i, k := range list {
			after, err := statements(ctx, pg, k.database)
			if err != nil {
				return err
			}
			var requests float64 // of all servers with this database
			for j, other := range list {
				if other.database == k.database {
					for _, s := range samples[j].Slots {
						requests += s.PerSecond * o.Slot.Seconds()
					}
				}
			}
			samples[i].Statements = (after - before[i]) / requests
		}
		r.Samples = append(r.Samples, samples...)
	}
	return nil
}

// statements is the number of statements that were executed in a database so far, with BEGIN and
// COMMIT.
func statements(ctx context.Context, pg *machine.PostgreSQL, database string) (float64, error) {
	return pg.Number(ctx, "postgres", "SELECT COALESCE(sum(calls), 0)::float8 FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = '"+database+"'")
}

// startOurs starts Serve in a process of its own.
func startOurs(ctx context.Context, self []string, dir string, pg *machine.PostgreSQL, cache bool) (*contestant, error) {
	name, shown, note := "vestibule", "vestibule", "each request queries PostgreSQL"
	if cache {
		name, shown, note = "vestibule_cached", "vestibule, cached", "`storage/cached` with `postgres.NewNotify` in front of PostgreSQL"
	}
	url, err := pg.Create(ctx, name)
	if err != nil {
		return nil, err
	}
	settings, err := json.Marshal(Settings{Database: url, Cached: cache})
	if err != nil {
		return nil, err
	}
	var out buffer
	cmd := exec.Command(self[0], self[1:]...)
	cmd.Stdin, cmd.Stdout = bytes.NewReader(settings), &out
	p, err := machine.Start(cmd, filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	var a Address
	err = p.Until(ctx, time.Minute, func(context.Context) error { return json.Unmarshal(out.bytes(), &a) })
	if err != nil {
		p.Stop(syscall.SIGTERM)
		return nil, err
	}
	s := ours(a)
	s.name, s.note, s.process, s.database = shown, note, p, name
	return &contestant{server: s}, nil
}
