package token_test

const (
	goldenPrefixed = "vst__yoC68tfXFv7DQ8J5IeZjHszu_WZ-ManRnUqhFxaBFY1EOV2d"
	goldenHex      = "ff2a02ebcb5f5c5bfb0d0f09e487998c7b33bbf5"
)
