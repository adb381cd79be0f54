// mcp-remote, the bridge of hosts that only speak stdio: a subprocess that registers, sends the
// person to a URL that it prints, and listens for the answer itself.
// covers: QUIRK-21, NAT-01

import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { Person, check } from './person.mjs';

const folder = mkdtempSync(join(tmpdir(), 'mcp-remote-'));
const transport = new StdioClientTransport({
  command: process.execPath,
  args: ['node_modules/mcp-remote/dist/proxy.js', process.env.HUB_RESOURCE, process.argv[2], '--transport', 'http-only'],
  env: { ...process.env, HOME: folder, MCP_REMOTE_CONFIG_DIR: folder, PATH: folder },
  stderr: 'pipe',
});
let said = '';
let followed = 0;
transport.stderr.on('data', (chunk) => {
  said += chunk;
  const urls = said.match(/http:\/\/\S+\/authorize\?\S+/g) ?? [];
  for (const url of urls.slice(followed)) {
    followed += 1;
    new Person().allow(url).then((answered) => fetch(answered)).catch((failure) => { said += failure.stack; });
  }
});
const client = new Client({ name: 'conformance', version: '1.0.0' });
try {
  await client.connect(transport);
  const told = await client.callTool({ name: 'whoami', arguments: {} });
  check(/mcp:read/.test(told.content[0].text), 'whoami does not know the scope');
} catch (failure) {
  console.error(said);
  throw failure;
}
check(followed === 1, `the person was sent ${followed} times`);
console.log('signed in, tool called');
await client.close();
