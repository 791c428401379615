// The bytes of hum/1: notation, keys, strict protobuf, what is signed and what is sealed. No network, no clock.
// Each part names the section of p2p/wire/SPEC.md that it follows; vectors.test.mjs holds it against the vectors.

import { createCipheriv, createDecipheriv, createHash, createPrivateKey, createPublicKey, hkdfSync, randomBytes, sign, verify } from 'node:crypto'
import { Aes256Gcm, CipherSuite, HkdfSha256 } from '@hpke/core'
import { XWing } from '@hpke/hybridkem-x-wing'
import { ed25519 } from '@noble/curves/ed25519.js'
import { base32nopad, bech32m } from '@scure/base'

// 1. Notation. DS separates what is signed, hashed or sealed for one purpose from all else.

export const cat = (...parts) => Buffer.concat(parts.map(p => Buffer.from(p)))
export const u32 = n => { const b = Buffer.alloc(4); b.writeUInt32BE(n); return b }
export const u64 = n => { const b = Buffer.alloc(8); b.writeBigUInt64BE(BigInt(n)); return b }
export const sha256 = x => createHash('sha256').update(x).digest()
const DS = label => `hum/1\0${label}\0`
export const H = (label, x) => sha256(cat(DS(label), x))
export const KDF = (key, label, c) => Buffer.from(hkdfSync('sha256', key, 'hum/1', cat(`${label}\0`, c), 32))

/** A reason of 9.1 by its number: what is wrong with something that somebody sent. */
export class Refused extends Error {
  constructor (reason, why) { super(why); this.reason = reason }
}
const malformed = why => { throw new Refused(27, why) }

// 2.1 and 3.4 Keys. OpenSSL compares R byte for byte, as the document asks; that the key is canonical, not the
// identity and free of torsion it does not look at. Verdicts must be equal everywhere, so both are needed.

const pkcs8 = Buffer.from('302e020100300506032b657004220420', 'hex')
const spki = Buffer.from('302a300506032b6570032100', 'hex')
export const publicOf = seed => Buffer.from(ed25519.getPublicKey(seed))
export const Sig = (seed, label, m) =>
  sign(null, cat(DS(label), m), createPrivateKey({ key: cat(pkcs8, seed), format: 'der', type: 'pkcs8' }))

const sound = new Map() // by key, since the product with L is dear
export function soundKey (key) {
  const id = key.toString('hex')
  if (!sound.has(id)) {
    try {
      const point = ed25519.Point.fromBytes(key)
      sound.set(id, !point.is0() && point.isTorsionFree())
    } catch { sound.set(id, false) }
    if (sound.size > 1000) sound.delete(sound.keys().next().value)
  }
  return sound.get(id) ?? false
}
export const verified = (key, message, sig) =>
  soundKey(key) && verify(null, message, createPublicKey({ key: cat(spki, key), format: 'der', type: 'spki' }), sig)

export const deviceID = D => H('device-id', D).subarray(0, 16)
export const kidOf = prekey => H('kid', prekey).subarray(0, 8)

// 2.2 Address text: version symbol 0, then the key, in bech32m.

export const addressText = A => bech32m.encode('hum', [0, ...bech32m.toWords(A)])
export function addressOf (text) {
  const { prefix, words: [version, ...words] } = bech32m.decode(text)
  const A = Buffer.from(bech32m.fromWords(words))
  if (prefix !== 'hum' || version !== 0 || A.length !== 32) throw new Error(`${text} is no address`)
  return A
}

// 3.2 Strict protobuf. These tables are the document's own: number, name, kind, * repeated, ! mandatory. A field
// without a kind is a u64. What later profiles add is not listed: it is skipped, as 3.3 has it.

const tables = {
  Signed: '1 type u32!, 2 body bytes!, 3 key b32!, 4 sig b64!',
  AddressRecord: '1 address b32!, 2 seq!, 3 prev b32, 5 expires!, 6 services u32, 7 devices Device*!, 9 recovery b32!, 15 crit bytes, 16 ext Ext*',
  Device: '1 key b32!, 2 roles u32!, 3 not_after',
  DeviceRecord: '1 address b32!, 2 device b16!, 3 seq!, 5 expires!, 6 prekeys PreKey*!, 7 features, 15 crit bytes, 16 ext Ext*',
  PreKey: '1 suite u32!, 2 pub bytes!',
  Reach: '1 address b32!, 2 device b16!, 3 seq!, 4 peer bytes!, 5 addrs bytes*',
  Bundle: '1 record bytes!, 2 devices bytes*',
  Parcel: '1 suite u32!, 2 wraps Wrap*, 3 ct bytes!, 4 expires_s',
  Wrap: '1 kid b8!, 2 sealed bytes!',
  Inner: '1 signed bytes!, 2 attached bytes*',
  SubRequest: '1 from b32!, 2 to b32!, 3 sub b16!, 4 at!, 5 want u32!, 6 text text, 7 lifetime_s, 10 ar_seq, 12 name text, 15 crit bytes, 16 ext Ext*',
  SubState: '1 from b32!, 2 to b32!, 3 sub b16!, 4 seq!, 5 state u32!, 6 reason u32, 7 expires, 8 retry_after_s, 9 grant Grant, 10 next Grant, 11 ar_seq, 15 crit bytes, 16 ext Ext*',
  Grant: '1 E b32, 2 K b32, 3 not_before, 4 not_after, 5 ttl_s, 15 crit bytes, 16 ext Ext*',
  Unsub: '1 from b32!, 2 to b32!, 3 sub b16!, 4 at!, 15 crit bytes, 16 ext Ext*',
  IM: '1 from b32!, 2 to b32!, 3 device b16!, 4 nonce b16!, 5 sent!, 6 expires!, 7 content_type text!, 8 content bytes, 9 in_reply_to b32, 10 report u32, 12 resend_of b32, 13 ar_seq, 14 contact text*, 15 crit bytes, 16 ext Ext*, 17 lang text',
  Ack: '1 from b32!, 2 to b32, 3 device b16!, 4 mids b32*!, 5 disposition u32!, 6 reason u32, 7 at, 8 ar_seq, 9 retry_after_s',
  AckBox: '1 tag b16!, 2 box bytes!',
  Rec: '1 body RecBody!, 2 sig b64!',
  RecBody: '1 tag b8!, 2 t!, 3 base, 4 ct bytes',
  Doc: '1 entity b32!, 2 device b16!, 3 ver!, 4 ttl_s!, 5 tuples Tuple*, 6 notes Note*, 7 contact text*, 8 ar_seq, 9 reach bytes, 15 crit bytes, 16 ext Ext*',
  Tuple: '1 id text!, 2 basic u32!, 3 im u32, 4 contact text, 5 priority u32, 6 notes Note*, 7 timestamp, 8 idle_since, 15 crit bytes, 16 ext Ext*',
  Note: '1 text text!, 2 lang text',
  Ext: '1 name text!, 2 value bytes, 3 must u32',
  Frame: '1 id u32, 2 op u32!, 3 payload bytes, 4 status u32',
  Keys: '1 keys b32*, 2 now', // WATCH, GET, RECORDS and the replies to WATCH
  Recs: '1 recs Rec*, 2 now', // the reply to GET
  KeyedRec: '1 key b32!, 2 rec bytes!' // REC
}
const closed = ['Signed', 'Rec', 'RecBody', 'Parcel', 'Wrap', 'Inner', 'AckBox', 'Frame'] // without unknown fields (3.3)
const fields = Object.fromEntries(Object.entries(tables).map(([name, text]) => [name, text.split(', ').map(f => {
  const [, number, name, kind, many, must] = f.match(/^(\d+) (\w+) ?(\w*)(\*?)(!?)$/)
  return { number: +number, name, kind, many, must, size: +(kind.match(/^b(\d+)$/)?.[1] ?? 0) }
})]))

export function varint (n) {
  const out = []
  for (n = BigInt(n); n > 127n; n >>= 7n) out.push(Number(n & 127n) | 128)
  return Buffer.from([...out, Number(n)])
}

/** Encodes an object by its table; zeros and empty values are left out. */
export function encode (table, object) {
  const parts = []
  for (const { number, name, kind, many, size, must } of fields[table]) {
    for (let v of many ? object[name] ?? [] : [object[name]]) {
      if (tables[kind] && v) v = Buffer.isBuffer(v) ? v : encode(kind, v)
      if (kind === 'text' && v) v = Buffer.from(v)
      if (!v || v.length === 0 || (size && !must && !many && !v.some(x => x))) continue
      parts.push(v.length ? cat(varint(number * 8 + 2), varint(v.length), v) : cat(varint(number * 8), varint(v)))
    }
  }
  return cat(...parts)
}

/** Decodes what has one encoding only; throws Refused(27), or Refused(11) for what its author requires and is not known here. */
export function decode (table, b) {
  const out = Object.fromEntries(fields[table].filter(f => f.many).map(f => [f.name, []]))
  const present = new Set()
  let at = 0
  let last = 0
  const number = () => {
    const start = at
    let v = 0n
    do {
      if (at === b.length || at - start === 10) malformed('a number without end')
      v |= BigInt(b[at] & 127) << BigInt(7 * (at - start))
    } while (b[at++] & 128)
    if (v >= 1n << 64n || (at - start > 1 && b[at - 1] === 0)) malformed('a number that is not minimal')
    return Number(v)
  }
  while (at < b.length) {
    const key = number()
    const [n, wire] = [Math.floor(key / 8), key % 8]
    const f = fields[table].find(f => f.number === n)
    if (n < 1 || n < last || (n === last && f && !f.many)) malformed(`${table}: field ${n} out of order`)
    if (!f && (n > 127 || closed.includes(table))) malformed(`${table}: field ${n} is not known`)
    if (wire !== 0 && wire !== 2) malformed(`${table}: wire type ${wire}`)
    let v = number()
    if (v === 0) malformed(`${table}: field ${n} is written out, and empty`)
    if (wire === 2) {
      if (v > b.length - at) malformed(`${table}: field ${n} is cut short`)
      v = b.subarray(at, at += v)
    }
    last = n
    present.add(n)
    if (!f) continue
    if ((wire === 0) !== ['', 'u32'].includes(f.kind)) malformed(`${table}: wire type of ${f.name}`)
    if (f.kind === 'u32' && v >= 2 ** 32) malformed(`${table}: ${f.name} overflows`)
    if (f.size && (v.length !== f.size || (!f.must && !f.many && !v.some(x => x)))) malformed(`${table}: length of ${f.name}`)
    if (f.kind === 'text') try { v = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(v) } catch { malformed('no UTF-8') }
    if (tables[f.kind]) v = Object.assign(decode(f.kind, v), { raw: v })
    if (f.many) out[f.name].push(v); else out[f.name] = v
  }
  const missing = fields[table].find(f => f.must && !present.has(f.number))
  if (missing) malformed(`${table}: no ${missing.name}`)
  const required = out.crit ? numbers(out.crit) : []
  if (required.some((n, i) => !present.has(n) || n <= required[i - 1])) malformed(`${table}: crit`)
  if (required.some(n => !fields[table].some(f => f.number === n)) || out.ext?.some(e => e.must)) throw new Refused(11, `${table} requires more`)
  return out
}
const numbers = packed => [...packed].map(n => n > 127 ? malformed('crit') : n) // no number above 127 is known (3.3)

// 3.1 Signed: what a device or an address vouches for. The body is kept as it came and never encoded again.

const types = { 1: ['addr', 'AddressRecord'], 2: ['dev', 'DeviceRecord'], 3: ['reach', 'Reach'], 20: ['sub-req', 'SubRequest'], 21: ['sub-state', 'SubState'], 22: ['unsub', 'Unsub'], 30: ['im', 'IM'], 31: ['ack', 'Ack'] }
export const idOf = body => H('mid', body) // 3.8
export const idText = id => base32nopad.encode(id.subarray(0, 25)).toLowerCase()

export function signed (seed, type, object) {
  const body = encode(types[type][1], object)
  return encode('Signed', { type, body, key: publicOf(seed), sig: Sig(seed, types[type][0], body) })
}

/** Opens a Signed: beside its own fields the id, whether it is good, and the fields of its body. */
export function unsigned (raw) {
  const s = decode('Signed', raw)
  const [label, table] = types[s.type] ?? [null, null]
  return {
    ...s,
    id: idOf(s.body),
    get good () { return !!label && verified(s.key, cat(DS(label), s.body), s.sig) },
    get fields () { return table ? decode(table, s.body) : {} }
  }
}

// 1. Seal and Pad: AES-256-GCM over a length, the words and zeros up to a class of sizes.

export function padded (x) {
  const n = 4 + x.length
  const size = [256, 512, 1024, 2048].find(s => n <= s) ?? Math.ceil(n / 4096) * 4096
  return cat(u32(x.length), x, Buffer.alloc(size - n))
}
export function sealed (key, x, aad, nonce = randomBytes(12)) {
  const c = createCipheriv('aes-256-gcm', key, nonce).setAAD(cat(aad))
  return cat(nonce, c.update(padded(x)), c.final(), c.getAuthTag())
}
export function opened (key, box, aad) {
  const d = createDecipheriv('aes-256-gcm', key, box.subarray(0, 12)).setAAD(cat(aad)).setAuthTag(box.subarray(-16))
  const p = cat(d.update(box.subarray(12, -16)), d.final())
  const x = p.subarray(4, 4 + p.readUInt32BE())
  if (!padded(x).equals(p)) malformed('pad')
  return x
}

// 1 and 3.7 Suite 1 and the Parcel: HPKE seals the CEK to each device, the CEK seals the words.

const suite = new CipherSuite({ kem: new XWing(), kdf: new HkdfSha256(), aead: new Aes256Gcm() })
const own = b => new Uint8Array(b) // a Buffer may be a part of a larger one, which the library would take whole
export async function prekeyOf (seed) {
  const { publicKey } = await suite.kem.generateKeyPairDerand(own(seed))
  return Buffer.from(await suite.kem.serializePublicKey(publicKey))
}
export const wrapInfo = (address, device, kid, ct) => cat(DS('wrap'), u32(1), address, device, kid, sha256(ct))

/** Seals a Signed to devices: each {device, prekey}. Returns {parcel, cek}; the CEK opens the answer (5.3). */
export async function parcel (address, devices, signed, attached, expires, cek = randomBytes(32), nonce = randomBytes(12)) {
  const ct = sealed(cek, encode('Inner', { signed, attached }), DS('parcel'), nonce)
  const wraps = await Promise.all(devices.map(async ({ device, prekey }) => {
    const kid = kidOf(prekey)
    const info = own(wrapInfo(address, device, kid, ct))
    const hpke = await suite.createSenderContext({ recipientPublicKey: await suite.kem.deserializePublicKey(own(prekey)), info })
    return { kid, sealed: cat(own(hpke.enc), own(await hpke.seal(own(cek)))) }
  }))
  return { cek, parcel: encode('Parcel', { suite: 1, wraps, ct, expires_s: Math.ceil(expires / 3600000) * 3600 }) }
}

/** Opens a Parcel with the seed of the prekey that it is sealed to: {cek, signed, attached}. */
export async function unparcel (p, { kid, sealed }, address, device, seed) {
  const recipientKey = await suite.kem.importKey('raw', own(seed), false)
  const hpke = await suite.createRecipientContext({ recipientKey, enc: own(sealed.subarray(0, 1120)), info: own(wrapInfo(address, device, kid, p.ct)) })
  const cek = Buffer.from(await hpke.open(own(sealed.subarray(1120))))
  return { cek, ...decode('Inner', opened(cek, p.ct, DS('parcel'))) }
}

// 5.3 AckBox: an Ack is sealed as well as what it answers, and found by its tag.

export const ackTag = cek => KDF(cek, 'ack-tag', '').subarray(0, 16)
export const ackBox = (cek, ack, nonce) =>
  encode('AckBox', { tag: ackTag(cek), box: sealed(KDF(cek, 'ack', ''), ack, cat(DS('ackbox'), ackTag(cek)), nonce) })
export const openAckBox = (cek, { tag, box }) => opened(KDF(cek, 'ack', ''), box, cat(DS('ackbox'), tag))

// 4.2 and 4.4 Epochs and Recs: a topic is named by a public key E that says nothing, and read with K.

export const topicOf = E => '/hum/1/p/' + E.toString('base64url')
export const tagOf = (K, device) => KDF(K, 'tag', device).subarray(0, 8)
const updateAAD = (E, tag, t) => cat(DS('upd'), E, tag, u64(t))

/** Signs a Rec of an epoch {seed, K}: an update of a Doc, or a beacon that says that the update of time base still holds. */
export function rec ({ seed, K }, device, t, { doc, base }, nonce) {
  const [E, tag] = [publicOf(seed), tagOf(K, device)]
  const body = encode('RecBody', { tag, t, base, ct: doc && sealed(KDF(K, 'upd', ''), doc, updateAAD(E, tag, t), nonce) })
  return encode('Rec', { body, sig: Sig(seed, 'rec', cat([1], E, body)) })
}

/** Checks a Rec as whoever relays it does, without K (4.5): returns its body, or throws, where a topic says REJECT. */
export function relayed (E, raw) {
  if (raw.length > 4608) malformed('a Rec of that size')
  const { body, sig } = decode('Rec', raw)
  const { t, base, ct } = body
  if (!base === !ct || base >= t || (ct && padded(ct.subarray(32)).length !== ct.length - 28)) malformed('neither update nor beacon')
  if (!verified(E, cat(DS('rec'), [1], E, body.raw), sig)) throw new Refused(13, 'signature of a Rec')
  return body
}
export const docOf = (E, K, { tag, t, ct }) => decode('Doc', opened(KDF(K, 'upd', ''), ct, updateAAD(E, tag, t)))
