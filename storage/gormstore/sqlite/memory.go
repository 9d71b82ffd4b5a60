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

// openMemory opens an in-memory database. SQLite deletes such a database with its last connection,
// and database/sql closes a connection whenever the context of a transaction ends. So openMemory
// keeps another connection open, which is not used.
func openMemory(busy time.Duration) (*gorm.DB, error) {
	// A name that begins with "/" is shared by the connections of this process.
	c := &memory{dsn: "file:/vestibule-" + rand.Text() + "?vfs=memdb&" + settings(busy).Encode()}
	keeper, err := c.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	c.keeper = keeper
	pool := sql.OpenDB(c)
	// Readers of such a database wait for a writer anyway.
	pool.SetMaxOpenConns(1)
	db, err := gorm.Open(gormdriver.New(gormdriver.Config{Conn: pool}), gormstore.Config())
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return db, nil
}

// memory is a connector for one in-memory database. (*sql.DB).Close closes it.
type memory struct {
	dsn    string
	keeper driver.Conn
}

func (c *memory) Connect(context.Context) (driver.Conn, error) { return c.Driver().Open(c.dsn) }
func (c *memory) Driver() driver.Driver                        { return new(sqlite3.SQLiteDriver) }
func (c *memory) Close() error                                 { return c.keeper.Close() }
