package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/mattn/go-sqlite3"
	gormdriver "gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// openMemory opens a database in memory. SQLite drops such a database with its last
// connection, and database/sql drops a connection whenever a transaction's context
// ends, so one more connection is kept that nobody uses.
func openMemory(busy time.Duration) (*gorm.DB, error) {
	// A name that begins with "/" is shared by the connections of this process.
	c := &memory{dsn: "file:/vestibule-" + rand.Text() + "?vfs=memdb&" + settings(busy).Encode()}
	keeper, err := c.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	c.keeper = keeper
	pool := sql.OpenDB(c)
	// Readers of this kind of database wait for a writer anyway.
	pool.SetMaxOpenConns(1)
	db, err := gorm.Open(gormdriver.New(gormdriver.Config{Conn: pool}), gormstore.Config())
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return db, nil
}

// memory connects to one database in memory. (*sql.DB).Close closes it.
type memory struct {
	dsn    string
	keeper driver.Conn
}

func (c *memory) Connect(context.Context) (driver.Conn, error) { return c.Driver().Open(c.dsn) }
func (c *memory) Driver() driver.Driver                        { return new(sqlite3.SQLiteDriver) }
func (c *memory) Close() error                                 { return c.keeper.Close() }
