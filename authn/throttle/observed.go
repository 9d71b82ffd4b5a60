package throttle

import (
	"context"

	"github.com/vestibule-auth/vestibule/observe"
)

// limitedBy reports a decision of a limit.
func limitedBy(ctx context.Context, sink *observe.Sink, name observe.LimitName, allowed bool) {
	if sink != nil && sink.Limit != nil {
		sink.Limit(ctx, observe.Limit{Name: name, Allowed: allowed})
	}
}

// report reports the decision about the attempt.
func (a *attempt) report(ctx context.Context, o Outcome) {
	sink := a.l.opts.Sink
	if sink == nil || sink.Limit == nil {
		return
	}
	if o.Plan < 0 {
		limitedBy(ctx, sink, a.limitOf(o.Key), false)
		return
	}
	for _, name := range [...]observe.LimitName{observe.Account, observe.Place, observe.Net, observe.Source, observe.Global} {
		limitedBy(ctx, sink, name, true)
	}
}

// limitOf returns what a bucket of plans counts by.
func (a *attempt) limitOf(key Key) observe.LimitName {
	k := &a.keys
	switch key {
	case of("known account", k.account), of("account", k.account), of("account first", k.account), of("spare", k.account):
		return observe.Account
	case a.ownKey(), of("known device", k.account, a.device.member), of("known places", k.account), of("known place", k.source):
		return observe.Place
	case a.sourceKey(), of("known source", k.source), of("block", k.block), of("known block", k.block):
		return observe.Source
	case a.l.strangers.Key, a.l.reserve.Key, a.l.spare.Key:
		return observe.Global
	}
	return observe.Net
}
