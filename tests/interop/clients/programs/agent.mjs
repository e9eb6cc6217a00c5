// What the programs of the coding agents share: a scripted model on loopback, and the report of its conversation.
//
// Their arguments: URL, the key's header, its value, mode (not used), and as JSON the blocks of docs/connect.md that
// configure the agent.

import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { createServer } from "node:http";
import net from "node:net";
import path from "node:path";

const [url, , value, , blocks] = process.argv.slice(2);

export const KEY = value.replace("Bearer ", "");

// The program's home is a temporary folder, which is the agent's home too. The agent works in an empty folder below it.
export const HOME = process.env.HOME;
export const FOLDER = path.join(HOME, "work");
mkdirSync(FOLDER);

const QUESTION = { question: "Why is the sky blue?" };
const MOST_CALLS = 10; // to follow a job
const TIMEOUT = 220_000; // milliseconds for a command of the agent

async function listen(server) {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server.address().port;
}

// Agents do not print the revision that they negotiated. Pass their connections on to the service, and read it there:
// each request of a newer client names it, and so does the response to `initialize`.
const REVISION = /^mcp-protocol-version: *(\S+)|"result":{"protocolVersion":"([^"]+)/gim;
const revisions = new Set();
const tap = net.createServer((agent) => {
  const { hostname, port } = new URL(url);
  const service = net.connect(Number(port), hostname);
  for (const end of [agent, service]) {
    end.on("error", () => (agent.destroy(), service.destroy()));
    end.on("data", (data) => {
      for (const [, named, answered] of data.toString("latin1").matchAll(REVISION)) revisions.add(named ?? answered);
    });
  }
  agent.pipe(service).pipe(agent);
});

export const address = `http://127.0.0.1:${await listen(tap)}${new URL(url).pathname}`;

// The blocks of docs/connect.md, as a reader fills them in.
export const documented = JSON.parse(blocks).map((block) =>
  block.replaceAll("https://YOUR-APP.example.com/mcp", address).replaceAll("YOUR_API_KEY", KEY),
);

// Serve the model at `route`, and return the port. `read` returns the names of the tools in a request, and the texts of
// the results so far. `write` writes the response: a tool call, or only words if the call is null.
const conversation = { tools: [], results: [] };
export async function model(route, read, write) {
  const server = createServer(async (message, response) => {
    const chunks = await message.toArray();
    if (!message.url.includes(route)) return response.writeHead(404).end("{}");
    const request = JSON.parse(Buffer.concat(chunks));
    const { tools, results } = read(request);
    // Agents send requests without tools too, for example for a title.
    const offered = tools.some((name) => name.includes("scenext"));
    if (offered) Object.assign(conversation, { tools, results });
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    write(response, offered ? next(results) : null, results.length, request);
    response.end();
  });
  return listen(server);
}

// Return the tool call that follows the results so far: start a video, follow it to its end, call without a key.
function next(results) {
  if (results.length === 0) return { server: "scenext", name: "gen_video", input: QUESTION };
  const last = final(results);
  if (last === results.length) {
    const { task_id } = object(results[0]);
    return { server: "scenext", name: "query_video_status", input: { task_id, wait_seconds: 50, frames: "none" } };
  }
  return last === results.length - 1 ? { server: "keyless", name: "gen_video", input: QUESTION } : null;
}

// Return the index of the result that ended the job; if there is none yet, the index of the next result.
function final(results) {
  const found = results.findIndex((text, at) => at === MOST_CALLS || (at > 0 && object(text).status !== "IN_PROGRESS"));
  return found === -1 ? results.length : found;
}

// Return the object in a result, which has its own line: agents add words around it. Return an empty one if none has.
function object(text = "") {
  for (const line of text.split("\n")) {
    try {
      return JSON.parse(line);
    } catch {
      // try the next line
    }
  }
  return {};
}

// Agents also fetch news, plugins and lists of models. A proxy that does not exist keeps them on loopback.
const DEAD_PROXY = "http://127.0.0.1:9";
const LOOPBACK_ONLY = { HTTP_PROXY: DEAD_PROXY, HTTPS_PROXY: DEAD_PROXY, NO_PROXY: "127.0.0.1" };
const PATH = `${path.resolve("node_modules/.bin")}:${process.env.PATH}`;

// Run a command of the agent to its end, with the settings `env`.
export async function run(command, args, env) {
  const options = { cwd: FOLDER, env: { ...process.env, ...LOOPBACK_ONLY, ...env, PATH }, timeout: TIMEOUT };
  const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => output.push(data));
  const [status, signal] = await new Promise((resolve, reject) => {
    child.on("error", reject).on("close", (...ended) => resolve(ended));
  });
  if (status === 0) return;
  throw new Error(`${command} ended with ${status ?? signal}:\n${Buffer.concat(output).toString().slice(-3000)}`);
}

// Print the report of the conversation, and exit.
export function report() {
  const { tools, results } = conversation;
  const last = final(results);
  const video = object(results[last]);
  console.log(
    JSON.stringify({
      revision: [...revisions].join(", "),
      tools: tools.map((name) => /(?<=scenext_+)[a-z]\w+$/.exec(name)?.[0]).filter(Boolean),
      task_id: object(results[0]).task_id,
      status: video.status,
      video: video.result?.video_url,
      next: video.next,
      progress: null, // agents do not print it
      calls: last,
      failure: results[last + 1],
    }),
  );
  process.exit();
}
