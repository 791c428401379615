package control

import (
	"context"
	"errors"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/humv1"
	"github.com/hum-presence/hum/p2p/wire"
)

// Codes of errors that are not a reason of SPEC 9.1.
const (
	CodeNotRunning = "not-running"
	CodeTooSlow    = "too-slow" // an event stream that was cut off; resume with the last number seen
	CodeTimeout    = "timeout"
	CodeUsage      = "usage"
)

var (
	// ErrNotRunning says that nobody answers in this home.
	ErrNotRunning = &node.Error{Code: CodeNotRunning, Message: "no node is running in this home", Advice: "start it with: hum up"}
	// ErrRunning says that a node already answers in this home.
	ErrRunning = &node.Error{Code: "running", Message: "a node is already running in this home", Advice: "see it with: hum status"}

	errStopped = &node.Error{Code: CodeNotRunning, Message: "the node has stopped", Advice: "start it with: hum up"}
)

// explainAll is the one place where the service's errors become answers.
func explainAll(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		err := next(ctx, spec, stream)
		var own *connect.Error
		if err == nil || errors.As(err, &own) {
			return err
		}
		return answer(problemOf(err))
	}
}

// problemOf finds in err what a person can be told.
func problemOf(err error) *node.Error {
	var e *node.Error
	var r wire.Reason
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &r):
		kind := node.KindFailed
		if r.Disposition() == wire.Forbidden {
			kind = node.KindRefused
		}
		return &node.Error{Kind: kind, Code: r.String(), Message: err.Error()}
	case errors.Is(err, context.DeadlineExceeded):
		return &node.Error{Kind: node.KindUnreachable, Code: CodeTimeout, Message: "no answer in time"}
	}
	return &node.Error{Kind: node.KindFailed, Code: wire.ReasonInternal.String(), Message: err.Error()}
}

// The kinds, in Connect's words and in those of the proto file.
var kinds = map[node.Kind]struct {
	code connect.Code
	kind humv1.Problem_Kind
}{
	node.KindFailed:      {connect.CodeInternal, humv1.Problem_KIND_FAILED},
	node.KindUsage:       {connect.CodeInvalidArgument, humv1.Problem_KIND_USAGE},
	node.KindRefused:     {connect.CodePermissionDenied, humv1.Problem_KIND_REFUSED},
	node.KindUnreachable: {connect.CodeUnavailable, humv1.Problem_KIND_UNREACHABLE},
}

// answer turns e into the error that crosses the socket.
func answer(e *node.Error) *connect.Error {
	k := kinds[e.Kind]
	err := connect.NewError(k.code, e.Error())
	detail, failed := connectproto.NewErrorDetail(&humv1.Problem{
		Code: e.Code, Kind: k.kind, Message: e.Message, Advice: e.Advice,
	})
	if failed != nil { // a string that is not UTF-8: the words are in the message all the same
		return err
	}
	return err.WithDetail(detail)
}

// Explain returns what err, from a [Client], tells a person: the node's own error where it answered, or
// [ErrNotRunning] where nobody did.
func Explain(err error) *node.Error {
	if errors.Is(err, ErrNotRunning) {
		return ErrNotRunning
	}
	var e *node.Error
	if errors.As(err, &e) {
		return e
	}
	var c *connect.Error
	if !errors.As(err, &c) {
		return problemOf(err)
	}
	for _, d := range c.Details() {
		m, _ := connectproto.UnmarshalErrorDetail(d)
		if p, ok := m.(*humv1.Problem); ok {
			return &node.Error{Kind: kindOf(p.Kind), Code: p.Code, Message: p.Message, Advice: p.Advice}
		}
	}
	switch c.Code() {
	case connect.CodeDeadlineExceeded:
		return problemOf(context.DeadlineExceeded)
	case connect.CodeUnavailable:
		return errStopped // the connection broke in the middle of a call
	case connect.CodeUnimplemented:
		return &node.Error{Code: "unimplemented", Message: "the running node is of another version and does not know this", Advice: "restart it with: hum down, hum up"}
	}
	return &node.Error{Code: wire.ReasonInternal.String(), Message: c.Message()}
}

func kindOf(k humv1.Problem_Kind) node.Kind {
	for kind, words := range kinds {
		if words.kind == k {
			return kind
		}
	}
	return node.KindFailed
}
