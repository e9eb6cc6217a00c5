// The card in Chromium, in one situation after the other. Each of them fails on a console error, a violation of the policy
// or a request to another host. Arguments: the endpoint of the service, which runs in the sandbox; words of the scenarios
// to run, or none for all.

import assert from "node:assert/strict";

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { Hosts, MEDIA, Service, until } from "./host.mjs";

const [url, ...words] = process.argv.slice(2);
const service = new Service(url);
const hosts = new Hosts();

const QUESTION = "Why is the sky blue?";
const ALL = { serverTools: {}, openLinks: {} };
const MODES = { displayMode: "inline", availableDisplayModes: ["inline", "fullscreen"] };
const STARTING = "Starting your video…", MAKING = "Making your video", LOST = "Connection lost";
const READY = "Your video is ready", ASK = "Ask the assistant for its status.";
const INTERVAL = 5000, LONG_INTERVAL = 30000, RESPONSE_TIMEOUT = 60000; // of the card, in milliseconds
const LARGEST_JUMP = 24; // pixels, before the card has its final height

const started = (task_id) => ({ structuredContent: { task_id, status: "success" }, content: [] });
const signed = (name, signature) => `${MEDIA}/${name}?Signature=${signature}`;
const job = (task_id, frames, more = {}) => ({
  task_id,
  status: "IN_PROGRESS",
  progress: Array.from({ length: frames }, (_, n) => ({ id: `frame${n}`, image: signed(`${n}.png`, "a") })),
  ...more,
});
const completed = (task_id, signature = "a") =>
  job(task_id, 0, { status: "COMPLETED", result: { video_url: signed("video.mp4", signature) } });
const ok = (structuredContent) => ({ result: { structuredContent, content: [] } });
const gone = { error: { code: -32000, message: "Client server capabilities not available" } };
const failure = (final) => ({ "scenext/failure": {
  kind: "NotFound", final, en: ["Video not found", "Check the <b>ID</b>."], zh: ["找不到该视频", "请检查。"] } });
const rejected = (final) => ({
  isError: true, content: [{ type: "text", text: "Ask the user to check the ID." }], _meta: failure(final) });
const forward = async ({ name, arguments: args }) => ({ result: await service.call(name, args) });

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const video = (host) => host.read(() => {
  const { hidden, src, controls, readyState, error } = document.querySelector("video");
  return { hidden, src, controls, readyState, broken: !!error };
});
const stage = (host) => host.read(() => [...document.querySelector(".stage").children]
  .filter((one) => !one.hasAttribute("hidden")).map((one) => one.getAttribute("class")));
const play = async (host) => {
  await host.read(() => document.querySelector("video").play());
  await until("the video plays", () => host.read(() => document.querySelector("video").currentTime > 0.1));
};
// Let the card poll: advance its clock by an interval after each response, until it has made this number of calls.
const poll = async (host, calls, interval = LONG_INTERVAL) => {
  while (host.calls.length < calls) {
    const before = host.calls.length;
    await host.settle();
    await host.page.clock.fastForward(interval + 100);
    await host.called(before + 1);
  }
  await host.settle();
};
const lose = async (host) => {
  await host.called(1);
  await poll(host, 3, INTERVAL);
  await host.state("lost");
};

const SCENARIOS = {
  "a new job, from its first paint to its video": async (open) => {
    const host = await open({ tool: forward, width: 760 });
    await host.shows(STARTING);
    assert.ok(!(await host.text()).includes("Task ID"));
    await host.notify("ui/notifications/tool-input", { arguments: { question: QUESTION } });
    await host.shows(QUESTION);
    await host.result(await service.call("gen_video", { question: QUESTION }));
    await host.state("making");
    await host.shows("started just now");
    await host.shows("One minute in the sandbox.");
    assert.deepEqual(await stage(host), ["sketch"]);
    await until("a frame", async () => (await stage(host))[0] === "frame", 60000);
    await host.shows("1 frame · started 10 s ago");
    assert.equal((await video(host)).hidden, true);
    await host.frameShown("Frame 2");
    await host.state("ready", 60000);
    await host.shows("made in 1 min");
    const { hidden, controls } = await video(host);
    assert.deepEqual([hidden, controls, await stage(host)], [false, true, ["video"]]);
    assert.match(await host.read(() => document.querySelector("video").poster), /^http.+\.svg\?/);
    await play(host);
    const { arguments: args } = host.calls[1];
    assert.deepEqual([args.wait_seconds, args.frames], [4, "all"]);
    assert.ok(host.calls.length <= 20, host.calls.length);
    await host.click("Open video");
    await host.received("ui/open-link");
    const [opened] = await host.messages("ui/open-link");
    assert.ok(opened.params.url.startsWith(`${hosts.sandbox}sandbox-`), opened.params.url);
    assert.match(opened.params.url, /\.mp4\?/);
    const reports = await host.messages("ui/update-model-context");
    assert.equal(reports.length, 1);
    assert.ok(reports[0].params.content[0].text.includes(opened.params.url));
    assert.deepEqual((await host.heights()).length, 1, await host.heights());
  },

  "one height until the end, and room is given back at a failure": async (open) => {
    for (const width of [360, 480, 760, 1440]) {
      for (const locale of ["en", "zh"]) {
        const answers = [ok(job("t", 0)), ok(job("t", 3)), gone, gone, gone, ok(job("t", 4))];
        const tool = (_, n) => answers[n - 1] ?? ok(completed("t"));
        const host = await open({ tool, clock: true, width, context: { locale } });
        await host.notify("ui/notifications/tool-input", { arguments: { question: QUESTION } });
        await host.received("ui/notifications/size-changed");
        await host.result(started("t"));
        await host.called(1);
        await poll(host, 6);
        await host.frameShown(locale === "en" ? "Frame 4" : "第 4 个画面");
        await host.page.clock.runFor(1000);
        await host.settle();
        const heights = await host.heights();
        assert.ok(heights[0] > (width * 9) / 16, heights);
        const jumps = heights.slice(1).map((height, n) => Math.abs(height - heights[n]));
        assert.ok(Math.max(0, ...jumps) <= LARGEST_JUMP, `${width} ${locale}: ${heights}`);
        if (width >= 760) assert.equal(heights.length, 1);
        await poll(host, 7);
        await host.state("ready");
        await host.done();
      }
    }
    const host = await open({ width: 760 });
    await host.received("ui/notifications/size-changed");
    await host.result(rejected(true));
    await host.received("ui/notifications/size-changed", 2);
    const [before, after] = await host.heights();
    assert.ok(before > 450 && after < 220, `${before} ${after}`);
  },

  "the question is the title": async (open) => {
    for (const [args, locale, title] of [
      [{ question: QUESTION }, "en", QUESTION],
      [{ question: " <b>Why?</b> " }, "en", "<b>Why?</b>"],
      [{ question: "", question_images: ["https://a.example/1.png"] }, "en", "The question in your picture"],
      [{ questionImages: ["https://a.example/1.png"] }, "zh-CN", "图片中的题目"],
      [{ question: { toString: 1 } }, "en", "Your video"],
      [undefined, "zh", "讲解视频"],
    ]) {
      const host = await open({ context: { locale } });
      await host.received("ui/notifications/initialized");
      await host.notify("ui/notifications/tool-input", { arguments: args });
      await host.settle();
      assert.equal(await host.read(() => document.querySelector("h1").textContent), title);
      await host.done();
    }
    const host = await open({});
    await host.notify("ui/notifications/tool-input", { arguments: { question: "long ".repeat(200) } });
    await host.settle();
    const lines = await host.read(() => {
      const heading = document.querySelector("h1");
      return heading.offsetHeight / parseFloat(getComputedStyle(heading).lineHeight);
    });
    assert.ok(lines < 2.1, lines);
  },

  "a job that failed, in which nothing was charged": async (open) => {
    const host = await open({ tool: forward });
    await host.result(started("sandbox-failed"));
    await host.state("failed");
    await host.shows("The video could not be made");
    await host.shows("The question in the image could not be read. No points were charged.");
    await host.shows("sandbox-failed");
    assert.equal(host.calls.length, 1);
    assert.deepEqual(await host.messages("ui/update-model-context"), []);
    assert.deepEqual(await stage(host), ["notice"]);
  },

  "a failure in Chinese, in a list": async (open) => {
    const result = ["题目无法识别", { code: 7, message: "请重新上传" }];
    const failed = job("7", 0, { status: "FAILED", result });
    const host = await open({ tool: () => ok(failed), context: { locale: "zh-Hant-TW" } });
    await host.result(started("7"));
    await host.shows("题目无法识别。请重新上传。重新生成会扣除积分。");
    assert.equal(await host.read(() => document.documentElement.lang), "zh");
    assert.deepEqual((await host.text()).match(/[a-z]{3}/i), null);
  },

  "typed items: the video is the item of this type": async (open) => {
    const host = await open({ tool: forward });
    await host.result(started("sandbox-typed"));
    await host.state("ready");
    const { src } = await video(host);
    assert.match(src, /\/sandbox-typed\/.+\.mp4\?/);
    assert.ok(!(await host.text()).includes("salt"));
    await host.received("ui/update-model-context");
    const [report] = await host.messages("ui/update-model-context");
    assert.ok(report.params.content[0].text.endsWith(src));
  },

  "typed items without a video": async (open) => {
    const result = [
      { type: "text", content: "https://h.example/text.mp4" }, { type: "image", content: signed("cover.png", "a") },
      { type: "image", url: signed("cover.png", "a") }, { type: "audio", content: "https://h.example/1.mp3" },
    ];
    const host = await open({ tool: () => ok(job("t", 0, { status: "COMPLETED", result })) });
    await host.result(started("t"));
    await host.shows("There is no video");
    assert.equal((await video(host)).hidden, true);
    assert.deepEqual(await host.messages("ui/update-model-context"), []);
  },

  "typed items of a failure, in which nothing was consumed": async (open) => {
    const host = await open({ tool: forward });
    await host.result(started("sandbox-typed-failed"));
    await host.state("failed");
    await host.shows("The image is blurred / 图片模糊. No points were consumed / 未消耗积分. A new attempt costs points.");
    assert.ok(!(await host.text()).includes("again"));
  },

  "a failure whose reason comes twice, beside a grade": async (open) => {
    const result = [
      { type: "text", content: ["No text", " "], score: 7, scoreDetail: { message: "Well done" } }, { error: "No text" },
      { type: "error", content: "Blurred!" }, { type: "image", content: "cover" },
    ];
    const host = await open({ tool: () => ok(job("t", 0, { status: "FAILED", result, fail_reason: "Too small" })) });
    await host.result(started("t"));
    await host.state("failed");
    const sentence = await host.read(() => document.querySelector(".sentence").textContent);
    assert.equal(sentence, "No text. Blurred! Too small. A new attempt costs points.");
  },

  "frames that repeat a picture count once": async (open) => {
    const progress = [["1.png", "a"], ["1.png", "b"], ["2.png", "a"]].map((parts) => ({ image: signed(...parts) }));
    const host = await open({ tool: () => ok(job("t", 0, { progress })) });
    await host.result(started("t"));
    await host.frameShown("Frame 2");
    await host.shows("2 frames");
    assert.deepEqual(host.links, [progress[2].image]);
  },

  "links with another signature, and links that differ in more": async (open) => {
    const images = ["2.png?n=1&Signature=a", "1.png?Expires=1&OSSAccessKeyId=a&Signature=a",
      "1.png?Expires=2&OSSAccessKeyId=b&Signature=b", "1.png?x-oss-date=1&x-oss-credential=a&x-oss-signature=a",
      "2.png?n=2&Signature=a"];
    const progress = images.map((image, n) => ({ id: `frame${n}`, image: `${MEDIA}/${image}` }));
    const host = await open({ tool: () => ok(job("t", 0, { progress })) });
    await host.result(started("t"));
    await host.frameShown("Frame 3");
    assert.deepEqual(host.links, [progress[4].image]);
  },

  "a new frame replaces the last one once it has loaded, and each is loaded once": async (open) => {
    const signedAgain = job("t", 2).progress.map(({ image }) => ({ image: `${image}b` }));
    const answers = [job("t", 2), job("t", 0), job("t", 2, { progress: signedAgain }), job("t", 3)];
    let held;
    const host = await open({ tool: (_, n) => ok(answers[n - 1] ?? completed("t")), clock: true });
    await host.browsing.route("**/2.png*", async (route) => {
      await new Promise((resolve) => (held = resolve));
      await route.fallback();
    });
    await host.result(started("t"));
    await host.frameShown("Frame 2");
    for (const calls of [2, 3, 4]) {
      await poll(host, calls);
      assert.deepEqual(await stage(host), ["frame"]);
      assert.equal(await host.read(() => document.images[0].naturalWidth), 1);
    }
    await host.shows("3 frames");
    await until("a request for the new frame", () => held);
    assert.match(await host.read(() => document.images[0].src), /\/1\.png/);
    held();
    await until("the new frame over the last one", () => host.read(() => {
      for (const animation of document.getAnimations()) animation.pause();
      return document.images.length === 2 && document.images[1].src.includes("/2.png");
    }));
    assert.equal(host.links.filter((link) => link.includes("/1.png")).length, 1);
    await poll(host, 5); // the video replaces both while the new frame fades in
    await host.state("ready");
    await until("one frame", () => host.read(() => document.images.length === 1));
    assert.match(await host.read(() => document.querySelector("video").poster), /\/2\.png/);
    assert.equal(host.links.filter((link) => link.includes("/2.png")).length, 1);
  },

  "links that have expired are replaced once": async (open) => {
    const signedBy = (name) => ok({ ...completed("t", name), progress: [{ image: signed("1.png", name) }] });
    const tool = (_, n) => signedBy(n === 1 ? "old" : "new");
    const host = await open({ tool, expired: (link) => link.endsWith("Signature=old"), expected: /403/ });
    await host.result(started("t"));
    await until("the video", async () => (await video(host)).readyState > 0);
    assert.deepEqual(await stage(host), ["video"]);
    assert.equal(host.calls.length, 2);
    assert.equal((await host.messages("ui/update-model-context")).length, 1);
    await until("the poster", () => host.read(() => document.querySelector("video").poster.endsWith("new")));
  },

  "a video that cannot be played, and is loaded again": async (open) => {
    let expired = true;
    const host = await open({ tool: (_, n) => ok(completed("t", n)), expired: () => expired, expected: /403/ });
    await host.result(started("t"));
    await host.shows("The video can’t be played here");
    await host.shows("Open it in a new tab, or load it again.");
    assert.equal(host.calls.length, 2);
    assert.deepEqual(await stage(host), ["notice"]);
    await host.click("Open video");
    await host.received("ui/open-link");
    expired = false;
    await host.click("Load again");
    await until("the video", async () => (await stage(host))[0] === "video");
    await play(host);
    assert.equal(host.calls.length, 3);
  },

  "a video that cannot be played, and no response with a new link": async (open) => {
    const tool = (_, n) => (n === 1 ? ok(completed("t")) : gone);
    const host = await open({ tool, expired: () => true, expected: /403/, clock: true, capabilities: { serverTools: {} } });
    await host.result(started("t"));
    await host.shows("The video can’t be played here");
    await host.shows("Ask the assistant for the link.");
    await host.page.clock.runFor(300000);
    await host.state("ready");
    assert.equal(host.calls.length, 2);
    await host.click("Load again");
    await host.called(3);
    await host.shows("The video can’t be played here");
  },

  "a host whose policy allows no video": async (open) => {
    const host = await open({ tool: forward, media: false, expected: /media-src/ });
    await host.result(started("sandbox-completed"));
    await host.shows("The video can’t be played here");
    assert.equal(host.calls.length, 2);
  },

  "a frame that never loads is tried twice": async (open) => {
    const tool = (_, n) => ok(job("t", 0, { progress: [{ id: "a", image: signed("a.png", n) }] }));
    const host = await open({ tool, expired: () => true, expected: /403/, clock: true });
    await host.result(started("t"));
    for (const calls of [1, 2, 3, 4]) {
      await host.called(calls);
      await until("an attempt", () => host.links.length === Math.min(calls, 2));
      if (calls < 4) await poll(host, calls + 1);
    }
    await host.shows(MAKING);
    assert.deepEqual([await stage(host), host.links.length], [["sketch"], 2]);
  },

  "a host whose cards may call no tools": async (open) => {
    const host = await open({ capabilities: {} });
    await host.result(started("job-7"));
    await host.shows("Your video is being made");
    await host.shows(ASK);
    await host.shows("job-7");
    assert.deepEqual(host.calls, []);
    assert.deepEqual(await host.read(() => [...document.querySelectorAll("button")].filter((one) => !one.hidden)), []);
  },

  "a host that never responds": async (open) => {
    const host = await open({ silent: true, clock: true });
    await host.shows(STARTING);
    await host.page.clock.runFor(3000);
    await host.shows(ASK);
    await host.page.clock.runFor(200000);
    await host.shows(ASK);
    const bottom = await host.read(() => document.querySelector(".sentence").getBoundingClientRect().bottom);
    assert.ok(bottom < 100, bottom); // the height of the frame, which a silent host does not change
    assert.equal((await host.messages("ui/initialize")).length, 1);
    assert.deepEqual(await host.messages("ui/notifications/size-changed"), []);
  },

  "a host that responds late": async (open) => {
    let respond;
    const methods = { "ui/initialize": () => new Promise((resolve) => (respond = resolve)) };
    const host = await open({ methods, tool: () => ok(job("t", 1)), clock: true });
    await until("the request", () => respond);
    await host.page.clock.runFor(3000);
    await host.shows(ASK);
    respond({ result: { hostCapabilities: ALL, hostContext: {} } });
    await host.shows(STARTING);
    await host.result(started("t"));
    await host.frameShown("Frame 1");
  },

  "a host that sends no result": async (open) => {
    const host = await open({ clock: true, tool: () => ok(job("t", 1)) });
    await host.received("ui/notifications/initialized");
    await host.page.clock.runFor(80000);
    await host.shows(STARTING);
    await host.page.clock.runFor(20000);
    await host.shows(ASK);
    await host.result(started("t"));
    await host.frameShown("Frame 1");
  },

  "the connection is lost and comes back": async (open) => {
    let lost = false;
    const host = await open({ tool: () => (lost ? gone : ok(job("t", 2))), clock: true });
    await host.result(started("t"));
    await host.frameShown("Frame 2");
    lost = true;
    await poll(host, 3, LONG_INTERVAL);
    await host.state("making");
    await poll(host, 4, INTERVAL);
    await host.state("lost");
    await host.shows(`${LOST} 2 frames`);
    await host.shows("Your video is still being made. Trying again…");
    assert.deepEqual(await stage(host), ["frame"]);
    assert.ok(await host.read(() => getComputedStyle(document.images[0]).opacity) < 1);
    await host.page.clock.runFor(INTERVAL * 4);
    assert.equal(host.calls.length, 4);
    await poll(host, 5);
    await host.state("lost");
    lost = false;
    await poll(host, 6);
    await host.state("making");
  },

  "a lost connection is tried at once on the button, online, and on return": async (open) => {
    for (const act of [
      (host) => host.click("Try now"),
      (host) => host.read(() => dispatchEvent(new Event("online"))),
      (host) => host.read(() => document.dispatchEvent(new Event("visibilitychange"))),
    ]) {
      let lost = true;
      const host = await open({ tool: () => (lost ? gone : ok(completed("t"))), clock: true });
      await host.result(started("t"));
      await lose(host);
      await host.shows("Trying again…");
      assert.ok(!(await host.text()).includes("still being made"));
      lost = false;
      await act(host);
      await host.state("ready");
      assert.equal(host.calls.length, 4);
      await host.done();
    }
  },

  "the card gives up after 40 failures": async (open) => {
    const host = await open({ tool: (_, n) => (n < 41 ? gone : ok(completed("t"))), clock: true });
    await host.result(started("t"));
    await lose(host);
    await poll(host, 40);
    await host.shows(ASK);
    await host.page.clock.runFor(300000);
    assert.equal(host.calls.length, 40);
    await host.click("Try now");
    await host.state("ready");
  },

  "calls without a response": async (open) => {
    const host = await open({ tool: (_, n) => (n < 5 ? undefined : ok(completed("t"))), clock: true });
    await host.result(started("t"));
    for (const calls of [1, 2, 3]) {
      await host.called(calls);
      await host.page.clock.runFor(RESPONSE_TIMEOUT);
      await host.settle();
      if (calls < 3) await host.page.clock.runFor(INTERVAL);
    }
    await host.state("lost");
    await host.page.clock.runFor(LONG_INTERVAL);
    await host.called(4);
    await host.click("Try now"); // does not wait for the fourth call
    await host.state("ready");
    await host.page.clock.runFor(RESPONSE_TIMEOUT * 2);
    assert.equal(host.calls.length, 5);
    await host.state("ready");
  },

  "two failures and then a response, again and again": async (open) => {
    const answers = [gone, { result: rejected(false) }, ok(job("t", 1)), { result: rejected(false) }, gone];
    const host = await open({ tool: (_, n) => answers[n - 1] ?? ok(completed("t")), clock: true });
    await host.result(started("t"));
    for (let calls = 1; calls <= answers.length; calls++) {
      await host.called(calls);
      await host.settle();
      await host.state("making");
      await poll(host, calls + 1, INTERVAL);
    }
    await host.state("ready");
  },

  "a server that has no room for waiting calls": async (open) => {
    const host = await open({ tool: () => ok(job("t", 1)), clock: true });
    await host.result(started("t"));
    await host.called(1);
    await poll(host, 2, INTERVAL);
    assert.deepEqual(host.calls.map((call) => call.arguments.wait_seconds), [0, 25]);
    await host.page.clock.runFor(INTERVAL * 5);
    assert.equal(host.calls.length, 2);
    await host.page.clock.runFor(INTERVAL * 2);
    await host.called(3);
  },

  "the time since the start": async (open) => {
    const answers = [ok(job("t", 0)), undefined, ok(completed("t"))];
    const host = await open({ tool: (_, n) => answers[n - 1], clock: true });
    await host.result(started("t"));
    await host.called(1);
    for (const [seconds, text] of [[5, "just now"], [25, "30 s ago"], [20, "50 s ago"], [10, "1 min ago"]]) {
      await host.page.clock.runFor(seconds * 1000);
      await host.shows(`started ${text}`);
    }
    await host.notify("ui/notifications/host-context-changed", { locale: "zh-CN" });
    await host.shows("1 分钟前开始");
    await host.page.clock.runFor(RESPONSE_TIMEOUT); // of the second call
    await poll(host, 3, INTERVAL);
    await host.state("ready");
    await host.shows("用时");
  },

  "a card that is reopened, or shows a repeated start, does not know the time": async (open) => {
    for (const [answer, state] of [[job("t", 1), "making"], [completed("t"), "ready"]]) {
      const host = await open({ tool: () => ok(answer) });
      const repeated = { task_id: "t", status: "success", message: "This video was already started. Nothing was charged." };
      await host.result({ structuredContent: repeated, content: [{ type: "text", text: JSON.stringify(repeated) }] });
      await host.state(state);
      await until("a response", () => host.calls.length === 1);
      await host.settle();
      if (state === "making") await host.frameShown("Frame 1");
      assert.ok(!/started|made in/.test(await host.text()), await host.text());
      await host.done();
    }
  },

  "a frame that is torn down during a call": async (open) => {
    let respond;
    const host = await open({ tool: () => new Promise((resolve) => (respond = resolve)), clock: true });
    await host.result(started("t"));
    await until("a call", () => respond);
    await host.post({ id: "end", method: "ui/resource-teardown", params: {} });
    await until("a response", () => host.response("end"));
    assert.deepEqual((await host.response("end")).result, {});
    respond(ok(completed("t")));
    await host.page.clock.runFor(120000);
    await host.state("making");
    assert.equal(host.calls.length, 1);
    assert.deepEqual(await host.messages("ui/update-model-context"), []);
  },

  "a host that sends its context in parts": async (open) => {
    const host = await open({ tool: () => ok(job("t", 1)) });
    await host.result(started("t"));
    await host.shows(MAKING);
    const change = (params) => host.notify("ui/notifications/host-context-changed", params);
    const style = (name) => host.read((one) => getComputedStyle(document.body)[one], name);
    const light = await style("backgroundColor");
    await change({ theme: "dark" });
    await until("dark", async () => (await style("backgroundColor")) !== light);
    await change({ styles: { variables: { "--color-text-primary": "rgb(1, 2, 3)" } } });
    await change({ locale: "zh-CN" });
    await host.shows("正在生成视频");
    assert.notEqual(await style("color"), "rgb(1, 2, 3)"); // without its background
    await change({ styles: { variables: { "--color-background-primary": "light-dark(white, rgb(4, 5, 6))" } } });
    await until("the host's colours", async () => (await style("color")) === "rgb(1, 2, 3)");
    assert.equal(await style("backgroundColor"), "rgb(4, 5, 6)");
    await change({ safeAreaInsets: { top: 20, right: 0, bottom: 0, left: 0, "top:red;color": 1 } });
    await until("the inset", async () => (await style("paddingTop")) === "20px");
    await change({});
    await change({ theme: "purple", locale: 7, styles: null, safeAreaInsets: null });
    await change({ availableDisplayModes: "fullscreen", displayMode: {} });
    await change({ locale: { toString: 1 } });
    await change({ locale: "fr" });
    await host.shows(MAKING);
    assert.equal(await host.read(() => document.documentElement.dataset.theme), "dark");
  },

  "text is legible in the colours of any host": async (open) => {
    const luminance = (colour) => {
      const largest = colour.startsWith("color(") ? 1 : 255;
      const parts = colour.match(/[\d.]+/g).slice(0, 3).map((part) => part / largest);
      const [r, g, b] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (one, other) => {
      const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
      return (high + 0.05) / (low + 0.05);
    };
    for (const [theme, back, ink] of [
      ["light", "#ffffff", "#141413"], ["light", "#ffffff", "#444444"], ["light", "#fdf6e3", "#3a3a3a"], ["light", "", ""],
      ["dark", "#30302e", "#faf9f5"], ["dark", "#000000", "#bbbbbb"], ["dark", "#1e1e1e", "#cccccc"], ["dark", "", ""],
    ]) {
      const variables = back ? { "--color-background-primary": back, "--color-text-primary": ink } : {};
      const host = await open({ tool: () => ok(job("t", 1)), context: { theme, styles: { variables } } });
      await host.result(started("t"));
      await host.frameShown("Frame 1");
      const colours = await host.read(() => [".foot", ".time", ".word", "h1"].map((name) =>
        getComputedStyle(document.querySelector(name)).color));
      const under = await host.read(() => getComputedStyle(document.body).backgroundColor);
      for (const colour of colours) assert.ok(contrast(colour, under) >= 4.5, `${theme} ${ink} on ${back}: ${colour}`);
      assert.notEqual(colours[0], colours[3]);
      await host.done();
    }
  },

  "full screen and a new tab are offered only where the host has them": async (open) => {
    const buttons = (host) => host.read(() => [...document.querySelectorAll("button")].filter((one) => one.checkVisibility())
      .map((one) => one.textContent));
    for (const [capabilities, context, expected] of [
      [{ serverTools: {} }, {}, []],
      [ALL, {}, ["Open video"]],
      [{ serverTools: {} }, MODES, ["Full screen"]],
      [ALL, { ...MODES, availableDisplayModes: ["inline", "pip"] }, ["Open video"]],
      [ALL, { ...MODES, displayMode: "fullscreen" }, ["Open video"]],
      [ALL, MODES, ["Full screen", "Open video"]],
    ]) {
      const host = await open({ tool: forward, capabilities, context });
      await host.result(started("sandbox-completed"));
      await host.state("ready");
      assert.deepEqual(await buttons(host), expected);
      await host.done();
    }
  },

  "full screen": async (open) => {
    let granted = false;
    const methods = { "ui/request-display-mode": ({ mode }) => (granted ? { result: { mode } } : gone) };
    const host = await open({ tool: forward, context: MODES, methods, width: 900 });
    await host.result(started("sandbox-completed"));
    await host.state("ready");
    await host.click("Full screen");
    await host.received("ui/request-display-mode");
    await host.settle();
    assert.equal(await host.read(() => document.documentElement.dataset.mode), "inline");
    granted = true;
    await host.click("Full screen");
    await until("full screen", () => host.read(() => document.documentElement.dataset.mode === "fullscreen"));
    const heights = (await host.heights()).length;
    for (const [width, height] of [[1400, 700], [700, 900], [360, 640]]) {
      await host.page.evaluate((size) => {
        document.querySelector("iframe").style.cssText = `border: 0; width: ${size[0]}px; height: ${size[1]}px`;
      }, [width, height]);
      await until("it fits", () => host.read(() => document.documentElement.scrollHeight <= innerHeight
        && document.documentElement.scrollWidth <= innerWidth));
    }
    await new Promise((resolve) => setTimeout(resolve, 300)); // longer than the card waits before it sends its size
    assert.equal((await host.heights()).length, heights);
    const { params } = (await host.messages("ui/initialize"))[0];
    assert.deepEqual(params.appCapabilities, { availableDisplayModes: ["inline", "fullscreen"] });
    await host.notify("ui/notifications/host-context-changed", { displayMode: "inline" });
    await host.shows("Full screen");
  },

  "two results in a row": async (open) => {
    const held = [];
    const host = await open({ tool: ({ arguments: args }) => new Promise((resolve) => held.push([args.task_id, resolve])) });
    await host.result(started("first"));
    await until("a call", () => held.length === 1);
    await host.result(started("first"));
    await host.result(started("second"));
    await until("the other call", () => held.length === 2);
    assert.deepEqual(held.map(([task]) => task), ["first", "second"]);
    held[1][1](ok(job("second", 1)));
    await host.frameShown("Frame 1");
    held[0][1](ok(completed("first")));
    await host.settle();
    await host.state("making");
    await host.shows("second");
    assert.deepEqual(await host.messages("ui/update-model-context"), []);
  },

  "a start that failed, in the host's language": async (open) => {
    const key = new Service(url, "sandbox-refused-key");
    const host = await open({});
    await host.result(await key.call("gen_video", { question: QUESTION }));
    await host.state("refused");
    await host.shows("Scenext refused this API key");
    assert.deepEqual((await host.text()).match(/[\u4e00-\u9fff]/), null);
    await host.notify("ui/notifications/host-context-changed", { locale: "zh-CN" });
    await host.shows("Scenext 拒绝了该 API Key");
    assert.ok(!(await host.text()).includes("refused"));
    assert.deepEqual(host.calls, []);
  },

  "a start that failed, without a text for people": async (open) => {
    const content = [{ type: "text", text: "Ask the user to check the key.\n\n请提醒用户检查密钥。" }];
    for (const result of [
      { isError: true, content },
      { isError: true, content, structuredContent: { task_id: "t" }, _meta: null },
      { isError: true, content: [] },
      { isError: true, content, _meta: { "scenext/failure": { en: "no list", final: "yes" } } },
      { content: [{ type: "text", text: "no job" }] },
      { content, structuredContent: { status: "success" } },
    ]) {
      const host = await open({});
      await host.result(result);
      await host.state("refused");
      await host.shows("The video could not be started");
      await host.shows("Ask the assistant what went wrong.");
      assert.ok(!(await host.text()).includes("user"));
      assert.deepEqual(host.calls, []);
      await host.done();
    }
  },

  "a job that does not exist is reported at once": async (open) => {
    const host = await open({ tool: forward });
    await host.result(started("sandbox-not-found"));
    await host.state("refused");
    await host.shows("Video not found");
    await host.shows("sandbox-not-found");
    assert.equal(host.calls.length, 1);
  },

  "a failure that may pass is not shown at once, and one after the end not at all": async (open) => {
    const host = await open({ tool: () => ({ result: rejected(false) }), clock: true });
    await host.result(started("t"));
    await lose(host);
    assert.ok(!(await host.text()).includes("not found"));
    await host.done();
    const tool = (_, n) => (n === 1 ? ok(completed("t")) : { result: rejected(true) });
    const other = await open({ tool, expired: () => true, expected: /403/ });
    await other.result(started("t"));
    await other.shows("The video can’t be played here");
    assert.equal(other.calls.length, 2);
  },

  "an empty result": async (open) => {
    const empty = [
      {}, { content: [] }, { content: null, structuredContent: null }, { structuredContent: {} },
      { content: [{ type: "text", text: " " }] }, { content: [{ type: "text", text: "null" }] },
      { structuredContent: {}, content: [{ type: "text", text: "{}" }] },
    ];
    const host = await open({ tool: () => ok(job("t", 1)), clock: true });
    for (const result of empty) await host.result(result);
    await host.settle();
    await host.shows(STARTING);
    await host.result(started("t"));
    await host.frameShown("Frame 1");
    for (const result of [...empty, { isError: true, content: [] }]) await host.result(result);
    await poll(host, 2);
    await host.state("making");
  },

  "an empty result that the host has before it opens the frame": async (open) => {
    const host = await open({ init: () => (window.openai = { toolOutput: {} }) });
    await host.received("ui/notifications/initialized");
    await host.settle();
    await host.shows(STARTING);
    assert.deepEqual(host.calls, []);
  },

  "a result that the host has before it opens the frame": async (open) => {
    const init = () => (window.openai = { toolOutput: { task_id: "early" } });
    const host = await open({ tool: () => ok(completed("early")), init });
    await host.state("ready");
    assert.equal(host.calls[0].arguments.task_id, "early");
  },

  "a result that the host announces with an event": async (open) => {
    const host = await open({ tool: () => ok(completed("later")) });
    await host.received("ui/notifications/initialized");
    await host.read(() => {
      window.openai = { toolOutput: { task_id: "later" } };
      dispatchEvent(new Event("openai:set_globals"));
    });
    await host.state("ready");
  },

  "a call that was cancelled": async (open) => {
    const host = await open({});
    await host.received("ui/notifications/initialized");
    await host.notify("ui/notifications/tool-cancelled", { reason: "<b>user</b>" });
    await host.state("cancelled");
    await host.shows("A video that had started will still be made.");
    await host.done();
    const other = await open({ tool: () => ok(job("t", 1)) });
    await other.result(started("t"));
    await other.notify("ui/notifications/tool-cancelled", {});
    await other.frameShown("Frame 1");
    await other.state("making");
  },

  "a result that has only its text": async (open) => {
    const tool = () => ({ result: { content: [{ type: "text", text: JSON.stringify(completed("t")) }] } });
    const host = await open({ tool });
    await host.result({ content: [{ type: "text", text: '{"task_id":"t"}' }] });
    await host.state("ready");
  },

  "a result that comes before the response to initialize": async (open) => {
    let respond;
    const methods = { "ui/initialize": () => new Promise((resolve) => (respond = resolve)) };
    const host = await open({ tool: () => ok(completed("t")), methods });
    await until("the request", () => respond);
    await host.notify("ui/notifications/tool-result", started("t"));
    await host.state("making");
    respond({ result: { hostCapabilities: { serverTools: {} }, hostContext: null } });
    await host.state("ready");
  },

  "a host that refuses every request": async (open) => {
    const refuse = () => ({ error: { code: -32601, message: "Method not found" } });
    const methods = { "ui/update-model-context": refuse, "ui/open-link": refuse, "ui/request-display-mode": refuse };
    const host = await open({ tool: () => ok(completed("t")), methods, context: MODES });
    await host.result(started("t"));
    await host.state("ready");
    await host.click("Full screen");
    await host.click("Open video");
    await host.shows(signed("video.mp4", "a"));
    await host.post({ id: 8, method: "sampling/createMessage", params: {} });
    await until("an error", async () => (await host.response(8))?.error.code === -32601);
    await host.done();
    const failing = { "ui/open-link": () => ({ result: { isError: true } }) };
    const other = await open({ tool: () => ok(completed("t")), methods: failing });
    await other.result(started("t"));
    await other.state("ready");
    await other.click("Open video");
    await other.shows(signed("video.mp4", "a"));
  },

  "messages from other windows": async (open) => {
    const host = await open({ tool: () => ok(job("mine", 1)) });
    await host.result(started("mine"));
    await host.state("making");
    await host.page.evaluate(async () => {
      const other = document.createElement("iframe");
      document.body.append(other);
      const forge = (text) => {
        const script = other.contentDocument.createElement("script");
        script.textContent = `parent.frames[0].postMessage(${text}, "*")`;
        other.contentDocument.body.append(script);
      };
      const failed = { isError: true, content: [{ type: "text", text: "FORGED" }] };
      const input = { arguments: { question: "FORGED" } };
      forge(JSON.stringify({ jsonrpc: "2.0", method: "ui/notifications/tool-result", params: failed }));
      forge(JSON.stringify({ jsonrpc: "2.0", method: "ui/notifications/tool-input", params: input }));
      forge(JSON.stringify({ jsonrpc: "2.0", id: 66, method: "ui/resource-teardown" }));
      await new Promise((resolve) => setTimeout(resolve, 200));
    });
    await host.read(() => {
      const params = { isError: true, content: [{ type: "text", text: "FORGED" }] };
      window.postMessage({ jsonrpc: "2.0", method: "ui/notifications/tool-result", params }, "*");
    });
    for (const odd of [null, 7, "x", [], { jsonrpc: "1.0" }, { jsonrpc: "2.0", id: 999, result: {} }]) {
      await host.page.evaluate((one) => frames[0].postMessage(one, "*"), odd);
    }
    await host.post({ method: "constructor", params: {} });
    await host.post({ method: "ui/notifications/tool-input-partial", params: { arguments: { question: "FORGED" } } });
    await host.settle();
    assert.ok(!(await host.text()).includes("FORGED"));
    await host.state("making");
    assert.equal(await host.response(66), undefined);
  },

  "hostile values in every field of a job": async (open) => {
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
      constructor: { error: bad },
    };
    for (const [status, result] of Object.entries(ends)) {
      const host = await open({ tool: () => ok({ task_id: odd, status, progress, result, next: bad, points: odd }) });
      await host.notify("ui/notifications/tool-input", { arguments: { question: bad } });
      await host.result({ structuredContent: { task_id: bad, status: bad, message: bad }, content: odd });
      await until("the frame", () => host.read(() => document.images[0]?.naturalWidth === 1));
      const found = await host.read(() => ({
        bad: window.bad,
        images: document.images.length,
        added: document.querySelectorAll("#job a, #job script, h1 > *, .heading > *, .sentence > *, code > *").length,
        links: [...document.querySelectorAll("img, video")].map((one) => one.src).filter(Boolean),
      }));
      assert.deepEqual([found.bad, found.images, found.added], [undefined, 1, 0]);
      assert.ok(found.links.every((link) => link.startsWith(MEDIA)));
      await host.state(status === "FAILED" ? "failed" : status === "COMPLETED" ? "ready" : "making");
      if (status === "FAILED") await host.shows(bad);
      assert.deepEqual(await host.messages("ui/update-model-context"), []);
      await host.done();
    }
    const host = await open({});
    const text = { kind: odd, final: true, en: [bad, odd], zh: odd };
    await host.result({ isError: true, content: [], _meta: { "scenext/failure": text } });
    await host.shows(bad);
    assert.equal(await host.read(() => window.bad), undefined);
  },

  "axe finds nothing, in every state, theme, language and width": async (open) => {
    const states = {
      starting: {}, cancelled: {}, refused: { result: rejected(true) }, ask: { task: "t", capabilities: {} },
      making: { task: "t", tool: () => ok(job("t", 3)) }, lost: { task: "t", clock: true, tool: () => gone },
      failed: { task: "sandbox-failed", tool: forward }, ready: { task: "sandbox-completed", tool: forward },
      "no video": { task: "sandbox-no-result", tool: forward, state: "ready" },
      broken: { task: "t", tool: () => ok(completed("t")), expired: () => true, expected: /403/, state: "ready" },
    };
    for (const [name, { task, result, state = name, ...options }] of Object.entries(states)) {
      const host = await open({ context: MODES, ...options });
      await host.notify("ui/notifications/tool-input", { arguments: { question: QUESTION } });
      if (task || result) await host.result(result ?? started(task));
      if (name === "cancelled") await host.notify("ui/notifications/tool-cancelled", {});
      if (name === "lost") await lose(host);
      await host.state(state);
      if (name === "broken") await host.shows("The video can’t be played here");
      if (name === "making") await host.frameShown("Frame 3");
      await host.read(AXE);
      for (const [theme, locale] of [["light", "en"], ["dark", "zh-CN"], ["light", "zh-CN"], ["dark", "en"]]) {
        await host.notify("ui/notifications/host-context-changed", { theme, locale });
        await host.settle();
        for (const width of [360, 1440]) {
          await host.page.evaluate((size) => { document.querySelector("iframe").style.width = `${size}px`; }, width);
          await until(`${width} pixels`, () => host.read((size) => innerWidth === size, width));
          const { violations } = await host.read(() => globalThis.axe.run(document));
          const found = violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target).join(" ")}`);
          assert.deepEqual(found, [], `${name} ${theme} ${locale} ${width}`);
          const small = await host.read(() => [...document.querySelectorAll("button")].filter((one) => one.checkVisibility()
            && (one.offsetHeight < 44 || one.offsetWidth < 44)).map((one) => one.textContent));
          assert.deepEqual(small, []);
          assert.ok(await host.read(() => document.documentElement.scrollWidth <= innerWidth), `${name} ${locale} ${width}`);
        }
      }
      await host.done();
    }
  },

  "each state is announced once": async (open) => {
    const answers = [ok(job("t", 0)), ok(job("t", 1)), ok(job("t", 2)), gone, gone, gone];
    const host = await open({ tool: (_, n) => answers[n - 1] ?? ok(completed("t")), clock: true });
    await host.read(() => {
      const status = document.querySelector("[role=status]");
      window.announced = [status.textContent];
      new MutationObserver(() => window.announced.push(status.textContent))
        .observe(status, { childList: true, characterData: true, subtree: true });
    });
    await host.result(started("t"));
    await host.called(1);
    await poll(host, 7);
    await host.state("ready");
    assert.deepEqual(await host.read(() => window.announced), [STARTING, MAKING, LOST, READY]);
    assert.equal(await host.read(() => document.querySelectorAll("[role=status], [aria-live]").length), 1);
    await host.done();
    const other = await open({});
    await other.result(rejected(true));
    await other.state("refused");
    const [status, hidden] = await other.read(() => [
      document.querySelector("[role=status]").textContent, document.querySelector(".notice").getAttribute("aria-hidden")]);
    assert.deepEqual([status, hidden], ["Video not found. Check the <b>ID</b>.", "true"]);
  },

  "every control by the keyboard, each with a ring": async (open) => {
    const host = await open({ tool: forward, context: MODES });
    await host.result(started("sandbox-completed"));
    await host.state("ready");
    await host.read(() => window.focus());
    const met = [];
    for (let presses = 0; presses < 12 && !met.includes("Open video"); presses++) {
      await host.page.keyboard.press("Tab");
      const focused = await host.read(() => {
        const one = document.activeElement, { outlineStyle, outlineWidth } = getComputedStyle(one);
        const ring = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
        return one === document.body ? null : { name: one.textContent.trim() || one.tagName, ring };
      });
      if (!focused || met.at(-1) === focused.name) continue; // the controls of the video are one element
      assert.ok(focused.ring, focused.name);
      met.push(focused.name);
    }
    assert.deepEqual(met, ["VIDEO", "Full screen", "Open video"]);
    await host.page.keyboard.press("Enter");
    await host.received("ui/open-link");
    await host.done();
    const other = await open({ tool: (_, n) => (n < 4 ? gone : ok(completed("t"))), clock: true });
    await other.result(started("t"));
    await lose(other);
    await other.frame.focus(".retry");
    await other.page.keyboard.press("Enter");
    await other.state("ready");
    assert.equal(await other.read(() => document.activeElement.textContent), "Open video"); // instead of the hidden button
  },

  "reduced motion": async (open) => {
    const animations = (host) => host.read(() => document.getAnimations().map((one) => one.animationName));
    for (const reducedMotion of ["reduce", "no-preference"]) {
      const host = await open({ tool: () => ok(job("t", 0)), browser: { reducedMotion } });
      await host.result(started("t"));
      await host.state("making");
      const names = new Set(await animations(host));
      assert.deepEqual(names, new Set(reducedMotion === "reduce" ? [] : ["beat", "draw"]));
      const drawn = await host.read(() => getComputedStyle(document.querySelector(".sketch path")).strokeDashoffset);
      if (reducedMotion === "reduce") assert.equal(drawn, "0px");
      await host.done();
    }
  },

  "forced colours": async (open) => {
    const host = await open({ tool: () => ok(job("t", 0)), browser: { forcedColors: "active" } });
    await host.result(started("t"));
    await host.state("making");
    const borders = await host.read(() => [[".stage", null], [".word", "::before"]].map(([name, pseudo]) =>
      getComputedStyle(document.querySelector(name), pseudo).borderTopWidth));
    assert.deepEqual(borders, ["1px", "1px"]);
  },

  "a narrow chat": async (open) => {
    const long = "W".repeat(300);
    const answers = { making: job("W".repeat(128), 8), ready: { ...completed("ok"), progress: job("ok", 8).progress },
      failed: job("bad", 1, { status: "FAILED", result: { error: long } }) };
    for (const locale of ["en", "zh"]) {
      for (const [state, answer] of Object.entries(answers)) {
        const host = await open({ tool: () => ok(answer), width: 280, context: { locale, ...MODES } });
        await host.notify("ui/notifications/tool-input", { arguments: { question: long } });
        await host.result(started(answer.task_id));
        await host.state(state);
        assert.deepEqual(await host.read(() => [document.documentElement.scrollWidth, innerWidth]), [280, 280]);
        await until("the whole height", () => host.read(() =>
          Math.abs(document.documentElement.scrollHeight - innerHeight) <= 1));
        await host.done();
      }
    }
  },

  "a chat in the background": async (open) => {
    const host = await open({ tool: () => ok(job("t", 1)), clock: true });
    await host.result(started("t"));
    await host.called(1);
    await host.frameShown("Frame 1");
    const hide = (hidden) => host.read((now) => {
      Object.defineProperty(document, "hidden", { value: now, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
    await hide(true);
    await host.page.clock.runFor(3600000);
    assert.equal(host.calls.length, 1);
    await hide(false);
    await host.called(2);
  },

  "without JavaScript": async () => {
    const browsing = await hosts.browser.newContext({ javaScriptEnabled: false });
    const page = await browsing.newPage();
    await page.goto(`${hosts.page}card`);
    const text = await page.locator("main").innerText();
    assert.ok(text.includes("Ask the assistant for the status of your video."), text);
    assert.ok(text.includes("可以在对话中询问视频的进展。"), text);
    await browsing.close();
  },
};

async function run(scenario) {
  const opened = [];
  const open = async (options) => {
    const host = await hosts.open(options);
    host.done = async () => {
      opened.splice(opened.indexOf(host), 1);
      const problems = host.problems.filter((problem) => !options.expected?.test(problem));
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
const queue = [...names];
async function work() {
  for (let name; (name = queue.shift());) {
    try {
      await run(SCENARIOS[name]);
      console.log(`works  ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILS  ${name}\n${error.stack}`);
    }
  }
}
await hosts.start(service);
await Promise.all([work(), work(), work()]);
await hosts.browser.close();
console.log(`card: ${names.length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
