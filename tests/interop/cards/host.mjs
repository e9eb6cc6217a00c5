// A minimal host of MCP Apps: a page with the card in a sandboxed frame, under the policy that the card declares. The
// policy is stricter than those of real hosts: it allows the card's style and script by their hashes, and has Trusted
// Types. A scenario answers the card's requests, or forwards its tool calls to the real service.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

import { chromium } from "playwright-core";

export const MEDIA = "https://oss.scenext.cn"; // of simulated jobs; no request leaves this machine
const PAGE = "<!doctype html><title>Host</title>";
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
const TIMEOUT = 15000; // milliseconds

// Runs in the host's page.
function host({ address, width, silent }) {
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts");
  frame.style.cssText = `border: 0; width: ${width}px; height: 100px`;
  const received = (window.received = []);
  window.post = (message) => frame.contentWindow.postMessage({ jsonrpc: "2.0", ...message }, "*");
  addEventListener("message", async ({ source, data }) => {
    if (source !== frame.contentWindow) return;
    received.push(data);
    if (silent || data.method === undefined) return;
    if (data.method === "ui/notifications/size-changed") frame.style.height = `${data.params.height}px`;
    if (data.id === undefined) return;
    const response = await window.respond(data);
    if (response) window.post({ id: data.id, ...response });
  });
  frame.src = address;
  document.body.append(frame);
}

function policy({ csp }, text, media = csp.resourceDomains.join(" ")) {
  const hash = (tag) => {
    const [, inside] = text.match(new RegExp(`<${tag}>(.*)</${tag}>`, "s"));
    return `'sha256-${createHash("sha256").update(inside).digest("base64")}'`;
  };
  return [
    "default-src 'none'", `script-src ${hash("script")}`, `style-src ${hash("style")}`,
    `img-src ${csp.resourceDomains.join(" ")}`, `media-src ${media}`, "connect-src 'none'", "base-uri 'none'",
    "form-action 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
  ].join("; ");
}

export async function until(condition, test, milliseconds = TIMEOUT) {
  const end = Date.now() + milliseconds;
  while (Date.now() < end) {
    if (await test()) return;
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  throw new Error(`timed out: ${condition}`);
}

export class Service {
  constructor(url, key = "any-key-will-do") {
    Object.assign(this, { url, key });
  }

  async request(method, params) {
    const response = await fetch(this.url, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${this.key}` },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    return (await response.json()).result;
  }

  call(name, args) {
    return this.request("tools/call", { name, arguments: args });
  }
}

export class Hosts {
  async start(service) {
    const { tools } = await service.request("tools/list", {});
    const uri = tools.find((tool) => tool.name === "gen_video")._meta.ui.resourceUri;
    const [card] = (await service.request("resources/read", { uri })).contents;
    this.html = card.text;
    this.sandbox = new URL("/sandbox/", service.url).href;
    // The page and the card are on loopback, as the service: Chromium lets no page from elsewhere load anything from
    // there. The frame's sandbox makes the card's origin opaque.
    const server = createServer(({ url }, response) => {
      response.setHeader("Content-Type", "text/html; charset=utf-8");
      if (!url.startsWith("/card")) return response.end(PAGE);
      const media = url.endsWith("?no-media") ? "'none'" : undefined;
      response.setHeader("Content-Security-Policy", policy(card._meta.ui, card.text, media));
      return response.end(card.text);
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    this.page = `http://127.0.0.1:${server.address().port}/`;
    this.browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
    this.video = Buffer.from(await this.record(), "base64");
  }

  // Make a video that Chromium can play.
  async record() {
    const page = await this.browser.newPage();
    const video = await page.evaluate(async () => {
      const canvas = document.createElement("canvas");
      const drawing = canvas.getContext("2d");
      const recorder = new MediaRecorder(canvas.captureStream(25), { mimeType: "video/webm" });
      const parts = [];
      recorder.ondataavailable = ({ data }) => parts.push(data);
      recorder.start();
      for (let n = 0; n < 10; n++) {
        drawing.fillRect(n * 10, 0, 9, 9);
        await new Promise((resolve) => setTimeout(resolve, 40));
      }
      await new Promise((resolve) => {
        recorder.onstop = resolve;
        recorder.stop();
      });
      const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
      return btoa(String.fromCharCode(...bytes));
    });
    await page.close();
    return video;
  }

  // Open the card in a host. `tool` returns the response to a tool call: {result}, {error}, or nothing. `expired` selects
  // the links that fail. With `media: false`, the host's policy allows no video.
  async open({
    tool = () => undefined, methods = {}, capabilities = { serverTools: {}, openLinks: {} }, context = {}, width = 600,
    silent = false, clock = false, expired = () => false, init = () => {}, media = true, browser = {},
  }) {
    const browsing = await this.browser.newContext({ locale: "en-GB", viewport: { width: 1500, height: 1000 }, ...browser });
    const page = await browsing.newPage();
    const card = new Host(browsing, page);
    page.on("console", (message) => message.type() === "error" && card.problems.push(message.text()));
    page.on("pageerror", (error) => card.problems.push(String(error)));
    await browsing.route("**/*", (route) => this.load(route, card, expired));
    if (clock) await page.clock.install();
    await page.addInitScript(init);
    await page.goto(this.page);
    await page.exposeFunction("respond", (message) => {
      if (message.method in methods) return methods[message.method](message.params);
      if (message.method === "ui/initialize") {
        const hostInfo = { name: "host", version: "1" };
        return { result: { protocolVersion: "2026-01-26", hostInfo, hostCapabilities: capabilities, hostContext: context } };
      }
      if (message.method !== "tools/call") return { result: {} };
      card.calls.push(message.params);
      return tool(message.params, card.calls.length);
    });
    await page.evaluate(host, { address: media ? "/card" : "/card?no-media", width, silent });
    await until("the card is loaded", () => page.frames()[1]?.evaluate(() =>
      location.pathname === "/card" && document.readyState === "complete"));
    card.frame = page.frames()[1];
    return card;
  }

  load(route, card, expired) {
    const url = route.request().url();
    if (url.startsWith(this.page) || url.startsWith(this.sandbox)) return route.continue();
    if (!url.startsWith(MEDIA)) {
      card.problems.push(`requested ${url}`);
      return route.abort();
    }
    card.links.push(url);
    if (expired(url)) return route.fulfill({ status: 403, body: "expired" });
    if (url.includes(".png")) return route.fulfill({ contentType: "image/png", body: Buffer.from(PIXEL, "base64") });
    return route.fulfill({ contentType: "video/webm", body: this.video });
  }
}

class Host {
  calls = []; // of tools, by the card
  problems = []; // console errors and requests to other hosts
  links = []; // of frames and videos that the card loaded
  pings = 0;

  constructor(browsing, page) {
    Object.assign(this, { browsing, page });
  }

  post(message) {
    return this.page.evaluate((sent) => window.post(sent), message);
  }

  notify(method, params) {
    return this.post({ method, params });
  }

  // Send the card the result of gen_video once the card is initialized.
  async result(result) {
    await this.received("ui/notifications/initialized");
    await this.notify("ui/notifications/tool-result", result);
  }

  messages(method) {
    return this.page.evaluate((name) => window.received.filter((one) => one.method === name), method);
  }

  received(method, times = 1) {
    return until(`${times} × ${method}`, async () => (await this.messages(method)).length >= times);
  }

  response(id) {
    return this.page.evaluate((wanted) => window.received.find((one) => one.id === wanted && !one.method), id);
  }

  // Wait until the card has processed all messages so far.
  async settle() {
    const id = `ping ${++this.pings}`;
    await this.post({ id, method: "ping" });
    await until("a response to ping", () => this.response(id));
  }

  // Evaluate a function in the card.
  read(look, argument) {
    return this.frame.evaluate(look, argument);
  }

  click(name) {
    return this.frame.click(`button:text-is("${name}")`);
  }

  text() {
    return this.read(() => document.body.innerText);
  }

  shows(text, milliseconds) {
    return until(`“${text}”`, async () => (await this.text()).includes(text), milliseconds);
  }

  state(name, milliseconds) {
    const current = () => this.read(() => document.getElementById("job").dataset.state);
    return until(`the state ${name}`, async () => (await current()) === name, milliseconds);
  }

  called(times) {
    return until(`${times} tool calls`, () => this.calls.length >= times);
  }

  // Wait until the stage shows a frame that has loaded, and no other.
  frameShown(alt) {
    return until(`the frame ${alt}`, () => this.read((name) => {
      const images = [...document.images];
      return images.length === 1 && images[0].alt === name && images[0].naturalWidth > 0 && !images[0].hidden;
    }, alt));
  }

  async heights() {
    return (await this.messages("ui/notifications/size-changed")).map((message) => message.params.height);
  }

  close() {
    return this.browsing.close();
  }
}
