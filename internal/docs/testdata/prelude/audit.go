package p

var hostname string
