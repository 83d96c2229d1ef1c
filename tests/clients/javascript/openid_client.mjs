// openid-client as a program would use it, one step at a time: each line of standard input is a JSON order, each line
// of standard output its JSON answer.

import { createInterface } from 'node:readline'
import * as client from 'openid-client'

let config, checks, key, bound
const imported = async (jwk) => ({
  key: await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: jwk.crv }, false, ['sign']),
  kid: jwk.kid,
})
const authentication = {
  client_secret_basic: ({ secret }) => client.ClientSecretBasic(secret),
  client_secret_post: ({ secret }) => client.ClientSecretPost(secret),
  none: () => client.None(),
  private_key_jwt: () => client.PrivateKeyJwt(key),
}

const orders = {
  async discover({ issuer, client_id, method, secret, jwk, metadata, dpop }) {
    key = jwk && (await imported(jwk))
    const how = authentication[method]({ secret })
    config = await client.discovery(new URL(issuer), client_id, metadata, how, {
      execute: [client.allowInsecureRequests],
    })
    bound = dpop && { DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256')) }
    return config.serverMetadata()
  },
  async register({ issuer, metadata }) {
    config = await client.dynamicClientRegistration(new URL(issuer), metadata, undefined, {
      execute: [client.allowInsecureRequests],
    })
    return config.clientMetadata()
  },
  async authorize({ signed, pushed, ...parameters }) {
    const verifier = client.randomPKCECodeVerifier()
    checks = { pkceCodeVerifier: verifier, expectedState: client.randomState(), expectedNonce: client.randomNonce() }
    const asked = {
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state: checks.expectedState,
      nonce: checks.expectedNonce,
      ...parameters,
    }
    const url = pushed
      ? await client.buildAuthorizationUrlWithPAR(config, asked, bound)
      : signed
      ? await client.buildAuthorizationUrlWithJAR(config, asked, key)
      : client.buildAuthorizationUrl(config, asked)
    return url.href
  },
  async callback({ url, ...more }) {
    const expected = { ...checks, idTokenExpected: true, ...more }
    const tokens = await client.authorizationCodeGrant(config, new URL(url), expected, undefined, bound)
    return { ...tokens, claims: tokens.claims() }
  },
  userinfo: ({ token, subject }) => client.fetchUserInfo(config, token, subject, bound),
  async refresh({ token }) {
    const tokens = await client.refreshTokenGrant(config, token, undefined, bound)
    return { ...tokens, claims: tokens.claims() }
  },
  introspect: ({ token }) => client.tokenIntrospection(config, token),
  async revoke({ token }) {
    await client.tokenRevocation(config, token)
    return null
  },
  device: ({ scope }) => client.initiateDeviceAuthorization(config, { scope }),
  async poll({ answer }) {
    const tokens = await client.pollDeviceAuthorizationGrant(config, answer)
    return { ...tokens, claims: tokens.claims() }
  },
  async logout(parameters) {
    return client.buildEndSessionUrl(config, parameters).href
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const { order, ...details } = JSON.parse(line)
  try {
    console.log(JSON.stringify({ answer: await orders[order](details) }))
  } catch (error) {
    console.log(JSON.stringify({ error: error.error ?? error.code ?? error.message, message: String(error.cause ?? error) }))
  }
}
