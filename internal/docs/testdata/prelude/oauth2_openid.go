package p

var sessions server.Sessions
