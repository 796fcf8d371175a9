// An OpenID Provider on a free loopback port, with TLS. It is driven by lines of JSON on standard input, and answers
// each with one on standard output: {"do": "rotate"} signs with a new key from now on, {"do": "seen"} counts requests,
// {"do": "person", "person": {...}} says who sits before the browser: account, claims, amr, acr, ts; null: who refuses.
// An argument `--redirect=URI` is where people who log in are sent back to.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

const [keyFile, certificateFile, lifetime, ...words] = process.argv.slice(2);
const clients = words.filter((word) => !word.startsWith("--redirect="));
const redirects = words.filter((word) => word.startsWith("--redirect=")).map((word) => word.slice("--redirect=".length));
const secret = "not a secret: this provider lives as long as its test";
// What the provider has to say about being a toy must not come between the answers.
console.info = console.warn = console.log = console.error;
const answer = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const keys = [];
const seen = {};
let provider;
let person = null;

function signingKey() {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), alg: "ES256", use: "sig" };
}

function build(issuer) {
  keys.unshift(signingKey());
  provider = new Provider(issuer, {
    jwks: { keys: keys.slice(0, 2) },
    clients: [
      ...["bartizan", ...clients].map((id) => ({
        client_id: id,
        client_secret: secret,
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
        id_token_signed_response_alg: "ES256",
      })),
      ...(redirects.length ? [{
        client_id: "console",
        client_secret: secret,
        grant_types: ["authorization_code"],
        redirect_uris: redirects,
        response_types: ["code"],
        id_token_signed_response_alg: "ES256",
      }] : []),
    ],
    pkce: { required: () => true },
    acrValues: ["urn:plant:two"],
    // Of the scope alone, in the ID token too.
    conformIdTokenClaims: false,
    claims: {
      acr: null,
      amr: null,
      auth_time: null,
      openid: ["sub", "amr", "acr"],
      email: ["email", "email_verified"],
      profile: ["preferred_username"],
      groups: ["groups"],
    },
    findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ ...person?.claims, sub: accountId }) }),
    loadExistingGrant: async (ctx) => {
      const { client, session } = ctx.oidc;
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope("openid email profile groups");
      await grant.save();
      return grant;
    },
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

// Whoever sits before the browser logs in, or refuses, without being asked further.
async function answerFor(request, response) {
  const { account: accountId, amr, acr, ts } = person ?? {};
  const result = accountId ? { login: { accountId, amr, acr, ts } } : { error: "access_denied" };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const tls = { key: readFileSync(keyFile), cert: readFileSync(certificateFile) };
const server = createServer(tls, (request, response) => {
  seen[request.url] = (seen[request.url] ?? 0) + 1;
  if (request.url.startsWith("/interaction/")) {
    answerFor(request, response).catch((error) => response.writeHead(500).end(String(error)));
  } else {
    provider.callback()(request, response);
  }
});
server.listen(0, "127.0.0.1", () => {
  const issuer = `https://127.0.0.1:${server.address().port}`;
  build(issuer);
  answer({ issuer, secret });
  createInterface({ input: process.stdin }).on("line", (line) => {
    const command = JSON.parse(line);
    if (command.do === "rotate") build(issuer);
    if (command.do === "person") person = command.person;
    answer(seen);
  }).on("close", () => process.exit(0));
});
