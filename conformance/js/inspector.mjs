// MCP Inspector's command line: signs in by the URL that it prints, keeps what it got in a folder,
// and uses it again in the next run: there it refreshes, and then asks for more.
// covers: QUIRK-21, QUIRK-50

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Person, check, deliver } from './person.mjs';

const [by, port] = process.argv.slice(2);
const home = mkdtempSync(join(tmpdir(), 'inspector-'));
const callback = `http://127.0.0.1:${port}/oauth/callback`;

// A server that is only named on the command line is never asked for more, unless with a document;
// one in a file with a word about OAuth is.
const servers = join(home, 'servers.json');
writeFileSync(servers, JSON.stringify({
  mcpServers: { hub: { type: 'streamable-http', url: process.env.HUB_RESOURCE, oauth: { scopes: 'mcp:read' } } },
}));

// One run; gives what it printed and the URLs that the person was sent to.
async function run(...extra) {
  const child = spawn(process.execPath, [
    'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js', '--cli',
    '--callback-url', callback,
    ...(by === 'cimd'
      ? ['--transport', 'http', '--server-url', process.env.HUB_RESOURCE, '--client-metadata-url', process.env.HUB_CLIENT_DOCUMENT]
      : ['--config', servers, '--server', 'hub']),
    '--format', 'json', ...extra,
  ], {
    env: {
      ...process.env, HOME: home, MCP_STORAGE_DIR: home, MCP_INSPECTOR_SECRET_STORE: 'file',
      BROWSER: 'true', MCP_AUTO_OPEN_ENABLED: 'true', PATH: home,
    },
  });
  // It asks before it asks for more.
  child.stdin.end('y\n');
  let [said, out] = ['', ''];
  const visits = [];
  const listen = (chunk) => {
    said += chunk;
    // Whole lines only: a chunk may end within the URL.
    const url = /http:\/\/\S+\/authorize\?[^\s"']+(?=[\s"'])/.exec(said);
    if (url && visits.length === 0) {
      visits.push(new URL(url[0]));
      new Person().allow(url[0]).then(deliver).catch((failure) => { said += failure.stack; child.kill(); });
    }
  };
  child.stdout.on('data', (chunk) => { out += chunk; listen(chunk); });
  child.stderr.on('data', listen);
  const code = await new Promise((resolve) => child.on('close', resolve));
  check(code === 0, `the inspector ended with ${code}:\n${said}`);
  return { out, visits };
}

// The tokens in the file of secrets; `change` may give others.
function tokens(change = (value) => value) {
  const file = join(home, 'secrets.json');
  const state = JSON.parse(readFileSync(file, 'utf8'));
  const [name] = Object.keys(state.secrets).filter((key) => key.includes(':tokens:'));
  const kept = change(JSON.parse(state.secrets[name]));
  state.secrets[name] = JSON.stringify(kept);
  writeFileSync(file, JSON.stringify(state));
  return kept;
}

const first = await run('--method', 'tools/call', '--tool-name', 'whoami');
check(/mcp:read/.test(first.out), `whoami does not know the scope: ${first.out}`);
check(first.out.includes(process.env.HUB_CLIENT_DOCUMENT) === (by === 'cimd'), 'another client');
check(first.visits.length === 1, 'the person was not asked');
console.log('signed in, tool called');

const before = tokens((kept) => ({ ...kept, access_token: 'broken' })).refresh_token;
check(before, 'no refresh token was issued');
const again = await run('--method', 'tools/call', '--tool-name', 'whoami');
check(again.out === first.out, `after the refresh somebody else is there: ${again.out}`);
check(again.visits.length === 0, 'the person was asked again for a refresh');
check(tokens().refresh_token !== before, 'the refresh token did not rotate');
console.log('refreshed');

const wrote = await run('--method', 'tools/call', '--tool-name', 'write_note', '--tool-arg', 'text=hello');
check(/is kept/.test(wrote.out), `the note was not written: ${wrote.out}`);
check(wrote.visits[0]?.searchParams.get('scope').includes('mcp:write'), 'the step-up asked for too little');
console.log('stepped up');
rmSync(home, { recursive: true, force: true });
