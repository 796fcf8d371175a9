// One MQTT.js client, driven by JSON commands on standard input, one a line; it answers the same way.
// {"id": 1, "do": "connect", "url": ..., "options": {...}}, then subscribe, publish, drop, end.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import mqtt from "mqtt";

let client;

const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const bytes = (base64) => Buffer.from(base64, "base64");

function connect({ url, options, files, will }) {
  const secrets = Object.fromEntries(Object.entries(files).map(([key, file]) => [key, readFileSync(file)]));
  if (will) options.will = { ...will, payload: bytes(will.payload) };
  return new Promise((resolve, reject) => {
    client = mqtt.connect(url, { ...options, ...secrets });
    client.on("message", (topic, payload, packet) =>
      say({ topic, payload: payload.toString("base64"), qos: packet.qos, retain: packet.retain }),
    );
    client.once("connect", (connack) => resolve({ session_present: connack.sessionPresent }));
    client.on("error", reject); // also after the first connection: then nobody waits, and MQTT.js tries again
  });
}

const verbs = {
  connect,
  subscribe: async ({ filter, qos }) => (await client.subscribeAsync(filter, { qos })).map((one) => one.qos),
  publish: async ({ topic, payload, options }) => {
    const packet = await client.publishAsync(topic, bytes(payload), options);
    return packet?.reasonCode ?? 0;
  },
  drop: async () => client.stream.destroy(),
  end: async () => client.endAsync(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  verbs[command.do](command)
    .then((answer) => say({ id: command.id, answer: answer ?? null }))
    .catch((error) => say({ id: command.id, error: `${error.message} ${error.code ?? ""}` }));
}
process.exit(0);
