// Use the page at `/` in Chromium, one part after the other. Each fails on a console error, a violation of the policy, or
// a request to another host. Arguments: the addresses of the services, as JSON; words of the parts to run, or none for
// all of them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

const [where, ...words] = process.argv.slice(2);
const { url, real, plain, secure, wsgi, shared, own } = JSON.parse(where);
const NAME = "scenext.test";
const KEY = "sentinel-key-of-the-page-0123"; // typed by a user
const SANDBOX_KEY = "sandbox-key"; // of the sandbox's page
const TIMEOUT = 15_000, VIDEO_TIMEOUT = 90_000; // milliseconds; a sandbox video takes 60 seconds
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const CHINESE = /[\u4e00-\u9fff]/;

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", `--host-resolver-rules=MAP ${NAME} 127.0.0.1`],
});

// Open the page. `calls` are the messages that it posts, `faults` events that must not happen. `media` is the origin of
// pictures and videos, if it is not that of the page.
async function open(address = `${url}/?lang=en`, { media = "", ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ignoreHTTPSErrors: true, ...options });
  const page = await context.newPage();
  const seen = { calls: [], faults: [], origin: new URL(address).origin };
  page.setDefaultTimeout(TIMEOUT);
  page.on("console", (message) => {
    // Chromium requests /favicon.ico for a page without an icon, such as /health.
    if (message.type() === "error" && !message.location().url.endsWith("/favicon.ico")) seen.faults.push(message.text());
  });
  page.on("pageerror", (error) => seen.faults.push(String(error)));
  page.on("request", (request) => {
    const to = request.url();
    if (![seen.origin, media].some((origin) => origin && to.startsWith(`${origin}/`))) seen.faults.push(`requested ${to}`);
    if (to.includes(KEY)) seen.faults.push("a key in a URL");
    if (request.method() === "POST") seen.calls.push({ ...request.postDataJSON(), to, headers: request.headers() });
  });
  await page.goto(address);
  return { page, seen, context };
}
const together = (...opened) => ({ faults: opened.flatMap(({ seen }) => seen.faults) });

const state = (page, name, timeout = TIMEOUT) => page.waitForSelector(`#job[data-state=${name}]`, { timeout });
// The heading and the sentence on the stage.
const notice = async (page, ...texts) => {
  await page.waitForSelector("#job[data-notice] .notice");
  const shown = await page.$$eval("#job .notice > *", (all) => all.map((one) => one.textContent));
  for (const [number, text] of texts.entries()) assert.ok(shown[number].includes(text), `${shown}`);
  const spoken = await page.textContent("#job .word"); // the live region has the same text
  for (const text of shown) assert.ok(spoken.includes(text), spoken);
  return shown;
};
const find = async (page, task) => {
  await page.$eval("#folds > details", (details) => { details.open = true; });
  await page.fill("#task", task);
  await page.click("#find button");
};
// The sandbox's page has its key in a hidden field. Replace it with a key that the sandbox treats in a special way.
const setKey = (page, key) => page.$eval("#key", (field, value) => { field.value = value; }, key);
const idle = (page) => page.waitForSelector("#make:not([aria-disabled])");
const stop = async (page) => {
  await page.click("#job .stop");
  await state(page, "stopped");
  await idle(page);
};
const progress = (page) => page.waitForFunction(
  () => document.getElementById("wire").textContent.includes("notifications/progress"));
const axe = async (page) => {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  assert.deepEqual(violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target).join(" ")}`), []);
};
const unfold = (page) => page.evaluate(() => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
const showClients = (page) => page.$$eval(".panel", (all) => all.forEach((one) => { one.style.display = "grid"; }));
// The video plays, and its poster is the last frame. Both come from `start`.
const plays = async (page, start) => {
  await state(page, "ready", VIDEO_TIMEOUT);
  // A video that could not be loaded is replaced only when its new link arrives.
  await page.waitForFunction(() => {
    const video = document.querySelector("#job .video");
    return video && !video.error && video.networkState !== HTMLMediaElement.NETWORK_NO_SOURCE;
  });
  await page.$eval("#job .video", (video) => video.play());
  await page.waitForFunction(() => document.querySelector("#job .video").currentTime > 1);
  const shown = await page.$eval("#job .video", (video) => [video.videoWidth / video.videoHeight > 1.7, video.duration, video.currentSrc, video.poster]);
  assert.deepEqual(shown.slice(0, 2), [true, 23]);
  assert.deepEqual(shown.slice(2).filter((link) => !link.startsWith(`${start}/sandbox/`)), []);
};
const kept = (page) => page.evaluate(() => [
  document.documentElement.outerHTML, location.href, document.cookie,
  JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage }),
].join("\n"));
const wide = (page) => page.evaluate(() => [
  document.documentElement.scrollWidth - innerWidth,
  ...[...document.querySelectorAll("body *")].filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1)
    .map((one) => `${one.tagName}#${one.id}.${one.className}`),
]);
// The bottom of the stage and the top of the form: neither may move while a video is made.
const layout = (page) => page.evaluate(() => [
  document.querySelector("#job .stage").getBoundingClientRect().height, document.getElementById("ask").getBoundingClientRect().top]);

async function fromQuestionToVideo(language, question) {
  const { page, seen } = await open(`${url}/?lang=${language}`);
  const [height] = await layout(page);
  await page.fill("#question", question);
  await page.click("#make");
  await page.evaluate(() => { document.getElementById("make").click(); document.getElementById("make").click(); });
  await state(page, "making");
  assert.equal((await layout(page))[0], height);
  await page.waitForSelector("#job .frame");
  const top = (await layout(page))[1];
  assert.match(await page.textContent("#job .time"), language === "zh" ? /^1 个画面 · \d+ 秒前开始$/ : /^1 frame · started \d+ s ago$/);
  assert.equal(CHINESE.test(await page.innerText("#job")), language === "zh");
  assert.deepEqual(JSON.parse(await page.evaluate(() => sessionStorage["scenext-video"])).question, question);
  await progress(page);
  await plays(page, url);
  assert.deepEqual(await layout(page), [height, top]);
  assert.equal(await page.textContent("#job .word"), language === "zh" ? "视频已生成" : "Your video is ready");
  assert.match(await page.textContent("#job .time"), language === "zh" ? /^用时 1 分钟$/ : /^made in 1 min$/);
  const wire = await page.textContent("#wire");
  for (const text of ["COMPLETED", "curl -sN", `Bearer ${SANDBOX_KEY}`]) assert.ok(wire.includes(text), text);
  assert.equal(seen.calls.filter((call) => call.params.name === "gen_video").length, 1);
  for (const call of seen.calls) {
    assert.equal(call.to, `${url}/mcp`);
    assert.equal(call.headers.authorization, `Bearer ${SANDBOX_KEY}`);
    assert.equal(call.headers.accept, "application/json, text/event-stream");
    assert.ok(call.params._meta.progressToken);
  }
  assert.ok(seen.calls.some((call) => call.params.arguments.wait_seconds === 4)); // so that each frame appears in time
  assert.ok(seen.calls.length < 20);
  return { seen };
}

// With a key, a price, and a confirmation. Reloads the page in between.
async function withAKey() {
  const { page, seen } = await open(`${real}/?lang=en`, { media: url });
  const question = "天空为什么是蓝色的？ It's 'quoted'";
  await page.fill("#question", question);
  await page.fill("#key", KEY);
  await page.click("#make");
  await page.waitForSelector("dialog[open]");
  assert.ok((await page.textContent("#sure-text")).includes("charges points"));
  await page.click("#no");
  assert.equal(seen.calls.length, 0);
  await page.click("#make");
  await page.click("#yes");
  await page.evaluate(() => { document.getElementById("make").click(); document.getElementById("make").click(); });
  await state(page, "making");
  await page.waitForSelector("#job .frame", { timeout: VIDEO_TIMEOUT });
  const wire = await page.textContent("#wire");
  for (const text of ["Bearer YOUR_API_KEY", "'\\''quoted'\\''"]) assert.ok(wire.includes(text), text);
  assert.ok(!(await kept(page)).includes(KEY));
  await page.reload();
  await state(page, "stopped");
  assert.equal(await page.inputValue("#question"), question);
  assert.equal(await page.inputValue("#key"), "");
  await page.click("#job .retry");
  assert.equal(await page.textContent("#key-wrong"), "Enter your Scenext API key.");
  await page.fill("#key", KEY);
  await page.click("#job .retry");
  await plays(page, url);
  assert.equal(await page.textContent("#job .time"), "made in 1 min");
  await page.reload();
  await state(page, "stopped");
  assert.equal(await page.textContent("#job .word"), "Your last video");
  assert.ok(!(await kept(page)).includes(KEY));
  assert.equal(seen.calls.filter((call) => call.params.name === "gen_video").length, 1);
  for (const call of seen.calls) assert.equal(call.headers.authorization, `Bearer ${KEY}`);
  assert.ok(seen.calls.some((call) => call.params.arguments.wait_seconds === 25));
  assert.ok(seen.calls.length < 9);
  return { seen };
}

// The sandbox's page continues by itself after a reload.
async function acrossAReload() {
  const { page, seen } = await open();
  await page.click("#make");
  await page.waitForSelector("#job .frame", { timeout: VIDEO_TIMEOUT });
  await page.reload();
  await state(page, "making");
  assert.match(await page.textContent("#job .time"), /^\d frames? · started \d+ s ago$/);
  assert.equal(await page.inputValue("#question"), "Why is the sky blue?");
  await plays(page, url);
  await page.reload();
  await state(page, "ready");
  await idle(page);
  const fresh = await open();
  assert.ok(await fresh.page.isVisible("#play")); // another tab has its own storage
  assert.equal(seen.calls.filter((call) => call.params.name === "gen_video").length, 1);
  return { seen: { faults: [...seen.faults, ...fresh.seen.faults] } };
}

const PARTS = {
  "from a question to the video: in both languages, with a key, across a reload": async () => together(...await Promise.all([
    fromQuestionToVideo("en", "Why is the sky blue?"), fromQuestionToVideo("zh", "求 y = x² 的顶点"), withAKey(), acrossAReload(),
  ])),

  "a finished video with one click": async () => {
    const { page, seen } = await open();
    await axe(page);
    const { top } = await page.$eval("#job", (one) => one.getBoundingClientRect().toJSON());
    assert.ok(top <= 200, `${top}`);
    await page.click("#play");
    await state(page, "ready");
    await page.waitForFunction(() => document.querySelector("#job .video").currentTime > 0.5);
    assert.deepEqual(seen.calls.map(({ params }) => [params.name, params.arguments.task_id]), [["query_video_status", "sandbox-completed"]]);
    assert.equal(await page.evaluate(() => document.activeElement.className), "video");
    await plays(page, url);
    const popup = page.waitForEvent("popup");
    await page.click("#job .open");
    assert.match((await popup).url(), /\/sandbox\/sandbox-completed\/video\.mp4/);
    const production = await open(`${real}/?lang=en`);
    await production.page.click("#play");
    await production.page.waitForFunction(() => document.getElementById("sample").currentTime > 0.5);
    assert.equal(await production.page.evaluate(() => document.activeElement.id), "sample");
    assert.deepEqual(production.seen.calls, []);
    return together({ seen }, production);
  },

  "a sample video of the operator, on another host": async () => {
    const { page, seen } = await open(`http://127.0.0.1:${own}/?lang=en`, { media: `https://${NAME}:${secure}` });
    await page.click("#play");
    await page.waitForFunction(() => document.getElementById("sample").currentTime > 0.5);
    assert.equal(await page.$eval("#sample", (video) => video.currentSrc), `https://${NAME}:${secure}/sub/sample.mp4`);
    assert.equal(await page.textContent(".caption"), "A video that Scenext made.");
    await axe(page);
    assert.deepEqual(seen.calls, []);
    return { faults: seen.faults };
  },

  "a job that is done, by the keyboard alone": async () => {
    const { page, seen } = await open(`${real}/?lang=en`, { media: url });
    const tab = async (id) => {
      for (let presses = 0; !(await page.evaluate((wanted) => document.activeElement.matches(wanted), id)); presses++) {
        assert.ok(presses < 12, id);
        await page.keyboard.press("Tab");
      }
    };
    await tab("#key");
    await page.keyboard.type(KEY);
    await tab("summary");
    await page.keyboard.press("Enter");
    await tab("#task");
    await page.keyboard.type("sandbox-completed");
    await page.keyboard.press("Enter");
    await state(page, "ready");
    assert.equal(seen.calls[0].headers.authorization, `Bearer ${KEY}`);
    assert.equal(await page.evaluate(() => document.activeElement.id), "task");
    const wire = await page.textContent("#wire");
    assert.ok(wire.includes("Bearer YOUR_API_KEY") && !wire.includes(KEY));
    await tab("#job .open").catch(() => page.focus("#job .open"));
    return { faults: seen.faults };
  },

  "every control by the keyboard, in the order of the page, each with a ring": async () => {
    const opened = [];
    for (const address of [`${url}/?lang=en`, `${real}/?lang=zh`]) {
      const { page, seen } = await open(address);
      opened.push({ seen });
      const all = await page.evaluate(() => [...document.querySelectorAll("a[href], button, input, textarea, summary, [tabindex='0']")]
        .filter((one) => one.checkVisibility() && (one.type !== "radio" || one.checked)).length);
      const met = [];
      for (let presses = 0; presses <= all; presses++) {
        await page.keyboard.press("Tab");
        const found = await page.evaluate(() => {
          const one = document.activeElement, ringed = one.matches("[type=radio]") ? one.nextElementSibling : one.closest(".box textarea") ? one.parentElement : one;
          const box = ringed.getBoundingClientRect(), { outlineStyle, outlineWidth } = getComputedStyle(ringed);
          return one === document.body ? null : {
            place: [...document.querySelectorAll("*")].indexOf(one), visible: box.top < innerHeight && box.bottom > 0,
            ring: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2, html: one.outerHTML.slice(0, 80),
          };
        });
        if (!found) break;
        assert.ok(found.ring && found.visible, JSON.stringify(found));
        met.push(found.place);
      }
      assert.equal(new Set(met).size, all);
      assert.deepEqual(met, met.toSorted((one, other) => one - other));
      await page.focus("[type=radio]:checked");
      const panel = () => page.$$eval(".panel", (panels) => panels.filter((one) => one.checkVisibility()).map((one) => one.id));
      const [first] = await panel();
      await page.keyboard.press("ArrowRight");
      const [second, ...others] = await panel();
      assert.ok(second !== first && others.length === 0);
    }
    return together(...opened);
  },

  "a question with the keyboard, to be confirmed, and to stop": async () => {
    const { page, seen } = await open(`${real}/?lang=en`, { media: url });
    const focused = () => page.evaluate(() => document.activeElement.id);
    await page.focus("#question");
    await page.keyboard.type("Why is");
    await page.keyboard.press("Enter"); // a line end
    await page.keyboard.type("the sky blue?");
    assert.equal(await page.inputValue("#question"), "Why is\nthe sky blue?");
    await page.keyboard.press("Control+Enter");
    assert.equal(await focused(), "key");
    await page.keyboard.type(KEY);
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog[open]");
    assert.equal(await focused(), "no"); // the free choice
    await page.keyboard.press("Escape");
    await page.waitForSelector("dialog", { state: "hidden" });
    assert.equal(await focused(), "key");
    assert.equal(seen.calls.length, 0);
    await page.focus("#make");
    await page.keyboard.press("Space");
    await page.waitForSelector("dialog[open]");
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "yes");
    await page.keyboard.press("Enter");
    await state(page, "making");
    assert.equal(await page.textContent("#job .word"), "Making your video");
    assert.equal(await focused(), "make");
    await page.focus("#job .stop");
    await page.keyboard.press("Enter");
    await state(page, "stopped");
    assert.equal(await page.textContent("#job .word"), "You stopped watching. The video continues.");
    assert.equal(await page.$$eval("[role=status], [role=alert], [aria-live]", (found) => found.length), 2); // and "Copied"
    return { faults: seen.faults };
  },

  "fields that are empty or wrong": async () => {
    const { page, seen } = await open(`${real}/?lang=en`);
    const wrong = async (name, text) => {
      assert.ok((await page.textContent(`#${name}-wrong`)).includes(text));
      assert.equal(await page.getAttribute(`#${name}`, "aria-invalid"), "true");
      assert.equal(await page.evaluate(() => document.activeElement.id), name);
      await axe(page);
    };
    await page.click("#make");
    await wrong("question", "Enter a question.");
    await page.fill("#question", "Why?");
    assert.equal(await page.textContent("#question-wrong"), ""); // typing clears it
    await page.click("#make");
    await wrong("key", "Enter your Scenext API key.");
    for (const key of ["two words", "密钥"]) {
      await page.fill("#key", key);
      await page.click("#make");
      await wrong("key", "no spaces");
    }
    await page.fill("#key", KEY);
    await find(page, "");
    await wrong("task", "Enter a task ID.");
    assert.equal(seen.calls.length, 0);
    return { faults: seen.faults };
  },

  "a key that is refused, without points, wrong or missing": async () => {
    const { page, seen } = await open(`${real}/?lang=en`, { media: url });
    for (const [key, ...texts] of [
      ["sandbox-refused-key", "Scenext refused this API key", "mistyped or expired"],
      ["sandbox-no-credit-key", "Not enough points", "Top up"],
      ["a,wrong,key", "This API key is not valid", "Copy it again"],
      ["YOUR_API_KEY", "The API key is still a placeholder", "Replace it"],
    ]) {
      await page.fill("#question", "Why?");
      await page.fill("#key", key);
      await page.click("#make");
      await page.click("#yes");
      await idle(page);
      assert.ok(!CHINESE.test((await notice(page, ...texts)).join()));
      if (key !== "YOUR_API_KEY") assert.ok(!(await kept(page)).includes(key));
    }
    const chinese = await open(`${real}/?lang=zh`);
    await chinese.page.fill("#key", "sandbox-refused-key");
    await find(chinese.page, "sandbox-completed");
    await notice(chinese.page, "Scenext 拒绝了该 API Key", "可能输入有误或已过期");
    const sandbox = await open();
    await setKey(sandbox.page, "");
    await find(sandbox.page, "sandbox-completed");
    await notice(sandbox.page, "An API key is needed");
    assert.equal(sandbox.seen.calls.at(-1).headers.authorization, undefined);
    return together({ seen }, chinese, sandbox);
  },

  "a job that failed, and one that is unknown": async () => {
    const { page, seen } = await open(`${url}/?lang=zh`);
    await find(page, "sandbox-failed");
    await notice(page, "视频生成失败", "The question in the image could not be read。本次未扣除积分。");
    await find(page, "sandbox-not-found");
    await notice(page, "找不到该视频", "没有这个任务 ID");
    assert.equal(await page.textContent("#job .code"), "sandbox-not-found");
    return { faults: seen.faults };
  },

  "a job in each form that it may have": async () => {
    const { page, seen } = await open();
    for (const task of ["sandbox-list", "sandbox-typed", "sandbox-consumption-list", "sandbox-repeated", "sandbox-slow"]) {
      await find(page, task);
      await page.waitForFunction((wanted) => document.querySelector("#job .video")?.src.includes(`/${wanted}/`), task);
      await state(page, "ready");
      await page.waitForFunction(() => document.querySelector("#job .video").poster.includes("/frame3.svg"));
      assert.match(await page.$eval("#job .video", (video) => video.src), /\/video\.mp4\?/);
      await idle(page);
    }
    await find(page, "sandbox-no-result");
    await notice(page, "There is no video");
    await find(page, "sandbox-typed-failed");
    await state(page, "failed");
    await notice(page, "The video could not be made",
      "The image is blurred / 图片模糊. No points were consumed / 未消耗积分. A new attempt costs points.");
    return { faults: seen.faults };
  },

  "an error in each form that it may have": async () => {
    const { page, seen } = await open();
    for (const [task, ...texts] of [
      ["sandbox-messages", "Scenext rejected this request", "“This job was removed”"],
      ["sandbox-rejected", "Scenext rejected this request", "“This job was removed”"],
      ["sandbox-detail", "Scenext rejected this request", "“path.task_id: Input should be a valid UUID”"],
      ["sandbox-no-row", "Video not found"],
      ["sandbox-no-uuid", "Video not found"],
      ["sandbox-firewall", "Scenext does not answer"],
      ["sandbox-busy", "Scenext is busy", "Try again in a minute"],
      ["sandbox-down", "Scenext does not answer", "Try again in a few minutes"],
      ["sandbox-unreachable", "Scenext can’t be reached", "Try again in a few minutes"],
      ["not a task", "This is not a task ID", "Copy the ID again"],
    ]) {
      await find(page, task);
      await idle(page);
      await notice(page, ...texts);
    }
    return { faults: seen.faults };
  },

  "to stop watching, to resume, and to see another video": async () => {
    const { page, seen } = await open();
    await find(page, "sandbox-in-progress");
    await state(page, "making");
    await progress(page);
    await stop(page);
    await page.click("#job .retry");
    await state(page, "making");
    await stop(page);
    await find(page, "sandbox-completed");
    await state(page, "ready");
    return { faults: seen.faults };
  },

  "no response: a video is not started twice": async () => {
    const { page, seen } = await open();
    await page.route("**/mcp", (route) => route.abort());
    await page.click("#make");
    await notice(page, "This server does not answer", "may have been started and charged");
    assert.deepEqual(await page.$$eval("#job button", (all) => all.filter((one) => one.checkVisibility())), []);
    assert.equal(seen.calls.length, 1);
    assert.deepEqual(seen.faults.splice(0), ["Failed to load resource: net::ERR_FAILED"]);
    return { faults: seen.faults };
  },

  "a repeated start leads to the first video": async () => {
    const { page, seen } = await open(`${real}/?lang=en`, { media: url });
    await page.fill("#question", "Why do leaves fall?");
    await page.fill("#key", KEY);
    const jobs = new Set(), starts = new Set();
    for (let starting = 0; starting < 2; starting++) {
      await page.click("#make");
      await page.click("#yes");
      await state(page, "making");
      jobs.add(await page.textContent("#job .code"));
      starts.add(await page.evaluate(() => JSON.parse(sessionStorage["scenext-video"]).start));
      await stop(page);
    }
    assert.deepEqual([jobs.size, starts.size], [1, 1]);
    assert.equal(seen.calls.filter((call) => call.params.name === "gen_video").length, 2);
    return { faults: seen.faults };
  },

  "a stream of which every byte comes alone": async () => {
    const { page, seen } = await open();
    const results = await page.evaluate(async () => {
      const sent = [], results = [], original = globalThis.fetch;
      for (const end of ["\n", "\r\n", "\r"]) {
        globalThis.fetch = async (_, { body }) => {
          const { id } = JSON.parse(body);
          const step = JSON.stringify({ jsonrpc: "2.0", method: "notifications/progress", params: { message: `讲解 ${sent.length}` } });
          const job = JSON.stringify({ task_id: "讲解", status: "FAILED", points: 0, result: { error: `读 ${JSON.stringify(end)}` } });
          const answer = [`{"jsonrpc":"2.0","id":${id},`, `"result":{"structuredContent":${job}}}`];
          const lines = [":", "", `data: ${step}`, "", "event: message", ...answer.map((line) => `data:${line}`), "", ""];
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
          sent.push(id);
          return new Response(stream, { headers: { "Content-Type": "text/event-stream" } });
        };
        document.getElementById("find").requestSubmit();
        const limit = Date.now() + 5000;
        while (Date.now() < limit && document.getElementById("make").hasAttribute("aria-disabled")) {
          await new Promise((over) => setTimeout(over, 10));
        }
        results.push([document.querySelector("#job .sentence").textContent,
          document.querySelector("#wire details").textContent.includes("notifications/progress")]);
      }
      globalThis.fetch = original;
      return results;
    });
    assert.deepEqual(results, ["\n", "\r\n", "\r"].map((end) => [`读 ${JSON.stringify(end)}. No points were charged.`, true]));
    return { faults: seen.faults };
  },

  "a proxy that responds in HTML": async () => {
    const { page, seen } = await open();
    await page.route("**/mcp", (route) => route.fulfill({ status: 502, contentType: "text/html", body: "<h1>Bad</h1>" }));
    await find(page, "sandbox-completed");
    await notice(page, "A proxy answered", "HTTP 502");
    assert.equal(seen.faults.splice(0).length, 1); // the browser's own line about the status
    return { faults: seen.faults };
  },

  "a lost connection, which comes back": async () => {
    const { page, seen } = await open();
    await find(page, "sandbox-in-progress");
    await progress(page);
    await page.route("**/mcp", (route) => route.abort());
    await state(page, "lost", 40_000);
    assert.equal(await page.textContent("#job .word"), "Connection lost");
    assert.ok((await page.textContent("#job .hint")).includes("Trying again"));
    await axe(page);
    await page.unroute("**/mcp");
    await page.click("#job .retry");
    await state(page, "making");
    await page.route("**/mcp", (route) => route.abort());
    await state(page, "lost", 40_000);
    await page.unroute("**/mcp");
    await page.evaluate(() => dispatchEvent(new Event("online")));
    await state(page, "making");
    await stop(page);
    assert.deepEqual(new Set(seen.faults.splice(0)), new Set(["Failed to load resource: net::ERR_FAILED"]));
    return { faults: seen.faults };
  },

  "a video that does not load is requested once more": async () => {
    const { page, seen } = await open();
    await page.route("**/video.mp4*", (route) => route.fulfill({ status: 403, body: "" }));
    await find(page, "sandbox-completed");
    await notice(page, "The video can’t be played here");
    assert.equal(seen.calls.length, 2); // for a new link
    await page.unroute("**/video.mp4*");
    await page.click("#job .retry");
    await plays(page, url);
    seen.faults = seen.faults.filter((fault) => !fault.includes("403"));
    return { faults: seen.faults };
  },

  "links, buttons and blocks have this address": async () => {
    const { page, seen } = await open();
    const links = await page.$$eval("[data-link]", (all) => all.map((one) => [one.closest(".panel").id, one.href, one.hidden]));
    const decoded = Object.fromEntries(links.map(([id, href, hidden]) => {
      const last = decodeURIComponent(href.split(/[?=]/).at(-1));
      return [id, [last.startsWith("{") || last.startsWith("http") ? last : Buffer.from(last, "base64").toString(), hidden]];
    }));
    assert.deepEqual(JSON.parse(decoded.vscode[0]).headers, { Authorization: "Bearer ${input:scenext-key}" });
    assert.deepEqual(JSON.parse(decoded.cursor[0]), { url: `${url}/mcp`, headers: { Authorization: `Bearer ${SANDBOX_KEY}` } });
    assert.equal(JSON.parse(decoded["lm-studio"][0]).url, `${url}/mcp`);
    assert.deepEqual(JSON.parse(decoded.kiro[0]), JSON.parse(decoded.cursor[0]));
    assert.deepEqual(JSON.parse(decoded["cherry-studio"][0]).mcpServers.scenext,
      { name: "scenext", type: "streamableHttp", url: `${url}/mcp` });
    assert.deepEqual(decoded["claude-ai"], [`${url}/mcp`, true]); // it reaches HTTPS servers only
    assert.ok(!(await page.$$eval("[data-fill]", (all) => all.map((one) => one.textContent).join())).includes("YOUR-APP"));
    assert.ok(!(await page.evaluate(() => document.body.innerText)).includes("YOUR-APP"));
    await page.goto(`${url}/?lang=en#cursor`);
    assert.ok(await page.isVisible("#cursor pre"));
    await page.evaluate(() => { location.hash = "codex"; });
    await page.waitForSelector("#codex pre");
    await page.click("label[for=client-dify]");
    const panels = await page.$$eval(".panel", (all) => all.filter((one) => one.checkVisibility()).map((one) => one.id));
    assert.deepEqual(panels, ["dify"]);
    return { faults: seen.faults };
  },

  "an address that ends in something that cannot be decoded": async () => {
    const opened = [];
    for (const hash of ["#%", "#%E4%B8", "#%zz", "#cursor%", "#"]) {
      const { page, seen } = await open(`${url}/?lang=en${hash}`);
      assert.ok(await page.isVisible(".copy >> nth=0"), hash);
      await page.evaluate(() => { location.hash = "codex"; });
      await page.waitForSelector("#codex pre");
      await page.evaluate((next) => { location.hash = next; }, hash);
      await find(page, "sandbox-completed");
      await state(page, "ready");
      opened.push({ seen });
    }
    return together(...opened);
  },

  "to copy, with a clipboard and without": async () => {
    const { page, seen, context } = await open();
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const copied = async (button, text) => {
      await page.click(button);
      await page.waitForFunction(() => document.getElementById("announcement").textContent === "Copied");
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), text);
      await page.waitForFunction(() => !document.getElementById("announcement").textContent);
    };
    assert.equal(await page.getAttribute(".url .copy", "aria-label"), "Copy: MCP address");
    await copied(".url .copy", `${url}/mcp`);
    await page.click("label[for=client-dify]");
    await copied("#dify dd >> nth=-1 >> button", `Bearer ${SANDBOX_KEY}`);
    await page.click("#play");
    await state(page, "ready");
    await copied("#job .id button", "sandbox-completed");
    const other = await open(`http://${NAME}:${plain}/sub/?lang=en`);
    await other.page.click(".url .copy");
    await other.page.waitForFunction(() => document.getElementById("announcement").textContent.includes("Ctrl+C"));
    assert.equal(await other.page.evaluate(() => getSelection().toString()), `http://${NAME}:${plain}/sub/mcp`);
    return together({ seen }, other);
  },

  "behind a proxy, with and without the last slash": async () => {
    const opened = [];
    for (const start of [`http://127.0.0.1:${plain}/sub`, `https://${NAME}:${secure}/sub`]) {
      for (const slash of ["", "/"]) {
        const { page, seen } = await open(`${start}${slash}?lang=en`);
        assert.equal(await page.textContent(".url pre"), `${start}/mcp`);
        await page.waitForFunction(() => [...document.images].every((one) => one.naturalWidth));
        await page.click("#play");
        await state(page, "ready");
        assert.deepEqual(seen.calls.map((call) => call.to).filter((to) => to !== `${start}/mcp`), []);
        await plays(page, start);
        assert.equal(await page.getAttribute("#claude-ai .button", "hidden") === null, start.startsWith("https"));
        await page.click(".switch");
        assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
        await page.click("footer a >> nth=-1");
        assert.ok(page.url().endsWith("/sub/health"));
        opened.push({ seen });
      }
    }
    return together(...opened);
  },

  "under mod_wsgi, where no PORT is set": async () => {
    const opened = [];
    const start = `https://${NAME}:${wsgi}`;
    for (const language of ["en", "zh"]) {
      const { page, seen } = await open(`${start}/?lang=${language}`);
      assert.equal(await page.textContent(".url pre"), `${start}/mcp`);
      const sent = page.waitForRequest((request) => request.method() === "POST");
      await page.click("#play");
      const headers = await (await sent).allHeaders();
      assert.deepEqual([headers.origin, headers["sec-fetch-site"]], [start, "same-origin"]);
      await plays(page, start);
      await find(page, "sandbox-failed");
      await state(page, "failed");
      await page.click("#make");
      await state(page, "making");
      await progress(page);
      await stop(page);
      assert.deepEqual(seen.calls.map((call) => call.to).filter((to) => to !== `${start}/mcp`), []);
      opened.push({ seen });
    }
    // The headers that only a browser can send make the difference: without them, the same request is rejected.
    const { page } = await open(`${start}/`);
    const refused = await page.request.post(`https://127.0.0.1:${wsgi}/mcp`, {
      headers: { Host: new URL(start).host, Origin: start }, data: { jsonrpc: "2.0", id: 1, method: "ping" },
    });
    assert.equal(refused.status(), 403);
    return together(...opened);
  },

  "over plain HTTP, by a name that the service does not know": async () => {
    const { page, seen } = await open(`http://${NAME}:${plain}/sub/?lang=en`);
    await page.click("#play");
    const [, sentence] = await notice(page, "does not accept requests from this page", "over HTTPS");
    assert.ok(sentence.endsWith(`SCENEXT_ALLOWED_ORIGINS=http://${NAME}:${plain}`));
    assert.equal(seen.faults.splice(0).length, 1); // the browser's own line about the status
    return { faults: seen.faults };
  },

  "over plain HTTP, by a name that an attacker points at a server with a PORT": async () => {
    // DNS rebinding: to the browser, the attacker's page and the server have the same origin.
    const { page, seen } = await open(`http://${NAME}:${shared}/?lang=en`);
    const ask = () => page.evaluate(async () => {
      const params = { name: "gen_video", arguments: { question: "Why?" } };
      const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params });
      const response = await fetch("mcp", { method: "POST", headers: { "Content-Type": "application/json" }, body });
      const { error, result } = await response.json();
      return [response.status, error?.message ?? result.isError];
    });
    const [refused, why] = await ask();
    assert.equal(refused, 403);
    assert.ok(why.includes("SCENEXT_ALLOWED_ORIGINS"));
    await find(page, "sandbox-completed");
    await notice(page, "does not accept requests from this page", `SCENEXT_ALLOWED_ORIGINS=http://${NAME}:${shared}`);
    assert.equal(seen.faults.splice(0).length, 2); // the browser's own lines about the status
    await page.goto(`http://127.0.0.1:${shared}/?lang=en`); // this machine's own address
    assert.deepEqual(await ask(), [200, false]);
    const media = `https://${NAME}:${secure}`; // of its sample video
    const other = await open(`http://${NAME}:${own}/?lang=en`, { media }); // it shares no key, so an attacker gains nothing
    await find(other.page, "sandbox-completed");
    await state(other.page, "ready");
    seen.faults.splice(0);
    return { faults: other.seen.faults };
  },

  "the endpoint in a browser leads here": async () => {
    const opened = [];
    for (const path of ["/mcp", "/mcp/"]) {
      const { page, seen } = await open(`http://127.0.0.1:${plain}/sub${path}`);
      await axe(page);
      await page.click("a >> nth=0");
      assert.equal(page.url(), `http://127.0.0.1:${plain}/sub/`);
      seen.faults = seen.faults.filter((fault) => !fault.includes("405"));
      opened.push({ seen });
    }
    return together(...opened);
  },

  "without JavaScript": async () => {
    const opened = [];
    for (const language of ["en", "zh"]) {
      const { page, seen } = await open(`${url}/?lang=${language}`, { javaScriptEnabled: false });
      const text = await page.locator("body").innerText();
      for (const word of ["https://YOUR-APP.example.com/mcp", "curl -s", "query_video_status", "Cursor"]) {
        assert.ok(text.includes(word), word);
      }
      for (const hidden of ["#ask", "#folds", "#play", ".copy", "[data-link]", ".after", "#sample"]) {
        assert.equal(await page.locator(hidden).locator("visible=true").count(), 0, hidden);
      }
      await page.click("label[for=client-cursor]");
      assert.ok(await page.isVisible("#cursor pre"));
      await page.click(".stage noscript video"); // the browser's own controls
      opened.push({ seen });
      const linked = await open(`${url}/?lang=${language}#codex`, { javaScriptEnabled: false });
      assert.ok(await linked.page.isVisible("#codex pre"));
      opened.push(linked);
    }
    return together(...opened);
  },

  "with reduced motion, nothing moves": async () => {
    const { page, seen } = await open(`${url}/?lang=en`, { reducedMotion: "reduce" });
    await page.click("#make");
    await page.waitForSelector("#job .frame", { timeout: VIDEO_TIMEOUT });
    assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
    return { faults: seen.faults };
  },

  "with forced colours, states are still visible": async () => {
    const { page, seen } = await open(`${url}/?lang=en`, { forcedColors: "active" });
    const outline = (selector) => page.$eval(selector, (one) => {
      const { outlineStyle, borderStyle } = getComputedStyle(one);
      return [outlineStyle, borderStyle];
    });
    assert.equal((await outline("[type=radio]:checked + label"))[0], "solid");
    for (const selector of [".stage", ".block"]) assert.equal((await outline(selector))[1], "solid");
    return { faults: seen.faults };
  },

  "from 360 to 1440 pixels, without a horizontal scroll bar and with large targets": async () => {
    const opened = [];
    for (const width of [360, 390, 480, 768, 1024, 1440]) {
      for (const [language, colorScheme] of [["en", "light"], ["zh", "dark"]]) {
        const { page, seen } = await open(`${url}/?lang=${language}`, { viewport: { width, height: 740 }, colorScheme });
        await page.click("#play");
        await state(page, "ready");
        await unfold(page);
        await showClients(page);
        assert.deepEqual(await wide(page), [0]);
        const small = await page.$$eval("button, .button, summary, .clients > label, input:not([type=radio]), textarea, footer a", (all) => all
          .filter((one) => one.checkVisibility() && one.offsetHeight < 44).map((one) => one.outerHTML.slice(0, 80)));
        assert.deepEqual(small, []);
        await axe(page);
        opened.push({ seen });
      }
    }
    return together(...opened);
  },

  "axe finds nothing, in both themes and languages": async () => {
    const opened = [];
    for (const [language, colorScheme] of [["en", "light"], ["zh", "dark"], ["en", "dark"], ["zh", "light"]]) {
      const { page, seen } = await open(`${url}/?lang=${language}`, { colorScheme });
      await axe(page);
      await find(page, "sandbox-in-progress");
      await state(page, "making");
      await page.waitForSelector("#job .frame");
      await axe(page);
      await stop(page);
      await axe(page);
      await find(page, "sandbox-failed");
      await notice(page);
      await axe(page);
      await find(page, "sandbox-completed");
      await state(page, "ready");
      await unfold(page);
      await axe(page);
      await showClients(page);
      await axe(page);
      const keyed = await open(`${real}/?lang=${language}`, { colorScheme });
      await keyed.page.fill("#question", "Why?");
      await keyed.page.fill("#key", KEY);
      await axe(keyed.page);
      await keyed.page.click("#make");
      await keyed.page.waitForSelector("dialog[open]");
      await axe(keyed.page);
      opened.push({ seen }, keyed);
    }
    return together(...opened);
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
