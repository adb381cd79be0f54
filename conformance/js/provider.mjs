// What both TypeScript SDKs ask of a host application: keeps everything in memory, sends the
// "browser" to a Person, and remembers where it came back.

import { Person } from './person.mjs';

export class Provider {
  redirectUrl = 'http://127.0.0.1:53682/callback';
  person = new Person();
  kept = {};
  asked = [];

  constructor(by) {
    if (by === 'cimd') this.clientMetadataUrl = process.env.HUB_CLIENT_DOCUMENT;
  }

  get clientMetadata() {
    return {
      client_name: 'Conformance Agent',
      redirect_uris: [this.redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    };
  }

  state() { return (this.kept.state = crypto.randomUUID()); }
  clientInformation() { return this.kept.client; }
  saveClientInformation(client) { this.kept.client = client; }
  tokens() { return this.kept.tokens; }
  saveTokens(tokens) { this.kept.tokens = tokens; }
  saveCodeVerifier(verifier) { this.kept.verifier = verifier; }
  codeVerifier() { return this.kept.verifier; }
  saveDiscoveryState(state) { this.kept.discovery = state; }
  discoveryState() { return this.kept.discovery; }

  invalidateCredentials(scope) {
    if (scope === 'all' || scope === 'tokens') delete this.kept.tokens;
    if (scope === 'all' || scope === 'client') delete this.kept.client;
  }

  async redirectToAuthorization(url) {
    this.asked.push(url);
    this.answered = await this.person.allow(url);
    if (this.answered.searchParams.get('state') !== this.kept.state) throw new Error('state changed');
  }
}
