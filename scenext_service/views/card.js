// The card's side of MCP Apps, revision 2026-01-26: JSON-RPC by postMessage to the host, which has opened this frame for
// one call of gen_video. It follows the job of that call through the host; what is seen of it, `drawJob` draws. The page
// as it is written is what people see as long as no host answers.
(() => {
  "use strict";
  const host = window.parent, root = document.documentElement;
  const place = document.getElementById("job"), note = document.getElementById("note");

  // Milliseconds.
  const ANSWER = 60000; // after which a question counts as not answered
  const PAUSE = 5000; // between two questions
  const LONG_PAUSE = 30000; // after one that failed, or that the server did not wait with
  const WAIT = 25; // seconds that the server may wait for the end of the job
  const MOST_FAILURES = 3; // one after the other

  const TEXTS = {
    en: { cancelled: "The call was cancelled. If the video was begun already, it goes on.", open: "The video is here:" },
    zh: { cancelled: "调用已取消；如果视频已经开始生成，则会继续。", open: "视频地址：" },
  };

  let can = null, task = "", job = null, began = null, seen = false; // what the host can; the job as it was seen last
  let busy = false, over = false, lost = false, failures = 0, told = "", timer = 0;
  let turn = 0; // changes with each job, so that an answer about another one is known
  let language = /^zh/i.test(navigator.language) ? "zh" : "en";

  // ---- Messages

  const waiting = new Map();
  let last = 0;
  const post = message => host.postMessage({ jsonrpc: "2.0", ...message }, "*");
  const ask = (method, params) => new Promise((resolve, reject) => {
    const id = ++last;
    const late = setTimeout(() => {
      waiting.delete(id);
      reject(new Error("no answer"));
    }, ANSWER);
    waiting.set(id, { resolve, reject, late });
    post({ id, method, params });
  });
  const quietly = (method, params) => ask(method, params).catch(() => {});

  addEventListener("message", ({ source, data }) => {
    if (source !== host || !data || data.jsonrpc !== "2.0") return;
    if (typeof data.method !== "string") {
      const one = waiting.get(data.id);
      waiting.delete(data.id);
      if (!one) return;
      clearTimeout(one.late);
      "result" in data ? one.resolve(data.result) : one.reject(data.error);
      return;
    }
    const known = HEARD[data.method];
    known?.(data.params ?? {});
    if (data.id === undefined) return;
    post(known ? { id: data.id, result: {} } : { id: data.id, error: { code: -32601, message: "Method not found" } });
  });

  const HEARD = Object.assign(Object.create(null), {
    "ping": () => {},
    "ui/notifications/tool-input": () => {},
    "ui/notifications/tool-result": result => begin(result),
    "ui/notifications/tool-cancelled": () => task || say(TEXTS[language].cancelled),
    "ui/notifications/host-context-changed": dress,
    "ui/resource-teardown": () => {
      stop();
      sizes.disconnect();
    },
  });

  // ---- What the host looks like. It may tell of it in pieces.

  function dress(context) {
    if (context.theme === "dark" || context.theme === "light") root.dataset.theme = root.style.colorScheme = context.theme;
    if (typeof context.locale === "string") speak(/^zh/i.test(context.locale) ? "zh" : "en", context.locale);
    for (const [name, value] of Object.entries(context.styles?.variables ?? {})) {
      if (name.startsWith("--") && typeof value === "string") root.style.setProperty(name, value);
    }
    // Only as a pair can they be read.
    const both = ["--color-background-primary", "--color-text-primary"].every(name => root.style.getPropertyValue(name));
    root.toggleAttribute("data-colours", both);
    for (const [side, size] of Object.entries(context.safeAreaInsets ?? {})) {
      root.style.setProperty(`--inset-${side}`, `${Number(size) || 0}px`);
    }
    show();
  }

  function speak(spoken, locale) {
    language = root.dataset.language = spoken;
    root.lang = locale;
  }

  let height = 0, sizing = 0;
  const sizes = new ResizeObserver(() => {
    clearTimeout(sizing);
    sizing = setTimeout(() => {
      const now = Math.ceil(document.body.getBoundingClientRect().height);
      if (!can || now === height) return;
      height = now;
      post({ method: "ui/notifications/size-changed", params: { width: Math.ceil(root.clientWidth), height } });
    }, 100);
  });

  // ---- The job

  const ended = known => ["COMPLETED", "FAILED"].includes(known.status);
  const plain = value => typeof value === "string" || typeof value === "number" ? String(value) : "";
  function data(result) {
    const found = result?.structuredContent;
    if (found && typeof found === "object") return found;
    try {
      const read = JSON.parse(words(result));
      return read && typeof read === "object" ? read : null;
    } catch {
      return null;
    }
  }
  const words = result => plain(result?.content?.[0]?.text);

  function say(text) {
    note.textContent = text;
    note.hidden = !text;
  }

  function begin(result) {
    const started = data(result), id = result?.isError ? "" : plain(started?.task_id);
    if (id && id === task) return;
    stop();
    say("");
    if (!id) {
      place.replaceChildren();
      say(words(result).slice(0, 2000));
      return;
    }
    task = id;
    job = { task_id: id };
    began = Date.now();
    seen = over = lost = false;
    failures = 0;
    show();
    poll();
  }

  function stop() {
    clearTimeout(timer);
    turn += 1;
    task = "";
    busy = false;
  }

  function refresh() {
    over = false;
    poll();
  }

  function again() {
    over = lost = false;
    failures = 0;
    show();
    poll();
  }

  function show() {
    if (!can || !task) return "";
    if (!can.serverTools) {
      say(`task_id: ${task.slice(0, 128)}`);
      return "";
    }
    const elapsed = began === null ? undefined : (Date.now() - began) / 1000;
    return drawJob(place, job, { language, elapsed, open, refresh, lost: lost ? again : undefined });
  }

  async function poll() {
    clearTimeout(timer);
    if (!can?.serverTools || !task || busy || over || document.hidden) return;
    busy = true;
    const mine = turn, since = Date.now(), wait = seen ? WAIT : 0;
    let pause = PAUSE;
    try {
      const known = { task_id: task, wait_seconds: wait, frames: "all" };
      const result = await ask("tools/call", { name: "query_video_status", arguments: known });
      if (mine !== turn) return;
      const news = data(result);
      if (result.isError || !news) throw new Error("no job");
      // A card that is opened again in an old chat does not know when its job began.
      if (!seen && Array.isArray(news.progress) && news.progress.length) began = null;
      job = { ...news, task_id: task };
      seen = true;
      failures = 0;
      over = ended(job);
      if (wait && Date.now() - since < 20000) pause = LONG_PAUSE;
    } catch {
      if (mine !== turn) return;
      failures += 1;
      over = ended(job) || failures >= MOST_FAILURES;
      lost = over && !ended(job);
      pause = LONG_PAUSE;
    }
    busy = false;
    const film = show();
    if (!over) timer = setTimeout(poll, pause);
    if (film && told !== task) {
      told = task;
      const text = `The video of the Scenext job ${task} is ready, and the card shows it to the user: ${film}`;
      quietly("ui/update-model-context", { content: [{ type: "text", text }] });
    }
  }

  function open(url) {
    const written = () => say(`${TEXTS[language].open} ${url}`);
    ask("ui/open-link", { url }).then(result => result?.isError && written(), written);
  }

  document.addEventListener("visibilitychange", () => poll());
  sizes.observe(document.body);

  // ChatGPT may have the result before the frame, and tells of it in its own way.
  const early = () => {
    const output = window.openai?.toolOutput;
    if (output && !task) begin({ structuredContent: output });
  };
  addEventListener("openai:set_globals", early);

  const appInfo = { name: "scenext-job", version: root.dataset.version };
  const appCapabilities = { availableDisplayModes: ["inline"] };
  ask("ui/initialize", { protocolVersion: "2026-01-26", appInfo, appCapabilities }).then(result => {
    can = result?.hostCapabilities ?? {};
    speak(language, language);
    dress(result?.hostContext ?? {});
    post({ method: "ui/notifications/initialized" });
    early();
    show();
    poll();
  }, () => {});
})();
