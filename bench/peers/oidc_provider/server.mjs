// oidc-provider for client credentials and introspection, as one production process of it: PORT, REDIS_URL, CLIENT_ID and
// CLIENT_SECRET come from the environment. RESOURCE is what JWTs are made for; without it a token is opaque.

import { generateKeyPairSync } from "node:crypto";
import Provider from "oidc-provider";
import { RedisAdapter } from "./redis_adapter.mjs";

const { PORT, CLIENT_ID, CLIENT_SECRET, RESOURCE } = process.env;
const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });

const provider = new Provider(`http://127.0.0.1:${PORT}`, {
  adapter: RedisAdapter,
  jwks: { keys: [{ ...key, use: "sig", alg: "ES256" }] },
  cookies: { keys: [CLIENT_SECRET] },
  clients: [
    {
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      token_endpoint_auth_method: "client_secret_basic",
      id_token_signed_response_alg: "ES256",
      grant_types: ["client_credentials"],
      response_types: [],
      redirect_uris: [],
      scope: "metrics",
    },
  ],
  scopes: ["metrics"],
  ttl: { ClientCredentials: 86400 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: (_, client, token) => client.clientId === token.clientId },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        scope: "metrics",
        audience: RESOURCE,
        accessTokenTTL: 86400,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "ES256" } },
      }),
    },
  },
});

const server = provider.listen(Number(PORT), "127.0.0.1");
server.keepAliveTimeout = 75_000;
