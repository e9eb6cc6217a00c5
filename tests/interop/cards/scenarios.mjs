// The card in Chromium, in one situation after the other. A console error or a breach of the policy fails each of them.
// Arguments: the endpoint of the service, which runs in the sandbox; words of the scenarios to run, or none for all.

import assert from "node:assert/strict";

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { Hosts, MEDIA, Service, until } from "./host.mjs";

const [url, ...words] = process.argv.slice(2);
const service = new Service(url);
const hosts = new Hosts();

const started = (task_id) => ({ structuredContent: { task_id, status: "success" }, content: [] });
const signed = (name, signature) => `${MEDIA}/${name}?Signature=${signature}`;
const job = (task_id, frames, more = {}) => ({
  task_id,
  status: "IN_PROGRESS",
  progress: Array.from({ length: frames }, (_, n) => ({ id: `frame${n}`, image: signed(`${n}.png`, "a") })),
  ...more,
});
const done = (task_id, signature = "a") =>
  job(task_id, 0, { status: "COMPLETED", result: { video_url: signed("film.mp4", signature) } });
const told = (structuredContent) => ({ result: { structuredContent, content: [] } });
const passed = async ({ name, arguments: given }) => ({ result: await service.call(name, given) });

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SILENT = "Ask in the chat how your video stands.";

const SCENARIOS = {
  "a new job, from its first frame to its film": async (open) => {
    const host = await open({ tool: passed });
    await host.result(await service.call("gen_video", { question: "Why is the sky blue?" }));
    await host.state("running");
    await host.says("less than a minute");
    const frames = () => host.card.evaluate(() => [...document.images].filter((one) => one.naturalWidth).length);
    await until("a frame", async () => (await frames()) > 0, 60000);
    assert.equal(await host.card.evaluate(() => document.querySelector("video").hidden), true);
    await host.state("ready", 60000);
    await until("six frames", async () => (await frames()) === 6);
    assert.equal(await host.card.evaluate(() => document.querySelector("video").controls), true);
    await host.card.evaluate(() => document.querySelector("video").play());
    await until("the film runs", () => host.card.evaluate(() => document.querySelector("video").currentTime > 1));
    assert.deepEqual(host.seen.calls[1].arguments.wait_seconds, 25);
    assert.deepEqual(new Set(host.seen.calls.map((call) => call.arguments.frames)), new Set(["all"]));
    assert.ok(host.seen.calls.length <= 5);
    await host.card.click("text=Open the video");
    await host.heard("ui/open-link");
    const [opened] = await host.messages("ui/open-link");
    assert.ok(opened.params.url.startsWith(`${hosts.sandbox}sandbox-`), opened.params.url);
    assert.match(opened.params.url, /\/video\.mp4\?/);
    const news = await host.messages("ui/update-model-context");
    assert.equal(news.length, 1);
    assert.ok(news[0].params.content[0].text.includes(opened.params.url));
    assert.ok((await host.messages("ui/notifications/size-changed")).length > 1);
  },

  "a job that failed": async (open) => {
    const host = await open({ tool: passed });
    await host.result(started("sandbox-failed"));
    await host.state("failed");
    await host.says("The question in the image could not be read");
    await host.says("A new attempt is charged again.");
    assert.equal(host.seen.calls.length, 1);
    assert.deepEqual(await host.messages("ui/update-model-context"), []);
  },

  "a failure in Chinese, in a list": async (open) => {
    const result = ["题目无法识别", { code: 7, message: "请重新上传" }];
    const host = await open({ tool: () => told(job("t", 0, { status: "FAILED", result })), context: { locale: "zh-Hant-TW" } });
    await host.result(started("t"));
    await host.says("题目无法识别");
    await host.says("请重新上传");
    assert.equal(await host.card.evaluate(() => document.documentElement.lang), "zh-Hant-TW");
    assert.ok(!/[a-z]{3}/i.test(await host.text()));
  },

  "links that have expired": async (open) => {
    const gone = (link) => link.endsWith("Signature=old");
    const frames = (signature) => ({
      progress: [1, 2, 3].map((n) => ({ id: `f${n}`, image: signed(`${n}.png`, signature) })),
    });
    const tool = (_, n) => told({ ...done("t", n === 1 ? "old" : "new"), ...frames(n === 1 ? "old" : "new") });
    const host = await open({ tool, gone, expected: /403/ });
    await host.result(started("t"));
    await until("the film", () => host.card.evaluate(() => document.querySelector("video").readyState > 0));
    await until("the frames", () => host.card.evaluate(() => [...document.images].every((one) => one.naturalWidth)));
    assert.equal(host.seen.calls.length, 2);
    assert.equal((await host.messages("ui/update-model-context")).length, 1);
  },

  "links that have expired, and no answer for new ones": async (open) => {
    const tool = (_, n) => (n === 1 ? told(done("t")) : { error: { code: -32000, message: "gone" } });
    const host = await open({ tool, gone: () => true, expected: /403/, clock: true });
    await host.result(started("t"));
    await until("two calls", () => host.seen.calls.length === 2);
    await host.page.clock.runFor(300000);
    await host.state("ready");
    assert.equal(host.seen.calls.length, 2);
  },

  "links that stay expired": async (open) => {
    const host = await open({ tool: (_, n) => told(done("t", n)), gone: () => true, expected: /403/ });
    await host.result(started("t"));
    await until("two attempts", () => host.seen.links.length >= 2);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    assert.equal(host.seen.calls.length, 2);
    await host.state("ready");
  },

  "a frame that never loads": async (open) => {
    const tool = (_, n) => told(job("t", 0, { progress: [{ id: "a", image: signed("a.png", n) }] }));
    const host = await open({ tool, gone: () => true, expected: /403/, clock: true });
    await host.result(started("t"));
    for (let calls = 1; calls <= 4; calls++) {
      await until(`${calls} calls`, () => host.seen.calls.length === calls);
      await until("an attempt", () => host.seen.links.length === Math.min(calls, 2));
      await host.page.clock.runFor(40000);
    }
    await host.says("Your video is being made");
    assert.equal(host.seen.links.length, 2);
  },

  "frames stay when an answer has none, and are loaded once": async (open) => {
    const answers = [job("t", 2), job("t", 0), job("t", 3, { progress: job("t", 3).progress.map((one) => ({ ...one, image: one.image + "b" })) })];
    const host = await open({ tool: (_, n) => told(answers[n - 1] ?? done("t")), clock: true });
    await host.result(started("t"));
    await until("two frames", () => host.card.evaluate(() => document.images.length === 2));
    await host.card.evaluate(() => (window.first = document.images[0]));
    for (let calls = 2; calls <= 4; calls++) {
      await host.page.clock.runFor(40000);
      await until(`${calls} calls`, () => host.seen.calls.length === calls);
    }
    await host.state("ready");
    assert.equal(await host.card.evaluate(() => document.images.length), 3);
    assert.ok(await host.card.evaluate(() => document.images[0] === window.first));
    assert.equal(host.seen.links.filter((link) => link.includes("/0.png")).length, 1);
  },

  "a host whose cards may call no tools": async (open) => {
    const host = await open({ can: {} });
    await host.result(started("job-7"));
    await host.says("task_id: job-7");
    await host.says(SILENT);
    assert.deepEqual(host.seen.calls, []);
  },

  "a host that never answers": async (open) => {
    const host = await open({ deaf: true, clock: true });
    await host.page.clock.runFor(200000);
    await host.says(SILENT);
    await host.says("请在对话中询问视频的进展。");
    assert.equal((await host.messages("ui/initialize")).length, 1);
    assert.deepEqual(await host.messages("ui/notifications/size-changed"), []);
  },

  "calls that are never answered": async (open) => {
    let silent = true;
    const host = await open({ tool: () => (silent ? undefined : told(done("t"))), clock: true });
    await host.result(started("t"));
    for (let calls = 1; calls <= 3; calls++) {
      await until(`${calls} calls`, () => host.seen.calls.length === calls);
      await host.page.clock.runFor(60000);
      await host.page.clock.runFor(31000);
    }
    await host.state("lost");
    await host.page.clock.runFor(300000);
    assert.equal(host.seen.calls.length, 3);
    silent = false;
    await host.card.click("text=Try again");
    await host.state("ready");
  },

  "two failures, and then news, again and again": async (open) => {
    const error = { code: -32000, message: "Client server capabilities not available" };
    const failed = { result: { isError: true, content: [{ type: "text", text: "HTTP 503" }] } };
    const answers = [{ error }, failed, told(job("t", 1)), failed, { error }];
    const host = await open({ tool: (_, n) => answers[n - 1] ?? told(done("t")), clock: true });
    await host.result(started("t"));
    for (let calls = 1; calls <= answers.length; calls++) {
      await until(`${calls} calls`, () => host.seen.calls.length === calls);
      await host.state("running");
      await host.page.clock.runFor(31000);
    }
    await host.state("ready");
  },

  "a frame that is taken down while a call is under way": async (open) => {
    let answer;
    const host = await open({ tool: () => new Promise((resolve) => (answer = resolve)), clock: true });
    await host.result(started("t"));
    await until("a call", () => answer);
    await host.post({ id: "end", method: "ui/resource-teardown", params: {} });
    const answered = () => host.page.evaluate(() => window.heard.find((one) => one.id === "end"));
    await until("an answer", answered);
    assert.deepEqual((await answered()).result, {});
    answer(told(done("t")));
    await host.page.clock.runFor(120000);
    await host.state("running");
    assert.equal(host.seen.calls.length, 1);
    assert.deepEqual(await host.messages("ui/update-model-context"), []);
  },

  "what the host tells of itself in pieces": async (open) => {
    const host = await open({ tool: () => told(job("t", 1)) });
    await host.result(started("t"));
    await host.says("Your video is being made");
    const change = (params) => host.notify("ui/notifications/host-context-changed", params);
    const style = (name) => host.card.evaluate((one) => getComputedStyle(document.body)[one], name);
    const back = await style("backgroundColor");
    await change({ theme: "dark" });
    await until("dark", async () => (await style("backgroundColor")) !== back);
    const dark = await style("backgroundColor");
    await change({ styles: { variables: { "--color-text-primary": "rgb(1, 2, 3)" } } });
    await change({ locale: "zh-CN" });
    await host.says("视频正在生成");
    assert.notEqual(await style("color"), "rgb(1, 2, 3)"); // without its background
    await change({ styles: { variables: { "--color-background-primary": "light-dark(white, rgb(4, 5, 6))" } } });
    await until("the host's colours", async () => (await style("color")) === "rgb(1, 2, 3)");
    assert.equal(await style("backgroundColor"), "rgb(4, 5, 6)");
    await change({ safeAreaInsets: { top: 20, right: 0, bottom: 0, left: 0 } });
    await until("the inset", async () => (await style("paddingTop")) === "34px");
    await change({});
    await change({ theme: "purple", locale: 7, styles: null, safeAreaInsets: null });
    await change({ locale: "fr" });
    await host.says("Your video is being made");
    assert.equal(await host.card.evaluate(() => document.documentElement.dataset.theme), "dark");
    assert.notEqual(dark, back);
  },

  "two results in a row": async (open) => {
    const held = [];
    const host = await open({ tool: ({ arguments: given }) => new Promise((resolve) => held.push([given.task_id, resolve])) });
    await host.result(started("first"));
    await until("a call", () => held.length === 1);
    await host.result(started("first"));
    await host.result(started("second"));
    await until("the other call", () => held.length === 2);
    assert.deepEqual(held.map(([task]) => task), ["first", "second"]);
    held[1][1](told(job("second", 1)));
    await until("a frame", () => host.card.evaluate(() => document.images.length === 1));
    held[0][1](told(done("first")));
    await new Promise((resolve) => setTimeout(resolve, 300));
    await host.state("running");
    assert.deepEqual(await host.messages("ui/update-model-context"), []);
  },

  "a call that failed": async (open) => {
    const host = await open({});
    const content = [{ type: "text", text: "No Scenext API key <b>came</b>." }];
    await host.result({ isError: true, structuredContent: { task_id: "t" }, content });
    await host.says("No Scenext API key <b>came</b>.");
    assert.ok(!(await host.text()).includes(SILENT));
    assert.deepEqual(host.seen.calls, []);
  },

  "a call that was cancelled": async (open) => {
    const host = await open({});
    await host.heard("ui/notifications/initialized");
    await host.notify("ui/notifications/tool-cancelled", { reason: "<b>user</b>" });
    await host.says("The call was cancelled.");
  },

  "a result that has only its text": async (open) => {
    const host = await open({
      tool: () => ({ result: { content: [{ type: "text", text: JSON.stringify(done("t")) }] } }),
    });
    await host.result({ content: [{ type: "text", text: '{"task_id":"t"}' }] });
    await host.state("ready");
  },

  "a result that was there before the frame": async (open) => {
    const init = () => (window.openai = { toolOutput: { task_id: "early" } });
    const host = await open({ tool: () => told(done("early")), init });
    await host.state("ready");
    assert.equal(host.seen.calls[0].arguments.task_id, "early");
  },

  "a result that comes before the greeting is answered": async (open) => {
    let greet;
    const host = await open({
      tool: () => told(done("t")),
      methods: { "ui/initialize": () => new Promise((resolve) => (greet = resolve)) },
    });
    await until("the greeting", () => greet);
    await host.notify("ui/notifications/tool-result", started("t"));
    await host.says(SILENT);
    greet({ result: { hostCapabilities: { serverTools: {} }, hostContext: null } });
    await host.state("ready");
  },

  "a host that refuses what it is asked": async (open) => {
    const refuse = () => ({ error: { code: -32601, message: "Method not found" } });
    const host = await open({
      tool: () => told(done("t")),
      methods: { "ui/update-model-context": refuse, "ui/open-link": refuse },
    });
    await host.result(started("t"));
    await host.card.click("text=Open the video");
    await host.says(`The video is here: ${signed("film.mp4", "a")}`);
    await host.post({ id: 8, method: "sampling/createMessage", params: {} });
    const refused = () => host.page.evaluate(() => window.heard.find((one) => one.id === 8 && one.error));
    await until("a refusal", async () => (await refused())?.error.code === -32601);
  },

  "messages from elsewhere": async (open) => {
    const host = await open({ tool: () => told(job("mine", 1)) });
    await host.result(started("mine"));
    await host.state("running");
    await host.page.evaluate(async () => {
      const other = document.createElement("iframe");
      document.body.append(other);
      const forge = (text) => {
        const script = other.contentDocument.createElement("script");
        script.textContent = `parent.frames[0].postMessage(${text}, "*")`;
        other.contentDocument.body.append(script);
      };
      const failed = { isError: true, content: [{ type: "text", text: "FORGED" }] };
      forge(JSON.stringify({ jsonrpc: "2.0", method: "ui/notifications/tool-result", params: failed }));
      forge(JSON.stringify({ jsonrpc: "2.0", id: 66, method: "ui/resource-teardown" }));
      await new Promise((resolve) => setTimeout(resolve, 200));
    });
    await host.card.evaluate(() => {
      const params = { isError: true, content: [{ type: "text", text: "FORGED" }] };
      window.postMessage({ jsonrpc: "2.0", method: "ui/notifications/tool-result", params }, "*");
    });
    for (const odd of [null, 7, "x", [], { jsonrpc: "1.0" }, { jsonrpc: "2.0", id: 999, result: {} }]) {
      await host.page.evaluate((one) => frames[0].postMessage(one, "*"), odd);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.ok(!(await host.text()).includes("FORGED"));
    await host.state("running");
    assert.equal(await host.page.evaluate(() => window.heard.some((one) => one.id === 66)), false);
  },

  "hostile words in every field of a job": async (open) => {
    const bad = '<img src=x onerror="window.bad=1"><script>window.bad=1</script>${1}"\'';
    const script = "javascript:window.bad=1";
    const odd = { toString: 1, valueOf: 1, length: -1, __proto__: null };
    const progress = [
      { id: bad, image: bad }, { id: odd, image: script }, { image: ["https://a.example"] }, null, 7, bad,
      { id: bad, image: signed("ok.png", encodeURIComponent(bad)) },
      { id: 1, image: "data:text/html,<b>" }, { id: 1, image: "file:///etc/passwd" },
    ];
    const ends = {
      FAILED: { error: bad, deep: [[{ message: bad, detail: odd }]], url: script },
      COMPLETED: [{ video_url: script }, { video_url: bad }, { cover: signed("cover.png", "a") }, odd],
      [bad]: { error: bad },
    };
    for (const [status, result] of Object.entries(ends)) {
      const host = await open({ tool: () => told({ task_id: odd, status, progress, result, next: bad, points: odd }) });
      await host.result({ structuredContent: { task_id: bad, status: bad, message: bad }, content: odd });
      await until("the frame", () => host.card.evaluate(() => document.images[0]?.naturalWidth === 1));
      const found = await host.card.evaluate(() => ({
        bad: window.bad,
        images: document.images.length,
        made: document.querySelectorAll("#job b, #job script, #job a, body > script").length,
        links: [...document.querySelectorAll("img, video")].map((one) => one.src).filter(Boolean),
      }));
      assert.deepEqual([found.bad, found.images, found.made], [undefined, 1, 1]);
      assert.ok(found.links.every((link) => link.startsWith(MEDIA)));
      if (status === "FAILED") await host.says(bad);
      assert.deepEqual(await host.messages("ui/update-model-context"), []);
      await host.done();
    }
    const host = await open({});
    await host.result({ isError: true, content: [{ type: "text", text: bad }] });
    await host.says(bad);
  },

  "axe finds nothing, in both themes and languages": async (open) => {
    const answers = { run: job("run", 3), ok: { ...done("ok"), progress: job("ok", 3).progress },
      bad: job("bad", 1, { status: "FAILED", result: { error: "It could not be read." } }) };
    const states = { run: "running", ok: "ready", bad: "failed", lost: "lost" };
    for (const context of [{ theme: "light" }, { theme: "dark", locale: "zh-CN" }]) {
      for (const task of ["", ...Object.keys(states)]) {
        const tool = () => (answers[task] ? told(answers[task]) : { error: { code: -32000, message: "gone" } });
        const host = await open({ tool, context, clock: task === "lost" });
        await host.heard("ui/notifications/initialized");
        if (task) await host.result(started(task));
        for (let calls = 1; task === "lost" && calls <= 3; calls++) {
          await until(`${calls} calls`, () => host.seen.calls.length === calls);
          await host.page.clock.runFor(31000);
        }
        if (task) await host.state(states[task]);
        assert.equal(await host.card.evaluate(() => document.documentElement.dataset.theme), context.theme);
        await host.card.evaluate(AXE);
        // A card is a part of a page, and its heading is the host's.
        const rules = { "page-has-heading-one": { enabled: false } };
        const { violations } = await host.card.evaluate((set) => globalThis.axe.run(document, set), { rules });
        assert.deepEqual(violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target).join(" ")}`), []);
        await host.done();
      }
    }
  },

  "a narrow chat": async (open) => {
    const long = "W".repeat(300);
    const answers = { run: job("run", 8), ok: { ...done("ok"), progress: job("ok", 8).progress },
      bad: job("bad", 1, { status: "FAILED", result: { error: long } }) };
    for (const context of [{}, { locale: "zh" }]) {
      for (const task of Object.keys(answers)) {
        const host = await open({ tool: () => told(answers[task]), width: 280, context });
        await host.result(started(task));
        await host.state({ run: "running", ok: "ready", bad: "failed" }[task]);
        const size = () => host.card.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.deepEqual(await size(), [280, 280]);
        const fits = () => host.card.evaluate(() => Math.abs(document.documentElement.scrollHeight - innerHeight) <= 1);
        await until("the whole height", fits);
        await host.done();
      }
    }
  },

  "a chat that nobody looks at": async (open) => {
    const host = await open({ tool: () => told(job("t", 1)), clock: true });
    await host.result(started("t"));
    await until("a call", () => host.seen.calls.length === 1);
    await until("a frame", () => host.card.evaluate(() => document.images.length === 1));
    const hide = (hidden) => host.card.evaluate((now) => {
      Object.defineProperty(document, "hidden", { value: now, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
    await hide(true);
    await host.page.clock.runFor(3600000);
    assert.equal(host.seen.calls.length, 1);
    await hide(false);
    await until("a call", () => host.seen.calls.length === 2);
  },
};

async function run(scenario) {
  const opened = [];
  const open = async (options) => {
    const host = await hosts.open(options);
    host.done = async () => {
      opened.splice(opened.indexOf(host), 1);
      const problems = host.seen.problems.filter((problem) => !options.expected?.test(problem));
      await host.close();
      assert.deepEqual(problems, []);
    };
    opened.push(host);
    return host;
  };
  try {
    await scenario(open);
    for (const host of [...opened]) await host.done();
  } finally {
    for (const host of opened) await host.close();
  }
}

const names = Object.keys(SCENARIOS).filter((name) => !words.length || words.some((word) => name.includes(word)));
let failed = names.length ? 0 : 1;
await hosts.start(service);
for (const name of names) {
  try {
    await run(SCENARIOS[name]);
    console.log(`works  ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILS  ${name}\n${error.stack}`);
  }
}
await hosts.browser.close();
console.log(`card: ${names.length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
