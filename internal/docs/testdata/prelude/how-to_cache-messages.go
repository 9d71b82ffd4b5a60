package p

var payload []byte
