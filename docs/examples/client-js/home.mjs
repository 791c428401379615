// Who I am and whom I know: the home, my records and those of others (section 2), and the lines to them (3.6).

import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { base58, bech32m } from '@scure/base'
import * as h from './bytes.mjs'
import { Line, host } from './net.mjs'

export const [S, MINUTE, HOUR, DAY] = [120_000, 60_000, 3_600_000, 86_400_000] // S: the skew of clocks that is borne (1)
export const now = Date.now
export const hex = b => b.toString('hex')
const [, , file = 'home.json', listen = '/ip4/127.0.0.1/tcp/0'] = process.argv

// The home is one file, replaced whole and synced before anything leaves that it has to answer for. In a larger
// program a database stands here. What is under a name that begins with _ lives no longer than the process.

export const me = existsSync(file) ? JSON.parse(readFileSync(file), (_, v) => v?.hex ? Buffer.from(v.hex, 'hex') : v) : fresh()
export function save () {
  const kept = (k, v) => k.startsWith('_') ? undefined : v?.type === 'Buffer' ? { hex: hex(Buffer.from(v.data)) } : v
  const fd = openSync(`${file}.new`, 'w', 0o600)
  writeSync(fd, JSON.stringify(me, kept))
  fsyncSync(fd)
  closeSync(fd)
  renameSync(`${file}.new`, file)
}

/** The next stamp (1): rising over restarts, unless a clock ran ahead; saved by the caller before it leaves. */
export const stamp = () => (me.stamp = me.stamp > now() + S ? now() : Math.max(me.stamp + 1, now()))

// 2.1 S is on paper alone. A signs for the address, D for this device; T is the place, and says nothing of either.

function fresh () {
  const s = randomBytes(32)
  console.log('seed', bech32m.encode('humsec', [0, ...bech32m.toWords(s)]), 'shown once: whoever has it is you')
  const recovery = h.H('recovery', h.publicOf(h.KDF(s, 'recovery', h.u32(0))))
  const keys = { a: h.KDF(s, 'address', h.u32(0)), d: randomBytes(32), t: randomBytes(32), prekeys: [] }
  return { ...keys, recovery, listen, stamp: 0, people: {}, watchers: {}, epochs: [], outbox: {}, seen: {} }
}
export const [A, D] = [h.publicOf(me.a), h.publicOf(me.d)]
export const device = h.deviceID(D)
export const node = await host(me.t, me.listen)
const places = node.getMultiaddrs()
me.listen = me.listen.replace(/\/tcp\/0$/, places[0].toString().match(/\/tcp\/\d+/)[0]) // kept, since cards name it
export const card = `hum:${h.addressText(A)}?` + places.map(m => `d=${m}`).join('&')

/** Signs my records anew, and draws a prekey once the one before is a week old (3.7). */
export async function renew () {
  if (!(me.prekeys[0]?.made > now() - 7 * DAY)) me.prekeys.unshift({ seed: randomBytes(32), made: now() })
  me.prekeys = me.prekeys.filter((_, i) => i === 0 || me.prekeys[i - 1].made > now() - 21 * DAY)
  for (const k of me.prekeys) k.kid = h.kidOf(k.pub ??= await h.prekeyOf(k.seed))
  const seq = me.ar_seq = stamp()
  const addrs = places.map(m => Buffer.from(m.decapsulate('/p2p').bytes))
  me.records = [
    h.signed(me.a, 1, { address: A, seq, expires: seq + 30 * DAY, services: 3, devices: [{ key: D, roles: 7 }], recovery: me.recovery }),
    h.signed(me.d, 2, { address: A, device, seq, expires: seq + 14 * DAY, prekeys: [{ suite: 1, pub: me.prekeys[0].pub }] }),
    h.signed(me.d, 3, { address: A, device, seq, peer: Buffer.from(node.peerId.toMultihash().bytes), addrs })
  ]
  save()
}

// 2.4 and 2.5 Others are known by their address, and by what it, and the devices that it lists, signed.

export const personOf = address => me.people[hex(address)] ?? { address, prekeys: {}, reach: {} }
export const keep = p => { me.people[hex(p.address)] = p }
export const nameOf = p => p.name ?? h.addressText(p.address)
export const read = raw => h.unsigned(raw).fields
export const recordOf = p => p.record && [read(p.record)].find(r => r.expires > now())
/** Finds the device with this key, if the record lists it with one of these roles (1 admin, 2 inbox, 4 publisher). */
export const listed = (p, key, roles) =>
  recordOf(p)?.devices.find(d => d.key.equals(key) && d.roles & roles && !(d.roles & 8) && !(d.not_after <= now()))

/** Takes those of some records that are this person's, good, and newer than what is known; others are as good as none. */
export function learn (p, records) {
  for (const raw of records) {
    try {
      const s = h.unsigned(raw)
      const r = s.fields
      const lasts = days => r.expires > now() && r.expires <= r.seq + days * DAY + S
      const newer = old => !old || r.seq > read(old).seq
      if (!s.good || !r.address?.equals(p.address) || r.seq > now() + S) continue
      if (s.type === 1) {
        const recovery = p.record ? read(p.record).recovery : r.recovery
        if (s.key.equals(p.address) && lasts(30) && newer(p.record) && r.recovery.equals(recovery)) p.record = raw
      } else if (listed(p, s.key, 7) && r.device.equals(h.deviceID(s.key)) && (s.type === 3 || lasts(14))) {
        const kept = s.type === 3 ? p.reach : p.prekeys
        if (newer(kept[hex(r.device)])) kept[hex(r.device)] = raw
      }
    } catch (e) { if (!(e instanceof h.Refused)) throw e }
  }
}

/** The devices of somebody that a Parcel can be sealed to: those with a role, or the one of this id. */
export const sealable = (p, to) => Object.values(p.prekeys).map(h.unsigned)
  .filter(s => s.fields.expires > now() && (to.equals ? to.equals(s.fields.device) : listed(p, s.key, to)))
  .map(s => ({ device: s.fields.device, prekey: s.fields.prekeys[0].pub }))

/** Opens a line to somebody at one of the places that he told, over the connection that stands, whoever made it. */
export async function lineTo (p, protocol, take) {
  const told = Object.values(p.reach).map(read).map(r => [base58.encode(r.peer), r.addrs.map(a => multiaddr(new Uint8Array(a)))])
  const shown = (p.card ?? []).map(text => [text.split('/p2p/').at(-1), [multiaddr(text)]])
  for (const [T, multiaddrs] of [...told, ...shown]) {
    try {
      const peer = peerIdFromString(T)
      await node.peerStore.merge(peer, { multiaddrs })
      const signal = AbortSignal.timeout(10_000)
      return new Line(await node.dialProtocol(peer, protocol, { signal, runOnLimitedConnection: true }), true, take)
    } catch {} // the next one
  }
  throw new Error(`${nameOf(p)} is not to be reached`)
}
