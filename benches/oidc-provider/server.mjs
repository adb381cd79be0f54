// npm's oidc-provider with the same work to do as the hub: dynamic registration, client metadata
// documents, PKCE, ES256 access tokens for one resource, rotating refresh tokens, introspection.
//
// With STORE everything is kept in that SQLite file, and each answer comes after the commits that it
// takes. Without it everything is kept in memory: the fastest it can be, and not durable.
//
// `POST /prepare` makes what the measured requests use up (codes, refresh tokens, an access token)
// through the library's own models. That is not measured.
//
// Environment: PORT, RESOURCE, STORE. Prints "ready" when it listens.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

const { PORT, RESOURCE, STORE } = process.env;
const ISSUER = `http://127.0.0.1:${PORT}`;
const ACCOUNT = 'alice';

// The library's own memory adapter forgets all but the newest 1,000 entries, which would make the
// prepared codes vanish. This one keeps them, in plain maps.
class Memory {
  static entries = new Map();
  static byGrant = new Map();

  static begin() {}

  static commit() {}

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

// One table, a transaction for each call: what the library asks of an adapter, done plainly and well.
// Statements are prepared once, a call is one statement, and expired rows count as gone.
async function sqlite(path) {
  const { default: Database } = await import('better-sqlite3');
  const db = new Database(path);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.exec(`
    CREATE TABLE entries (
      key      TEXT PRIMARY KEY,
      payload  TEXT NOT NULL,
      expires  INTEGER,
      consumed INTEGER,
      grant_id TEXT,
      uid      TEXT
    ) WITHOUT ROWID;
    CREATE INDEX entries_grant ON entries (grant_id) WHERE grant_id IS NOT NULL;
    CREATE INDEX entries_uid ON entries (uid) WHERE uid IS NOT NULL;
  `);
  const put = db.prepare(`
    INSERT INTO entries (key, payload, expires, grant_id, uid) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET payload = excluded.payload, expires = excluded.expires,
      grant_id = excluded.grant_id, uid = excluded.uid
  `);
  const live = 'AND (expires IS NULL OR expires > ?)';
  const get = db.prepare(`SELECT payload, consumed FROM entries WHERE key = ? ${live}`);
  const getByUid = db.prepare(`SELECT payload, consumed FROM entries WHERE uid = ? ${live}`);
  const consume = db.prepare('UPDATE entries SET consumed = ? WHERE key = ?');
  const remove = db.prepare('DELETE FROM entries WHERE key = ?');
  const removeGrant = db.prepare('DELETE FROM entries WHERE grant_id = ?');

  const now = () => Math.floor(Date.now() / 1000);
  const read = (row) => {
    if (!row) return undefined;
    const payload = JSON.parse(row.payload);
    if (row.consumed) payload.consumed = row.consumed;
    return payload;
  };

  class Sqlite {
    // What is prepared is not measured: it may be one transaction.
    static begin() { db.exec('BEGIN'); }

    static commit() { db.exec('COMMIT'); }

    constructor(model) { this.model = model; }

    key(id) { return `${this.model}:${id}`; }

    async upsert(id, payload, expiresIn) {
      const expires = expiresIn ? now() + expiresIn : null;
      const grant = this.model === 'Session' ? null : payload.grantId ?? null;
      put.run(this.key(id), JSON.stringify(payload), expires, grant, payload.uid ?? null);
    }

    async find(id) { return read(get.get(this.key(id), now())); }

    async findByUid(uid) { return read(getByUid.get(uid, now())); }

    async consume(id) { consume.run(now(), this.key(id)); }

    async destroy(id) { remove.run(this.key(id)); }

    async revokeByGrantId(grantId) { removeGrant.run(grantId); }
  }
  return Sqlite;
}

const Adapter = STORE ? await sqlite(STORE) : Memory;

const { privateKey } = await generateKeyPair('ES256', { extractable: true });
const key = { ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: 'bench' };

const provider = new Provider(ISSUER, {
  adapter: Adapter,
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
    {
      client_id: 'robot',
      client_secret: 'the secret of a machine in a benchmark',
      redirect_uris: [],
      response_types: [],
      grant_types: ['client_credentials'],
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
    clientCredentials: { enabled: true },
    revocation: { enabled: true, allowedPolicy: () => true },
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
  Adapter.begin();
  for (let index = 0; index < count; index += 1) {
    made.push(await makers[kind]({ client, redirect, verifier }));
  }
  Adapter.commit();
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
