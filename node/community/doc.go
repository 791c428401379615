// Package community is the rules of a community node (SPEC 7): who is a member, what is kept for whom and for
// how long, who may put it there and who may take it. It is told the time, what is held, and what somebody asks;
// it says what is held from then on, or the [Refusal] that he gets. It opens nothing: what lies in a mailbox, a
// slot or under a topic's key is sealed, and no rule here needs to know more.
//
// [Members] admits. [Box] is a mailbox, [Cap] what one contact may leave in it, [Lying] one item. [Hosted] is a
// key that an anchor or a home keeps Recs of. [Limits] bound all of it. [Naming] and [Handle] decide what a name stands for. A refused
// request changes nothing.
package community
