// The official conformance suite in its authorization mode: no failure, no warning. The suite opens
// a callback on a port and prints the URL that a person has to follow; a Person does.
// covers: MCP-AS-02, MCP-AS-04, MCP-AS-30, AC-03, MCP-09, QUIRK-26, QUIRK-61

import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Person, check } from './person.mjs';

const issuer = process.env.HUB_ISSUER;
const port = process.argv[2];

const registered = await (await fetch(`${issuer}/register`, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({
    client_name: 'Conformance suite',
    redirect_uris: [`http://127.0.0.1:${port}/callback`],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none',
  }),
})).json();

const home = dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json'));
const child = spawn(process.execPath, [
  '--no-warnings', '--import', './fs-glob.mjs', join(home, 'dist/index.js'), 'authorization',
  '--url', issuer, '--client-id', registered.client_id, '--port', port,
]);
let said = '';
let followed = false;
const listen = (chunk) => {
  said += chunk;
  const url = /https?:\/\/[^\s"']+\/authorize\?[^\s"']+/.exec(said);
  if (url && !followed) {
    followed = true;
    new Person().allow(url[0]).then((answered) => fetch(answered)).catch((failure) => {
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
check(!/\bwarnings?: *[1-9]|[1-9]\d* warnings?|✗|FAILURE/i.test(said), 'the suite has complaints');
console.log('suite passed');
