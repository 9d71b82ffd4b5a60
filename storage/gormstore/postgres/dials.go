package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
)

// The bounds of dials. A dial outlives the call that began it, because a call of a store has two
// seconds: if a new connection takes longer, for example because the server has just restarted and all
// processes connect at once, each call would begin again, and none would ever get a connection.
const (
	maxDials    = 8                // under way at once, beside the pool's connections
	dialTimeout = 30 * time.Second // of a dial, with its handshake
	tcpTimeout  = 5 * time.Second  // of its TCP connection: a lost packet is sent again ever later
	spareTime   = 10 * time.Second // a connection that nobody waits for any more is kept
)

// dials is a driver.Connector whose connections are established in the background. A caller whose
// context ends leaves its dial under way, and the next caller gets the connection.
type dials struct {
	driver.Connector
	slots chan struct{}    // held while a dial is under way or its connection waits for a caller
	ready chan driver.Conn // unbuffered: of the dials whose caller has left, or got another connection
	life  context.Context
	end   context.CancelFunc
}

func newDials(c driver.Connector) *dials {
	d := &dials{Connector: c, slots: make(chan struct{}, maxDials), ready: make(chan driver.Conn)}
	d.life, d.end = context.WithCancel(context.Background())
	return d
}

var errClosed = errors.New("postgres: database is closed")

// Connect implements driver.Connector. It returns a connection, or the error of the dial that it began.
// While maxDials are under way it waits for one of them.
func (d *dials) Connect(ctx context.Context) (driver.Conn, error) {
	select {
	case c := <-d.ready:
		return c, nil
	default:
	}
	var ended chan error // nil unless a dial of this call is under way
	slots := d.slots
	for {
		select {
		case c := <-d.ready:
			return c, nil
		case slots <- struct{}{}:
			slots, ended = nil, make(chan error, 1)
			go d.dial(ended)
		case err := <-ended:
			if err != nil {
				return nil, err
			}
			slots, ended = d.slots, nil // another caller got its connection
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-d.life.Done():
			return nil, errClosed
		}
	}
}

// dial hands a new connection to whoever waits for one. It reports its end to its own caller alone, who may
// have left: nil means that some caller has the connection.
func (d *dials) dial(ended chan<- error) {
	defer func() { <-d.slots }()
	ctx, cancel := context.WithTimeout(d.life, dialTimeout)
	defer cancel()
	c, err := d.Connector.Connect(ctx)
	if err != nil {
		ended <- err
		return
	}
	spare := time.NewTimer(spareTime)
	defer spare.Stop()
	select {
	case d.ready <- c:
		ended <- nil
	case <-spare.C:
		_ = c.Close()
	case <-d.life.Done():
		_ = c.Close()
	}
}

// Close implements io.Closer: sql.DB calls it. Dials that are under way end.
func (d *dials) Close() error {
	d.end()
	return nil
}

// limitTCP bounds the TCP connection of a dial.
func limitTCP(c *pgx.ConnConfig) {
	connect := c.DialFunc
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, tcpTimeout)
		defer cancel()
		return connect(ctx, network, address)
	}
}
