// npm's oidc-provider with the same work to do as the hub: dynamic registration, client metadata
// documents, PKCE, ES256 access tokens for one resource, rotating refresh tokens, introspection.
// Everything is kept in memory: the fastest it can be, and not durable.
//
// `POST /prepare` makes what the measured requests use up (codes, refresh tokens, an access token)
// through the library's own models. That is not measured.
//
// Environment: PORT, RESOURCE. Prints "ready" when it listens.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

const { PORT, RESOURCE } = process.env;
const ISSUER = `http://127.0.0.1:${PORT}`;
const ACCOUNT = 'alice';

// The library's own memory adapter forgets all but the newest 1,000 entries, which would make the
// prepared codes vanish. This one keeps them, in plain maps.
class Memory {
  static entries = new Map();
  static byGrant = new Map();

  constructor(model) { this.model = model; }

  key(id) { return `${this.model}:${id}`; }

  async upsert(id, payload) {
    const key = this.key(id);
    Memory.entries.set(key, payload);
    if (payload.uid) Memory.entries.set(`uid:${payload.uid}`, key);
    if (payload.grantId && this.model !== 'Session') {
      const keys = Memory.byGrant.get(payload.grantId) ?? [];
      keys.push(key);
      Memory.byGrant.set(payload.grantId, keys);
    }
  }

  async find(id) { return Memory.entries.get(this.key(id)); }

  async findByUid(uid) { return Memory.entries.get(Memory.entries.get(`uid:${uid}`)); }

  async consume(id) {
    const entry = Memory.entries.get(this.key(id));
    if (entry) entry.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) { Memory.entries.delete(this.key(id)); }

  async revokeByGrantId(grantId) {
    for (const key of Memory.byGrant.get(grantId) ?? []) Memory.entries.delete(key);
    Memory.byGrant.delete(grantId);
  }
}

const { privateKey } = await generateKeyPair('ES256', { extractable: true });
const key = { ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: 'bench' };

const provider = new Provider(ISSUER, {
  adapter: Memory,
  jwks: { keys: [key] },
  cookies: { keys: ['a key for the cookies of a benchmark'] },
  scopes: ['openid', 'offline_access', 'mcp:read', 'mcp:write'],
  clients: [
    {
      client_id: 'resource-server',
      client_secret: 'the secret of a resource server in a benchmark',
      redirect_uris: [],
      response_types: [],
      grant_types: [],
      token_endpoint_auth_method: 'client_secret_basic',
    },
  ],
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
  expiresWithSession: () => false,
  issueRefreshToken: () => true,
  rotateRefreshToken: true,
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  // The guard of the library refuses loopback; the document host of this benchmark lives there.
  fetch: (url, options) => {
    const { dispatcher: _, ...rest } = options ?? {};
    return globalThis.fetch(url, rest);
  },
  features: {
    devInteractions: { enabled: true },
    registration: { enabled: true },
    revocation: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    clientIdMetadataDocument: { enabled: true, ack: 'draft-02', cacheDuration: { min: 3600, max: 86400 } },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => RESOURCE,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: 'mcp:read mcp:write',
        audience: RESOURCE,
        accessTokenFormat: 'jwt',
        accessTokenTTL: 600,
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});

async function grantFor(clientId) {
  const grant = new provider.Grant({ clientId, accountId: ACCOUNT });
  grant.addResourceScope(RESOURCE, 'mcp:read');
  return grant.save();
}

const makers = {
  async code({ client, redirect, verifier }) {
    return new provider.AuthorizationCode({
      accountId: ACCOUNT,
      authTime: Math.floor(Date.now() / 1000),
      client,
      codeChallenge: createHash('sha256').update(verifier).digest('base64url'),
      codeChallengeMethod: 'S256',
      grantId: await grantFor(client.clientId),
      redirectUri: redirect,
      resource: RESOURCE,
      scope: 'mcp:read',
    }).save();
  },
  async refresh({ client }) {
    return new provider.RefreshToken({
      accountId: ACCOUNT,
      authTime: Math.floor(Date.now() / 1000),
      client,
      grantId: await grantFor(client.clientId),
      gty: 'authorization_code',
      resource: RESOURCE,
      rotations: 0,
      scope: 'mcp:read',
    }).save();
  },
  // A signed access token is not stored and cannot be introspected; an opaque one can.
  async access({ client }) {
    return new provider.AccessToken({
      accountId: ACCOUNT,
      client,
      grantId: await grantFor(client.clientId),
      gty: 'authorization_code',
      scope: 'openid',
    }).save();
  },
};

async function prepare(request, response) {
  let body = '';
  for await (const chunk of request) body += chunk;
  const { kind, count, client_id: clientId, redirect, verifier } = JSON.parse(body);
  const client = await provider.Client.find(clientId);
  const made = [];
  for (let index = 0; index < count; index += 1) {
    made.push(await makers[kind]({ client, redirect, verifier }));
  }
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(made));
}

const handle = provider.callback();
createServer((request, response) => {
  if (request.url === '/prepare') {
    prepare(request, response).catch((failure) => {
      response.statusCode = 500;
      response.end(String(failure.stack));
    });
    return;
  }
  handle(request, response);
}).listen(Number(PORT), '127.0.0.1', () => console.log('ready'));
