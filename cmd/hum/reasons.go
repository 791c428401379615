package main

// reasonWords say what each reason of a failure means (SPEC 9.1), and what can be done about it where something
// can. Every private cause, a block among them, is told alike, as refused or policy.
var reasonWords = map[string]string{
	"refused":              "he does not take that from you",
	"policy":               "he does not take that from you",
	"closed":               "he is closed now: write again when he is open",
	"refused-anonymous":    "he takes nothing from who does not say who he is",
	"auth-required":        "he takes that only from those who say who they are",
	"no-such-inbox":        "that address has no inbox any more: ask for a new card",
	"no-im-service":        "that address takes no messages, it only shows presence",
	"no-presence-service":  "that address shows no presence, it only takes messages",
	"noresource":           "nobody answers for that address",
	"rate-limited":         "his box for people he does not know is full: try again later",
	"too-large":            "it is larger than he takes: put it somewhere, and send him a link",
	"unsupported-type":     "he does not take content of that type: send him text, or a link",
	"unsupported-required": "it requires what his program does not know",
	"signature-required":   "he takes only what is signed: send it as by default",
	"bad-signature":        "his node does not take this device for yours: see hum devices",
	"recipient-mismatch":   "it came to somebody else: ask for a new card",
	"expired":              "its time was over when it came: give it more with --expires",
	"replay":               "it had come before",
	"no-common-suite":      "his program and yours know no common cipher: the older one needs an update",
	"undecryptable":        "he has no key any more that opens it: send it again",
	"stale-record":         "his node did not get a record of yours that is valid: send it again",
	"time":                 "one of your clocks is wrong: see hum doctor",
	"too-many-hops":        "it went through too many gateways",
	"gateway":              "a gateway could not hand it on",
	"internal":             "his node could not do it, and does not say why",
	"unsubscribed":         "you have ended it",
	"malformed":            "his node could not read it: one of you needs an update",
	"unreachable":          "no node of his was reached in its time: send it again with a longer --expires",
	"unconfirmed":          "it may have arrived, and nobody said so: hum resend never shows it twice",
	"cancelled":            "you took it back before anybody had it",
	"no-keys":              "no key of his was to be had to seal it to: he has to be online once",
	"binding-invalid":      "who answered there is not he: ask for a new card",
	"no-copy":              "no copy of his presence was to be had",
}

// explained is a line that says in words why something failed, "" for none.
func explained(reason string) string {
	if reason == "" || reason == "gateway" { // which is warned of by itself
		return ""
	}
	return "\n  " + reasonWords[reason]
}

// explainedWatch is the same of a subscription of mine, whose refusal is about seeing and not about taking.
func explainedWatch(reason string) string {
	switch reason {
	case "refused", "policy":
		return "\n  he does not let you see his presence"
	case "rate-limited":
		return "\n  too many wait for his answer: try again later"
	}
	return explained(reason)
}
