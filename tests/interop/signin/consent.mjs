// Sign in with Chromium as people do: from a window that a client opens, with and without JavaScript, in both languages
// and themes. Each part fails on a console error or a violation of the policy. Arguments: the URLs of endpoints with
// sign-in, as a JSON array.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

const urls = JSON.parse(process.argv[2]);
const pictures = process.argv[3]; // a folder for screenshots, if any
process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0"; // nginx has a certificate of the tests
const KEY = "sentinel-key-of-the-page-0123";
const CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"; // of RFC 7636, appendix B
const VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// The client: a page that opens the sign-in, and the address that it returns to.
let embedded = "about:blank", returned = [];
const client = createServer((request, response) => {
  const { pathname, search } = new URL(request.url, "http://client");
  if (pathname === "/callback") returned.push({ query: Object.fromEntries(new URLSearchParams(search)), headers: request.headers, method: request.method });
  response.setHeader("Content-Type", "text/html");
  response.end(pathname === "/frame" ? `<iframe src="${embedded.replaceAll("&", "&amp;")}"></iframe>` : "<title>client</title>");
});
await new Promise((resolve) => client.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${client.address().port}`;
const callback = `${origin}/callback`;
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });

async function authorizeUrl(url, more = {}) {
  const registration = await fetch(`${url}/register`, { method: "POST", body: JSON.stringify({ redirect_uris: [callback], client_name: "A <b>client</b>" }) });
  const { client_id } = await registration.json();
  const request = { client_id, redirect_uri: callback, response_type: "code", code_challenge: CHALLENGE, code_challenge_method: "S256", state: "a&b=ü", ...more };
  return { client_id, page: `${url}/authorize?${new URLSearchParams(request)}` };
}

async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ignoreHTTPSErrors: true, locale: "en-US", ...options });
  const faults = [], posts = [];
  context.on("page", (page) => {
    page.setDefaultTimeout(15_000);
    page.on("console", (message) => {
      // The page with an error has the status 400, and Chromium requests an icon of the client.
      if (message.type() === "error" && !/status of (400|404)/.test(message.text())) faults.push(message.text());
    });
    page.on("pageerror", (error) => faults.push(String(error)));
    page.on("request", (request) => {
      if (request.url().includes(KEY)) faults.push("a key in a URL");
      if (request.method() === "POST") posts.push(request);
    });
  });
  return { context, page: await context.newPage(), faults, posts };
}

async function exchange(url, client_id, code) {
  const form = { grant_type: "authorization_code", code, client_id, redirect_uri: callback, code_verifier: VERIFIER };
  const response = await fetch(`${url}/token`, { method: "POST", body: new URLSearchParams(form) });
  assert.equal(response.status, 200);
  return (await response.json()).access_token;
}

const parts = {
  async "a window that a client opens"(url) {
    const { context, page, faults, posts } = await open();
    const { client_id, page: target } = await authorizeUrl(url);
    await page.goto(`${origin}/`);
    const [popup] = await Promise.all([context.waitForEvent("page"), page.evaluate((to) => { window.popup = window.open(to); }, target)]);
    await popup.waitForSelector("#key");
    assert.equal(await popup.evaluate(() => window.opener !== null), true, "the opener is kept");
    assert.equal(await popup.evaluate(() => document.body.innerText.includes("A <b>client</b>")), true);
    await popup.fill("#key", KEY);
    await Promise.all([popup.waitForURL(/callback/), popup.press("#key", "Enter")]); // Enter takes Connect
    assert.equal(await popup.evaluate(() => window.opener.location.href), `${origin}/`, "the client can close the window");
    const headers = await posts[0].allHeaders();
    assert.equal(headers.origin, new URL(url).origin);
    assert.equal(headers["sec-fetch-site"], "same-origin");
    const { query, method, headers: at } = returned.pop();
    assert.deepEqual([method, query.state, query.iss, at.referer], ["GET", "a&b=ü", url, undefined]);
    const token = await exchange(url, client_id, query.code);
    const message = { jsonrpc: "2.0", id: 1, method: "tools/list" };
    const listed = await fetch(url, { method: "POST", body: JSON.stringify(message), headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` } });
    assert.equal((await listed.json()).result.tools.length, 2);
    assert.deepEqual(faults, []);
    await context.close();
  },
  async "cancel, a wrong key, and no JavaScript"(url) {
    const { context, page, faults } = await open({ javaScriptEnabled: false });
    const { page: target } = await authorizeUrl(url);
    await page.goto(target);
    await Promise.all([page.waitForURL(/callback/), page.getByRole("button", { name: "Cancel" }).click()]);
    assert.equal(returned.pop().query.error, "access_denied");
    await page.goto(target);
    await page.getByRole("button", { name: "Connect" }).click(); // an empty field is not sent
    assert.equal(page.url(), target);
    await page.getByLabel("Scenext API key").fill("YOUR_API_KEY");
    await page.getByRole("button", { name: "Connect" }).click();
    await page.getByText("This is a placeholder.").waitFor();
    assert.equal(await page.inputValue("#key"), "");
    await page.getByRole("link", { name: "中文" }).click();
    await page.getByLabel("Scenext API Key").fill(KEY);
    await Promise.all([page.waitForURL(/callback/), page.getByRole("button", { name: "连接" }).click()]);
    assert.equal(returned.pop().query.state, "a&b=ü");
    assert.deepEqual(faults, []);
    await context.close();
  },
  async "no frame"(url) {
    const { context, page } = await open();
    embedded = (await authorizeUrl(url)).page;
    await page.goto(`${origin}/frame`);
    await page.waitForTimeout(500);
    const frame = page.frames().find((one) => one !== page.mainFrame());
    assert.equal(frame.url().startsWith("chrome-error:") && await frame.$("#key"), null);
    await context.close();
  },
  async "another page's form"(url) {
    const { context, page } = await open();
    const { page: target } = await authorizeUrl(url);
    await page.goto(`${origin}/`);
    await page.evaluate(([to, key]) => {
      document.body.innerHTML = `<form method="post"><input name="key"></form>`;
      document.forms[0].action = to;
      document.forms[0].key.value = key;
      document.forms[0].submit();
    }, [target, "another-key-0123456"]);
    await page.getByText("This form did not come from this page").waitFor();
    assert.equal(returned.length, 0);
    await context.close();
  },
  async "languages, themes and widths"(url) {
    const { page: target } = await authorizeUrl(url);
    for (const [language, colorScheme, width] of [["en", "light", 1280], ["zh", "dark", 1280], ["zh", "light", 360], ["en", "dark", 360]]) {
      const { context, page, faults } = await open({ colorScheme, viewport: { width, height: 900 } });
      for (const wrong of [false, true]) {
        await page.goto(`${target}&lang=${language}`);
        if (wrong) {
          await page.fill("#key", "YOUR_API_KEY");
          await page.press("#key", "Enter");
          await page.waitForSelector(".wrong");
          assert.equal(await page.evaluate(() => document.activeElement.id), "key");
        }
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "no horizontal scrolling");
        if (pictures) await page.screenshot({ path: `${pictures}/consent-${language}-${colorScheme}-${width}${wrong ? "-wrong" : ""}.png`, fullPage: true });
        const axe = await page.context().newCDPSession(page); // the policy forbids scripts of the page, not the debugger
        await axe.send("Runtime.evaluate", { expression: AXE });
        const { result } = await axe.send("Runtime.evaluate", { expression: "axe.run().then((found) => JSON.stringify(found.violations.map((one) => [one.id, one.nodes.map((node) => node.html)])))", awaitPromise: true });
        assert.equal(result.value, "[]");
      }
      assert.deepEqual(faults, []);
      await context.close();
    }
  },
};

let failed = 0;
for (const url of urls) {
  for (const [name, part] of Object.entries(parts)) {
    returned = [];
    try {
      await part(url);
      console.log(`ok    ${url}: ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL  ${url}: ${name}\n${error.stack}`);
    }
  }
}
await browser.close();
client.close();
process.exit(failed ? 1 : 0);
