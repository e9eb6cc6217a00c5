// Mastra's MCP client. Arguments: URL, the key's header, its value, mode (not used).

import { MCPClient } from "@mastra/mcp";

const [url, header, key] = process.argv.slice(2);

// Run a tool as an agent does.
const call = (tool, input) => tool.execute(input, {});

async function makeVideo() {
  const requestInit = { headers: { [header]: key } };
  const scenext = { url: new URL(url), requestInit, enableProgressTracking: true };
  const client = new MCPClient({ id: "with-key", servers: { scenext } });
  const progress = [];
  await client.progress.onUpdate("scenext", ({ message }) => progress.push(message));
  const tools = (await client.listToolsets()).scenext;
  const job = await call(tools.gen_video, { question: "Why is the sky blue?" });
  let video;
  let calls = 0;
  do {
    video = await call(tools.query_video_status, { task_id: job.task_id, wait_seconds: 50, frames: "none" });
    calls++;
  } while (video.status === "IN_PROGRESS" && calls < 10);
  const { scenext: revision } = client.getServerProtocolVersions();
  await client.disconnect();
  return {
    revision,
    tools: Object.keys(tools),
    task_id: job.task_id,
    status: video.status,
    video: video.result.video_url,
    next: video.next,
    progress,
    calls,
  };
}

// Call without a key; return what there is to show.
async function forgetKey() {
  const client = new MCPClient({ id: "without-key", servers: { scenext: { url: new URL(url) } } });
  const tools = (await client.listToolsets()).scenext;
  try {
    await call(tools.gen_video, { question: "Why is the sky blue?" });
    return "";
  } catch (error) {
    return error.message;
  } finally {
    await client.disconnect();
  }
}

console.log(JSON.stringify({ ...(await makeVideo()), failure: await forgetKey() }));
