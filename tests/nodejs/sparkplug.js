// Eclipse Tahu's own library: reads a payload of Sparkplug B, in hexadecimal, and writes a host's wish for births.
'use strict'

const { get } = require('sparkplug-payload')
const format = get('spBv1.0')
const input = require('fs').readFileSync(0, 'utf8')

const wish = { timestamp: 1, metrics: [{ name: 'Node Control/Rebirth', type: 'Boolean', value: true }] }
const written = JSON.stringify({
  decoded: format.decodePayload(Buffer.from(input, 'hex')),
  encoded: Buffer.from(format.encodePayload(wish)).toString('hex'),
}, (_, value) => value && value.constructor && value.constructor.name === 'Long' ? Number(value.toString()) : value)
process.stdout.write(written + '\n')
