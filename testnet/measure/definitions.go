package measure

import (
	"maps"
	"slices"
	"strings"
)

// definitions are all metrics, in the order of a report. Of a metric of time NAME_time or notice_WHAT there are also
// its quantiles, NAME_p50, _p90, _p95, _p99 and _max, as metrics of their own.
var definitions = []Definition{
	{"delivery_ratio", "1", "more", "Share of changes of presence, each counted once for every watcher who was up and could be reached, that the watcher was shown, or something newer, before the deadline. What he never saw, and what was not due yet when the run ended but had not come, is not left out: the first counts as lost, the second is counted only if the deadline has passed."},
	{"changes", "1", "", "How many changes of presence the delivery ratio is about: one for each watcher who was to see it."},
	{"notice_said", "s", "less", "From the call by which a user changes his presence to the instant in which a watcher's screen shows it, or a newer word."},
	{"notice_said_off", "s", "less", "From a sign-off to the instant in which a watcher who was shown open is shown closed."},
	{"notice_crashed", "s", "less", "From a crash, of which nobody is told, to the instant in which a watcher who was shown open is shown closed. The lease bounds it."},
	{"notice_return", "s", "less", "From the start of a node that was away to the instant in which a watcher is shown its present word."},
	{"subscribe_time", "s", "less", "From the request to watch somebody who is up to the instant in which he is shown."},
	{"handles", "1", "", "Handles, such as alice@example.org, that users named others by for the first time, each counted once for each of them, from the start on."},
	{"handle_time", "s", "less", "From the call by which a user names somebody by his handle for the first time to the instant in which his address is known and pinned: the question to his domain, and his own record, which has to list the name. A handle that led nowhere counts as lost."},
	{"handles_wrong", "1", "less", "Handles that led to the address of somebody else. Must be 0."},
	{"false_offline", "1", "less", "Share of the time in which presentities were up and reachable, summed over their watchers who were up, in which they were shown otherwise than open. A watcher who never saw anything counts with all of his time."},
	{"false_online", "1", "less", "Share of the time in which presentities were down and their watchers up in which they were shown open. The lease makes it more than 0 after each crash."},
	{"stale", "1", "less", "Share of the time of all pairs of a watcher who is up and a presentity whom he could reach in which what is shown is not what is true: another word, open instead of closed, or closed instead of open."},
	{"converge_time", "s", "less", "From the end of a fault to the instant from which at most one pair in a hundred is shown wrongly. A fault after which that never comes counts as lost."},
	{"join_time", "s", "less", "From the start of a node to the first instant in which its user is shown all aright whom he watches and could reach. A node that never comes so far counts as lost."},
	{"messages", "1", "", "Instant messages that were accepted for sending after the warm-up."},
	{"message_ratio", "1", "more", "Share of messages that are in the recipient's inbox at the end, whatever their senders were told."},
	{"messages_lost", "1", "less", "Messages that the sender was told are delivered and that are in no inbox. Must be 0."},
	{"messages_doubled", "1", "less", "Messages that are in the inbox more than once. Must be 0."},
	{"messages_undecided", "1", "less", "Messages that were neither delivered nor failed when the run ended."},
	{"messages_failed", "1", "less", "Messages that the sender was told have failed."},
	{"message_time", "s", "less", "From the call by which a message is sent to the instant in which it is in the recipient's inbox."},
	{"ack_time", "s", "less", "From that call to the instant in which the sender is told that it is delivered: the recipient's signed word, given after its commit."},
	{"bytes_per_node_hour", "B", "less", "What nodes sent after the warm-up, in streams and with gossip, in bytes for one node that is up for an hour. What transports add is not in it."},
	{"bytes_network_hour", "B", "less", "What left their machines, on the same reckoning: on noise and quic links with handshakes, encryption and framing, on quic links with what was sent again and the headers of UDP and IP."},
	{"bytes_topics_hour", "B", "less", "The part of it that is gossip: presence on topics, and what gossip needs to keep itself together."},
	{"bytes_streams_hour", "B", "less", "The part of it that is presence over streams."},
	{"bytes_messages_hour", "B", "less", "The part of it that is messages, requests, their answers, and records."},
	{"bytes_upkeep_hour", "B", "less", "The part of it that every connection costs: the choice of protocols and identify."},
	{"bytes_community_hour", "B", "less", "What left the machine of a community's node in an hour, on the mean over all communities."},
	{"direct_share", "1", "", "Share of the bytes of nodes that came to another machine, from the start on, that came to another node's and not to a community's. 0: all went through relays and custodians."},
	{"duplicates", "1", "less", "Copies of a gossiped record that a node obtained after the first, for each first one."},
	{"mesh_degree", "1", "", "Peers in the mesh of a topic, on the mean over all topics of all nodes, sampled."},
	{"connections", "1", "", "Peers that a node is connected to, on the mean over nodes that are up, sampled."},
	{"stored_rows", "1", "less", "Rows in a node's store at the end, on the mean."},
	{"stored_bytes", "B", "less", "Bytes in them."},
	{"roster_mean", "1", "", "People whom a node watches, on the mean over all but adversaries."},
	{"forged_seen", "1", "less", "Times that a watcher was shown a word as said which its presentity never said. Must be 0."},
	{"replayed_seen", "1", "less", "Times that a watcher was shown an older word of a presentity after a newer one. Must be 0."},
	{"blocked_leaks", "1", "less", "Times that a watcher was shown a new word of somebody who had blocked him before he said it. Must be 0."},
	{"blocked", "1", "", "Watchers who were blocked."},
	{"probe_told", "1", "less", "Blocked watchers who, by what their own node shows them, can tell that they are blocked and not that the other is away. Of polite blocks it must be 0."},
	{"prober_told", "1", "less", "Kinds of answers that a prober, who asks in every way that his node has, got of those who blocked him politely and never of those who signed off. Must be 0."},
	{"prober_asked", "1", "", "How often he asked."},
	{"adversary_share", "1", "less", "Share of all places in the meshes of topics that adversaries hold, sampled."},
	{"refused", "1", "", "Input that honest nodes refused, all causes together."},
	{"deaths", "1", "less", "Nodes that ended by themselves. Must be 0."},
	{"speed", "1", "more", "Virtual seconds in a real one, over the whole run: how fast this machine simulates."},
	{"cpu_per_delivery", "s", "less", "Processor time of the whole run for each change that a watcher was shown, everything else with it."},
	{"memory_per_node", "B", "less", "The process's memory at its highest, for each node."},
	{"goroutines_per_node", "1", "less", "Goroutines at the end, for each node that is up."},
}

// Define returns what a metric stands for, and false if there is no such metric.
func Define(metric string) (Definition, bool) {
	for _, d := range definitions {
		if d.Metric == metric {
			return d, true
		}
	}
	base, q, ok := cutQuantile(metric)
	if !ok {
		return Definition{}, false
	}
	for _, name := range []string{base, base + "_time"} {
		if d, ok := Define(name); ok && d.Unit == "s" {
			d.Metric, d.Text = metric, q+" of: "+d.Text
			return d, true
		}
	}
	return Definition{}, false
}

// Metrics are the names of all of them.
func Metrics() (out []string) {
	for _, d := range definitions {
		out = append(out, d.Metric)
	}
	return out
}

// Figures are the names of all that a scenario may expect something of: metrics, and of those that are distributions their quantiles.
func Figures() (out []string) {
	for _, d := range definitions {
		base, spread := strings.CutSuffix(d.Metric, "_time")
		if !spread || d.Unit != "s" {
			out = append(out, d.Metric)
			continue
		}
		for _, q := range slices.Sorted(maps.Keys(quantileWords)) {
			out = append(out, base+"_"+q)
		}
	}
	return out
}

var quantileWords = map[string]string{"p50": "the median", "p90": "the 90th percentile", "p95": "the 95th percentile", "p99": "the 99th percentile", "max": "the largest", "mean": "the mean"}

func cutQuantile(metric string) (base, words string, ok bool) {
	i := strings.LastIndexByte(metric, '_')
	if i < 0 {
		return "", "", false
	}
	words, ok = quantileWords[metric[i+1:]]
	return metric[:i], words, ok
}
