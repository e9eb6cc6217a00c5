// mcp-remote, started as Claude Desktop starts it, and spoken to over stdio with the SDK that it uses.
// Arguments: URL, the key's header, its value, mode (not used).

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const [url, header, key] = process.argv.slice(2);

async function connect(args, env) {
  const transport = new StdioClientTransport({
    command: "node_modules/.bin/mcp-remote",
    args: [url, ...args],
    env: { ...process.env, ...env },
  });
  // The client tells its transport what it negotiated; over stdio nobody else asks.
  transport.setProtocolVersion = (version) => (transport.revision = version);
  const client = new Client({ name: "example", version: "1.0.0" });
  await client.connect(transport);
  return client;
}

async function makeVideo() {
  // No blank after the colon: the way the README of mcp-remote advises.
  const client = await connect(["--header", `${header}:\${KEY_HEADER}`], { KEY_HEADER: key });
  const { tools } = await client.listTools();
  const job = await client.callTool({ name: "gen_video", arguments: { question: "Why is the sky blue?" } });
  const task_id = job.structuredContent.task_id;
  const following = { name: "query_video_status", arguments: { task_id, wait_seconds: 50, frames: "none" } };
  const progress = [];
  const onprogress = ({ message }) => progress.push(message);
  let result;
  let calls = 0;
  do {
    result = await client.callTool(following, undefined, { onprogress });
    calls++;
  } while (result.structuredContent.status === "IN_PROGRESS" && calls < 10);
  const video = result.structuredContent;
  const revision = client.transport.revision;
  await client.close();
  return {
    revision,
    tools: tools.map((tool) => tool.name),
    task_id,
    status: video.status,
    video: video.result.video_url,
    next: JSON.parse(result.content[0].text).next, // as a host may give it to its model
    progress,
    calls,
  };
}

// Call without a key; return what there is to show.
async function forgetKey() {
  const client = await connect([], {});
  const result = await client.callTool({ name: "gen_video", arguments: { question: "Why is the sky blue?" } });
  await client.close();
  return result.isError ? result.content[0].text : "";
}

console.log(JSON.stringify({ ...(await makeVideo()), failure: await forgetKey() }));
