// The card in the MCP Inspector's web page, as its users get there: connect, open the app, ask a question, watch. A
// console error or a breach of the policy fails it. Arguments: the address of the page, with its token; the era that the
// Inspector was told to speak.

import assert from "node:assert/strict";

import { chromium } from "playwright-core";

import { until } from "./host.mjs";

const [address, era] = process.argv.slice(2);
const FONTS = "https://fonts.googleapis.com/"; // of the Inspector's own page; nothing leaves this machine
const PATIENCE = 120000; // milliseconds; a job of the sandbox takes most of a minute

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage({ locale: "en-GB", viewport: { width: 1300, height: 1000 } });
page.setDefaultTimeout(60000);
const faults = [];
page.on("pageerror", (error) => faults.push(String(error)));
page.on("console", (message) => {
  const { url } = message.location();
  if (message.type() === "error" && !url.startsWith(FONTS)) faults.push(`${message.text()} ${url}`);
});
await page.route(/^https?:\/\/(?!127\.0\.0\.1[:/])/, (route) => {
  if (!route.request().url().startsWith(FONTS)) faults.push(`asked for ${route.request().url()}`);
  return route.abort();
});

async function story() {
  await page.goto(address);
  await page.getByLabel(/^Connect or disconnect/).click({ force: true }); // what is seen of the switch covers it
  await page.waitForSelector('[data-testid="connection-status"][data-status="connected"]');
  await page.getByText("Apps", { exact: true }).first().click();
  await page.getByText("MCP Apps (1)").waitFor();
  await page.getByText("Generate a teaching video").first().click();
  await page.getByLabel("question", { exact: true }).fill("Why is the sky blue?");
  await page.getByRole("button", { name: "Open App" }).click();
  await page.waitForSelector('[data-app-status="ready"]');
  await page.getByText(new RegExp(`^${era}$`, "i")).waitFor();

  const card = page.frames().at(-1);
  assert.equal(card.url(), "about:srcdoc");
  const state = (name) => until(name, () => card.evaluate((wanted) =>
    document.getElementById("job").dataset.state === wanted, name), PATIENCE);
  const frames = () => card.evaluate(() => [...document.images].filter((one) => one.naturalWidth).length);
  await state("running");
  const text = await card.evaluate(() => document.body.innerText);
  assert.match(text, /Your video is being made\s*less than a minute/);
  assert.ok(!text.includes("Ask in the chat"));
  const { width, height } = await (await card.frameElement()).boundingBox();
  assert.ok(width > 200 && height > 50);
  await until("a frame", async () => (await frames()) > 0, PATIENCE);
  await state("ready");
  await until("six frames", async () => (await frames()) === 6);
  const film = await card.evaluate(() => [document.querySelector("video").hidden, document.querySelector("video").src]);
  assert.equal(film[0], false);
  assert.match(film[1], /^https?:\/\/.+video\.mp4/);
  await card.evaluate(() => document.querySelector("video").play());
  await until("the film runs", () => card.evaluate(() => document.querySelector("video").currentTime > 1));
  await card.waitForSelector("text=Open the video");
}

let failed = 0;
try {
  await story();
  assert.deepEqual(faults, []);
} catch (error) {
  failed = 1;
  console.log(error.stack, faults);
}
await browser.close();
process.exit(failed);
