package prometheus

// KnownCodes returns the codes that are exported.
func KnownCodes() []string { return knownCodes }

// Description describes a metric.
type Description struct{ Name, Kind, Labels, Help string }

// Described returns all metrics, in the order of the reference.
func Described() (list []Description) {
	m, err := New(nil, nil)
	if err != nil {
		panic(err)
	}
	for _, d := range m.descriptors {
		list = append(list, Description{d.name, d.kind, d.labels, d.help})
	}
	return list
}
