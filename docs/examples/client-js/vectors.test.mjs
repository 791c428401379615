// Holds bytes.mjs against the vectors of the specification: each one of profile C0, both ways.
// Sealing draws random bytes, so that an encapsulation is opened, and all else is compared byte for byte.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import * as h from './bytes.mjs'

const { vectors } = JSON.parse(readFileSync(new URL('../../../p2p/wire/testdata/vectors.json', import.meta.url)))
const hex = o => Object.fromEntries(Object.entries(o).map(([k, v]) => [k, typeof v === 'string' && /^([0-9a-f]{2})+$/.test(v) ? Buffer.from(v, 'hex') : v]))
const v = Object.fromEntries(vectors.map(({ name, inputs, outputs }) => [name, { ...hex(inputs), ...hex(outputs) }]))
const is = (got, want, what) => assert.equal(Buffer.isBuffer(got) ? got.toString('hex') : got, Buffer.isBuffer(want) ? want.toString('hex') : want, what)

/** A Signed is good, has this id, and is made anew of its own fields, byte for byte. */
function signed ({ signed, body, D_seed, A_seed, id, mid }) {
  const s = h.unsigned(signed)
  is(s.good, true)
  is(s.body, body)
  if (id ?? mid) is(s.id, id ?? mid)
  is(h.signed(D_seed ?? A_seed, s.type, s.fields), signed)
}
async function parcel (x, address, device, seed, prekey) {
  const p = h.decode('Parcel', x.parcel)
  is(h.wrapInfo(address, device, x.kid, x.ct), x.info)
  const { cek, signed, attached } = await h.unparcel(p, p.wraps[0], address, device, seed)
  is(cek, x.CEK)
  is(h.encode('Inner', { signed, attached }), x.inner)
  const again = await h.parcel(address, [{ device, prekey }], signed, attached, x.expires_s * 1000, x.CEK, x.nonce)
  is(h.decode('Parcel', again.parcel).ct, x.ct)
  is(again.parcel.length, x.parcel_len)
}
function record (x, { doc, base }) {
  is(h.rec({ seed: x.E_seed, K: v.epoch.K }, v.epoch.device, x.t, { doc, base }, x.nonce), x.rec)
  const body = h.relayed(v.epoch.E, x.rec)
  if (doc) is(h.encode('Doc', h.docOf(v.epoch.E, v.epoch.K, body)), doc)
  if (x.message_id) is(h.sha256(h.cat(v.epoch.topic, x.rec)).subarray(0, 20), x.message_id)
}
const box = x => is(h.ackBox(v['parcel-im'].CEK, h.openAckBox(v['parcel-im'].CEK, h.decode('AckBox', x.ackbox)), x.nonce), x.ackbox)
const frame = (bytes, want) => {
  const f = h.decode('Frame', bytes.subarray(h.varint(bytes.length - 1).length))
  is(h.encode('Frame', f), bytes.subarray(h.varint(bytes.length - 1).length))
  for (const [k, w] of Object.entries(want)) is(f[k], w, k)
  return f
}

const checks = {
  keys: x => {
    const seed = h.KDF(x.S, 'address', h.u32(x.i))
    is(seed, x.A_seed)
    is(h.publicOf(seed), x.A)
    is(h.publicOf(h.KDF(x.S, 'recovery', h.u32(x.i))), x.R)
    is(h.H('recovery', x.R), x.recovery)
    is(h.addressText(x.A), x.address)
    is(h.addressOf(x.address), x.A)
    is(h.addressOf(x.address.toUpperCase()), x.A)
  },
  'address-bad': x => assert.throws(() => h.addressOf(x.text)),
  device: x => { is(h.publicOf(x.D_seed), x.D); is(h.deviceID(x.D), x.device) },
  prekey: async x => { is(await h.prekeyOf(x.seed), x.pub); is(h.kidOf(x.pub), x.kid) },
  'address-record': x => { signed({ A_seed: v['keys-alice'].A_seed, ...x }); is(h.H('addr', x.body), x.digest) },
  'device-record': signed,
  'reach-bob': signed,
  'sub-request': signed,
  'sub-state': signed,
  unsub: signed,
  im: x => { signed(x); is(h.idText(x.mid), x.mid_text) },
  'parcel-sub-request': x => parcel(x, v['keys-bob'].A, v['device-bob'].device, v['prekey-bob'].seed, v['prekey-bob'].pub),
  'parcel-im': x => parcel(x, v['keys-bob'].A, v['device-bob'].device, v['prekey-bob'].seed, v['prekey-bob'].pub),
  'parcel-sub-state': x => parcel(x, v['keys-alice'].A, v['device-alice'].device, v['prekey-alice'].seed, v['prekey-alice'].pub),
  epoch: x => { is(h.publicOf(x.E_seed), x.E); is(h.tagOf(x.K, x.device), x.tag); is(h.topicOf(x.E), x.topic) },
  update: x => record(x, { doc: x.doc }),
  beacon: x => record(x, { base: x.base }),
  strict: x => assert.throws(() => h.relayed(x.E, x.rec), h.Refused),
  ackbox: x => { box(x); signed({ ...x, signed: h.openAckBox(v['parcel-im'].CEK, h.decode('AckBox', x.ackbox)) }) },
  'frame-records': x => {
    is(h.decode('Keys', frame(x.request, { id: 1, op: 3 }).payload).keys[0], x.address)
    frame(x.reply, { id: 1, op: 3, status: 6 })
  },
  'frame-bundle': x => {
    const b = h.decode('Bundle', frame(x.reply, { id: 1, op: 3, status: 1 }).payload)
    is(b.record, x.address_record)
    is(b.devices[0], x.device_record)
  },
  'frame-watch': x => {
    is(h.decode('Keys', frame(x.request, { id: 1, op: 1 }).payload).keys[0], x.E)
    is(h.decode('KeyedRec', frame(x.rec, { op: 4 }).payload).rec, v.beacon.rec)
    is(h.decode('Keys', frame(x.reply, { id: 1, op: 1, status: 1 }).payload).now, x.now)
  },
  ed25519: x => is(x.msg ? h.verified(x.pub, x.msg, x.sig) : h.soundKey(x.pub), x.accept)
}

for (const { name, section, profile } of vectors) {
  const check = Object.keys(checks).filter(k => name === k || name.startsWith(k + '-')).sort((a, b) => b.length - a.length)[0]
  test(`${section} ${name}`, { skip: profile !== 'C0' && `of profile ${profile}` }, () => checks[check](v[name]))
}
