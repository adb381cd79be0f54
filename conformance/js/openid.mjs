// openid-client: OpenID Connect discovery, code flow with PKCE, ID token, userinfo, refresh,
// introspection by the owner, revocation.
// covers: OIDC-01, OIDC-02, OIDC-03, OIDC-05, OIDC-11, OIDC-12, OIDC-16, AS-06, ISS-01, ISS-03, REV-01, REV-02, QUIRK-37, QUIRK-42

import * as client from 'openid-client';
import { Person, check } from './person.mjs';

const issuer = process.env.HUB_ISSUER;
const redirect = 'https://client.example/callback';
const config = await client.dynamicClientRegistration(
  new URL(issuer),
  {
    client_name: 'openid-client',
    redirect_uris: [redirect],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'client_secret_post',
  },
  undefined,
  { execute: [client.allowInsecureRequests] },
);
const metadata = config.serverMetadata();
check(metadata.issuer === issuer, 'another issuer');

const verifier = client.randomPKCECodeVerifier();
const [state, nonce] = [client.randomState(), client.randomNonce()];
const url = client.buildAuthorizationUrl(config, {
  redirect_uri: redirect,
  scope: 'openid profile email mcp:read',
  resource: process.env.HUB_RESOURCE,
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: 'S256',
  state,
  nonce,
});
const answered = await new Person().allow(url);
const tokens = await client.authorizationCodeGrant(config, answered, {
  pkceCodeVerifier: verifier,
  expectedState: state,
  expectedNonce: nonce,
  idTokenExpected: true,
});
const claims = tokens.claims();
check(claims.sub.startsWith('u_'), 'the subject is not a person');
const about = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
check(about.preferred_username === process.env.HUB_USER, 'userinfo names somebody else');
check(about.email === 'alice@example.com' && about.email_verified === false, 'the email is wrong');
console.log('identified');

const renewed = await client.refreshTokenGrant(config, tokens.refresh_token);
check(renewed.claims().sub === claims.sub, 'the refreshed ID token is somebody else’s');
const known = await client.tokenIntrospection(config, renewed.access_token);
check(known.active && known.sub === claims.sub, 'the owner cannot introspect');
await client.tokenRevocation(config, renewed.access_token);
check(!(await client.tokenIntrospection(config, renewed.access_token)).active, 'a revoked token is active');
await client.tokenRevocation(config, tokens.refresh_token);
const dead = await client.refreshTokenGrant(config, tokens.refresh_token).then(() => null, (failure) => failure);
check(dead?.error === 'invalid_grant', `a revoked refresh token gave ${dead?.error}`);
console.log('revoked');
