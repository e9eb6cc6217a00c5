/* Draw a job: a 16:9 stage, one line below it, and a small row. The page at `/` and the card share this file, draw.css, and
   draw.html, the template of the elements.

   drawJob(root, job, options) returns the video's URL, or "" if there is none yet.

   root     Element whose content this function manages. Call the function again with the same element after each update,
            when time has passed, or in another language. It changes only what differs, and does not load a picture or a
            video twice although each response signs its link differently. Another task_id replaces all content; the first
            one does not.
   job      Result of query_video_status: {task_id, status, progress, result}. Every field may be missing or hold any
            value. Values are shown as text, and are followed as links only if they are http or https URLs. Pass a new
            object for each response.
   options  All optional:
     language  "zh" or "en"; default "en"
     state     "starting", "lost", "stopped", "cancelled", "ask" or "refused"; by default, the state of the job: "making",
               "ready" or "failed"
     failure   with "refused": [heading, sentence]
     seconds   since the job started, or from its start to its end; not shown by default
     open, expand   called with the video's URL. A button without its callback is not shown
     retry     called by the button of the states "lost", "stopped" and "ask", and of a video that cannot be played
     stop      called by the button of the state "making", which also needs words.stop
     refresh   called once if the video's link fails to load. Query the job and draw the new object; return a promise that
               resolves after that
     words     further texts: {stopped, resume, stop}

   For style sheets: root[data-state], root[data-notice] if the stage shows a text instead of a picture; .stage with one
   visible child of .sketch, .frame, .video and .notice; .line with .what (.word, .time) and .end, its buttons .retry,
   .stop, .expand and .open; .foot with .hint and .id. Invisible elements are `hidden`. An element that a caller appends to
   .id stays until another job is drawn. */
const drawJob = (() => {
  const TEXTS = {
    en: {
      starting: "Starting your video…", making: "Making your video", ready: "Your video is ready", lost: "Connection lost",
      hint: "Usually 10 to 20 minutes. It continues if you leave.",
      sandbox: "One minute in the sandbox. A real video takes 10 to 20.",
      still: "Your video is still being made.", trying: "Trying again…",
      failed: "The video could not be made", free: "No points were charged.", again: "A new attempt costs points.",
      none: ["There is no video", "The job has ended without one."],
      broken: "The video can’t be played here", opens: "Open it in a new tab, or load it again.",
      asks: "Ask the assistant for the link.",
      cancelled: ["Cancelled", "A video that had started will still be made."],
      ask: ["Your video is being made", "Ask the assistant for its status."],
      refused: ["The video could not be started", "Ask the assistant what went wrong."],
      open: "Open video", expand: "Full screen", retry: "Try now", reload: "Load again",
      id: "Task ID", video: "Video",
      count: n => n === 1 ? "1 frame" : `${n} frames`, frame: n => `Frame ${n}`,
      s: "s", min: "min", now: "started just now", since: time => `started ${time} ago`, took: time => `made in ${time}`,
      space: " ", period: ".",
    },
    zh: {
      starting: "正在创建视频……", making: "正在生成视频", ready: "视频已生成", lost: "连接中断",
      hint: "通常需要 10 到 20 分钟，离开后也会继续生成。",
      sandbox: "沙盒中约 1 分钟，真实视频需要 10 到 20 分钟。",
      still: "视频仍在生成。", trying: "正在重新连接……",
      failed: "视频生成失败", free: "本次未扣除积分。", again: "重新生成会扣除积分。",
      none: ["没有视频", "任务已结束，但没有返回视频。"],
      broken: "此处无法播放视频", opens: "可以在新标签页打开，或重新加载。",
      asks: "可以在对话中索取链接。",
      cancelled: ["已取消", "已开始生成的视频会继续生成。"],
      ask: ["视频正在生成", "可以在对话中询问进展。"],
      refused: ["视频未能创建", "可以在对话中询问原因。"],
      open: "打开视频", expand: "全屏", retry: "立即重试", reload: "重新加载",
      id: "任务 ID", video: "视频",
      count: n => `${n} 个画面`, frame: n => `第 ${n} 个画面`,
      s: "秒", min: "分钟", now: "刚刚开始", since: time => `${time}前开始`, took: time => `用时 ${time}`,
      space: "", period: "。",
    },
  };

  const plain = value => typeof value === "string" || typeof value === "number" ? String(value) : "";
  const web = value => {
    try {
      const url = new URL(plain(value));
      return /^https?:$/.test(url.protocol) ? url : null;
    } catch {
      return null;
    }
  };
  /* Return a URL without its signature, which differs in each response. */
  const unsigned = ({ origin, pathname, searchParams }) => [origin + pathname, ...[...searchParams].filter(([name]) =>
    !/expires|signature|access-?key-?id|token|credential|-date$/i.test(name))].join("&");
  /* Return [name, value, type] for each plain value. `type` is that of the typed item, {type, content}, that holds it. */
  const leaves = (value, name = "", type = "") => {
    if (!value || typeof value !== "object") return [[name, value, type]];
    const own = plain(value.type).trim().toLowerCase().split("/")[0];
    if ("content" in value || ["text", "video", "image"].includes(own)) type = own || type;
    return Object.entries(value).filter(([key]) => !/^score/i.test(key))
      .flatMap(([key, item]) => leaves(item, Array.isArray(value) ? name : key, type));
  };

  /* Return the URL of each different picture by its unsigned URL, the newest last. */
  const findFrames = ({ progress }) => {
    const found = new Map();
    for (const frame of Array.isArray(progress) ? progress : []) {
      const url = web(frame?.image), key = url && unsigned(url);
      found.delete(key);
      if (url) found.set(key, url);
    }
    return found;
  };
  const findVideo = ({ status, result }) => status !== "COMPLETED" ? undefined : leaves(result)
    .filter(([name, , type]) => (!type || type === "video") && !/image|picture|cover|poster|thumb|frame/i.test(name))
    .map(([, value]) => web(value)).find(Boolean);
  const findReasons = ({ progress, result, ...rest }) => [...leaves(result), ...leaves(rest)]
    .filter(([name, , type]) => !name || /error|reason|message|msg|detail/i.test(name)
      || !["", "video", "image"].includes(type) && /^(content|text)$/i.test(name))
    .map(([, value]) => plain(value).trim().slice(0, 500)).filter(Boolean);

  const write = (node, text) => {
    text ||= "";
    if (node.textContent !== text) node.textContent = text;
    node.hidden = !text;
  };

  /* Fill the root, and return its parts. `word` announces each new state, so the notice is hidden from screen readers. */
  const build = root => {
    root.replaceChildren(document.getElementById("stage").content.cloneNode(true));
    const parts = { count: 0, failed: {}, buttons: [...root.querySelectorAll("button")] };
    for (const node of root.querySelectorAll("[class]")) parts[node.classList[0]] = node;
    for (const button of parts.buttons) button.onclick = () => parts.options[button.className](parts.url);
    parts.video.onerror = async () => {
      parts.refreshing = !parts.refreshed;
      parts.refreshed = true;
      if (parts.refreshing) await parts.options.refresh?.();
      parts.refreshing = false;
      if (root.parts === parts) drawJob(root, parts.job, parts.options);
    };
    return parts;
  };

  /* Load the newest frame, and let it replace the last one once it has loaded. If its link fails, the next one of the same
     picture is tried, once. */
  const loadFrame = (root, parts) => {
    const [key, url] = [...parts.frames].at(-1) ?? [], failed = parts.failed[key] ??= [];
    if (!url || key === parts.key || failed.includes(url.href) || failed.length > 1) return;
    const image = document.createElement("img");
    image.className = "frame";
    image.referrerPolicy = "no-referrer";
    image.onerror = () => {
      failed.push(url.href);
      if (parts.key === key) parts.key = "";
    };
    image.onload = () => {
      if (parts.key !== key || root.parts !== parts) return;
      const last = parts.frame;
      parts.frame = image;
      parts.video.before(image);
      drawJob(root, parts.job, parts.options);
      Promise.allSettled(image.getAnimations().map(({ finished }) => finished)).then(() => last?.remove());
    };
    parts.key = key;
    image.src = url.href;
  };

  const loadVideo = ({ video, found, frame }, isNew) => {
    if (!found) return;
    if (frame && !video.poster) video.poster = frame.src;
    if (!video.src || (video.error && isNew)) video.src = found.href;
  };

  /* Return the heading and the sentence that the stage shows instead of a picture; undefined if there is none. */
  const findNotice = ({ job, options: { failure, open }, found, video, refreshing }, state, texts) => {
    if (state === "failed") {
      const reasons = [...new Set(findReasons(job))].slice(0, 3)
        .map(text => /[.。!！?？…]$/.test(text) ? text : text + texts.period);
      return [texts.failed, [...reasons, job.points === 0 ? texts.free : texts.again].join(texts.space)];
    }
    if (state === "ready" && !found) return texts.none;
    if (state === "ready") return video.error && !refreshing ? [texts.broken, open ? texts.opens : texts.asks] : undefined;
    if (state === "refused" && Array.isArray(failure)) return failure.map(plain);
    return { refused: texts.refused, cancelled: texts.cancelled, ask: texts.ask }[state];
  };

  const showStage = ({ stage, frame, video, heading, sentence, count }, state, notice, texts) => {
    const shown = notice ? "notice" : state === "ready" ? "video" : frame ? "frame" : "sketch";
    for (const node of stage.children) node.toggleAttribute("hidden", !node.classList.contains(shown));
    if (frame) frame.alt = texts.frame(count);
    video.setAttribute("aria-label", texts.video);
    write(heading, notice?.[0]);
    write(sentence, notice?.[1]);
  };

  const findTime = (seconds, state, texts) => {
    if (!(seconds >= 0)) return "";
    const time = seconds < 55 ? `${Math.floor(seconds / 10) * 10} ${texts.s}`
      : `${Math.floor(seconds / 60) || 1} ${texts.min}`;
    if (state === "ready") return texts.took(time);
    return seconds < 10 ? texts.now : texts.since(time);
  };

  const showLine = ({ options, found, count, word, time, end, buttons }, state, notice, texts) => {
    const running = state === "making" || state === "lost", playable = found && state === "ready";
    const age = running || (playable && !notice) ? findTime(options.seconds, state, texts) : "";
    write(word, notice ? notice.join(texts.period + texts.space) : texts[state]);
    write(time, [running && count && texts.count(count), age].filter(Boolean).join(" · "));
    const labels = {
      retry: { lost: texts.retry, ask: texts.retry, stopped: texts.resume, ready: found && notice && texts.reload }[state],
      stop: state === "making" && texts.stop, expand: playable && !notice && texts.expand, open: playable && texts.open,
    };
    const focused = document.activeElement;
    for (const button of buttons) write(button, options[button.className] && labels[button.className]);
    end.hidden = buttons.every(button => button.hidden);
    if (focused.hidden && buttons.includes(focused)) buttons.find(button => !button.hidden)?.focus();
  };

  const showFoot = ({ job, task, hint, label, code, id }, state, notice, texts) => {
    const making = task.startsWith("sandbox-") ? texts.sandbox : texts.hint;
    const lost = job.status ? texts.still + texts.space + texts.trying : texts.trying;
    write(hint, notice ? "" : { starting: texts.hint, making, lost }[state]);
    write(label, texts.id);
    write(code, task.slice(0, 128));
    id.hidden = !task && state !== "starting"; /* invisible while starting, so that its row is there from the first paint */
  };

  return (root, job, options = {}) => {
    job = job ?? {};
    const task = plain(job.task_id), known = root.parts;
    const kept = known && root.contains(known.stage) && (!known.task || known.task === task);
    const parts = root.parts = kept ? known : build(root), isNew = job !== parts.job;
    const texts = { ...TEXTS[options.language === "zh" ? "zh" : "en"], ...options.words };
    Object.assign(parts, { task, job, options, frames: findFrames(job), found: findVideo(job) });
    parts.count = parts.frames.size || parts.count;
    parts.url = parts.found?.href ?? "";
    loadFrame(root, parts);
    loadVideo(parts, isNew);
    const state = options.state ?? (job.status === "COMPLETED" ? "ready" : job.status === "FAILED" ? "failed" : "making");
    const notice = findNotice(parts, state, texts);
    root.dataset.state = state;
    root.toggleAttribute("data-notice", !!notice);
    for (const show of [showStage, showLine, showFoot]) show(parts, state, notice, texts);
    return parts.url;
  };
})();
