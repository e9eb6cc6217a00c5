// The page at `/` in Chromium, one part after the other. A console error, a breach of the policy, or a request to
// anywhere else fails each of them. Arguments: where the service is, as JSON; words of the parts to run, or none for all.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

const [where, ...words] = process.argv.slice(2);
const { url, plain, secure, wsgi } = JSON.parse(where);
const NAME = "scenext.test";
const KEY = "sentinel-key-of-the-page-0123";
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", `--host-resolver-rules=MAP ${NAME} 127.0.0.1`],
});

// Opens the page; `calls` are the bodies that it posts, `faults` what must not happen.
async function open(address = `${url}/?lang=en`, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ignoreHTTPSErrors: true, ...options });
  const page = await context.newPage();
  const seen = { calls: [], faults: [], origin: new URL(address).origin };
  page.on("console", (message) => {
    // Chromium asks for one wherever a page names no icon, as /healthz.
    if (message.type() === "error" && !message.location().url.endsWith("/favicon.ico")) seen.faults.push(message.text());
  });
  page.on("pageerror", (error) => seen.faults.push(String(error)));
  page.on("request", (request) => {
    const to = request.url();
    if (!to.startsWith(`${seen.origin}/`)) seen.faults.push(`asked ${to}`);
    if (to.includes(KEY)) seen.faults.push("a key in a URL");
    if (request.method() === "POST") seen.calls.push({ ...request.postDataJSON(), to, headers: request.headers() });
  });
  await page.goto(address);
  return { page, seen, context };
}

const state = (page, name, timeout = 15000) => page.waitForSelector(`#job[data-state=${name}]`, { timeout });
const status = (page, text) => page.waitForFunction(
  (wanted) => document.getElementById("status").textContent.includes(wanted), text, { timeout: 15000 });
const look = async (page, task, key = KEY) => {
  await page.fill("#key", key);
  await page.fill("#task", task);
  await page.click("#go");
};
const axe = async (page) => {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  assert.deepEqual(violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target).join(" ")}`), []);
};
// So many frames are there, and the film runs; all of it comes from where the page is.
const plays = async (page, start, frames) => {
  await page.waitForFunction(
    (wanted) => [...document.images].filter((one) => one.naturalWidth === 640).length === wanted, frames, { timeout: 15000 });
  await page.evaluate(() => document.querySelector("#job .job-film").play());
  await page.waitForFunction(() => document.querySelector("#job .job-film").currentTime > 1, null, { timeout: 15000 });
  const shown = await page.$eval("#job .job-film", ({ videoWidth, videoHeight, duration }) => [videoWidth, videoHeight, duration]);
  assert.deepEqual(shown, [640, 360, 8]);
  const links = await page.$$eval("#job img, #job video", (all) => all.map((one) => one.currentSrc));
  assert.deepEqual(links.filter((link) => !link.startsWith(`${start}/sandbox/`)), []);
};
const unfold = (page) => page.evaluate(() => document.querySelectorAll("details").forEach((one) => {
  one.removeAttribute("name");
  one.open = true;
}));
const kept = (page) => page.evaluate(() => [
  document.documentElement.outerHTML, location.href, document.cookie,
  JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage }),
].join("\n"));

async function fromQuestionToFilm(language, confirmed, ready) {
  const { page, seen } = await open(`${url}/?lang=${language}`);
  await page.fill("#key", KEY);
  await page.check("#make");
  await page.fill("#question", "天空为什么是蓝色的？ It's 'quoted'");
  await page.click("#go");
  await page.waitForSelector("dialog[open]");
  assert.ok((await page.textContent("#sure-text")).includes(confirmed));
  await page.click("#no");
  assert.equal(seen.calls.length, 0);
  await page.click("#go");
  await page.click("#yes");
  await page.evaluate(() => { document.getElementById("go").click(); document.getElementById("go").click(); });
  await state(page, "running");
  await page.waitForFunction(() => /\d/.test(document.getElementById("news").textContent), null, { timeout: 30000 });
  const news = await page.textContent("#news");
  assert.equal(/[\u4e00-\u9fff]/.test(news), language === "zh");
  await page.waitForFunction(() => document.images.length > 2, null, { timeout: 60000 });
  await state(page, "ready", 60000);
  assert.ok((await page.textContent("#job .job-word")).includes(ready));
  await plays(page, url, 6);
  const wire = await page.textContent("#wire");
  for (const text of ["notifications/progress", "COMPLETED", "curl -sN", "Bearer YOUR_API_KEY", "'\\''quoted'\\''"]) {
    assert.ok(wire.includes(text), text);
  }
  assert.ok(!(await kept(page)).includes(KEY));
  const made = seen.calls.filter((call) => call.params.name === "gen_video");
  assert.equal(made.length, 1);
  for (const call of seen.calls) {
    assert.equal(call.to, `${url}/mcp`);
    assert.equal(call.headers.authorization, `Bearer ${KEY}`);
    assert.equal(call.headers.accept, "application/json, text/event-stream");
    assert.ok(call.params._meta.progressToken);
  }
  assert.ok(seen.calls.some((call) => call.params.arguments.wait_seconds === 50));
  assert.ok(seen.calls.length < 7);
  return seen;
}

const PARTS = {
  "from a question to the film, in both languages": async () => {
    const [english, chinese] = await Promise.all([
      fromQuestionToFilm("en", "The sandbox charges nothing", "Your video is ready"),
      fromQuestionToFilm("zh", "沙盒不扣费", "视频已生成"),
    ]);
    return { faults: [...english.faults, ...chinese.faults] };
  },

  "a job that is done, by the keyboard alone": async () => {
    const { page, seen } = await open();
    await page.focus("#task");
    assert.equal(await page.inputValue("#task"), "sandbox-completed");
    await page.focus("#key");
    await page.keyboard.press("Control+A");
    await page.keyboard.type("typed-key-0123");
    assert.equal(await page.inputValue("#key"), "typed-key-0123");
    await page.keyboard.press("Enter");
    await state(page, "ready");
    assert.equal(seen.calls[0].headers.authorization, "Bearer typed-key-0123");
    await page.waitForFunction(() => [...document.images].filter((one) => one.naturalWidth).length === 3);
    assert.ok((await page.textContent("#wire")).includes("any-key-will-do") === false);
    return seen;
  },

  "every control by the keyboard, each with a ring": async () => {
    const { page, seen } = await open();
    const all = await page.evaluate(() => [...document.querySelectorAll("a[href], button, input, summary, [tabindex]")]
      .filter((one) => one.checkVisibility() && one.id !== "make").length); // of a group of radios, one
    const met = new Set();
    for (let presses = 0; presses <= all; presses++) {
      await page.keyboard.press("Tab");
      const found = await page.evaluate(() => {
        const one = document.activeElement;
        const box = one.getBoundingClientRect(), { outlineStyle, outlineWidth } = getComputedStyle(one);
        const seen = box.top < innerHeight && box.bottom > 0;
        return one === document.body ? null
          : { where: `${one.tagName} ${Math.round(box.left)} ${Math.round(box.top + scrollY)}`, seen,
            ring: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 };
      });
      if (!found) break;
      assert.ok(found.ring && found.seen, JSON.stringify(found));
      met.add(found.where);
    }
    assert.equal(met.size, all);
    const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim());
    const tab = async (id) => {
      for (let presses = 0; (await focused()) !== id; presses++) {
        assert.ok(presses < 12, id);
        await page.keyboard.press("Tab");
      }
    };
    await page.focus("#cursor summary");
    await page.keyboard.press("Enter");
    assert.ok(await page.isVisible("#cursor pre"));
    await page.focus("#key");
    await tab("look");
    await page.keyboard.press("ArrowDown");
    await tab("question");
    await page.keyboard.type("Why is the sky blue?");
    await tab("go");
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog[open]");
    await page.keyboard.press("Escape");
    await page.waitForSelector("dialog", { state: "hidden" });
    assert.equal(await focused(), "go");
    assert.equal(seen.calls.length, 0);
    await page.keyboard.press("Space");
    await page.waitForSelector("dialog[open]");
    await tab("yes");
    await page.keyboard.press("Enter");
    await state(page, "running");
    await status(page, "Your video is being made");
    assert.equal(await focused(), "go");
    await tab("stop");
    await page.keyboard.press("Enter");
    await status(page, "No longer followed");
    assert.equal(await page.$$eval("[role=status], [role=alert], [aria-live]", (found) => found.length), 1);
    return seen;
  },

  "a key that no header can hold, and no task": async () => {
    const { page, seen } = await open();
    for (const key of ["two words", "密钥"]) {
      await look(page, "sandbox-completed", key);
      assert.ok((await page.textContent("#key-wrong")).includes("one word"));
      assert.equal(await page.getAttribute("#key", "aria-invalid"), "true");
      assert.equal(await page.evaluate(() => document.activeElement.id), "key");
    }
    await look(page, "", KEY);
    assert.ok((await page.textContent("#task-wrong")).includes("task id"));
    assert.equal(seen.calls.length, 0);
    return seen;
  },

  "a key that is refused, a wrong one and none": async () => {
    const { page, seen } = await open();
    await look(page, "sandbox-completed", "sandbox-refused-key");
    await status(page, "key");
    const refused = await page.textContent("#status");
    assert.equal(await page.getAttribute("#status", "class"), "failed");
    assert.ok(!/[\u4e00-\u9fff]/.test(refused), refused);
    assert.ok(!(await kept(page)).includes("sandbox-refused-key"));
    for (const [number, key] of [[2, "a,wrong,key"], [3, ""]]) {
      await look(page, "sandbox-completed", key);
      await page.waitForFunction((wanted) => document.querySelectorAll("#wire > details").length === wanted, number);
      await page.waitForSelector("#status.failed");
      assert.notEqual(await page.textContent("#status"), refused);
    }
    assert.equal(seen.calls.at(-1).headers.authorization, undefined);
    const chinese = await open(`${url}/?lang=zh`);
    await look(chinese.page, "sandbox-completed", "sandbox-refused-key");
    await chinese.page.waitForSelector("#status.failed");
    assert.match(await chinese.page.textContent("#status"), /[\u4e00-\u9fff]/);
    return { faults: [...seen.faults, ...chinese.seen.faults] };
  },

  "a job that failed, and one that is unknown": async () => {
    const { page, seen } = await open(`${url}/?lang=zh`);
    await look(page, "sandbox-failed");
    await state(page, "failed");
    assert.ok((await page.textContent("#job")).includes("The question in the image could not be read"));
    await look(page, "sandbox-not-found");
    await page.waitForSelector("#status.failed");
    assert.match(await page.textContent("#status"), /[\u4e00-\u9fff]/);
    return seen;
  },

  "to stop following, and to follow again": async () => {
    const { page, seen } = await open();
    await look(page, "sandbox-in-progress");
    await state(page, "running");
    await page.waitForFunction(() => document.getElementById("wire").textContent.includes("notifications/progress"));
    await page.click("#stop");
    await status(page, "No longer followed");
    await look(page, "sandbox-completed");
    await state(page, "ready");
    return seen;
  },

  "no answer: a video is not started twice": async () => {
    const { page, seen } = await open();
    await page.route("**/mcp", (route) => route.abort());
    await page.check("#make");
    await page.fill("#question", "Why?");
    await page.click("#go");
    await page.click("#yes");
    await status(page, "every start is charged");
    assert.equal(seen.calls.length, 1);
    assert.deepEqual(seen.faults.splice(0), ["Failed to load resource: net::ERR_FAILED"]);
    return seen;
  },

  "a stream of which every byte comes alone": async () => {
    const { page, seen } = await open();
    const results = await page.evaluate(async () => {
      const asked = [], real = globalThis.fetch;
      const results = [];
      for (const end of ["\n", "\r\n", "\r"]) {
        globalThis.fetch = async (_, { body }) => {
          const { id } = JSON.parse(body);
          const progress = JSON.stringify({ jsonrpc: "2.0", method: "notifications/progress", params: { message: `讲解 ${asked.length}` } });
          const job = JSON.stringify({ task_id: "讲解", status: "FAILED", result: { error: `读 ${JSON.stringify(end)}` } });
          const answer = [`{"jsonrpc":"2.0","id":${id},`, `"result":{"structuredContent":${job}}}`];
          const lines = [":", "", `data: ${progress}`, "", "event: message", ...answer.map((line) => `data:${line}`), "", ""];
          const bytes = new TextEncoder().encode(`\ufeff${lines.join(end)}`);
          const stream = new ReadableStream({
            async start(control) {
              for (const byte of bytes) {
                control.enqueue(new Uint8Array([byte]));
                await null;
              }
              control.close();
            },
          });
          asked.push(id);
          return new Response(stream, { headers: { "Content-Type": "text/event-stream" } });
        };
        document.getElementById("go").click();
        const limit = Date.now() + 5000;
        while (Date.now() < limit && document.getElementById("go").hasAttribute("aria-disabled")) {
          await new Promise((over) => setTimeout(over, 10));
        }
        results.push([document.querySelector("#job .job-hint").textContent.split("\n")[0],
          document.querySelector("#wire details").textContent.includes("notifications/progress")]);
      }
      globalThis.fetch = real;
      return results;
    });
    assert.deepEqual(results, ["\n", "\r\n", "\r"].map((end) => [`读 ${JSON.stringify(end)}`, true]));
    return seen;
  },

  "a proxy that answers in HTML": async () => {
    const { page, seen } = await open();
    await page.route("**/mcp", (route) => route.fulfill({ status: 502, contentType: "text/html", body: "<h1>Bad</h1>" }));
    await look(page, "sandbox-completed");
    await status(page, "with status 502");
    assert.equal(seen.faults.splice(0).length, 1); // the browser's own line about the status
    return seen;
  },

  "no news of a job that runs, and once more": async () => {
    const { page, seen } = await open();
    await look(page, "sandbox-in-progress");
    await page.waitForFunction(() => document.getElementById("wire").textContent.includes("notifications/progress"));
    await page.click("#stop");
    let first = true;
    await page.route("**/mcp", (route) => {
      if (first || !route.request().postData().includes("wait_seconds")) {
        first = false;
        return route.continue();
      }
      return route.abort();
    });
    await status(page, "No longer followed");
    await look(page, "sandbox-in-progress");
    await state(page, "lost");
    await page.unroute("**/mcp");
    await page.click(".job-retry");
    await state(page, "running");
    await page.click("#stop");
    await status(page, "No longer followed");
    assert.deepEqual(seen.faults.splice(0), ["Failed to load resource: net::ERR_FAILED"]);
    return seen;
  },

  "links, buttons and blocks have this address": async () => {
    const { page, seen } = await open();
    const links = await page.$$eval("[data-link]", (all) => all.map((one) => [one.textContent, one.href, one.offsetParent !== null]));
    const decoded = Object.fromEntries(links.map(([name, href, shown]) => {
      const last = decodeURIComponent(href.split(/[?=]/).at(-1));
      return [name, [last.startsWith("{") || last.startsWith("http") ? last : Buffer.from(last, "base64").toString(), shown]];
    }));
    assert.deepEqual(JSON.parse(decoded["VS Code"][0]).headers, { Authorization: "Bearer ${input:scenext-key}" });
    assert.equal(JSON.parse(decoded.Cursor[0]).url, `${url}/mcp`);
    assert.equal(JSON.parse(decoded["LM Studio"][0]).url, `${url}/mcp`);
    assert.equal(JSON.parse(decoded.Kiro[0]).url, `${url}/mcp`);
    assert.deepEqual(JSON.parse(decoded["Cherry Studio"][0]).mcpServers.scenext,
      { name: "scenext", type: "streamableHttp", url: `${url}/mcp` });
    assert.deepEqual(decoded["claude.ai"], [`${url}/mcp`, false]); // which reaches nothing without HTTPS
    assert.ok(!(await page.evaluate(() => document.body.innerText)).includes("YOUR-APP"));
    await page.goto(`${url}/?lang=en#cursor`);
    assert.equal(await page.getAttribute("#cursor", "open"), "");
    await page.evaluate(() => { location.hash = "codex"; });
    await page.waitForSelector("#codex[open]");
    return seen;
  },

  "to copy, with a clipboard and without": async () => {
    const { page, seen, context } = await open();
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.click(".copy >> nth=0");
    await status(page, "Copied");
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), `${url}/mcp`);
    const other = await open(`http://${NAME}:${plain}/sub/?lang=en`);
    await other.page.click(".copy >> nth=0");
    await status(other.page, "Ctrl+C");
    assert.equal(await other.page.evaluate(() => getSelection().toString()), `http://${NAME}:${plain}/sub/mcp`);
    return { faults: [...seen.faults, ...other.seen.faults] };
  },

  "behind a proxy, with and without the last slash": async () => {
    const faults = [];
    for (const start of [`http://127.0.0.1:${plain}/sub`, `https://${NAME}:${secure}/sub`]) {
      for (const slash of ["", "/"]) {
        const { page, seen } = await open(`${start}${slash}?lang=en`);
        assert.equal(await page.textContent(".block pre"), `${start}/mcp`);
        await look(page, "sandbox-completed");
        await state(page, "ready");
        assert.deepEqual(seen.calls.map((call) => call.to).filter((to) => to !== `${start}/mcp`), []);
        await plays(page, start, 3);
        const claude = await page.isVisible("text=claude.ai >> nth=0");
        assert.equal(claude, start.startsWith("https"));
        await page.click(".switch");
        assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
        await page.click("footer a");
        assert.ok(page.url().endsWith("/sub/healthz"));
        faults.push(...seen.faults);
      }
    }
    return { faults };
  },

  "under mod_wsgi, where no PORT is set": async () => {
    const faults = [];
    const start = `https://${NAME}:${wsgi}`;
    for (const language of ["en", "zh"]) {
      const { page, seen } = await open(`${start}/?lang=${language}`);
      assert.equal(await page.textContent(".block pre"), `${start}/mcp`);
      const sent = page.waitForRequest((request) => request.method() === "POST");
      await look(page, "sandbox-completed");
      const headers = await (await sent).allHeaders();
      assert.deepEqual([headers.origin, headers["sec-fetch-site"]], [start, "same-origin"]);
      await state(page, "ready");
      await plays(page, start, 3);
      await look(page, "sandbox-failed");
      await state(page, "failed");
      await page.check("#make");
      await page.fill("#question", "Why is the sky blue?");
      await page.click("#go");
      await page.click("#yes");
      await state(page, "running");
      await page.waitForFunction(() => document.getElementById("wire").textContent.includes("notifications/progress"));
      await page.click("#stop");
      await page.waitForFunction(() => !document.getElementById("go").hasAttribute("aria-disabled"));
      assert.deepEqual(seen.calls.map((call) => call.to).filter((to) => to !== `${start}/mcp`), []);
      faults.push(...seen.faults);
    }
    // The same request without what only a browser can say is refused: it is this that lets the page through.
    const { page } = await open(`${start}/`);
    const refused = await page.request.post(`https://127.0.0.1:${wsgi}/mcp`, {
      headers: { Host: new URL(start).host, Origin: start }, data: { jsonrpc: "2.0", id: 1, method: "ping" },
    });
    assert.equal(refused.status(), 403);
    return { faults };
  },

  "over plain HTTP, by a name that the service does not know": async () => {
    const { page, seen } = await open(`http://${NAME}:${plain}/sub/?lang=en`);
    await look(page, "sandbox-completed");
    await status(page, `SCENEXT_ALLOWED_ORIGINS=http://${NAME}:${plain}`);
    assert.ok((await page.textContent("#status")).includes("Forbidden"));
    assert.equal(seen.faults.splice(0).length, 1); // the browser's own line about the status
    return seen;
  },

  "the endpoint in a browser leads here": async () => {
    const faults = [];
    for (const path of ["/mcp", "/mcp/"]) {
      const { page, seen } = await open(`http://127.0.0.1:${plain}/sub${path}`);
      await axe(page);
      await page.click("a >> nth=0");
      assert.equal(page.url(), `http://127.0.0.1:${plain}/sub/`);
      faults.push(...seen.faults.filter((fault) => !fault.includes("405")));
    }
    return { faults };
  },

  "without JavaScript": async () => {
    const faults = [];
    for (const language of ["en", "zh"]) {
      const { page, seen } = await open(`${url}/?lang=${language}`, { javaScriptEnabled: false });
      const text = await page.locator("body").innerText();
      for (const word of ["https://YOUR-APP.example.com/mcp", "curl -s", "query_video_status", "Cursor"]) {
        assert.ok(text.includes(word), word);
      }
      assert.equal(await page.isVisible("#go"), false);
      assert.equal(await page.isVisible("#buttons"), false);
      await page.click("#cursor summary");
      assert.ok(await page.isVisible("#cursor pre"));
      faults.push(...seen.faults);
    }
    return { faults };
  },

  "360 pixels wide": async () => {
    const faults = [];
    for (const language of ["en", "zh"]) {
      const { page, seen } = await open(`${url}/?lang=${language}`, { viewport: { width: 360, height: 740 } });
      await look(page, "sandbox-completed");
      await state(page, "ready");
      await unfold(page);
      const { width, wide } = await page.evaluate(() => ({
        width: document.documentElement.scrollWidth,
        wide: [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > 361)
          .map((one) => `${one.tagName}#${one.id}.${one.className}`),
      }));
      assert.deepEqual(wide, []);
      assert.equal(width, 360);
      const small = await page.$$eval("button, .button, summary, input:not([type=radio]), textarea", (all) => all
        .filter((one) => one.offsetParent && one.offsetHeight < 44).map((one) => one.outerHTML.slice(0, 80)));
      assert.deepEqual(small, []);
      faults.push(...seen.faults);
    }
    return { faults };
  },

  "axe finds nothing, in both themes and languages": async () => {
    const faults = [];
    for (const [language, colorScheme] of [["en", "light"], ["zh", "dark"], ["en", "dark"], ["zh", "light"]]) {
      const { page, seen } = await open(`${url}/?lang=${language}`, { colorScheme });
      await axe(page);
      await look(page, "sandbox-in-progress");
      await state(page, "running");
      await axe(page);
      await page.click("#stop");
      await page.waitForSelector("#status.failed");
      await look(page, "sandbox-failed");
      await state(page, "failed");
      await look(page, "sandbox-completed");
      await state(page, "ready");
      await unfold(page);
      await axe(page);
      await look(page, "sandbox-completed", "two words");
      await page.check("#make");
      await axe(page);
      await page.fill("#key", KEY);
      await page.fill("#question", "Why?");
      await page.click("#go");
      await page.waitForSelector("dialog[open]");
      await axe(page);
      faults.push(...seen.faults);
    }
    return { faults };
  },
};

let failed = 0, passed = 0;
for (const [name, part] of Object.entries(PARTS)) {
  if (words.length && !words.some((word) => name.includes(word))) continue;
  try {
    const { faults } = await part();
    assert.deepEqual(faults, []);
    passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error.stack}`);
  } finally {
    await Promise.all(browser.contexts().map((context) => context.close()));
  }
}
await browser.close();
console.log(`pages: ${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
