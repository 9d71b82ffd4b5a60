package conformance

func fapiRows() []row { return nil }
