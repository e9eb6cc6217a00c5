// The TypeScript SDK 1. Arguments: URL, the key's header, its value, mode (not used).

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [url, header, key] = process.argv.slice(2);

async function connect(headers) {
  const client = new Client({ name: "example", version: "1.0.0" });
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
  return client;
}

async function makeVideo() {
  const client = await connect({ [header]: key });
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
  const revision = client.transport.protocolVersion;
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
  const client = await connect({});
  const result = await client.callTool({ name: "gen_video", arguments: { question: "Why is the sky blue?" } });
  await client.close();
  return result.isError ? result.content[0].text : "";
}

console.log(JSON.stringify({ ...(await makeVideo()), failure: await forgetKey() }));
