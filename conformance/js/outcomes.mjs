// What each outcome of the policies means for the official TypeScript SDK, by registration or by
// document: what the person reads, what the token may do and how long.

import { execFileSync } from 'node:child_process';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { check } from './person.mjs';
import { Provider } from './provider.mjs';

const [by, outcome, binary, config] = process.argv.slice(2);
const provider = new Provider(by);
const { person } = provider;
const url = new URL(process.env.HUB_RESOURCE);
const says = (text) => person.pages.some((page) => page.includes(text));
const admin = (...words) => execFileSync(binary, ['approvals', '--config', config, ...words], { encoding: 'utf8' });

async function connect() {
  for (let tries = 0; tries < 2; tries += 1) {
    const transport = new StreamableHTTPClientTransport(url, { authProvider: provider });
    const client = new Client({ name: 'conformance', version: '1.0.0' });
    try {
      await client.connect(transport);
      return { client, transport };
    } catch (failure) {
      if (tries > 0 || !provider.answered) throw failure;
      const answered = provider.answered;
      delete provider.answered;
      await transport.finishAuth(answered.searchParams);
    }
  }
}

async function calls() {
  const { client, transport } = await connect();
  const told = await client.callTool({ name: 'whoami', arguments: {} });
  check(/mcp:read/.test(told.content[0].text), 'whoami does not know the scope');
  return { client, transport, tokens: provider.kept.tokens };
}

const plays = {
  async allow() {
    const { tokens } = await calls();
    check(tokens.expires_in === 600, `expires_in ${tokens.expires_in}`);
    check(!says('name="confirmed"'), 'a confirmation was asked for');
  },
  async unverified() {
    const { tokens } = await calls();
    check(tokens.expires_in === 600, `expires_in ${tokens.expires_in}`);
    check(says('Unverified') && says('A test of unverified'), 'the verdict is not on the page');
  },
  async warn() {
    await calls().then(() => check(false, 'nothing was confirmed, and it went on'), () => {});
    check(says('A test of warn') && says('name="confirmed"'), 'the warning is not on the page');
    delete provider.answered;
    person.confirms = true;
    const { tokens } = await calls();
    check(!/write/.test(tokens.scope), `scope ${tokens.scope}`);
  },
  async read_only() {
    person.confirms = true;
    const { client } = await calls();
    // A step-up leads to the page again, which withholds what was asked for.
    const wrote = client.callTool({ name: 'write_note', arguments: { text: 'hello' } });
    await wrote.then(() => check(false, 'a note was written'), () => {});
    check(!/write/.test(provider.kept.tokens.scope), `scope ${provider.kept.tokens.scope}`);
    check(says('A test of read_only'), 'the reason is not on the page');
  },
  async short_session() {
    const { tokens } = await calls();
    check(tokens.expires_in <= 300, `expires_in ${tokens.expires_in}`);
  },
  async step_up() {
    person.confirms = true;
    await calls();
    check(says('name="password"') && says('name="confirmed"'), 'no sign-in, or no confirmation');
  },
  async hold() {
    person.confirms = true;
    let waited = 0;
    person.whileWaiting = async () => {
      waited += 1;
      const [row] = JSON.parse(admin('list', '--json'));
      if (waited === 1) admin('approve', String(row.id));
    };
    await calls();
    check(waited >= 1 && says('A test of hold'), 'nobody waited, or nobody said why');
  },
  async block() {
    await calls().then(() => check(false, 'a blocked agent came in'), () => {});
    check(!provider.kept.tokens, 'a blocked agent has a token');
    check(!says('A test of block'), 'the answer is not neutral');
    if (by === 'cimd') check(says('This hub does not let this app in.'), 'the person is told nothing');
  },
};

await plays[outcome]();
console.log(`${outcome} is what it says`);
// The SDK keeps a stream open that would keep the process.
process.exit(0);
