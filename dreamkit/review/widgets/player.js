// The page of the player. Every view is a sequence of JPEG frames. A frame is painted when all visible views have decoded
// it, and then on all views in one task, so that they always show the same frame.

const KEPT_BITMAPS = 32; // per stream
const AHEAD = 5; // frames decoded in advance while playing
const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];
const HELP = [
  ["space", "play or pause"], ["← →", "one frame"], ["shift ← →", "ten frames"], ["home end", "first, last frame"],
  ["[ ]", "slower, faster"], ["l", "loop"], ["1 to 6", "one view, again for all"], ["o", "next layer"],
  ["w", "blend or wipe"], ["- +", "less, more of the layer"], ["a", "accept"], ["r", "reject"], ["u", "unsure"],
  ["z", "undo"], ["p n", "previous, next video"], ["?", "this list"],
];

// The JPEG frames of one view; decodes on demand and keeps the KEPT_BITMAPS used last.
class Stream {
  constructor(content, buffer) {
    this.key = content.key; // of the video
    this.layer = content.layer;
    this.fps = content.fps;
    this.problem = content.problem;
    this.bytes = buffer ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength) : new Uint8Array();
    this.starts = [];
    this.sizes = content.sizes;
    let start = 0;
    for (const size of content.sizes) { this.starts.push(start); start += size; }
    this.bitmaps = new Map();
  }
  get length() { return this.sizes.length; }
  bitmap(frame) {
    const index = Math.min(frame, this.length - 1);
    if (index < 0) return Promise.resolve(null);
    if (!this.bitmaps.has(index)) {
      const start = this.starts[index];
      const data = this.bytes.slice(start, start + this.sizes[index]);
      this.bitmaps.set(index, createImageBitmap(new Blob([data], { type: "image/jpeg" })).catch(() => null));
      while (this.bitmaps.size > KEPT_BITMAPS) {
        const oldest = this.bitmaps.keys().next().value;
        this.bitmaps.get(oldest).then((bitmap) => bitmap && bitmap.close());
        this.bitmaps.delete(oldest);
      }
    } else { // used again: move it to the end of the map
      const kept = this.bitmaps.get(index);
      this.bitmaps.delete(index);
      this.bitmaps.set(index, kept);
    }
    return this.bitmaps.get(index);
  }
}

function render({ model, el }) {
  const streams = new Map(); // id -> Stream
  const requested = new Map(); // id of a stream -> key of its video
  const view = { frame: 0, playing: false, speed: 1, loop: true, zoom: "", layer: "", wipe: false, mix: 0.5 };
  let cells = [];
  let paint = 0; // number of the latest call to go(); earlier calls stop
  let chosen = new Set();
  let gone = false;

  // ---- the page
  const title = make("div", { class: "dk-title" });
  const compare = make("select", { title: "Compare with another style", onchange: () => {
    model.send({ type: "compare", key: compare.value });
  } });
  const stage = make("div", { class: "dk-stage" });
  const problems = make("div", { class: "dk-problems", role: "status" });
  const play = make("button", { title: "Play or pause (space)", class: "dk-play", onclick: () => toggle() }, "▶");
  const scrub = make("input", { type: "range", min: 0, max: 0, value: 0, class: "dk-scrub", "aria-label": "Frame",
    oninput: () => { pause(); go(Number(scrub.value)); } });
  const counter = make("span", { class: "dk-counter", title: "Frame, counted from 0" });
  const speed = make("select", { title: "Speed ([ ])", onchange: () => { view.speed = Number(speed.value); restart(); } },
    ...SPEEDS.map((s) => make("option", { value: s, selected: s === 1 }, `${s}×`)));
  const loop = make("button", { title: "Loop (l)", "aria-pressed": "true", onclick: () => setLoop(!view.loop) }, "loop");
  const layer = make("select", { title: "Condition over the result (o)", class: "dk-layer",
    onchange: () => setLayer(layer.value) });
  const wipe = make("button", { title: "Blend or wipe (w)", "aria-pressed": "false",
    onclick: () => setWipe(!view.wipe) }, "wipe");
  const mix = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: view.mix, class: "dk-mix",
    "aria-label": "How much of the condition", oninput: () => { view.mix = Number(mix.value); go(view.frame); } });
  const all = make("button", { title: "All views (0)", onclick: () => zoom("") }, "all views");
  const controls = make("div", { class: "dk-controls" },
    make("button", { title: "Back one frame (←)", onclick: () => step(-1) }, "◂"), play,
    make("button", { title: "On one frame (→)", class: "dk-on", onclick: () => step(1) }, "▸"),
    scrub, counter, speed, loop, layer, mix, wipe, all);
  const standing = make("span", { class: "dk-standing" });
  const note = make("input", { type: "text", placeholder: "note", class: "dk-note", "aria-label": "Note",
    maxlength: 2000 });
  const reasonBar = make("div", { class: "dk-reasons" });
  const judge = make("div", { class: "dk-judge" },
    make("button", { class: "dk-accept", title: "Accept (a)", onclick: () => send("accept") }, "accept"),
    make("button", { class: "dk-reject", title: "Reject (r)", onclick: () => send("reject") }, "reject"),
    make("button", { class: "dk-unsure", title: "Unsure (u)", onclick: () => send("unsure") }, "unsure"),
    make("button", { class: "dk-undo", title: "Take back my last verdict (z)", onclick: () => send("undo") }, "undo"),
    note, standing);
  const scores = make("div", { class: "dk-scores" });
  const message = make("div", { class: "dk-message", role: "alert" });
  const help = make("dl", { class: "dk-help", hidden: true });
  for (const [key, words] of HELP) help.append(make("div", {}, make("dt", {}, key), make("dd", {}, words)));
  const empty = make("div", { class: "dk-empty" }, "Open a video from the board.");
  const body = make("div", { class: "dk-body", hidden: true },
    make("div", { class: "dk-head" }, title, compare,
      make("button", { title: "Keys (?)", onclick: () => { help.hidden = !help.hidden; } }, "?")),
    help, problems, stage, controls, judge, reasonBar, message, scores);
  const root = make("div", { class: "dk-review dk-player", tabindex: 0, "data-lm-suppress-shortcuts": "true" },
    empty, body);
  el.append(root);

  // ---- views and streams
  const shown = () => [model.get("video"), model.get("second")].filter((video) => video && video.key);
  const size = () => (view.zoom ? "zoom" : "grid");
  const id = (key, name, camera) => `${key}|${name}|${camera}|${size()}`;
  const layersOf = (cell) => ["result", view.layer].filter((name) => name && cell.view.layers.includes(name));
  const visible = () => cells.filter((cell) => !view.zoom || cell.view.camera === view.zoom);

  function need() {
    const wanted = [];
    for (const cell of visible()) for (const name of layersOf(cell)) {
      const key = id(cell.key, name, cell.view.camera);
      if (requested.has(key)) continue;
      requested.set(key, cell.key);
      wanted.push({ key: cell.key, layer: name, camera: cell.view.camera, size: size() });
    }
    if (wanted.length) model.send({ type: "streams", wanted });
  }

  // Of all sizes: the video has frames even while the zoomed view has not arrived.
  const frames = () => Math.max(0, ...[...streams.values()].map((stream) =>
    (stream.layer === "result" ? stream.length : 0)));
  const fps = () => {
    for (const cell of visible()) {
      const stream = streams.get(id(cell.key, "result", cell.view.camera));
      if (stream && stream.length) return stream.fps;
    }
    return 24;
  };

  function build() {
    const videos = shown();
    body.hidden = videos.length === 0;
    empty.hidden = videos.length > 0;
    cells = [];
    stage.replaceChildren();
    if (!videos.length) return;
    const video = videos[0];
    title.replaceChildren(make("b", {}, video.clip), ` · ${video.style} · ${video.stage}`);
    title.title = video.prompt;
    stage.classList.toggle("dk-two", videos.length > 1);
    for (const each of videos) {
      const grid = make("div", { class: "dk-grid" });
      grid.style.setProperty("--dk-columns", 1 + Math.max(...each.views.map((v) => v.column)));
      for (const v of each.views) {
        const canvas = make("canvas", { width: 16, height: 9 });
        const name = make("span", {}, v.label);
        const link = v.url ? make("a", { href: v.url, target: "_blank", title: v.file }, "file") : "";
        const cell = { key: each.key, view: v, canvas, state: make("em"),
          node: make("figure", { class: "dk-cell", "data-camera": v.camera, "data-key": each.key }) };
        canvas.addEventListener("dblclick", () => zoom(view.zoom ? "" : v.camera));
        cell.node.append(canvas, make("figcaption", {}, name, cell.state, link));
        if (!view.zoom) { cell.node.style.gridRow = v.row + 1; cell.node.style.gridColumn = v.column + 1; }
        if (!v.layers.includes("result")) { cell.state.textContent = "missing"; cell.node.classList.add("dk-missing"); }
        cell.node.hidden = Boolean(view.zoom) && v.camera !== view.zoom;
        grid.append(cell.node);
        cells.push(cell);
      }
      const heading = videos.length > 1 ? [make("div", { class: "dk-style" }, each.style)] : [];
      stage.append(make("div", { class: "dk-side" }, ...heading, grid));
    }
    problems.replaceChildren(...video.notes.map((text) => make("div", { class: "dk-count" }, text)),
      ...video.problems.map((text) => make("div", {}, `⚠ ${text}`)));
    compare.replaceChildren(make("option", { value: "" }, "compare with …"),
      ...model.get("others").map((other) => make("option", { value: other.key,
        selected: videos.length > 1 && other.key === videos[1].key }, other.style)));
    compare.disabled = !model.get("others").length;
    const layers = [...new Set(videos.flatMap((each) => each.layers))];
    if (!layers.includes(view.layer)) view.layer = "";
    layer.replaceChildren(make("option", { value: "" }, "result only"),
      ...layers.map((name) => make("option", { value: name, selected: name === view.layer }, `over it: ${name}`)));
    layer.disabled = !layers.length;
    mix.disabled = wipe.disabled = !view.layer;
    all.disabled = !view.zoom;
    need();
    go(view.frame);
  }

  // ---- painting: one frame on all visible views
  async function go(frame) {
    const call = ++paint;
    const last = frames() ? frames() - 1 : Math.max(0, view.frame);
    view.frame = Math.max(0, Math.min(frame, last));
    scrub.max = last;
    scrub.value = view.frame;
    counter.textContent = `${view.frame} / ${last}`;
    const jobs = visible().map(async (cell) => {
      const found = layersOf(cell).map((name) => [name, streams.get(id(cell.key, name, cell.view.camera))]);
      const late = found.some(([, stream]) => !stream);
      const pictures = await Promise.all(found.map(([, stream]) => (stream ? stream.bitmap(view.frame) : null)));
      return { cell, late, pictures, result: found.length ? found[0][1] : null };
    });
    const ready = await Promise.all(jobs);
    if (call !== paint || gone) return false;
    if (ready.some(({ late }) => late)) { root.dataset.loading = ""; return false; }
    delete root.dataset.loading;
    for (const { cell, pictures, result } of ready) {
      if (!result) continue;
      const picture = pictures[0];
      cell.node.classList.toggle("dk-ended", view.frame >= result.length);
      cell.state.textContent = result.problem ? "damaged" : view.frame >= result.length ? `ended at ${result.length}` : "";
      cell.state.title = result.problem;
      if (!picture) continue;
      const { canvas } = cell;
      if (canvas.width !== picture.width || canvas.height !== picture.height) {
        canvas.width = picture.width; canvas.height = picture.height;
      }
      const context = canvas.getContext("2d");
      context.globalAlpha = 1;
      context.drawImage(picture, 0, 0);
      const over = pictures[1];
      if (!over) continue;
      if (view.wipe) {
        const edge = Math.round((1 - view.mix) * canvas.width);
        const from = (edge / canvas.width) * over.width;
        context.drawImage(over, from, 0, over.width - from, over.height, edge, 0, canvas.width - edge, canvas.height);
        context.fillStyle = "#fff";
        context.fillRect(edge - 1, 0, 2, canvas.height);
      } else {
        context.globalAlpha = view.mix;
        context.drawImage(over, 0, 0, canvas.width, canvas.height);
      }
    }
    root.dataset.frame = view.frame;
    return true;
  }

  function ahead(frame) {
    for (const cell of visible()) for (const name of layersOf(cell)) {
      const stream = streams.get(id(cell.key, name, cell.view.camera));
      for (let k = 1; stream && k <= AHEAD; k++) if (frame + k < stream.length) stream.bitmap(frame + k);
    }
  }

  // ---- time
  let began = { at: 0, frame: 0 };
  function restart() { began = { at: performance.now(), frame: view.frame }; }
  async function tick() {
    if (!view.playing || gone) return;
    let next = began.frame + Math.floor(((performance.now() - began.at) / 1000) * fps() * view.speed);
    if (next >= frames()) {
      if (!view.loop) { await go(frames() - 1); pause(); return; }
      view.frame = next = 0;
      restart();
    }
    if (next !== view.frame || next === 0) { await go(next); ahead(next); }
    requestAnimationFrame(tick);
  }
  function toggle() {
    if (view.playing) { pause(); return; }
    if (view.frame >= frames() - 1) view.frame = 0;
    view.playing = true;
    play.textContent = "⏸";
    restart();
    tick();
  }
  function pause() { view.playing = false; play.textContent = "▶"; }
  function step(by) { pause(); go(view.frame + by); ahead(view.frame); }
  function setLoop(on) { view.loop = on; loop.setAttribute("aria-pressed", on); }
  function setWipe(on) { view.wipe = on; wipe.setAttribute("aria-pressed", on); go(view.frame); }
  function setLayer(name) {
    view.layer = name;
    layer.value = name;
    mix.disabled = wipe.disabled = !name;
    need();
    go(view.frame);
  }
  function zoom(camera) { view.zoom = camera; root.classList.toggle("dk-zoomed", Boolean(camera)); build(); }
  function faster(by) {
    const index = Math.max(0, Math.min(SPEEDS.length - 1, SPEEDS.indexOf(view.speed) + by));
    view.speed = SPEEDS[index];
    speed.value = view.speed;
    restart();
  }

  // ---- the verdict
  function drawReasons() {
    reasonBar.replaceChildren(...Object.entries(model.get("reasons")).map(([key, words]) =>
      make("button", { class: "dk-reason", "data-reason": key, title: words, "aria-pressed": chosen.has(key),
        onclick: () => { chosen.has(key) ? chosen.delete(key) : chosen.add(key); drawReasons(); } },
      key.replaceAll("_", " "))));
  }
  function send(state) {
    const [video] = shown();
    if (!video) return;
    if (state === "reject" && !chosen.size) {
      message.textContent = "Choose at least one reason, then reject.";
      reasonBar.classList.add("dk-wanted");
      return;
    }
    reasonBar.classList.remove("dk-wanted");
    message.textContent = "";
    model.send({ type: "verdict", key: video.key, state, reasons: state === "accept" ? [] : [...chosen],
      note: note.value });
  }
  function drawVerdict() {
    const verdict = model.get("verdict");
    root.dataset.state = verdict.state || "none";
    const history = (verdict.history || []).join("\n");
    standing.textContent = verdict.state
      ? `${verdict.state}${verdict.reasons.length ? `: ${verdict.reasons.join(", ").replaceAll("_", " ")}` : ""}` +
        ` · ${verdict.by} · ${verdict.when}${verdict.note ? ` · “${verdict.note}”` : ""}${verdict.stale ? " · of an older video" : ""}`
      : "no verdict yet";
    standing.title = history;
    chosen = new Set(verdict.reasons || []);
    note.value = verdict.note || "";
    drawReasons();
  }
  function drawScores() {
    scores.replaceChildren(...model.get("scores").map((score) =>
      make("span", { class: score.failed ? "dk-failed" : "", title: score.meaning }, `${score.label} ${score.value}`)));
  }

  // ---- keys
  root.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target === note;
    if (typing && event.key === "Escape") { root.focus(); return; }
    if (typing || event.target.tagName === "SELECT") return;
    if (event.target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter")) return;
    const layers = ["", ...(shown()[0] ? shown()[0].layers : [])];
    const number = Number(event.key);
    const camera = number >= 1 && shown()[0] ? (shown()[0].views[number - 1] || {}).camera : "";
    const actions = {
      " ": toggle, ArrowRight: () => step(event.shiftKey ? 10 : 1), ArrowLeft: () => step(event.shiftKey ? -10 : -1),
      Home: () => step(-Infinity), End: () => step(Infinity), "[": () => faster(-1), "]": () => faster(1),
      l: () => setLoop(!view.loop), o: () => setLayer(layers[(layers.indexOf(view.layer) + 1) % layers.length]),
      w: () => setWipe(!view.wipe), 0: () => zoom(""), Escape: () => zoom(""),
      "-": () => { mix.value = view.mix = Math.max(0, view.mix - 0.1); go(view.frame); },
      "+": () => { mix.value = view.mix = Math.min(1, view.mix + 0.1); go(view.frame); },
      a: () => send("accept"), r: () => send("reject"), u: () => send("unsure"), z: () => send("undo"),
      n: () => model.send({ type: "move", by: 1 }), p: () => model.send({ type: "move", by: -1 }),
      "?": () => { help.hidden = !help.hidden; },
    };
    actions["="] = actions["+"];
    const action = camera ? () => zoom(view.zoom === camera ? "" : camera) : actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });

  // ---- from the kernel
  const received = (content, buffers) => {
    if (content.type !== "stream") return;
    streams.set(`${content.key}|${content.layer}|${content.camera}|${content.size}`, new Stream(content, buffers[0]));
    go(view.frame);
  };
  const opened = () => {
    const keys = new Set(shown().map((video) => video.key));
    for (const [name, stream] of streams) if (!keys.has(stream.key)) streams.delete(name);
    for (const [name, key] of requested) if (!keys.has(key)) requested.delete(name);
    build();
  };
  const fresh = () => { pause(); view.frame = 0; view.zoom = ""; root.classList.remove("dk-zoomed"); opened(); root.focus(); };
  const drawMessage = () => { message.textContent = model.get("message"); };
  model.on("msg:custom", received);
  model.on("change:video", fresh);
  model.on("change:second", opened);
  model.on("change:verdict", drawVerdict);
  model.on("change:scores", drawScores);
  model.on("change:message", drawMessage);
  build(); drawVerdict(); drawScores(); drawMessage();
  return () => {
    gone = true;
    model.off("msg:custom", received);
    model.off("change:video", fresh);
    model.off("change:second", opened);
    model.off("change:verdict", drawVerdict);
    model.off("change:scores", drawScores);
    model.off("change:message", drawMessage);
  };
}

export default { render };
