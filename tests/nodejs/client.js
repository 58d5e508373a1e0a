// An ioFog microservice on the official Node.js SDK. Prints what happens as lines of JSON.
'use strict'

// The SDK pings its host three times before it does anything, and the ping program may be missing.
require('child_process').exec = (_command, done) => done(null, '', '')
const say = (event) => process.stdout.write(JSON.stringify(event) + '\n')
console.log = console.info = console.warn = console.error = (...words) => process.stderr.write(words.join(' ') + '\n')

const iofog = require('@datasance/iofog-nodejs-sdk')

// The SDK reads 8-byte integers as floating point, which makes nonsense of every timestamp.
iofog.byteUtils.readNumberFromBytes = (data, at, size) =>
  size === 8 ? Number(data.readBigInt64BE(at)) : data.readUIntBE(at, size)

const failed = (what) => (error) => say({ failed: what, error: String(error) })
const fetchConfig = () =>
  iofog.getConfig({
    onBadRequest: failed('config'),
    onError: failed('config'),
    onNewConfig: (config) => say({ config })
  })

iofog.init('127.0.0.1', Number(process.argv[2]), process.argv[3], () => {
  fetchConfig()
  iofog.wsControlConnection({
    onError: failed('control socket'),
    onNewConfigSignal: () => { say({ signal: 'config' }); fetchConfig() },
    onEdgeResourceUpdatedSignal: () => say({ signal: 'edge resources' })
  })
  iofog.wsMessageConnection(
    () => {
      say({ open: 'message socket' })
      iofog.wsSendMessage(iofog.ioMessage({
        tag: 'from node',
        groupid: 'g',
        sequencenumber: 1,
        sequencetotal: 1,
        priority: 5,
        infotype: 'greeting',
        infoformat: 'utf-8',
        contextdata: Buffer.from('context'),
        contentdata: Buffer.from('hello from node')
      }))
    },
    {
      onError: failed('message socket'),
      onMessageReceipt: (id, timestamp) => say({ receipt: id, timestamp }),
      onMessages: (messages) => messages.forEach((message) => say({
        id: message.id,
        publisher: message.publisher,
        tag: message.tag,
        sequencenumber: message.sequencenumber,
        infotype: message.infotype,
        content: message.contentdata.toString('utf-8')
      }))
    }
  )
})
