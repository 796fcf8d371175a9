// An OpenID Provider on a free loopback port, with TLS. It is driven by lines of JSON on standard input, and answers
// each with one on standard output: {"do": "rotate"} signs with a new key from now on, {"do": "seen"} counts requests.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

const [keyFile, certificateFile, lifetime, ...clients] = process.argv.slice(2);
const secret = "not a secret: this provider lives as long as its test";
// What the provider has to say about being a toy must not come between the answers.
console.info = console.warn = console.log = console.error;
const answer = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const keys = [];
const seen = {};
let provider;

function signingKey() {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), alg: "ES256", use: "sig" };
}

function build(issuer) {
  keys.unshift(signingKey());
  provider = new Provider(issuer, {
    jwks: { keys: keys.slice(0, 2) },
    clients: ["bartizan", ...clients].map((id) => ({
      client_id: id,
      client_secret: secret,
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: "ES256",
    })),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true,
        // urn:mqtt:jwt and urn:mqtt:opaque: the broker, by tokens of either form.
        getResourceServerInfo: (_ctx, resource) => ({
          scope: "mqtt",
          audience: "bartizan",
          accessTokenTTL: Number(lifetime),
          accessTokenFormat: resource.endsWith("jwt") ? "jwt" : "opaque",
          jwt: { sign: { alg: "ES256" } },
        }),
      },
    },
  });
}

const tls = { key: readFileSync(keyFile), cert: readFileSync(certificateFile) };
const server = createServer(tls, (request, response) => {
  seen[request.url] = (seen[request.url] ?? 0) + 1;
  provider.callback()(request, response);
});
server.listen(0, "127.0.0.1", () => {
  const issuer = `https://127.0.0.1:${server.address().port}`;
  build(issuer);
  answer({ issuer, secret });
  createInterface({ input: process.stdin }).on("line", (line) => {
    if (JSON.parse(line).do === "rotate") build(issuer);
    answer(seen);
  }).on("close", () => process.exit(0));
});
