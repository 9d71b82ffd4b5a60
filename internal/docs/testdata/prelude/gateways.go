package p

var store throttle.Store
