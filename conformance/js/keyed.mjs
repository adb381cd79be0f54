// A document client with a key, as ChatGPT's is shaped: private_key_jwt at PAR, code, refresh,
// revocation; a weaker or a replayed proof is refused.
// covers: CIMD-62, CIMD-63, CIMD-65, JCA-01, JCA-02, JCA-03, JCA-07, PAR-01, PAR-03, PAR-08, T10, T11, T26, QUIRK-11

import { createPrivateKey, createSign, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createHash, randomBytes } from 'node:crypto';
import { Person, check } from './person.mjs';

const { HUB_ISSUER: issuer, HUB_KEYED_DOCUMENT: id, HUB_RESOURCE: resource } = process.env;
const key = createPrivateKey(readFileSync(process.env.HUB_KEY_FILE));
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

function assertion(changes = {}) {
  const now = Math.floor(Date.now() / 1000);
  const head = encode({ alg: 'ES256', kid: 'k1', typ: 'client-authentication+jwt' });
  const claims = encode({ iss: id, sub: id, aud: issuer, iat: now, exp: now + 60, jti: randomUUID(), ...changes });
  const signature = createSign('SHA256').update(`${head}.${claims}`)
    .sign({ key, dsaEncoding: 'ieee-p1363' }).toString('base64url');
  return `${head}.${claims}.${signature}`;
}

async function post(path, fields, proof = assertion()) {
  const body = new URLSearchParams(fields);
  if (proof) {
    body.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer');
    body.set('client_assertion', proof);
  }
  const answer = await fetch(issuer + path, { method: 'POST', body });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : {} };
}

const verifier = randomBytes(32).toString('base64url');
const redirect = 'http://127.0.0.1:40123/callback';
const request = {
  client_id: id, response_type: 'code', redirect_uri: redirect, scope: 'mcp:read', resource, state: 's',
  code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
};
check((await post('/par', request, null)).status === 401, 'PAR without a proof');
const pushed = await post('/par', request);
check(pushed.status === 201, `PAR gave ${pushed.status} ${JSON.stringify(pushed.body)}`);
const url = `${issuer}/authorize?${new URLSearchParams({ client_id: id, request_uri: pushed.body.request_uri })}`;
const answered = await new Person().allow(url);
const code = answered.searchParams.get('code');
check(code, `no code: ${answered}`);

const redeem = { grant_type: 'authorization_code', code, redirect_uri: redirect, code_verifier: verifier };
check((await post('/token', { ...redeem, client_id: id }, null)).status === 401, 'a code without a proof');
for (const changes of [{ aud: `${issuer}/token` }, { aud: [issuer, 'https://evil.example'] }, { exp: 1 }, { sub: 'x' }, { jti: undefined }]) {
  const refused = await post('/token', redeem, assertion(changes));
  check(refused.status === 401 && refused.body.error === 'invalid_client', `accepted ${JSON.stringify(changes)}`);
}
const proof = assertion();
const tokens = await post('/token', redeem, proof);
check(tokens.status === 200, `the code gave ${tokens.status} ${JSON.stringify(tokens.body)}`);
console.log('redeemed with a key');

const renew = { grant_type: 'refresh_token', refresh_token: tokens.body.refresh_token };
check((await post('/token', renew, proof)).status === 401, 'a replayed assertion');
check((await post('/token', { ...renew, client_id: id }, null)).status === 401, 'a refresh without a proof');
const renewed = await post('/token', renew);
check(renewed.status === 200, `the refresh gave ${renewed.status} ${JSON.stringify(renewed.body)}`);
check((await post('/revoke', { token: tokens.body.refresh_token, client_id: id }, null)).status === 401, 'a revocation without a proof');
check((await post('/revoke', { token: tokens.body.refresh_token })).status === 200, 'the revocation');
check((await post('/token', renew)).body.error === 'invalid_grant', 'a revoked token lives');
console.log('weaker and replayed proofs were refused');
