/* The view's side of MCP Apps, revision 2026-01-26: JSON-RPC by postMessage to the host, which opens this frame for one
   call of gen_video. Query the job of that call through the host until it ends, and draw it with `drawJob`. */
(() => {
  "use strict";
  const host = window.parent, root = document.documentElement;
  const [title, container, note] = ["title", "job", "note"].map(id => document.getElementById(id));

  /* Milliseconds. */
  const RESPONSE_TIMEOUT = 60000; /* until a request counts as unanswered */
  const HOST_TIMEOUT = 2500; /* until a host that does not answer counts as one that only shows the card */
  const RESULT_TIMEOUT = 90000; /* until a result of gen_video is no longer expected */
  const INTERVAL = 5000; /* between two queries, and between two drawings */
  const SANDBOX_INTERVAL = 1000;
  const LONG_INTERVAL = 30000; /* after repeated failures, or a query that the server answered without waiting */

  /* Seconds that the server may wait for the end of the job. In the sandbox, the frames appear one by one. */
  const MAX_WAIT = 25, SANDBOX_MAX_WAIT = 4;

  /* Failures in a row until the connection counts as lost, and until the card gives up. */
  const LOST_AFTER = 3, MAX_FAILURES = 40;

  const TEXTS = {
    en: { title: "Your video", picture: "The question in your picture" },
    zh: { title: "讲解视频", picture: "图片中的题目" },
  };

  let capabilities = null, modes = [], mode = "inline"; /* of the host */
  let state = "starting", failure, input = {}, language;
  let task = "", job = null, startTime, endTime, seen = false;
  let busy = false, finished = false, failures = 0, reported = "", timer = 0;
  let turn = 0; /* changes with each job, so that a response about an earlier one is ignored */

  /* ---- Messages */

  const pending = new Map();
  let last = 0;
  const post = message => host.postMessage({ jsonrpc: "2.0", ...message }, "*");
  const request = (method, params) => new Promise((resolve, reject) => {
    const id = ++last;
    const timer = setTimeout(() => {
      pending.delete(id);
      reject(new Error("timeout"));
    }, RESPONSE_TIMEOUT);
    pending.set(id, { resolve, reject, timer });
    post({ id, method, params });
  });

  addEventListener("message", ({ source, data }) => {
    if (source !== host || !data || data.jsonrpc !== "2.0") return;
    if (typeof data.method !== "string") {
      const entry = pending.get(data.id);
      pending.delete(data.id);
      if (!entry) return;
      clearTimeout(entry.timer);
      "result" in data ? entry.resolve(data.result) : entry.reject(data.error);
      return;
    }
    const handler = HANDLERS[data.method];
    handler?.(data.params ?? {});
    if (data.id === undefined) return;
    post({ id: data.id, ...(handler ? { result: {} } : { error: { code: -32601, message: "Method not found" } }) });
  });

  const HANDLERS = {
    __proto__: null,
    "ping": () => {},
    "ui/notifications/tool-input": params => {
      input = params.arguments ?? {};
      show();
    },
    "ui/notifications/tool-result": start,
    "ui/notifications/tool-cancelled": () => task || show("cancelled"),
    "ui/notifications/host-context-changed": applyContext,
    "ui/resource-teardown": () => {
      stop();
      sizes.disconnect();
    },
  };

  /* ---- The host's appearance, of which each message may hold a part */

  function applyContext(context) {
    if (context.theme === "dark" || context.theme === "light") root.dataset.theme = root.style.colorScheme = context.theme;
    if (plain(context.locale)) setLanguage(context.locale);
    for (const [name, value] of Object.entries(context.styles?.variables ?? {})) {
      if (name.startsWith("--") && typeof value === "string") root.style.setProperty(name, value);
    }
    /* Text is legible only if both are set. */
    const both = ["--color-background-primary", "--color-text-primary"].every(name => root.style.getPropertyValue(name));
    root.toggleAttribute("data-colours", both);
    for (const [side, size] of Object.entries(context.safeAreaInsets ?? {})) {
      document.body.style.setProperty(`padding-${side}`, `${Number(size) || 0}px`);
    }
    if (Array.isArray(context.availableDisplayModes)) modes = context.availableDisplayModes;
    if (plain(context.displayMode)) mode = root.dataset.mode = context.displayMode;
    show();
  }

  function setLanguage(locale) {
    language = root.lang = /^zh/i.test(locale) ? "zh" : "en";
  }

  let height = 0, sizing = 0;
  const sizes = new ResizeObserver(() => {
    clearTimeout(sizing);
    sizing = setTimeout(reportSize, 50);
  });
  function reportSize() {
    const now = Math.ceil(document.body.getBoundingClientRect().height);
    if (!capabilities || now === height || mode === "fullscreen") return;
    height = now;
    post({ method: "ui/notifications/size-changed", params: { width: root.clientWidth, height } });
  }

  /* ---- The job */

  const ended = () => ["COMPLETED", "FAILED"].includes(job?.status);
  const plain = value => typeof value === "string" || typeof value === "number" ? String(value) : "";
  const words = result => plain(result?.content?.[0]?.text).trim();
  function data(result) {
    let found = result?.structuredContent;
    try {
      found ??= JSON.parse(words(result));
    } catch { /* not JSON */ }
    return found && typeof found === "object" ? found : null;
  }

  function start(result) {
    const failed = result?.isError, id = failed ? "" : plain(data(result)?.task_id);
    const empty = /^(null|\{\}|\[\])?$/.test(words(result));
    if (id ? id === task : empty && (task || !failed)) return; /* already followed, or an empty result */
    stop();
    job = { task_id: id };
    if (!id) return refuse(result);
    task = id;
    startTime = Date.now();
    endTime = undefined;
    seen = finished = false;
    failures = 0;
    show("");
    poll();
  }

  function stop() {
    clearTimeout(timer);
    turn += 1;
    task = "";
    busy = false;
  }

  function refuse(result) {
    failure = result?._meta?.["scenext/failure"];
    show("refused");
  }

  /* Query at once, whatever happened before. Resolves after the response. */
  function retry() {
    turn += 1;
    busy = finished = false;
    failures = Math.min(failures, LOST_AFTER);
    return poll();
  }

  /* Draw the card, in this state or in that of the job if it is empty. */
  function show(next = state) {
    state = next;
    const question = plain(input.question).trim();
    title.textContent = question || TEXTS[language][input.question_images || input.questionImages ? "picture" : "title"];
    title.hidden = !question && state === "ask"; /* a host that does not answer shows a small part of the card */
    const follows = capabilities?.serverTools, seconds = startTime && ((endTime ?? Date.now()) - startTime) / 1000;
    const unfollowed = task && capabilities && !follows && !ended();
    return drawJob(container, job, {
      language, seconds, failure: failure?.[language], state: unfollowed ? "ask" : state || undefined, refresh: retry,
      retry: follows && task ? retry : undefined, open: capabilities?.openLinks ? open : undefined,
      expand: modes.includes("fullscreen") && mode !== "fullscreen" ? expand : undefined,
    });
  }

  async function poll() {
    clearTimeout(timer);
    if (!capabilities?.serverTools || !task || busy || finished || document.hidden) return;
    busy = true;
    const sandbox = task.startsWith("sandbox-"), wait = !seen ? 0 : sandbox ? SANDBOX_MAX_WAIT : MAX_WAIT;
    const thisTurn = turn, sent = Date.now();
    let pause = sandbox ? SANDBOX_INTERVAL : INTERVAL;
    try {
      const args = { task_id: task, wait_seconds: wait, frames: "all" };
      const result = await request("tools/call", { name: "query_video_status", arguments: args });
      if (thisTurn !== turn) return;
      const update = data(result);
      if (result.isError && result._meta?.["scenext/failure"]?.final && !ended()) {
        stop();
        return refuse(result);
      }
      if (result.isError || !update) throw new Error("no job");
      receive(update);
      if (wait && !finished && Date.now() - sent < wait * 800) pause = LONG_INTERVAL;
    } catch {
      if (thisTurn !== turn) return;
      failures += 1;
      finished = ended() || failures >= MAX_FAILURES;
      if (failures >= LOST_AFTER && !ended()) state = finished ? "ask" : "lost";
      pause = failures < LOST_AFTER ? INTERVAL : LONG_INTERVAL;
    }
    busy = false;
    const video = show();
    if (!finished) timer = setTimeout(poll, pause);
    if (video && reported !== task) report(video);
  }

  function receive(update) {
    job = { ...update, task_id: task };
    finished = ended();
    /* A card that is reopened in an old chat, or shows a repeated start, does not know when its job started. */
    if (!seen && (finished || job.progress?.length)) startTime = undefined;
    if (finished) endTime ??= Date.now();
    seen = true;
    failures = 0;
    state = "";
  }

  function report(video) {
    reported = task;
    const text = `The video of the Scenext job ${task} is ready, and the card shows it to the user: ${video}`;
    request("ui/update-model-context", { content: [{ type: "text", text }] }).catch(() => {});
  }

  function open(url) {
    const showLink = () => { note.textContent = url; };
    request("ui/open-link", { url }).then(result => result?.isError && showLink(), showLink);
  }

  function expand() {
    request("ui/request-display-mode", { mode: "fullscreen" })
      .then(result => applyContext({ displayMode: result?.mode }), () => {});
  }

  document.addEventListener("visibilitychange", poll);
  addEventListener("online", () => task && !ended() && retry());
  setInterval(() => task && !finished && !document.hidden && show(), INTERVAL);
  sizes.observe(document.body);

  /* ChatGPT may have the result before it opens the frame, and passes it in its own way. */
  const readEarlyResult = () => {
    const output = window.openai?.toolOutput;
    if (output && !task) start({ structuredContent: output });
  };
  addEventListener("openai:set_globals", readEarlyResult);

  setLanguage(navigator.language);
  show();
  const giveUp = () => (state === "starting" || (!state && !capabilities)) && show("ask");
  let timeout = setTimeout(giveUp, HOST_TIMEOUT);
  const appInfo = { name: "scenext-job", version: root.dataset.version };
  const appCapabilities = { availableDisplayModes: ["inline", "fullscreen"] };
  request("ui/initialize", { protocolVersion: "2026-01-26", appInfo, appCapabilities }).then(result => {
    clearTimeout(timeout);
    timeout = setTimeout(giveUp, RESULT_TIMEOUT);
    capabilities = result?.hostCapabilities ?? {};
    if (state === "ask") state = task ? "" : "starting";
    applyContext(result?.hostContext ?? {});
    post({ method: "ui/notifications/initialized" });
    reportSize();
    readEarlyResult();
    show();
    poll();
  }, () => {});
})();
