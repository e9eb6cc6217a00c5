// `mcpdo`, the Inspector's command line with a connection that lasts. Arguments: URL, the key's header, its value, mode
// (not used). Its daemon holds the connections.

import { spawnSync } from "node:child_process";

const [url, header, key] = process.argv.slice(2);
const IS_ERROR = 5; // the exit status for a tool result with isError

function mcpdo(...args) {
  const command = ["node_modules/.bin/mcpdo", "--format", "json", ...args];
  const run = spawnSync(process.execPath, command, { encoding: "utf8" });
  if (run.status !== 0 && run.status !== IS_ERROR) throw new Error(`exit status ${run.status}: ${run.stderr}`);
  return JSON.parse(run.stdout);
}

// Connect, run a function that gets the commands of the connection, and disconnect.
function connected(headers, run) {
  mcpdo("connect", url, "--transport", "http", "--era", "modern", ...headers);
  const result = run((...args) => mcpdo("--connection", url, ...args));
  mcpdo("disconnect", url);
  return result;
}

const generate = (command) => command("tools/call", "gen_video", "question:=Why is the sky blue?");

// The call returns when the video is ready: the Inspector follows the task.
function makeVideo(command) {
  const { tools } = command("tools/list");
  const video = generate(command).structuredContent;
  return {
    revision: command("connections/show").protocolVersion,
    tools: tools.map((tool) => tool.name),
    task_id: video.task_id,
    status: video.status,
    video: video.result.video_url,
    next: video.next,
    progress: null,
    calls: 1,
  };
}

// Call without a key; return what there is to show.
function forgetKey(command) {
  const result = generate(command);
  return result.isError ? result.content[0].text : "";
}

const report = connected(["--header", `${header}: ${key}`], makeVideo);
const failure = connected([], forgetKey);
mcpdo("daemon", "stop");
console.log(JSON.stringify({ ...report, failure }));
