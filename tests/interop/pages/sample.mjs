// Draws the sample video, as PNG images in `folder/raw`, and its frames, as `sample1.svg` and so on in `folder`.
// Arguments: the folder, the pictures per second.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { LENGTH, frames, picture } from "./scenes.mjs";

const [folder, rate] = process.argv.slice(2);
const PAGE = '<!doctype html><meta charset="utf-8"><style>body { margin: 0 } svg { display: block }</style><main></main>';

for (const [index, frame] of frames.entries()) writeFileSync(join(folder, `sample${index + 1}.svg`), `${frame}\n`);

mkdirSync(join(folder, "raw"));
const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--force-color-profile=srgb"],
});
const page = await browser.newPage({ viewport: { width: 960, height: 540 } });
await page.setContent(PAGE);
for (let number = 0; number < LENGTH * rate; number += 1) {
  await page.evaluate((svg) => (document.querySelector("main").innerHTML = svg), picture(number / rate));
  await page.screenshot({ path: join(folder, "raw", `${String(number).padStart(4, "0")}.png`) });
}
await browser.close();
