// A person with a browser: follows the authorization URL, signs in, reads the consent page, allows.
// Plain HTTP with a cookie jar and the page's own forms; the real browser is in browser.mjs.

const { HUB_USER, HUB_PASSWORD } = process.env;

export class Person {
  cookies = new Map();
  // Every page that was read, oldest first.
  pages = [];
  // Whether warnings are confirmed where a page asks for it.
  confirms = false;
  // What is done while an app waits for an administrator.
  whileWaiting = async () => { throw new Error('the app waits for an administrator'); };

  async request(url, options = {}) {
    const headers = { accept: 'text/html', ...options.headers };
    if (this.cookies.size > 0) {
      headers.cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    }
    const answer = await fetch(url, { redirect: 'manual', ...options, headers });
    for (const line of answer.headers.getSetCookie()) {
      const [pair] = line.split(';');
      const at = pair.indexOf('=');
      const [name, value] = [pair.slice(0, at), pair.slice(at + 1)];
      if (value === '') this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return answer;
  }

  // Walk from the authorization URL to the redirect; `choose` may change what is ticked.
  async allow(url, { approve = true } = {}) {
    let answer = await this.request(url);
    let from = new URL(url);
    for (let step = 0; step < 6; step += 1) {
      if (answer.status >= 300 && answer.status < 400) return new URL(answer.headers.get('location'));
      const html = await answer.text();
      this.pages.push(html);
      const form = /<form method="post" action="([^"]+)">([\s\S]*?)<\/form>/.exec(html);
      if (!form) throw new Error(`no form on the page (${answer.status}): ${html}`);
      if (form[1].endsWith('/waiting')) {
        await this.whileWaiting();
        // As a browser does: the page asks again by itself.
        const [, again] = /url=(\S+)/.exec(answer.headers.get('refresh'));
        from = new URL(again, from);
        answer = await this.request(from);
        continue;
      }
      const fields = new URLSearchParams();
      for (const [tag] of form[2].matchAll(/<input[^>]*>/g)) {
        const name = attribute(tag, 'name');
        const type = attribute(tag, 'type');
        if (type === 'hidden' || (type === 'checkbox' && / checked/.test(tag))) {
          fields.append(name, attribute(tag, 'value'));
        } else if (name === 'confirmed' && this.confirms) {
          fields.append(name, attribute(tag, 'value'));
        } else if (name === 'username') fields.set(name, HUB_USER);
        else if (name === 'password') fields.set(name, HUB_PASSWORD);
      }
      if (/name="decision"/.test(form[2])) fields.set('decision', approve ? 'approve' : 'deny');
      from = new URL(unescapeHtml(form[1]), from);
      answer = await this.request(from, {
        method: 'POST',
        body: fields,
        headers: { 'sec-fetch-site': 'same-origin' },
      });
    }
    throw new Error('the walk did not end');
  }
}

// Bring the answer to a program on this machine. Some print the authorization URL a moment before
// they listen; no person is that quick, so whoever is not there yet is asked again.
export async function deliver(answered) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await fetch(answered);
    } catch (failure) {
      if (failure.cause?.code !== 'ECONNREFUSED' || attempt === 100) throw failure;
      await new Promise((resolve) => { setTimeout(resolve, 100); });
    }
  }
}

function attribute(tag, name) {
  const found = new RegExp(`\\b${name}="([^"]*)"`).exec(tag);
  return found ? unescapeHtml(found[1]) : '';
}

function unescapeHtml(text) {
  return text
    .replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
    .replace(/&quot;/g, '"').replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&amp;/g, '&');
}

export function check(holds, otherwise) {
  if (!holds) throw new Error(otherwise);
}
