package p

var pem, claims []byte
