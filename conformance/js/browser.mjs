// One whole flow by a person in a real browser: sign in, read the page, allow; with axe-core on each
// page, screenshots in light, dark and narrow, by keyboard only in the last round.
// covers: GEN-11, GEN-20, GEN-21, CIMD-80, CIMD-85, MCP-AS-27, MCP-AS-28, MCP-SBP-02, A10, A14, A16, BCP-07, AC-12

import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { check } from './person.mjs';

const { HUB_ISSUER: issuer, HUB_RESOURCE: resource, HUB_USER, HUB_PASSWORD, HUB_CLIENT_DOCUMENT, HUB_SCREENSHOTS } = process.env;
mkdirSync(HUB_SCREENSHOTS, { recursive: true });
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

// The agent's own listener: what it gets is what the hub sent the browser to.
let arrived;
const listener = createServer((request, answer) => {
  if (request.url.startsWith('/callback')) arrived?.(new URL(request.url, 'http://127.0.0.1'));
  answer.end('<title>done</title>You can close this page.');
}).listen(0, '127.0.0.1');
await new Promise((resolve) => listener.on('listening', resolve));
const redirect = `http://127.0.0.1:${listener.address().port}/callback`;

async function register(name, extra = {}) {
  const answer = await fetch(`${issuer}/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_name: name, redirect_uris: ['http://127.0.0.1/callback'], grant_types: ['authorization_code', 'refresh_token'], token_endpoint_auth_method: 'none', ...extra }),
  });
  return (await answer.json()).client_id;
}

function request(client_id, scope) {
  const verifier = randomBytes(32).toString('base64url');
  return `${issuer}/authorize?${new URLSearchParams({
    client_id, scope, resource, redirect_uri: redirect, response_type: 'code', state: 'a&b"c', code_challenge_method: 'S256',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
  })}`;
}

async function look(page, name) {
  await page.addScriptTag({ content: axe }).catch(() => {});
  // The pages forbid scripts; axe runs from the debugger's side.
  const found = await page.evaluate(`(() => { ${axe}; return axe.run(); })()`);
  const serious = found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(', ')}`);
  check(serious.length === 0, `${name}: ${serious.join('; ')}`);
  for (const [theme, width] of [['light', 1000], ['dark', 1000], ['light', 360], ['dark', 360]]) {
    await page.emulateMedia({ colorScheme: theme });
    await page.setViewportSize({ width, height: 900 });
    const wide = await page.evaluate('document.documentElement.scrollWidth > document.documentElement.clientWidth');
    check(!wide, `${name} scrolls sideways at ${width}`);
    await page.screenshot({ path: join(HUB_SCREENSHOTS, `${name}-${theme}-${width}.png`), fullPage: true });
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1000, height: 900 });
}

async function flow(url, { keyboard = false, name, context }) {
  const page = await context.newPage();
  const outside = [];
  page.on('request', (asked) => { if (![issuer, redirect].some((own) => asked.url().startsWith(own))) outside.push(asked.url()); });
  const answered = new Promise((resolve) => { arrived = resolve; });
  await page.goto(url);
  if (await page.locator('input[name=password]').count()) {
    if (name) await look(page, `sign-in-${name}`);
    if (keyboard) {
      await page.keyboard.press('Tab');
      await page.keyboard.type(HUB_USER);
      await page.keyboard.press('Tab');
      await page.keyboard.type(HUB_PASSWORD);
      await page.keyboard.press('Enter');
    } else {
      await page.fill('input[name=username]', HUB_USER);
      await page.fill('input[name=password]', HUB_PASSWORD);
      await page.click('button[type=submit]');
    }
    await page.waitForSelector('button[value=approve]');
  }
  const text = await page.locator('main').innerText();
  if (name) await look(page, `consent-${name}`);
  if (keyboard) {
    for (let presses = 0; presses < 20; presses += 1) {
      await page.keyboard.press('Tab');
      if (await page.evaluate(`document.activeElement.value === 'approve'`)) break;
    }
    await page.keyboard.press('Enter');
  } else {
    await page.click('button[value=approve]');
  }
  const location = await Promise.race([answered, new Promise((_, no) => setTimeout(() => no(new Error('nothing arrived')), 10_000))]);
  check(location.searchParams.get('code'), `no code: ${location}`);
  check(location.searchParams.get('iss') === issuer, 'iss');
  check(location.searchParams.get('state') === 'a&b"c', 'state changed');
  check(outside.length === 0, `the page asked others: ${outside}`);
  await page.close();
  return text;
}

const hostile = '<img src=x onerror="document.title=1">\u202eevil';
const context = await browser.newContext();
const registered = await flow(request(await register(hostile), 'mcp:read mcp:write openid email'), { context, name: 'registered' });
check(registered.indexOf('An app that registered itself') < registered.indexOf('calls itself'), 'the name comes before who it is');
check(registered.includes('<img src=x') && !registered.includes('\u202e'), 'hostile text is not shown as text');
check(/127\.0\.0\.1:\d+/.test(registered), 'the redirect host is missing');
check(/Only go on if you started this yourself/.test(registered), 'no loopback warning');
const document = await flow(request(HUB_CLIENT_DOCUMENT, 'mcp:read'), { context: await browser.newContext(), name: 'document' });
check(/^A request to connect\s+localhost\s/.test(document.trim()), `the host is not first: ${document.slice(0, 80)}`);
await flow(request(await register('By keyboard'), 'mcp:read'), { context: await browser.newContext(), keyboard: true });

const page = await context.newPage();
const failed = await page.goto(`${issuer}/authorize?client_id=nobody`);
check(failed.status() === 400 && /Reference/.test(await page.locator('main').innerText()), 'no error page');
await look(page, 'failure');
const headers = failed.headers();
check(headers['x-frame-options'] === 'DENY' && /frame-ancestors 'none'/.test(headers['content-security-policy']), 'frames');
await page.goto(`${issuer}/account`);
await look(page, 'account');
await page.click('button[type=submit]');
await page.waitForSelector('text=You are signed out');
await look(page, 'signed-out');
await browser.close();
listener.close();
console.log('a person walked through');
