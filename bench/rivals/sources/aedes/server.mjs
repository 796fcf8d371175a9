// Aedes with the settings of its first argument, a JSON file: port, user and password, key and cert.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { Aedes } from 'aedes'

const told = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const limits = { queueLimit: 1_000_000, maxInflightInbound: 0, maxClientsIdLength: 1024, concurrency: 10_000 }
const rules = told.user === null ? {} : {
  authenticate: (client, user, password, done) =>
    done(null, user === told.user && password?.toString() === told.password),
  authorizePublish: (client, packet, done) => done(packet.topic.startsWith('$') ? new Error('forbidden') : null),
  authorizeSubscribe: (client, subscription, done) =>
    done(null, subscription.topic.startsWith('$') ? null : subscription)
}
const aedes = await Aedes.createBroker({ ...limits, ...rules })
const accept = (socket) => {
  socket.setNoDelay(true)
  aedes.handle(socket)
}
const server = told.key === null
  ? createServer(accept)
  : createTlsServer({ key: readFileSync(told.key), cert: readFileSync(told.cert), minVersion: 'TLSv1.3' }, accept)
server.listen({ port: told.port, host: '127.0.0.1', backlog: 4096 })
