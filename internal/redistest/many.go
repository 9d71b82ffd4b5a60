package redistest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Sentinel is a master with a replica, and three Sentinels that watch them.
type Sentinel struct {
	t               testing.TB
	Master, Replica *Server
	addrs           []string
}

const masterName = "vestibule"

// StartSentinel starts a master, a replica and three Sentinels. They promote the replica half a
// second after the master stopped to answer.
func StartSentinel(t testing.TB) *Sentinel {
	t.Helper()
	s := &Sentinel{t: t, Master: Start(t, "repl-diskless-sync-delay 0")}
	s.Replica = Start(t, "repl-diskless-sync-delay 0", "replicaof 127.0.0.1 "+s.Master.port)
	replica := s.Replica.Client()
	s.Replica.wait("follows its master", func(ctx context.Context) bool {
		text, err := replica.Info(ctx, "replication").Result()
		return err == nil && strings.Contains(text, "master_link_status:up")
	})
	for range 3 {
		watcher := &Server{t: t, program: s.Master.program, dir: t.TempDir(), port: freePort(t), args: []string{
			"sentinel monitor " + masterName + " 127.0.0.1 " + s.Master.port + " 2",
			"sentinel down-after-milliseconds " + masterName + " 500",
			"sentinel failover-timeout " + masterName + " 2000",
		}}
		watcher.Restart()
		t.Cleanup(watcher.Kill)
		s.addrs = append(s.addrs, watcher.Addr())
	}
	for _, addr := range s.addrs { // until each knows the two others and the replica
		c := redis.NewSentinelClient(&redis.Options{Addr: addr})
		defer c.Close()
		s.Master.wait("is known to all Sentinels", func(ctx context.Context) bool {
			others, err := c.Sentinels(ctx, masterName).Result()
			replicas, err2 := c.Replicas(ctx, masterName).Result()
			return err == nil && err2 == nil && len(others) == 2 && len(replicas) == 1
		})
	}
	return s
}

// Client returns a client of the master, whichever server that is.
func (s *Sentinel) Client() *redis.Client {
	c := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: masterName, SentinelAddrs: s.addrs, ContextTimeoutEnabled: true, DialerRetries: 1})
	s.t.Cleanup(func() { c.Close() })
	return c
}

// Cluster is a Redis Cluster of three masters, the first with a replica.
type Cluster struct {
	t       testing.TB
	Masters []*Server
	Replica *Server // of the first master
}

const slots = 16384

// StartCluster starts a cluster. The masters have a third of the slots each, in order.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	var nodes []*Server
	for range 4 {
		bus := freePort(t)
		n := Start(t, "cluster-enabled yes", "cluster-port "+bus, "cluster-node-timeout 1000", "repl-diskless-sync-delay 0", "cluster-replica-validity-factor 0")
		n.bus = bus
		nodes = append(nodes, n)
	}
	c.Masters, c.Replica = nodes[:3], nodes[3]
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	first := nodes[0].Client()
	for i, n := range c.Masters {
		must(n.Client().ClusterAddSlotsRange(ctx, i*slots/3, (i+1)*slots/3-1).Err())
	}
	for i, n := range nodes { // an epoch of its own each, so that they need not agree on one
		must(n.Client().Do(ctx, "cluster", "set-config-epoch", i+1).Err())
	}
	for i, n := range nodes { // each meets all: hearing of each other takes seconds
		for _, other := range nodes[i+1:] {
			must(n.Client().Do(ctx, "cluster", "meet", "127.0.0.1", other.port, other.bus).Err())
		}
	}
	id, err := first.Do(ctx, "cluster", "myid").Text()
	must(err)
	last := c.Replica.Client()
	c.Replica.wait("follows the first master", func(ctx context.Context) bool {
		return last.ClusterReplicate(ctx, id).Err() == nil // an error until it knows the master
	})
	for _, n := range nodes {
		client := n.Client()
		n.wait("serves the cluster", func(ctx context.Context) bool {
			state, err := client.ClusterInfo(ctx).Result()
			shards, err2 := client.ClusterSlots(ctx).Result()
			return err == nil && err2 == nil && strings.Contains(state, "cluster_state:ok") && len(shards) == 3 &&
				slices.ContainsFunc(shards, func(s redis.ClusterSlot) bool { return s.Start == 0 && len(s.Nodes) == 2 })
		})
	}
	c.Replica.wait("has the data of its master", func(ctx context.Context) bool {
		text, err := last.Info(ctx, "replication").Result()
		return err == nil && strings.Contains(text, "master_link_status:up")
	})
	return c
}

// Client returns a client of the cluster.
func (c *Cluster) Client() *redis.ClusterClient {
	var addrs []string
	for _, n := range c.Masters {
		addrs = append(addrs, n.Addr())
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true, DialerRetries: 1})
	c.t.Cleanup(func() { client.Close() })
	return client
}

// MasterOf returns the master that has the key.
func (c *Cluster) MasterOf(key string) *Server {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	slot, err := c.Masters[1].Client().ClusterKeySlot(ctx, key).Result()
	if err != nil {
		c.t.Fatal(fmt.Errorf("slot of a key: %w", err))
	}
	for i, n := range c.Masters {
		if int(slot) < (i+1)*slots/3 {
			return n
		}
	}
	return nil
}
