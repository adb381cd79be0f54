// The official conformance suite in its authorization mode: no failure, no warning. The suite opens
// a callback on a port and prints the URL that a person has to follow; a Person does.
// covers: MCP-AS-02, MCP-AS-04, MCP-AS-30, AC-03, MCP-09, QUIRK-26, QUIRK-61

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Person, check, deliver } from './person.mjs';

const issuer = process.env.HUB_ISSUER;
const [by, port] = process.argv.slice(2);

async function register() {
  const answer = await fetch(`${issuer}/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      client_name: 'Conformance suite',
      redirect_uris: [`http://127.0.0.1:${port}/callback`],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
    }),
  });
  return (await answer.json()).client_id;
}
const client = by === 'cimd' ? process.env.HUB_CLIENT_DOCUMENT : await register();

const home = dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json'));
const results = mkdtempSync(join(tmpdir(), 'conformance-'));
const child = spawn(process.execPath, [
  '--no-warnings', '--import', './fs-glob.mjs', join(home, 'dist/index.js'), 'authorization',
  '--url', issuer, '--client-id', client, '--port', port, '--resource', process.env.HUB_RESOURCE, '--output-dir', results,
]);
let said = '';
let followed = false;
const listen = (chunk) => {
  said += chunk;
  const url = /https?:\/\/[^\s"']+\/authorize\?[^\s"']+/.exec(said);
  if (url && !followed) {
    followed = true;
    new Person().allow(url[0]).then(deliver).catch((failure) => {
      said += failure.stack;
      child.kill();
    });
  }
};
child.stdout.on('data', listen);
child.stderr.on('data', listen);
const code = await new Promise((resolve) => child.on('close', resolve));
console.log(said);
check(code === 0, `the suite ended with ${code}`);
check(followed, 'the suite asked for no authorization');
// What it prints leaves warnings out; what it writes does not.
const checks = readdirSync(results, { recursive: true })
  .filter((file) => file.endsWith('checks.json'))
  .flatMap((file) => JSON.parse(readFileSync(join(results, file), 'utf8')));
rmSync(results, { recursive: true, force: true });
const complaints = checks.filter(({ status }) => !['SUCCESS', 'INFO'].includes(status));
check(complaints.length === 0, `the suite has complaints: ${JSON.stringify(complaints, null, 1)}`);
check(checks.filter(({ status }) => status === 'SUCCESS').length >= 3, `too few checks: ${JSON.stringify(checks)}`);
console.log(checks.map(({ id, status }) => `${status} ${id}`).join('\n'));
console.log('suite passed');
