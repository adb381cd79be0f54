// MCP Inspector's command line: signs in by the URL that it prints, keeps what it got in a folder,
// and uses it again in the next run.
// covers: QUIRK-21, QUIRK-50

import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Person, check } from './person.mjs';

const [by, port] = process.argv.slice(2);
const home = mkdtempSync(join(tmpdir(), 'inspector-'));
const callback = `http://127.0.0.1:${port}/oauth/callback`;

async function run(...extra) {
  const child = spawn(process.execPath, [
    'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js', '--cli',
    '--transport', 'http', '--server-url', process.env.HUB_RESOURCE, '--callback-url', callback,
    ...(by === 'cimd' ? ['--client-metadata-url', process.env.HUB_CLIENT_DOCUMENT] : []),
    '--format', 'json', ...extra,
  ], { env: { ...process.env, HOME: home, MCP_STORAGE_DIR: home, BROWSER: 'true', MCP_AUTO_OPEN_ENABLED: 'true', PATH: home }, stdio: ['ignore', 'pipe', 'pipe'] });
  let [said, out, followed] = ['', '', 0];
  const listen = (chunk) => {
    said += chunk;
    const url = /http:\/\/\S+\/authorize\?[^\s"']+/.exec(said);
    if (url && followed === 0) {
      followed = 1;
      new Person().allow(url[0]).then((answered) => fetch(answered)).catch((failure) => { said += failure.stack; child.kill(); });
    }
  };
  child.stdout.on('data', (chunk) => { out += chunk; listen(chunk); });
  child.stderr.on('data', listen);
  const code = await new Promise((resolve) => child.on('close', resolve));
  check(code === 0, `the inspector ended with ${code}:\n${said}`);
  return { out, followed };
}

const first = await run('--method', 'tools/call', '--tool-name', 'whoami');
check(/mcp:read/.test(first.out), `whoami does not know the scope: ${first.out}`);
if (by === 'cimd') check(first.out.includes(process.env.HUB_CLIENT_DOCUMENT), 'not the document client');
check(first.followed === 1, 'the person was not asked');
console.log('signed in, tool called');
