// mcp-remote, the bridge of hosts that only speak stdio: a subprocess that registers (or shows its
// document), sends the person to a URL that it prints, and listens for the answer itself. It keeps
// its tokens in a file and reads them before each request.
// covers: QUIRK-21, NAT-01

import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { Person, check, deliver } from './person.mjs';

const [by, port] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'mcp-remote-'));
const transport = new StdioClientTransport({
  command: process.execPath,
  args: [
    'node_modules/mcp-remote/dist/proxy.js', process.env.HUB_RESOURCE, port, '--transport', 'http-only',
    ...(by === 'cimd' ? ['--client-metadata-url', process.env.HUB_CLIENT_DOCUMENT] : []),
  ],
  env: { ...process.env, HOME: folder, MCP_REMOTE_CONFIG_DIR: folder, PATH: folder },
  stderr: 'pipe',
});
let said = '';
const visits = [];
transport.stderr.on('data', (chunk) => {
  said += chunk;
  // Whole lines only: a chunk may end within the URL.
  const urls = said.match(/http:\/\/\S+\/authorize\?\S+(?=\s)/g) ?? [];
  for (const url of urls.slice(visits.length)) {
    visits.push(new URL(url));
    new Person().allow(url).then(deliver).catch((failure) => { said += failure.stack; });
  }
});

// The file that it keeps its tokens in.
function tokens() {
  const path = readdirSync(folder, { recursive: true }).find((file) => file.endsWith('_tokens.json'));
  const file = join(folder, path);
  return { file, kept: JSON.parse(readFileSync(file, 'utf8')) };
}

const client = new Client({ name: 'conformance', version: '1.0.0' });
try {
  await client.connect(transport);
  const told = await client.callTool({ name: 'whoami', arguments: {} });
  check(/mcp:read/.test(told.content[0].text), 'whoami does not know the scope');
  check(told.content[0].text.includes(process.env.HUB_CLIENT_DOCUMENT) === (by === 'cimd'), 'another client');
  check(visits.length === 1, `the person was sent ${visits.length} times`);
  console.log('signed in, tool called');

  const { file, kept } = tokens();
  writeFileSync(file, JSON.stringify({ ...kept, access_token: 'broken', expires_in: 1, expires_at: Date.now() - 1_000 }));
  const again = await client.callTool({ name: 'whoami', arguments: {} });
  check(again.content[0].text === told.content[0].text, 'after the refresh somebody else is there');
  check(tokens().kept.refresh_token !== kept.refresh_token, 'the refresh token did not rotate');
  check(visits.length === 1, 'the person was asked again for a refresh');
  console.log('refreshed');

  const wrote = await client.callTool({ name: 'write_note', arguments: { text: 'hello' } });
  check(/is kept/.test(wrote.content[0].text), `the note was not written: ${JSON.stringify(wrote)}`);
  check(visits.length === 2, `the person was asked ${visits.length} times`);
  check(visits[1].searchParams.get('scope').includes('mcp:write'), 'the step-up asked for too little');
  console.log('stepped up');
} catch (failure) {
  console.error(said);
  throw failure;
} finally {
  await client.close();
  rmSync(folder, { recursive: true, force: true });
}
