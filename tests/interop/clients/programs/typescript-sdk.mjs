// The TypeScript SDK 1. Arguments: URL, the key's header, its value, mode (not used).

import { setTimeout as sleep } from "node:timers/promises";
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
  let video;
  for (let asked = 0; asked < 20; asked++) {
    const result = await client.callTool({ name: "query_video_status", arguments: { task_id } });
    video = result.structuredContent;
    if (video.status !== "IN_PROGRESS") break;
    await sleep(5000);
  }
  const revision = client.transport.protocolVersion;
  await client.close();
  return {
    revision,
    tools: tools.map((tool) => tool.name),
    task_id,
    status: video.status,
    video: video.result.video_url,
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
