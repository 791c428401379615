package wire

// reasons are the tokens of SPEC 9.1.
var reasons = map[Reason]string{
	ReasonRefused:             "refused",
	ReasonNoSuchInbox:         "no-such-inbox",
	ReasonNoIMService:         "no-im-service",
	ReasonNoPresenceService:   "no-presence-service",
	ReasonNoResource:          "noresource",
	ReasonClosed:              "closed",
	ReasonRefusedAnonymous:    "refused-anonymous",
	ReasonRateLimited:         "rate-limited",
	ReasonTooLarge:            "too-large",
	ReasonUnsupportedType:     "unsupported-type",
	ReasonUnsupportedRequired: "unsupported-required",
	ReasonSignatureRequired:   "signature-required",
	ReasonBadSignature:        "bad-signature",
	ReasonRecipientMismatch:   "recipient-mismatch",
	ReasonExpired:             "expired",
	ReasonReplay:              "replay",
	ReasonNoCommonSuite:       "no-common-suite",
	ReasonUndecryptable:       "undecryptable",
	ReasonStaleRecord:         "stale-record",
	ReasonTime:                "time",
	ReasonTooManyHops:         "too-many-hops",
	ReasonGateway:             "gateway",
	ReasonInternal:            "internal",
	ReasonUnsubscribed:        "unsubscribed",
	ReasonAuthRequired:        "auth-required",
	ReasonPolicy:              "policy",
	ReasonMalformed:           "malformed",
	ReasonUnreachable:         "unreachable",
	ReasonUnconfirmed:         "unconfirmed",
	ReasonCancelled:           "cancelled",
	ReasonNoKeys:              "no-keys",
	ReasonBindingInvalid:      "binding-invalid",
	ReasonNoCopy:              "no-copy",
}

// String returns the token of r: "" for none, "internal" for a number that is not registered.
func (r Reason) String() string {
	if r == ReasonNone {
		return ""
	}
	if token, ok := reasons[r]; ok {
		return token
	}
	return reasons[ReasonInternal]
}

// Error returns the token of r.
func (r Reason) Error() string { return r.String() }

// ParseReason returns the reason of a token.
func ParseReason(token string) (Reason, bool) {
	for r, t := range reasons {
		if t == token {
			return r, true
		}
	}
	return ReasonNone, false
}

// Disposition returns what an Ack with reason r says: Forbidden for what an owner decided, Failed for
// all else (SPEC 9.1). Of ReasonNone it is Delivered.
func (r Reason) Disposition() Disposition {
	switch r {
	case ReasonNone:
		return Delivered
	case ReasonRefused, ReasonClosed, ReasonRefusedAnonymous, ReasonAuthRequired, ReasonPolicy:
		return Forbidden
	}
	return Failed
}

// Retryable reports whether the outbox goes on after a negative Ack of reason r (SPEC 5.3). Expired
// is retryable too while the sender's own clock says otherwise, which only the sender can tell.
func (r Reason) Retryable() bool {
	switch r {
	case ReasonRateLimited, ReasonStaleRecord, ReasonUndecryptable, ReasonTime:
		return true
	}
	return false
}
