// A client of hum/1, profile C0, written by the documents alone: it says whether its user is there, sees whether
// others are, and carries messages. What the user writes is a command, what the client writes is what happened:
//
//   node client.mjs HOME.json [/ip4/0.0.0.0/tcp/4866]
//   add bob hum:hum1…?d=…      take somebody on, by his card: he may see me, and I ask to see him
//   say bob back at four?      send him a message
//   note at my desk            what those who see me read
//   quit                       sign off

import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import * as h from './bytes.mjs'
import { A, DAY, HOUR, MINUTE, S, card, device, hex, keep, learn, lineTo, listed, me, nameOf, node, now, personOf, recordOf, renew, save, sealable, stamp } from './home.mjs'
import { Line, MALFORMED, NO_KEY, NOT_FOUND, OK } from './net.mjs'

const TTL = 150 // seconds that my word holds
const say = (...words) => console.log(words.join(' '))

// Keeping in touch: a line to everybody who was added, and on it whatever is due.

const pause = (p, ms) => new Promise(resolve => { p._wake = resolve; setTimeout(resolve, ms) })

async function keepInTouch (p) {
  for (let failed = 0; ; failed++) {
    try {
      p._line = await lineTo(p, '/hum/parcel/1', parcels)
      p._line.ended.then(() => p._wake())
      failed = 0
      for (const row of watchersOf(p)) if (!row.acked) answer(row)
      for (let met = true; p._line.open; met = false) {
        if (!sealable(p, 7).length) await fetchRecords(p)
        await poll(p, met)
        await watch(p)
        await deliver(p)
        await pause(p, 5_000)
      }
    } catch {} // he is not there
    await pause(p, [1_000, 5_000, 20_000, MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE][failed] ?? 15 * MINUTE) // 4.7
  }
}

async function fetchRecords (p) {
  const { status, payload } = await p._line.ask(3, h.encode('Keys', { keys: [p.address] }))
  const bundle = status === OK && h.decode('Bundle', payload)
  if (bundle) learn(p, [bundle.record, ...bundle.devices])
  if (!recordOf(p)) throw new Error('binding-invalid') // that place does not speak for this address
  save()
}

// 3.7 Parcels, in: open, check, act. Whatever opens is answered, since the key shows who asks.

const refuse = (reason, when, what) => { if (when) throw new h.Refused(reason, what) }
const orMalformed = take => async (...frame) => {
  try { return await take(...frame) } catch (e) { if (e instanceof h.Refused) return [MALFORMED]; throw e }
}

const parcels = orMalformed((op, payload, line, id) => {
  if (op === 2) return acked(h.decode('AckBox', payload))
  if (op === 3) {
    const [record, device] = me.records
    return h.decode('Keys', payload).keys[0]?.equals(A) ? [OK, h.encode('Bundle', { record, devices: [device] })] : [NOT_FOUND]
  }
  if (op !== 1 || (!id && !line.mine)) return undefined // whoever opened the stream asks (14.24)
  const parcel = h.decode('Parcel', payload)
  const wrap = parcel.wraps.find(w => me.prekeys.some(k => k.kid.equals(w.kid)))
  if (wrap) received(parcel, wrap, line).catch(e => console.error(e))
  return [wrap ? OK : NO_KEY]
})

async function received (parcel, wrap, line) {
  let inner, s, m
  try {
    inner = await h.unparcel(parcel, wrap, A, device, me.prekeys.find(k => k.kid.equals(wrap.kid)).seed)
    s = h.unsigned(inner.signed)
  } catch { return } // what does not open names nobody who could be told
  try {
    m = s.fields
    const from = checked(s, m, inner.attached)
    await { 20: asked, 21: answered, 22: left, 30: message }[s.type](from, m, s, line, inner.cek)
  } catch (e) {
    if (!(e instanceof h.Refused)) throw e
    ack(line, inner.cek, ackOf(m?.from, s.id, 4, e.reason))
  }
}

/** Says whose words these are, or why they do not count, in the order of 9.1. */
function checked (s, m, attached) {
  refuse(11, ![20, 21, 22, 30].includes(s.type), 'a later profile')
  refuse(13, !s.good, 'the signature')
  const from = personOf(m.from)
  learn(from, attached)
  refuse(19, !recordOf(from), 'no record')
  refuse(m.ar_seq > recordOf(from).seq ? 19 : 13, !listed(from, s.key, { 21: 4, 30: 2 }[s.type] ?? 7), 'no device of his')
  refuse(13, m.device && !m.device.equals(h.deviceID(s.key)), 'another device')
  refuse(14, !m.to.equals(A), 'to somebody else')
  refuse(20, (m.at ?? m.seq ?? m.sent) > now() + S, 'ahead of the time')
  return from
}

const ackOf = (to, mid, disposition, reason) =>
  h.signed(me.d, 31, { from: A, to, device, mids: [mid], disposition, reason, at: now(), ar_seq: me.ar_seq })
const ack = (line, cek, signed) => { try { line.tell(2, h.ackBox(cek, signed)) } catch {} } // his retry brings a lost one back

// 3.7 and 5.3 Parcels, out, and the acks that come for them.

const awaited = new Map() // by tag
const awaitAck = (p, raw, cek, done) => awaited.set(hex(h.ackTag(cek)), { p, cek, done, signed: h.unsigned(raw), ar_seq: me.ar_seq })

/** Seals a Signed to devices of somebody, with my records until he has answered; done(ack) hears of a verified Ack. */
async function seal (p, signed, to, expires, done) {
  const attached = p.told === me.ar_seq ? [] : me.records
  const { parcel, cek } = await h.parcel(p.address, sealable(p, to), signed, attached, expires)
  awaitAck(p, signed, cek, done)
  return { parcel, cek }
}

function acked (box) {
  const { p, cek, done, signed, ar_seq } = awaited.get(hex(box.tag)) ?? {}
  if (!p) return
  const s = h.unsigned(h.openAckBox(cek, box))
  if (s.type !== 31 || !s.good) return
  const a = s.fields
  if (!a.from.equals(p.address) || (a.to && !a.to.equals(A)) || !a.mids.some(id => id.equals(signed.id))) return
  if (!listed(p, s.key, signed.type === 30 ? 2 : 7) || !a.device.equals(h.deviceID(s.key))) return
  p.told = a.reason === 19 ? 0 : ar_seq // stale-record: he is shown them again
  done(a)
  save()
}

// 5. Messages. Out: on disk first, then sent until a signed ack settles it, or its time ends.

async function send (p, text) {
  const sent = stamp()
  const expires = sent + 7 * DAY
  const words = { content_type: 'text/plain', content: Buffer.from(text) }
  const signed = h.signed(me.d, 30, { from: A, to: p.address, device, nonce: randomBytes(16), sent, expires, ...words, ar_seq: me.ar_seq })
  const id = hex(h.unsigned(signed).id)
  me.outbox[id] = { to: p.address, signed, expires, tries: 0, due: 0 }
  save()
  say('queued', h.idText(Buffer.from(id, 'hex')))
  p._wake?.()
}

async function deliver (p) {
  for (const [id, e] of Object.entries(me.outbox)) {
    if (!e.to.equals(p.address) || e.due > now() || e.expires < now()) continue
    if (!e.parcel) Object.assign(e, await seal(p, e.signed, 2, e.expires, a => settled(id, a)))
    e.due = now() + ([5_000, 15_000, MINUTE][e.tries++] ?? 15 * MINUTE)
    save()
    const { status } = await p._line.ask(1, e.parcel)
    if (status === OK) e.handed = true
    if (status === NO_KEY) { await fetchRecords(p); Object.assign(e, { parcel: undefined, due: 0 }) }
  }
}

function settled (id, { disposition, reason, retry_after_s = 0 }) {
  const passing = disposition === 4 && [8, 15, 18, 19, 20].includes(reason) // 5.3: these may go otherwise another time
  const e = me.outbox[id]
  if (e && passing) Object.assign(e, { parcel: undefined, due: Math.max(e.due, now() + retry_after_s * 1000) })
  else settle(id, ['', 'delivered', 'displayed', 'forbidden', 'failed'][disposition] + (reason ? `(${reason})` : ''))
}
function settle (id, how) {
  if (!me.outbox[id]) return
  say(how, h.idText(Buffer.from(id, 'hex')))
  delete me.outbox[id]
  save()
}
function overdue () {
  for (const [id, e] of Object.entries(me.outbox)) {
    if (now() > e.expires + (e.handed ? 2 * S : 0)) settle(id, e.handed ? 'failed(unconfirmed)' : 'failed(unreachable)')
  }
}

/** In: shown once, and on disk before the ack leaves. A stored ack goes out whatever time and rules say now (5.4). */
function message (from, m, s, line, cek) {
  const seen = id => hex(m.from) + hex(id)
  if (!me.seen[seen(s.id)]) {
    refuse(15, m.expires < now() || m.expires > m.sent + 14 * DAY, 'too late')
    refuse(10, !/^text\/plain *(;|$)/i.test(m.content_type), m.content_type)
    refuse(9, m.content?.length > (from.name ? 60 : 4) * 1024, 'too large') // of a stranger less (5.2)
    const again = m.resend_of && me.seen[seen(m.resend_of)]
    const row = { until: m.expires + 7 * DAY + 2 * S, ack: ackOf(m.from, s.id, 1) }
    for (const id of [s.id, m.resend_of]) if (id) me.seen[seen(id)] ??= row
    keep(from)
    save()
    if (!again) say(`${nameOf(from)}: ${JSON.stringify(m.content?.toString() ?? '')}`)
  }
  ack(line, cek, me.seen[seen(s.id)].ack)
}

// 4.8 Subscriptions, as a watcher. A poll is the same request with a new stamp; it renews, too.

async function poll (p, met) {
  const sub = p.sub ??= { id: randomBytes(16), tries: 0, polled: 0, state: 0 }
  const wait = sub.state === 2 ? (met ? HOUR : DAY) : met ? 0 : [1, 10, 60][sub.tries - 1] * MINUTE || 6 * HOUR
  if (sub.state > 2 || sub.polled + wait > now()) return
  const request = h.signed(me.d, 20, { from: A, to: p.address, sub: sub.id, at: stamp(), want: 1, ar_seq: me.ar_seq })
  Object.assign(sub, { polled: now(), tries: sub.tries + 1 })
  save()
  const { parcel } = await seal(p, request, 4, now() + 30 * DAY, a => { if (a.reason === 19) sub.polled = 0 })
  const { status } = await p._line.ask(1, parcel)
  if (status === NO_KEY) { sub.polled = 0; await fetchRecords(p) }
}

/** A SubState counts if it answers a sub of mine; the same one again is acked again, and says nothing new. */
function answered (p, m, s, line, cek) {
  if (!p.sub?.id.equals(m.sub) || m.seq < p.sub.seq) return
  const grants = m.state === 2 ? [m.grant, m.next].filter(g => g?.E) : []
  refuse(27, grants.some(g => !g.K || !(g.not_after > g.not_before) || g.not_after > g.not_before + 8 * DAY), 'a Grant')
  p.told = me.ar_seq
  if (m.state !== p.sub.state) say(nameOf(p), ['', 'has to decide', 'lets me see', 'refuses', 'ended it', 'let it end'][m.state])
  Object.assign(p.sub, { seq: m.seq, state: m.state, grants })
  save()
  ack(line, cek, ackOf(m.from, s.id, 1))
  p._wake?.()
}

// 4.5 and 4.6 Presence, as a watcher: the newest word of each device, for as long as it holds.

async function watch (p) {
  if (!p.sub?.grants?.length) return
  if (!p._presence?.open) {
    const take = (op, payload) => { if (op === 4) try { heard(p, payload) } catch {} } // what does not read is dropped
    Object.assign(p, { _presence: await lineTo(p, '/hum/presence/1', take), _watched: [] })
  }
  const keys = p.sub.grants.map(g => g.E).filter(E => !p._watched.includes(hex(E)))
  if (!keys.length) return
  p._live = false // what comes before the reply is a snapshot
  p._watched.push(...keys.map(hex))
  await p._presence.ask(1, h.encode('Keys', { keys }))
  p._live = true
}

function heard (p, payload) {
  const { key: E, rec } = h.decode('KeyedRec', payload)
  const g = p.sub.grants.find(g => g.E.equals(E))
  if (!g) return
  const { t, base, tag, ct } = h.relayed(E, rec)
  const kind = hex(E) + hex(tag) + (ct ? 'update' : 'beacon')
  const [last, floor, docs] = [p._last ??= {}, p.floor ??= {}, p._docs ??= {}]
  // A stamp rises. After a start the newest Rec comes once more, and confirms what was remembered (14.19).
  if (t > now() + S || t < g.not_before - S || t > g.not_after + S || t <= last[kind] || t < floor[kind]) return
  const doc = ct ? h.docOf(E, g.K, { t, tag, ct }) : docs[hex(tag)]?.doc
  if (ct) {
    const by = recordOf(p)?.devices.find(d => h.deviceID(d.key).equals(doc.device))
    if (!doc.entity.equals(p.address) || !by || !listed(p, by.key, 4) || !h.tagOf(g.K, doc.device).equals(tag)) return
  }
  last[kind] = floor[kind] = t
  save()
  if (!ct && !(docs[hex(tag)]?.t >= base)) return void get(p, E) // an update was missed
  if (!ct && docs[hex(tag)].t > base) return
  const ttl = 1000 * (doc.ttl_s < 2 || doc.ttl_s > 900 ? g.ttl_s : doc.ttl_s)
  const until = p._live ? Math.min(t + ttl + S, now() + ttl) : now() + Math.max(MINUTE, ttl - Math.max(0, now() - t))
  const before = docs[hex(tag)]
  docs[hex(tag)] = { doc, t: ct ? t : base, until: ct ? until : Math.max(before.until, until) }
  show(p)
}

/** Asks once for what is held of an epoch: after a beacon of an update that did not come, and before a lapse is shown. */
async function get (p, E) {
  try {
    const { payload } = await Promise.race([p._presence.ask(3, h.encode('Keys', { keys: [E] })), pause({}, 5_000)])
    for (const r of h.decode('Recs', payload).recs) heard(p, h.encode('KeyedRec', { key: E, rec: r.raw }))
  } catch {}
}

/** Says how somebody is, if that is news: open as long as a device that is open keeps its word. */
function show (p) {
  const devices = {} // the newest word of each, over all epochs
  for (const { doc, t, until } of Object.values(p._docs)) {
    const d = devices[hex(doc.device)] ??= { t: 0, until: 0 }
    Object.assign(d, t > d.t && { doc, t }, { until: Math.max(until, d.until) })
  }
  const isOpen = ({ doc }) => doc.tuples.some(t => t.basic === 1)
  const newest = Object.values(devices).sort((a, b) => b.t - a.t)
  const open = newest.find(d => isOpen(d) && d.until > now())
  const note = open?.doc.notes[0]?.text
  const how = open ? 'is open' + (note ? `: ${JSON.stringify(note)}` : '') : isOpen(newest[0]) ? 'fell silent' : 'is closed'
  if (p._shown !== how) say(nameOf(p), p._shown = how)
  clearTimeout(p._lapse)
  if (open) p._lapse = setTimeout(async () => { await Promise.all(p.sub.grants.map(g => get(p, g.E))); show(p) }, open.until - now())
}

// 4.8 Subscriptions, as a presentity: who was added may see me, others wait until they are.

const watchersOf = p => Object.values(me.watchers).filter(row => row.from.equals(p.address))

function asked (from, m, s, line) {
  const id = hex(m.from) + hex(m.sub)
  const row = me.watchers[id] ?? { from: m.from, sub: m.sub }
  if (m.at <= row.at || m.at < now() - 30 * DAY || row.state > 2) return
  row.at = m.at
  if (row.acked && row.answered > now() - MINUTE) return
  if (!row.state && !from.name) say(`somebody asks to see me; let him by: add NAME ${h.addressText(m.from)}`)
  const expires = now() + Math.min(m.lifetime_s * 1000 || 60 * DAY, 60 * DAY)
  me.watchers[id] = Object.assign(row, { device: h.deviceID(s.key), state: from.name ? 2 : 1, expires })
  keep(from)
  save()
  setTimeout(answer, 1000, row, line) // never earlier, whatever the answer is
}

function left (from, m, s, line) {
  const id = hex(m.from) + hex(m.sub)
  const row = me.watchers[id] ?? { from: m.from, sub: m.sub, expires: now() + 30 * DAY }
  if (m.at <= row.at || (!row.at && !from.name)) return
  me.watchers[id] = Object.assign(row, { at: m.at, device: h.deviceID(s.key) })
  dismiss(row, 4, 24)
  answer(row, line)
}

/** Ends a subscription. Who leaves holds the key of the epoch, so that all others get a new one (4.2). */
function dismiss (row, state, reason) {
  Object.assign(row, { state, reason })
  for (const e of me.epochs) e.ended = true
  rotate()
}

/** Tells a watcher where he stands, by the stored bytes or, if something changed, by new ones. */
async function answer (row, line) {
  const p = personOf(row.from)
  const epochs = row.state === 2 ? live() : []
  const told = [row.state, ...epochs.map(e => hex(e.K))].join()
  if (row.told !== told || row.expires - row.until > 30 * DAY) {
    const [grant, next] = epochs.map(e => ({ E: h.publicOf(e.seed), K: e.K, not_before: e.from, not_after: e.until, ttl_s: TTL }))
    const { from: to, sub, state, reason, expires } = row
    row.signed = h.signed(me.d, 21, { from: A, to, sub, seq: stamp(), state, reason, expires, grant, next, ar_seq: me.ar_seq })
    Object.assign(row, { told, acked: false, until: expires })
  }
  row.answered = now()
  save()
  try {
    const { parcel } = await seal(p, row.signed, row.device, row.expires, () => { row.acked = true })
    if (line?.open) line.tell(1, parcel)
    else await (p._line?.open ? p._line : await lineTo(p, '/hum/parcel/1', parcels)).ask(1, parcel)
  } catch {} // it goes with the next line to him, or he polls
}

// 4.2 Epochs, and 4.4, 4.6, 4.7 presence, as a presentity: the same bytes on the topic and to who watches by stream.

const live = () => me.epochs.filter(e => !e.ended && e.until > now())
const watching = new Map() // by E, the lines

/** Makes an epoch if there is none, and the next one a day and a half before the last one ends; tells all watchers. */
function rotate () {
  me.epochs = me.epochs.filter(e => e.until + S > now())
  const last = live().at(-1)
  if (last?.until > now() + 1.5 * DAY) return
  const from = last ? last.until - DAY : now()
  me.epochs.push({ seed: randomBytes(32), K: randomBytes(32), from, until: from + 8 * DAY, ver: 0 })
  save()
  for (const row of Object.values(me.watchers)) if (row.state === 2) answer(row)
  publish()
}

/** Says a change at once, or after five of them one every 2 s, the newest (4.4). */
const changes = { left: 5, owed: false }
function changed () {
  changes.owed = changes.left === 0
  if (!changes.owed) { changes.left--; publish() }
}
setInterval(() => {
  changes.left = Math.min(5, changes.left + 1)
  if (changes.owed) changed()
}, 2_000)

/** Says how I am, in each epoch: an update now, and beacons as long as I am here. */
function publish (basic = 1) {
  for (const e of live().filter(e => e.from <= now())) {
    const t = stamp()
    const tuple = { id: 'im', basic, im: basic === 1 ? 1 : 0, contact: `im:${h.addressText(A)}@hum.alt`, timestamp: t }
    const notes = basic === 1 && me.note ? [{ text: me.note }] : []
    const doc = h.encode('Doc', { entity: A, device, ver: ++e.ver, ttl_s: TTL, tuples: [tuple], notes, ar_seq: me.ar_seq })
    Object.assign(e, { _base: t, _update: h.rec(e, device, t, { doc }), _beacon: undefined })
    spread(e, e._update)
  }
}
function beacon () {
  for (const e of live().filter(e => e._update)) spread(e, e._beacon = h.rec(e, device, stamp(), { base: e._base }))
  setTimeout(beacon, MINUTE * (0.9 + Math.random() / 5))
}

function spread (e, rec) {
  save() // its t, before it leaves
  const E = h.publicOf(e.seed)
  const [topic, { pubsub }] = [h.topicOf(E), node.services]
  if (!pubsub.getTopics().includes(topic)) {
    // Nobody else signs with E: what comes back on the topic is old, or of no correct node.
    pubsub.topicValidators.set(topic, (_, m) => { try { h.relayed(E, Buffer.from(m.data)); return 'ignore' } catch { return 'reject' } })
    pubsub.subscribe(topic)
  }
  pubsub.publish(topic, rec).catch(() => {})
  for (const line of watching.get(hex(E)) ?? []) tellRec(line, E, rec)
}
const tellRec = (line, key, rec) => { try { line.tell(4, h.encode('KeyedRec', { key, rec })) } catch {} }

/** Serves my epochs to whoever knows their names (4.6). WATCH: registered first, then what is held, then OK. */
const presence = orMalformed((op, payload, line) => {
  if (op < 1 || op > 3) return undefined
  const { keys } = h.decode('Keys', payload)
  const held = key => me.epochs.filter(e => h.publicOf(e.seed).equals(key)).flatMap(e => [e._update, e._beacon].filter(Boolean))
  const isMine = key => me.epochs.some(e => h.publicOf(e.seed).equals(key))
  if (op === 3) return keys[0] && isMine(keys[0]) ? [OK, h.encode('Recs', { recs: held(keys[0]), now: now() })] : [NOT_FOUND]
  for (const key of keys.filter(isMine)) {
    const lines = watching.get(hex(key)) ?? new Set()
    watching.set(hex(key), lines)
    if (op === 2) { lines.delete(line); continue }
    lines.add(line)
    line.ended.then(() => lines.delete(line))
    for (const rec of held(key)) tellRec(line, key, rec)
  }
  return op === 2 ? [OK] : [OK, h.encode('Keys', { keys: keys.filter(k => !isMine(k)), now: now() })]
})

// The user, and the start.

function add (name, card) {
  const [text, query = ''] = card.replace(/^hum:/i, '').split('?') // 2.2
  const p = personOf(h.addressOf(text))
  const places = query.split('&').filter(x => /^d=/i.test(x)).map(x => decodeURIComponent(x.slice(2)))
  if (p.sub?.state > 2) delete p.sub // asked anew
  keep(Object.assign(p, { name, card: places }))
  save()
  for (const row of watchersOf(p)) if (row.state === 1) answer(Object.assign(row, { state: 2 }))
  if (!p._kept) keepInTouch(Object.assign(p, { _kept: true }))
}

async function command (line) {
  const [, verb, who, rest] = line.match(/^(\S*) ?(\S*) ?(.*)$/)
  const p = Object.values(me.people).find(p => p.name === who)
  if (verb === 'add' && rest) add(who, rest)
  else if (verb === 'say' && p) await send(p, rest)
  else if (verb === 'note') { me.note = line.slice(5); changed() }
  else if (verb === 'quit') { publish(2); await node.stop(); process.exit() }
  else say('add NAME CARD, say NAME WORDS, note WORDS or quit')
}

function tidy () {
  for (const [key, { until }] of Object.entries(me.seen)) if (until < now()) delete me.seen[key]
  for (const row of Object.values(me.watchers)) if (row.state < 3 && row.expires < now()) dismiss(row, 5)
  rotate()
}

await renew()
for (const [protocol, take] of [['/hum/parcel/1', parcels], ['/hum/presence/1', presence]]) {
  await node.handle(protocol, stream => { new Line(stream, false, take) }, { runOnLimitedConnection: true })
}
tidy()
publish()
for (const [every, work] of [[DAY, renew], [HOUR, tidy], [MINUTE, overdue]]) setInterval(work, every)
setTimeout(beacon, MINUTE)
for (const [id, e] of Object.entries(me.outbox)) if (e.cek) awaitAck(personOf(e.to), e.signed, e.cek, a => settled(id, a))
for (const p of Object.values(me.people)) if (p.name) add(p.name, `${h.addressText(p.address)}?${p.card.map(d => `d=${d}`).join('&')}`)
say('card', card)
createInterface({ input: process.stdin }).on('line', line => command(line).catch(e => say(e.message)))
