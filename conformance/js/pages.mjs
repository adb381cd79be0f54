// Every page that `cargo run -p vestibule-server --example pages` wrote, one after the other: axe-core and the width
// in light and dark, at 360 and 1000 pixels, with a screenshot of each, and the width at 200 % zoom; then the consent
// form by keyboard, and what keeps a double click from allowing.
// covers: A10, A16, CIMD-80, MCP-AS-27

import { createServer } from 'node:http';
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { check } from './person.mjs';

const [folder] = process.argv.slice(2);
const shots = join(process.env.HUB_SCREENSHOTS, 'pages');
mkdirSync(shots, { recursive: true });
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const names = readdirSync(folder).filter((file) => file.endsWith('.html')).map((file) => file.slice(0, -5)).sort();

// As the hub serves them: only our own sheet, no script, no frame.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const posted = [];
const server = createServer(async (request, answer) => {
  if (request.method === 'POST') {
    let body = '';
    for await (const chunk of request) body += chunk;
    posted.push(new URLSearchParams(body));
    answer.end('<!doctype html><title>posted</title>');
    return;
  }
  const name = decodeURIComponent(new URL(request.url, 'http://127.0.0.1').pathname);
  if (name === '/favicon.ico') {
    answer.writeHead(204).end();
    return;
  }
  const known = /^\/(assets\/style-[0-9a-f]+\.css|[a-z-]+\.html)$/.test(name);
  if (!known) {
    answer.writeHead(404).end();
    return;
  }
  answer.setHeader('content-type', name.endsWith('.css') ? 'text/css; charset=utf-8' : 'text/html; charset=utf-8');
  answer.setHeader('content-security-policy', policy);
  answer.end(readFileSync(join(folder, name)));
}).listen(0, '127.0.0.1');
await new Promise((resolve) => server.on('listening', resolve));
const origin = `http://127.0.0.1:${server.address().port}`;

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const page = await (await browser.newContext()).newPage();
const complaints = [];
page.on('console', (said) => { if (said.type() === 'error') complaints.push(`${page.url()}: ${said.text()}`); });

async function resize(width, what) {
  await page.setViewportSize({ width, height: 900 });
  const wide = await page.evaluate('document.documentElement.scrollWidth > document.documentElement.clientWidth');
  if (wide) complaints.push(`${what} at ${width}: scrolls sideways`);
}

for (const name of names) {
  await page.goto(`${origin}/${name}.html`);
  // The pages forbid scripts; axe runs from the debugger's side.
  await page.evaluate(axe);
  // A desk's window at 200 % zoom.
  await resize(500, name);
  for (const theme of ['light', 'dark']) {
    // Without motion a colour is at once what it will be.
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
    for (const width of [360, 1000]) {
      const what = `${name} ${theme} ${width}`;
      await resize(width, name);
      const found = await page.evaluate(`axe.run({ resultTypes: ['violations'] })`);
      for (const { id, nodes } of found.violations) complaints.push(`${what}: ${id}: ${nodes.map((n) => n.target).join(', ')}`);
      await page.screenshot({ path: join(shots, `${name}-${theme}-${width}.png`), fullPage: true });
    }
  }
}
check(complaints.length === 0, complaints.join('\n'));

// The keyboard reaches every field and each button of the longest form, in the order of the page.
await page.goto(`${origin}/consent-everything-long.html`);
const order = await page.evaluate(`[...document.querySelectorAll('a, input:not([type=hidden]), button')]
  .filter((it) => it.type !== 'radio' || it.checked).map((it) => it.value || it.textContent)`);
for (const [at, expected] of order.entries()) {
  await page.keyboard.press('Tab');
  const [focused, outline] = await page.evaluate(`[document.activeElement.value || document.activeElement.textContent, getComputedStyle(document.activeElement).outlineStyle]`);
  check(focused === expected, `Tab ${at + 1} reaches ${focused}, not ${expected}`);
  check(outline === 'solid', `${focused} does not show that it has the focus`);
}

// Enter in a field allows nothing: the form's first button denies.
await page.focus('input[name=scope]');
await page.keyboard.press('Enter');
await page.waitForURL(`${origin}/consent`);
check(posted.at(-1).getAll('decision').join() === 'deny', `Enter sends ${posted.at(-1)}`);

// Without the second confirmation the browser does not send "allow", and does send "deny" and "report".
for (const [value, sent] of [['approve', false], ['deny', true], ['report', true]]) {
  const before = posted.length;
  await page.goto(`${origin}/consent-raised.html`);
  await page.click(`button[value=${value}]`);
  if (sent) await page.waitForURL(`${origin}/consent`);
  check(posted.length - before === Number(sent), `${value} without a confirmation: ${posted.slice(before)}`);
}
await page.goto(`${origin}/consent-raised.html`);
await page.check('input[name=confirmed]');
await page.click('button[value=approve]');
await page.waitForURL(`${origin}/consent`);
check(posted.at(-1).get('decision') === 'approve' && posted.at(-1).get('confirmed') === 'yes', `a confirmed "allow" sends ${posted.at(-1)}`);

// A10: in its first moment the page takes no click for "allow"; a little later it does.
await page.goto(`${origin}/consent-unverified.html`);
const under = `(() => { const button = document.querySelector('button[value=approve]'); button.scrollIntoView(); const at = button.getBoundingClientRect();
  button.getAnimations().forEach((it) => { it.pause(); it.currentTime = TIME; });
  return document.elementFromPoint(at.x + at.width / 2, at.y + at.height / 2) === button; })()`;
check(!(await page.evaluate(under.replace('TIME', '100'))), '"allow" takes a click at once');
check(await page.evaluate(under.replace('TIME', '800')), '"allow" takes no click after a moment');

await browser.close();
server.close();
console.log(`${names.length} pages are readable`);
