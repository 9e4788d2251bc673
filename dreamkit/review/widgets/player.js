// The page of the player. A frame is painted when all visible views have decoded it, and then on all views in one task,
// so that they always show the same frame.

const AHEAD = 5; // frames decoded in advance while playing
const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];
const TOGETHER = 4; // styles that "all styles" loads at once; more by the menu
const HELP = [
  ["space", "play or pause"], ["← →", "one frame"], ["shift ← →", "ten frames"], ["home end", "first, last frame"],
  ["[ ]", "slower, faster"], ["l", "loop"], ["1 to 6", "the tile with this number alone, again for all"],
  ["b", "condition beside the result"], ["o", "condition over the result"], ["w", "blend or wipe"],
  ["- +", "less, more of the condition"], ["g", "boxes and lines of the labels over the result"], ["s", "all styles in sync"], ["p n", "previous, next video"], ["?", "this list"],
];
const JUDGE_HELP = [["a", "accept"], ["r", "reject"], ["u", "unsure"], ["shift 1 to 8", "reasons"], ["e", "write a note"],
  ["z", "take back the last verdict"]];

function render({ model, el }) {
  const streams = new Map(); // id -> Stream
  const requested = new Map(); // id of a stream -> key of its video
  const view = { frame: 0, playing: false, waiting: model.get("autoplay"), speed: 1, loop: true, zoom: "", layer: "",
    beside: model.get("beside"), wipe: false, labels: false, mix: 0.8, next: true };
  const judging = model.get("judging");
  let cells = [];
  let paint = 0; // number of the latest call to go(); earlier calls stop
  let chosen = new Set();
  let gone = false;

  // ---- the page
  const pressed = (node, on) => node.setAttribute("aria-pressed", on);
  const title = make("div", { class: "dk-title" });
  const results = make("select", { title: "Results (p n)", class: "dk-results", onchange: () =>
    model.send({ type: "open", key: results.value }) });
  const compare = make("select", { title: "Compare with another result of this clip", class: "dk-compare",
    onchange: () => model.send({ type: "compare", keys: compare.value ? [compare.value] : [] }) });
  const styles = make("button", { title: `Styles of this clip in sync, up to ${TOGETHER} (s)`, class: "dk-styles",
    onclick: () => allStyles() }, "all styles");
  const stage = make("div", { class: "dk-stage" });
  const problems = make("div", { class: "dk-problems", role: "status" });
  const play = make("button", { title: "Play or pause (space)", class: "dk-play", onclick: () => toggle() }, "▶");
  const scrub = make("input", { type: "range", min: 0, max: 0, value: 0, class: "dk-scrub", "aria-label": "Frame",
    oninput: () => { pause(); go(Number(scrub.value)); } });
  const counter = make("span", { class: "dk-counter", title: "Frame, counted from 0" });
  const speed = make("select", { title: "Speed ([ ])", onchange: () => { view.speed = Number(speed.value); restart(); } },
    ...SPEEDS.map((s) => make("option", { value: s, selected: s === 1 }, `${s}×`)));
  const loop = make("button", { title: "Loop (l)", "aria-pressed": "true", onclick: () => setLoop(!view.loop) }, "loop");
  const beside = make("button", { title: "Condition beside the result (b)", class: "dk-beside",
    onclick: () => setBeside(!view.beside) }, "condition beside");
  const layer = make("select", { title: "Condition over the result (o)", class: "dk-layer",
    onchange: () => setLayer(layer.value) });
  const labels = make("button", { title: "Boxes and lines of the labels over the result (g)", class: "dk-labels",
    "aria-pressed": "false", onclick: () => setLabels(!view.labels) }, "labels");
  const wipe = make("button", { title: "Blend or wipe (w)", "aria-pressed": "false",
    onclick: () => setWipe(!view.wipe) }, "wipe");
  const mix = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: view.mix, class: "dk-mix",
    "aria-label": "How much of the condition", oninput: () => { view.mix = Number(mix.value); go(view.frame); } });
  const all = make("button", { title: "All views (0)", onclick: () => zoom("") }, "all views");
  const controls = make("div", { class: "dk-controls" },
    make("button", { title: "Back one frame (←)", onclick: () => step(-1) }, "◂"), play,
    make("button", { title: "On one frame (→)", class: "dk-on", onclick: () => step(1) }, "▸"),
    counter, speed, loop, beside, layer, mix, wipe, labels, all);
  const standing = make("span", { class: "dk-standing" });
  const note = make("input", { type: "text", placeholder: "note (e)", class: "dk-note", "aria-label": "Note",
    maxlength: 2000 });
  const next = make("button", { title: "After a verdict, open the next video that is not judged", class: "dk-next",
    "aria-pressed": "true", onclick: () => { view.next = !view.next; pressed(next, view.next); } }, "then the next");
  const reasonBar = make("div", { class: "dk-reasons" });
  const verdictButton = (state, key, words) => make("button", { class: `dk-${state}`, title: `${words} (${key})`,
    onclick: () => send(state) }, make("kbd", {}, key), state);
  const judge = make("div", { class: "dk-judge", hidden: !judging },
    verdictButton("accept", "a", "Accept"), verdictButton("reject", "r", "Reject"), verdictButton("unsure", "u", "Unsure"),
    verdictButton("undo", "z", "Take back my last verdict"), next, note, standing);
  const prompt = make("div", { class: "dk-prompt" });
  const facts = make("div", { class: "dk-facts" });
  const scores = make("div", { class: "dk-scores" });
  const message = make("div", { class: "dk-message", role: "alert" });
  const help = make("dl", { class: "dk-help", hidden: true });
  for (const [key, words] of judging ? [...HELP, ...JUDGE_HELP] : HELP) {
    help.append(make("div", {}, make("dt", {}, key), make("dd", {}, words)));
  }
  const empty = make("div", { class: "dk-empty" }, "Open a video from the board.");
  const body = make("div", { class: "dk-body", hidden: true },
    make("div", { class: "dk-head" }, title, results, compare, styles,
      make("button", { title: "Keys (?)", onclick: () => { help.hidden = !help.hidden; } }, "?")),
    help, problems, stage, scrub, controls, judge, reasonBar, message, prompt, facts, scores);
  const root = make("div", { class: "dk-review dk-player", tabindex: 0, "data-lm-suppress-shortcuts": "true" },
    empty, body);
  el.append(root);

  // ---- views and streams
  const shown = () => [model.get("video"), ...model.get("compared")].filter((video) => video && video.key);
  const id = (key, name, camera, size) => `${key}|${name}|${camera}|${size}`;
  const layersOf = (cell) => (cell.condition ? [cell.condition] : ["result", view.layer, view.labels ? "labels" : ""])
    .filter((name) => name && cell.view.layers.includes(name));
  const visible = () => cells.filter((cell) => !view.zoom || cell.view.camera === view.zoom);
  // One or two large pictures are sent in the larger size too; the smaller one is shown until it is there.
  const large = () => visible().length <= 2;
  const stream = (cell, name) => streams.get(id(cell.key, name, cell.view.camera, "zoom")) ||
    streams.get(id(cell.key, name, cell.view.camera, "grid"));

  function need() {
    for (const size of large() ? ["grid", "zoom"] : ["grid"]) {
      const wanted = [];
      for (const cell of visible()) for (const name of layersOf(cell)) {
        const key = id(cell.key, name, cell.view.camera, size);
        if (requested.has(key)) continue;
        requested.set(key, cell.key);
        wanted.push({ key: cell.key, layer: name, camera: cell.view.camera, size });
      }
      if (wanted.length) model.send({ type: "streams", wanted });
    }
  }

  // Of all sizes: the video has frames even while the zoomed view has not arrived.
  const frames = () => Math.max(0, ...[...streams.values()].map((one) => (one.layer === "result" ? one.length : 0)));
  const fps = () => {
    for (const cell of visible()) {
      const found = cell.condition ? null : stream(cell, "result");
      if (found && found.length) return found.fps;
    }
    return 24;
  };

  // Camera -> number of its tile, in reading order; the number keys follow it.
  const numbers = (video) => [...video.views].sort((a, b) => a.row - b.row || a.column - b.column).map((v) => v.camera);

  // One grid of views: a result, or with `condition` the control of that name.
  function side(video, condition, heading, aside = false) {
    const grid = make("div", { class: "dk-grid" });
    grid.style.setProperty("--dk-columns", 1 + Math.max(...video.views.map((v) => v.column)));
    const order = numbers(video);
    for (const v of aside ? [...video.views].sort((a, b) => order.indexOf(a.camera) - order.indexOf(b.camera)) : video.views) {
      const canvas = make("canvas", { width: 16, height: 9 });
      const number = order.length > 1 ? [make("kbd", {}, order.indexOf(v.camera) + 1)] : [];
      const link = v.url && !condition ? make("a", { href: v.url, target: "_blank", title: v.file }, "file") : "";
      const cell = { key: video.key, view: v, condition, canvas, state: make("em"), node: make("figure",
        { class: `dk-cell${condition ? " dk-condition" : ""}`, "data-camera": v.camera, "data-key": video.key }) };
      canvas.addEventListener("dblclick", () => zoom(view.zoom ? "" : v.camera));
      cell.node.append(canvas, make("figcaption", {}, ...number, make("span", {}, v.label), cell.state, link));
      if (!view.zoom && !aside) { cell.node.style.gridRow = v.row + 1; cell.node.style.gridColumn = v.column + 1; }
      if (!v.layers.includes(condition || "result")) {
        cell.state.textContent = "missing";
        cell.node.classList.add("dk-missing");
      }
      cell.node.hidden = Boolean(view.zoom) && v.camera !== view.zoom;
      grid.append(cell.node);
      cells.push(cell);
    }
    return make("div", { class: `dk-side${condition ? " dk-condition" : ""}` },
      ...(heading ? [make("div", { class: "dk-style" }, heading)] : []), grid);
  }

  function build() {
    const videos = shown();
    body.hidden = videos.length === 0;
    empty.hidden = videos.length > 0;
    cells = [];
    stage.replaceChildren();
    if (!videos.length) return;
    const [video] = videos;
    const layers = [...new Set(videos.flatMap((each) => each.layers))];
    if (!layers.includes(view.layer)) view.layer = "";
    // The style first: clips have long names, of which the page may show the beginning only.
    title.replaceChildren(make("b", {}, video.style), ` · ${video.stage} · ${video.clip}`);
    title.title = video.clip;
    const control = view.beside ? view.layer || layers[0] : "";
    const several = videos.length > 1 || Boolean(control);
    const sides = videos.map((each) => side(each, "", several ? `${each.style} · ${each.stage}` : ""));
    const one = Boolean(view.zoom) || videos.every((each) => each.views.length === 1);
    const aside = Boolean(control) && !one && videos.length === 1;
    if (control) sides.unshift(side(video, control, `condition: ${control}`, aside));
    stage.append(...sides);
    const columns = one ? (sides.length <= 3 ? sides.length : Math.ceil(Math.sqrt(sides.length))) : Math.min(sides.length, 2);
    stage.classList.toggle("dk-aside", aside);
    stage.style.setProperty("--dk-sides", columns);
    // Width over height of all tiles together: with it the style sheet keeps the stage within the window.
    const [across, down] = aside ? [13 / 3, 2] : [columns * (one ? 1 : 3), Math.ceil(sides.length / columns) * (one ? 1 : 2)];
    stage.style.setProperty("--dk-ratio", (across * 16) / (down * 9));

    problems.replaceChildren(...video.notes.map((text) => make("div", { class: "dk-count" }, text)),
      ...video.problems.map((text) => make("div", {}, `⚠ ${text}`)));
    const others = model.get("others");
    const compared = videos.slice(1).map((each) => each.key);
    compare.replaceChildren(make("option", { value: "" }, compared.length > 1 ? `${videos.length} in sync` : "compare with …"),
      ...others.map((other) => make("option", { value: other.key,
        selected: compared.length === 1 && other.key === compared[0] }, other.style)));
    compare.hidden = !others.length;
    styles.hidden = !others.some((other) => other.stage === video.stage);
    pressed(styles, compared.length > 1);
    const listed = model.get("results");
    results.replaceChildren(...listed.map((other, index) => make("option", { value: other.key,
      selected: other.key === video.key }, `${index + 1} of ${listed.length}: ${other.style}`)));
    results.hidden = listed.length < 2;
    beside.hidden = !layers.length;
    pressed(beside, Boolean(control));
    layer.replaceChildren(make("option", { value: "" }, "nothing over it"),
      ...layers.map((name) => make("option", { value: name, selected: name === view.layer }, `over it: ${name}`)));
    layer.disabled = !layers.length;
    mix.disabled = wipe.disabled = !view.layer;
    labels.hidden = !videos.some((each) => each.views.some((one) => one.layers.includes("labels")));
    if (labels.hidden && view.labels) { view.labels = false; pressed(labels, false); }
    all.hidden = video.views.length < 2;
    all.disabled = !view.zoom;
    const camera = view.zoom || video.views[0].camera;
    prompt.textContent = video.prompts[camera] || "";
    facts.textContent = video.facts;
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
      const names = layersOf(cell);
      const found = names.map((name) => stream(cell, name));
      const late = found.some((one) => !one);
      const pictures = await Promise.all(found.map((one) => (one ? one.bitmap(view.frame) : null)));
      const lines = names.indexOf("labels");
      return { cell, late, pictures: [pictures[0], lines === 1 ? null : pictures[1], lines > 0 ? pictures[lines] : null],
        first: found.length ? found[0] : null, lines: lines > 0 ? found[lines] : null };
    });
    const ready = await Promise.all(jobs);
    if (call !== paint || gone) return false;
    if (ready.some(({ late }) => late)) { root.dataset.loading = ""; return false; }
    delete root.dataset.loading;
    for (const { cell, pictures, first, lines } of ready) if (first) draw(cell, first, pictures, lines);
    for (const cell of visible().filter((one) => one.condition)) { // in the shape of its result, as the model takes it
      const like = cells.find((one) => !one.condition && one.key === cell.key && one.view.camera === cell.view.camera);
      if (like) cell.canvas.style.aspectRatio = `${like.canvas.width} / ${like.canvas.height}`;
    }
    root.dataset.frame = view.frame;
    return true;
  }

  function draw(cell, first, [picture, over, marks], lines) {
    const ended = view.frame >= first.length;
    cell.node.classList.toggle("dk-ended", ended);
    cell.state.textContent = first.problem ? "damaged" : ended ? `ended at ${first.length}` : "";
    cell.state.title = first.problem;
    if (lines && lines.problem) { cell.state.textContent = "no labels"; cell.state.title = lines.problem; }
    if (!picture) return;
    const { canvas } = cell;
    const [width, height] = marks && marks.width > picture.width ? [marks.width, marks.height] : [picture.width, picture.height];
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    const context = canvas.getContext("2d");
    context.globalAlpha = 1;
    context.globalCompositeOperation = "source-over";
    context.drawImage(picture, 0, 0, width, height);
    if (over) drawOver(context, canvas, over);
    if (marks) {
      context.globalAlpha = 1;
      context.globalCompositeOperation = "source-over";
      context.drawImage(marks, 0, 0, width, height);
    }
  }

  function drawOver(context, canvas, over) {
    if (view.wipe) {
      const edge = Math.round((1 - view.mix) * canvas.width);
      const from = (edge / canvas.width) * over.width;
      context.drawImage(over, from, 0, over.width - from, over.height, edge, 0, canvas.width - edge, canvas.height);
      context.fillStyle = "#fff";
      context.fillRect(edge - 1, 0, 2, canvas.height);
    } else { // "screen" adds light where the condition has lines and leaves the video as it is where the condition is black
      context.globalAlpha = view.mix;
      context.globalCompositeOperation = "screen";
      context.drawImage(over, 0, 0, canvas.width, canvas.height);
    }
  }

  function ahead(frame) {
    for (const cell of visible()) for (const name of layersOf(cell)) {
      const found = stream(cell, name);
      for (let k = 1; found && k <= AHEAD; k++) if (frame + k < found.length) found.bitmap(frame + k);
    }
  }

  // ---- time
  let began = { at: 0, frame: 0 };
  function restart() { began = { at: performance.now(), frame: view.frame }; }
  async function tick() {
    if (!view.playing || gone) return;
    let following = began.frame + Math.floor(((performance.now() - began.at) / 1000) * fps() * view.speed);
    if (following >= frames()) {
      if (!view.loop) { await go(frames() - 1); pause(); return; }
      view.frame = following = 0;
      restart();
    }
    if (following !== view.frame || following === 0) { await go(following); ahead(following); }
    requestAnimationFrame(tick);
  }
  function start() {
    if (view.playing) return;
    if (view.frame >= frames() - 1) view.frame = 0;
    view.playing = true;
    view.waiting = false;
    play.textContent = "▮▮";
    restart();
    tick();
  }
  function toggle() { view.playing ? pause() : start(); }
  function pause() { view.playing = view.waiting = false; play.textContent = "▶"; }
  function step(by) { pause(); go(view.frame + by); ahead(view.frame); }
  function setLoop(on) { view.loop = on; pressed(loop, on); }
  function setLabels(on) { view.labels = on; pressed(labels, on); need(); go(view.frame); }
  function setWipe(on) { view.wipe = on; pressed(wipe, on); go(view.frame); }
  function setBeside(on) { view.beside = on; build(); }
  function setLayer(name) {
    view.layer = name;
    if (view.beside) { build(); return; } // the condition beside is the same one
    layer.value = name;
    mix.disabled = wipe.disabled = !name;
    need();
    go(view.frame);
  }
  function allStyles() {
    const [video] = shown();
    const same = model.get("others").filter((other) => video && other.stage === video.stage).map((other) => other.key);
    model.send({ type: "compare", keys: shown().length > 2 || !same.length ? [] : same.slice(0, TOGETHER - 1) });
  }
  function zoom(camera) { view.zoom = camera; root.classList.toggle("dk-zoomed", Boolean(camera)); build(); }
  function faster(by) {
    const index = Math.max(0, Math.min(SPEEDS.length - 1, SPEEDS.indexOf(view.speed) + by));
    view.speed = SPEEDS[index];
    speed.value = view.speed;
    restart();
  }

  // ---- the verdict
  function say(text) { message.textContent = text; }
  function drawReasons() {
    reasonBar.replaceChildren(...(judging ? Object.entries(model.get("reasons")) : []).map(([key, words], index) =>
      make("button", { class: "dk-reason", "data-reason": key, title: `${words} (shift ${index + 1})`,
        "aria-pressed": String(chosen.has(key)), onclick: () => toggleReason(key) },
      make("kbd", {}, `⇧${index + 1}`), key.replaceAll("_", " "))));
  }
  function toggleReason(key) {
    chosen.has(key) ? chosen.delete(key) : chosen.add(key);
    if (chosen.size) { reasonBar.classList.remove("dk-wanted"); say(""); }
    drawReasons();
  }
  function send(state) {
    const [video] = shown();
    if (!video || !judging) return;
    if (state === "reject" && !chosen.size) {
      say("Choose at least one reason (shift and its number), then reject.");
      reasonBar.classList.add("dk-wanted");
      return;
    }
    reasonBar.classList.remove("dk-wanted");
    say("");
    model.send({ type: "verdict", key: video.key, state, reasons: state === "accept" ? [] : [...chosen],
      note: note.value, next: view.next });
  }
  function drawVerdict() {
    const verdict = model.get("verdict");
    const draft = model.get("draft");
    root.dataset.state = verdict.state || "none";
    standing.textContent = verdict.state
      ? `${verdict.state}${verdict.reasons.length ? `: ${verdict.reasons.join(", ").replaceAll("_", " ")}` : ""}` +
        ` · ${verdict.by} · ${verdict.when}${verdict.note ? ` · “${verdict.note}”` : ""}${verdict.stale ? " · of an older video" : ""}`
      : "no verdict yet";
    standing.title = (verdict.history || []).join("\n");
    chosen = new Set(verdict.reasons || draft.reasons || []);
    note.value = verdict.note || draft.note || "";
    drawReasons();
  }
  function drawScores() {
    scores.replaceChildren(...model.get("scores").map((score) =>
      make("span", { class: score.failed ? "dk-failed" : "", title: score.meaning }, `${score.label} ${score.value}`)));
  }

  // ---- keys
  function onKey(event) {
    const { target } = event;
    const typing = target === note;
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    if (typing && (event.key === "Escape" || event.key === "Enter")) { root.focus(); return true; }
    if (typing) return false;
    if (target.tagName === "SELECT" && [" ", "ArrowUp", "ArrowDown", "Enter", "Home", "End"].includes(event.key)) return false;
    const [video] = shown();
    const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code) || /^([1-9])$/.exec(event.key);
    const number = digit ? Number(digit[1]) : 0;
    if (number && event.shiftKey) {
      const reason = judging && Object.keys(model.get("reasons"))[number - 1];
      if (reason) toggleReason(reason);
      return Boolean(reason);
    }
    const camera = number && video && video.views.length > 1 ? numbers(video)[number - 1] : "";
    if (camera) { zoom(view.zoom === camera ? "" : camera); return true; }
    const layers = ["", ...(video ? video.layers : [])];
    const actions = {
      " ": toggle, ArrowRight: () => step(event.shiftKey ? 10 : 1), ArrowLeft: () => step(event.shiftKey ? -10 : -1),
      Home: () => step(-Infinity), End: () => step(Infinity), "[": () => faster(-1), "]": () => faster(1),
      l: () => setLoop(!view.loop), o: () => setLayer(layers[(layers.indexOf(view.layer) + 1) % layers.length]),
      b: () => setBeside(!view.beside), s: allStyles,
      g: () => { if (!labels.hidden) setLabels(!view.labels); }, w: () => setWipe(!view.wipe), 0: () => zoom(""), Escape: () => zoom(""),
      "-": () => { mix.value = view.mix = Math.max(0, view.mix - 0.1); go(view.frame); },
      "+": () => { mix.value = view.mix = Math.min(1, view.mix + 0.1); go(view.frame); },
      n: () => model.send({ type: "move", by: 1 }), p: () => model.send({ type: "move", by: -1 }),
      "?": () => { help.hidden = !help.hidden; },
    };
    if (judging) {
      Object.assign(actions, { a: () => send("accept"), r: () => send("reject"), u: () => send("unsure"),
        z: () => send("undo"), e: () => note.focus() });
    }
    actions["="] = actions["+"];
    const action = actions[event.key];
    if (!action) return false;
    action();
    return true;
  }
  root.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (onKey(event)) event.preventDefault();
  });
  // After a click or a choice the keys belong to the player again, not to the button or menu.
  root.addEventListener("click", ({ target }) => {
    if (target !== note && !["SELECT", "OPTION", "A"].includes(target.tagName)) root.focus({ preventScroll: true });
  });
  root.addEventListener("change", ({ target }) => { if (target !== note) root.focus({ preventScroll: true }); });
  // With the focus nowhere, the player in sight takes the keys.
  const anywhere = (event) => {
    if (document.activeElement && document.activeElement !== document.body) return;
    const box = root.getBoundingClientRect();
    if (!root.isConnected || body.hidden || box.bottom < 0 || box.top > innerHeight) return;
    if (onKey(event)) event.preventDefault();
  };
  document.addEventListener("keydown", anywhere);
  root.addEventListener("dk-key", ({ detail }) => { if (onKey(detail)) detail.preventDefault(); }); // from the board

  // ---- from the kernel
  const received = async (content, buffers) => {
    if (content.type !== "stream") return;
    streams.set(id(content.key, content.layer, content.camera, content.size), new Stream(content, buffers[0]));
    const painted = await go(view.frame);
    if (painted && view.waiting) start();
  };
  const opened = () => {
    const keys = new Set(shown().map((video) => video.key));
    for (const [name, one] of streams) if (!keys.has(one.key)) streams.delete(name);
    for (const [name, key] of requested) if (!keys.has(key)) requested.delete(name);
    build();
  };
  const fresh = () => {
    const again = view.playing || view.waiting;
    pause();
    view.waiting = again;
    view.frame = 0;
    view.zoom = "";
    root.classList.remove("dk-zoomed");
    reasonBar.classList.remove("dk-wanted");
    drawMessage();
    opened();
    root.focus();
  };
  const drawMessage = () => { say(model.get("message")); };
  const listeners = { "msg:custom": received, "change:video": fresh, "change:compared": opened,
    "change:verdict": drawVerdict, "change:draft": drawVerdict, "change:scores": drawScores, "change:message": drawMessage };
  for (const [name, listener] of Object.entries(listeners)) model.on(name, listener);
  const unmark = markRestarted(model, root);
  build(); drawVerdict(); drawScores(); drawMessage();
  return () => {
    unmark();
    gone = true;
    document.removeEventListener("keydown", anywhere);
    for (const [name, listener] of Object.entries(listeners)) model.off(name, listener);
  };
}

export default { render };
