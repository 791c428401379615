// Hosts and streams: libp2p as sections 3.6 and 4.7 ask for it, and the frames that run on its streams.

import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { createLibp2p } from 'libp2p'
import { cat, decode, encode, sha256, varint } from './bytes.mjs'

/** A host under the transport key T (2.1), which says nothing of whose it is. */
export const host = async (seed, listen) => createLibp2p({
  privateKey: await generateKeyPairFromSeed('Ed25519', seed),
  addresses: { listen: [listen] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    pubsub: gossipsub({
      globalSignaturePolicy: 'StrictNoSign',
      msgIdFn: ({ topic, data }) => sha256(cat(topic, data)).subarray(0, 20),
      D: 4, Dlo: 3, Dhi: 8, Dscore: 3, Dout: 1, Dlazy: 2, mcacheGossip: 2,
      scoreParams: { IPColocationFactorWeight: 0 },
      scoreThresholds: { gossipThreshold: -40, publishThreshold: -60, graylistThreshold: -80 },
      floodPublish: true, doPX: false, allowPublishToZeroTopicPeers: true
    })
  }
})

export const [OK, MALFORMED, NOT_FOUND, NO_KEY, UNKNOWN_OP] = [1, 3, 6, 8, 9] // statuses

/**
 * One stream of frames (3.6). Whoever opened it asks, the other answers, and both may tell. take(op, payload, line,
 * id) is called for what the other asks, and returns [status, payload], and, without an id, for what he tells.
 */
export class Line {
  #stream
  #asked = new Map() // by id: who waits for the reply
  #id = 0

  constructor (stream, mine, take) {
    Object.assign(this, { open: true, mine })
    this.#stream = stream
    this.ended = this.#read(take).catch(e => stream.abort(e)).then(() => {
      this.open = false
      for (const { reject } of this.#asked.values()) reject(new Error('the stream ended'))
    })
  }

  #send (frame) {
    const f = encode('Frame', frame)
    this.#stream.send(cat(varint(f.length), f))
  }

  /** Sends a frame that nobody answers. */
  tell (op, payload) { this.#send({ op, payload }) }

  /** Sends a request, and resolves to the frame of the reply. */
  ask (op, payload) {
    return new Promise((resolve, reject) => {
      const id = ++this.#id
      const settle = how => x => { clearTimeout(late); this.#asked.delete(id); how(x) }
      const late = setTimeout(settle(reject), 30_000, new Error('no answer'))
      this.#asked.set(id, { resolve: settle(resolve), reject: settle(reject) })
      this.#send({ id, op, payload })
    })
  }

  async #read (take) {
    let b = Buffer.alloc(0)
    for await (const chunk of this.#stream) {
      b = cat(b, chunk.subarray())
      for (let frame; ([frame, b] = cut(b), frame);) {
        const { id, op, status, payload = Buffer.alloc(0) } = decode('Frame', frame)
        if (status ? !id || !this.mine : id && this.mine) throw new Error('not his to say')
        if (status) this.#asked.get(id)?.resolve({ status, payload })
        else {
          const [status, reply] = await take(op, payload, this, id) ?? [UNKNOWN_OP]
          if (id) this.#send({ id, op, status, payload: reply })
        }
      }
    }
  }
}

/** Cuts the first frame off, if all of it is there: [frame, rest]. */
function cut (b) {
  const size = b.findIndex(x => x < 128) + 1 // of the length in front
  if (size === 0 && b.length < 3) return [undefined, b]
  const length = b.subarray(0, size).reduce((n, x, i) => n + (x & 127) * 128 ** i, 0)
  if (length === 0 || length > 256 * 1024 || varint(length).length !== size) throw new Error('no frame')
  return b.length < size + length ? [undefined, b] : [b.subarray(size, size + length), b.subarray(size + length)]
}
