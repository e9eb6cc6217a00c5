// The Inspector's command line: one process for each call.
// Arguments: URL, the key's header, its value, mode (`legacy`, its default, or `modern`).

import { spawnSync } from "node:child_process";

const [url, header, key, mode] = process.argv.slice(2);
const withKey = ["--header", `${header}: ${key}`];
const IS_ERROR = 5; // the exit status for a tool result with isError

function inspect(...args) {
  const era = mode === "legacy" ? [] : ["--protocol-era", mode];
  const command = ["node_modules/.bin/mcp-inspector", "--cli", "--transport", "http", "--server-url", url, ...era];
  const run = spawnSync(process.execPath, [...command, "--format", "json", ...args], { encoding: "utf8" });
  if (run.status !== 0 && run.status !== IS_ERROR) throw new Error(`exit status ${run.status}: ${run.stderr}`);
  const { result, schemaFindings } = JSON.parse(run.stdout);
  if (schemaFindings) throw new Error(JSON.stringify(schemaFindings)); // what --strict has to say of the schemas
  return result;
}

const call = (tool, pairs, ...args) =>
  inspect("--method", "tools/call", "--tool-name", tool, ...args, "--tool-arg", ...pairs);

async function makeVideo() {
  const server = inspect("--method", "initialize", ...withKey);
  const { tools } = inspect("--method", "tools/list", "--strict", ...withKey);
  const job = call("gen_video", ["question=Why is the sky blue?"], ...withKey);
  const task_id = job.structuredContent.task_id;
  const following = [`task_id=${task_id}`, "wait_seconds=50", "frames=none"];
  let video;
  let calls = 0;
  do {
    video = call("query_video_status", following, ...withKey).structuredContent;
    calls++;
  } while (video.status === "IN_PROGRESS" && calls < 10);
  return {
    revision: server.protocolVersion,
    tools: tools.map((tool) => tool.name),
    task_id,
    status: video.status,
    video: video.result.video_url,
    next: video.next,
    progress: null, // its command line asks for none
    calls,
  };
}

// Call without a key; return what there is to show.
function forgetKey() {
  const result = call("gen_video", ["question=Why is the sky blue?"]);
  return result.isError ? result.content[0].text : "";
}

console.log(JSON.stringify({ ...(await makeVideo()), failure: forgetKey() }));
