// The Vercel AI SDK's MCP client. Arguments: URL, the key's header, its value, mode (not used).

import { createMCPClient } from "@ai-sdk/mcp";

const [url, header, key] = process.argv.slice(2);

// The client does not say which revision it negotiated; its requests do.
let revision;
function noting(input, init) {
  revision = new Headers(init.headers).get("mcp-protocol-version") ?? revision;
  return fetch(input, init);
}

const connect = (headers) => createMCPClient({ transport: { type: "http", url, headers, fetch: noting } });

// Run a tool as the SDK does for its model.
const call = (tool, input) => tool.execute(input, { toolCallId: "1", messages: [] });

async function makeVideo() {
  const client = await connect({ [header]: key });
  const tools = await client.tools();
  const job = await call(tools.gen_video, { question: "Why is the sky blue?" });
  const task_id = job.structuredContent.task_id;
  let result;
  let calls = 0;
  do {
    result = await call(tools.query_video_status, { task_id, wait_seconds: 50, frames: "none" });
    calls++;
  } while (result.structuredContent.status === "IN_PROGRESS" && calls < 10);
  const video = result.structuredContent;
  await client.close();
  return {
    revision,
    tools: Object.keys(tools),
    task_id,
    status: video.status,
    video: video.result.video_url,
    next: JSON.parse(result.content[0].text).next, // as a host may give it to its model
    progress: null, // it asks for none
    calls,
  };
}

// Call without a key; return what there is to show.
async function forgetKey() {
  const client = await connect({});
  const { gen_video } = await client.tools();
  const result = await call(gen_video, { question: "Why is the sky blue?" });
  await client.close();
  return result.isError ? result.content[0].text : "";
}

console.log(JSON.stringify({ ...(await makeVideo()), failure: await forgetKey() }));
