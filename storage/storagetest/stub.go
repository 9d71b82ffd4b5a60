package storagetest

import "testing"

func stub(*testing.T, func(*testing.T) Store) {}

var deviceLimit, blocklist, signingKeys, prune, deviceRaces, familyRaces = stub, stub, stub, stub, stub, stub
