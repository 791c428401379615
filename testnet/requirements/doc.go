// Package requirements checks each requirement of RFC 2779, and each ask of the meeting that followed it,
// as far as two plain nodes and a hostile third can show it. A test is named after the id of its
// requirement, TestReq_5_1_8_… or TestReq_S11_…; tools/requirements makes a table of them.
//
// Alice watches and sends, Bob is the presentity and the recipient, Carol is hostile and Dave is an
// ordinary third person. All of them but Carol are whole nodes with a store on disk; Carol speaks to
// streams and topics directly, with her own keys, and can do what a stranger or a former contact can. A
// check that could pass because it does not look is also run against a fault that it must find.
package requirements
