// The page of the board: one row a clip, one column a style. A thumbnail is requested when its cell becomes visible.
// Ctrl-click (or shift-click for a range) chooses cells for one verdict on all of them.

function render({ model, el }) {
  const pictures = new Map(); // key -> object URL
  const requested = new Set();
  const filter = { text: "", state: "", flagged: false, sort: "clip" };
  const chosen = new Set(); // keys for a verdict on all of them
  let shownKeys = []; // in the order of the page
  let last = ""; // key of the cell that was clicked last
  let queue = [];
  let timer = 0;

  for (const [key, data] of Object.entries(model.get("first"))) {
    pictures.set(key, URL.createObjectURL(new Blob([data], { type: "image/jpeg" })));
    requested.add(key);
  }

  const search = make("input", { type: "search", placeholder: "filter clips, styles, prompts", "aria-label": "Filter",
    oninput: () => { filter.text = search.value.toLowerCase(); draw(); } });
  const state = make("select", { title: "State", onchange: () => { filter.state = state.value; draw(); } },
    ...[["", "every state"], ["none", "not judged"], ["accept", "accepted"], ["reject", "rejected"],
      ["unsure", "unsure"], ["blocked", "blocked by the guardrail"], ["stale", "of an older video"]]
      .map(([value, words]) => make("option", { value }, words)));
  const flagged = make("button", { "aria-pressed": "false", title: "Only videos past a threshold or with a problem",
    onclick: () => {
      filter.flagged = !filter.flagged;
      flagged.setAttribute("aria-pressed", filter.flagged);
      draw();
    } }, "flagged");
  const sort = make("select", { title: "Sort and show", class: "dk-sort",
    onchange: () => { filter.sort = sort.value; draw(); } });
  const count = make("span", { class: "dk-count" });
  const head = make("thead");
  const rows = make("tbody");
  const scroll = make("div", { class: "dk-scroll" }, make("table", { class: "dk-table" }, head, rows));
  const note = make("div", { class: "dk-problems", role: "status" });
  const several = make("span", { class: "dk-count" });
  const missing = make("span", { class: "dk-problems", role: "status" });
  const reason = make("select", { title: "Reason for reject and unsure", "aria-label": "Reason",
    onchange: () => { missing.textContent = ""; } },
    make("option", { value: "" }, "reason …"),
    ...Object.entries(model.get("reasons")).map(([key, words]) => make("option", { value: key, title: words }, key.replaceAll("_", " "))));
  const together = (state) => make("button", { class: `dk-${state}`, onclick: () => judge(state) }, `${state} all`);
  const bulk = make("div", { class: "dk-bulk", hidden: true }, several, together("accept"), together("reject"),
    together("unsure"), together("undo"), reason,
    make("button", { onclick: () => { chosen.clear(); mark(); } }, "choose none"), missing);
  const every = make("button", { title: "Choose all that are shown, for one verdict on all (or ctrl-click single ones)",
    onclick: () => { shownKeys.forEach((key) => chosen.add(key)); mark(); } }, "choose all");
  const bar = make("progress", { max: 1, value: 0 });
  const measured = make("span", { class: "dk-count" });
  const stop = make("button", { onclick: () => model.send({ type: "stop" }) }, "stop measuring");
  const progress = make("div", { class: "dk-progress", hidden: true }, bar, measured, stop);
  const root = make("div", { class: "dk-review dk-board", "data-lm-suppress-shortcuts": "true" },
    make("div", { class: "dk-bar" }, search, state, flagged, sort, every, count), progress, note, scroll, bulk);
  root.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (["INPUT", "SELECT"].includes(event.target.tagName)) return;
    if (event.target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter")) return;
    for (let node = root.parentElement; node; node = node.parentElement) { // the player of the same output has the keys
      const player = node.querySelector(".dk-player");
      if (!player) continue;
      player.dispatchEvent(new CustomEvent("dk-key", { detail: event }));
      return;
    }
  });
  el.append(root);

  function mark() {
    for (const key of chosen) if (!shownKeys.includes(key)) chosen.delete(key);
    several.textContent = `${chosen.size} chosen:`;
    bulk.hidden = !chosen.size;
    if (bulk.hidden) missing.textContent = "";
    for (const button of rows.querySelectorAll(".dk-item")) button.classList.toggle("dk-chosen", chosen.has(button.dataset.key));
  }
  function judge(state) {
    missing.textContent = state === "reject" && !reason.value ? "Choose a reason, then reject all." : "";
    if (missing.textContent) return;
    model.send({ type: "verdicts", keys: [...chosen], state, reasons: state === "accept" || !reason.value ? [] : [reason.value] });
  }
  function click(event, key) {
    if (event.shiftKey && last) {
      const [from, to] = [shownKeys.indexOf(last), shownKeys.indexOf(key)].sort((a, b) => a - b);
      shownKeys.slice(Math.max(0, from), to + 1).forEach((each) => chosen.add(each));
    } else if (event.ctrlKey || event.metaKey) {
      chosen.has(key) ? chosen.delete(key) : chosen.add(key);
    } else {
      model.send({ type: "open", key });
    }
    last = key;
    mark();
  }
  function drawProgress() {
    const { done, total, text } = model.get("progress");
    progress.hidden = !text;
    bar.hidden = stop.hidden = !total || done >= total;
    bar.max = total || 1;
    bar.value = done || 0;
    measured.textContent = text || "";
  }

  const sight = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      const { key } = target.dataset;
      if (!isIntersecting || requested.has(key)) continue;
      requested.add(key);
      queue.push(key);
    }
    clearTimeout(timer);
    timer = setTimeout(() => {
      for (; queue.length; queue = queue.slice(16)) model.send({ type: "thumbnails", keys: queue.slice(0, 16) });
    }, 30);
  }, { root: scroll, rootMargin: "200px" });

  const column = ({ style, stage }) => JSON.stringify([style, stage]);

  const matches = (item) =>
    (!filter.text || `${item.clip} ${item.style} ${item.stage} ${item.prompt}`.toLowerCase().includes(filter.text)) &&
    (!filter.flagged || item.flags.length > 0) &&
    (!filter.state || (filter.state === "none" ? !item.state : filter.state === "stale" ? item.stale : item.state === filter.state));

  function cell(item) {
    const url = pictures.get(item.key);
    const image = url ? make("img", { src: url, alt: "" }) : make("div", { class: "dk-blank" });
    const value = filter.sort === "clip" ? "" : item.values[filter.sort];
    const score = value === "" || value === null || value === undefined ? "" : Number(value).toPrecision(3);
    const flags = item.flags.length ? `⚠ ${item.flags.length}` : "";
    const words = [item.key, ...item.flags, item.note && `note: ${item.note}`, item.by && `by ${item.by}`];
    return make("button", { class: `dk-item${item.key === model.get("opened") ? " dk-open" : ""}`, "data-key": item.key,
      "data-state": item.state || "none", title: words.filter(Boolean).join("\n"),
      onclick: (event) => click(event, item.key) },
    image, make("div", { class: "dk-line" },
      make("span", { class: "dk-state" }, (item.state || "–") + (item.stale ? " (older)" : "")),
      make("span", { class: "dk-score" }, score), make("span", { class: "dk-failed" }, flags)));
  }

  function draw() {
    const items = model.get("items").filter(matches);
    const columns = new Map(); // id of a column -> its style and stage
    for (const { style, stage } of model.get("items")) columns.set(column({ style, stage }), { style, stage });
    const clips = new Map();
    for (const item of items) {
      if (!clips.has(item.clip)) clips.set(item.clip, new Map());
      clips.get(item.clip).set(column(item), item);
    }
    let order = [...clips.keys()];
    if (filter.sort !== "clip") { // worst first
      const sign = model.get("measures").find((measure) => measure.key === filter.sort).good === "low" ? -1 : 1;
      const worst = (clip) => Math.min(Infinity, ...[...clips.get(clip).values()]
        .map((item) => item.values[filter.sort]).filter((value) => value !== null && value !== undefined)
        .map((value) => sign * value));
      order = order.map((clip) => [worst(clip), clip]).sort((a, b) => a[0] - b[0]).map(([, clip]) => clip);
    }
    head.replaceChildren(make("tr", {}, make("th", {}, ""), ...[...columns.values()].map(({ style, stage }) =>
      make("th", {}, make("b", {}, style), ` ${stage}`))));
    sight.disconnect();
    rows.replaceChildren(...order.map((clip) => make("tr", {}, make("th", { scope: "row" }, clip),
      ...[...columns.keys()].map((id) => make("td", {}, ...(clips.get(clip).has(id) ? [cell(clips.get(clip).get(id))] : []))))));
    for (const button of rows.querySelectorAll(".dk-item")) if (!pictures.has(button.dataset.key)) sight.observe(button);
    const listed = model.get("items");
    const of = (name) => listed.filter((item) => item.state === name).length;
    const blocked = of("blocked") ? ` · ${of("blocked")} blocked` : "";
    count.textContent = `${items.length} of ${listed.length} · ${of("accept")} accepted · ${of("reject")} rejected · ${of("unsure")} unsure${blocked}`;
    note.textContent = model.get("notice");
    const shown = order.flatMap((clip) => [...columns.keys()].filter((id) => clips.get(clip).has(id))
      .map((id) => clips.get(clip).get(id).key));
    shownKeys = shown;
    mark();
    model.send({ type: "order", keys: shown });
  }

  function options() {
    sort.replaceChildren(make("option", { value: "clip" }, "by clip"),
      ...model.get("measures").map((measure) => make("option", { value: measure.key, title: measure.meaning,
        selected: measure.key === filter.sort }, `worst ${measure.label.toLowerCase()}`)));
  }

  const received = (content, buffers) => {
    if (content.type !== "thumbnails") return;
    content.keys.forEach((key, index) => {
      if (!content.good[index]) return;
      const url = URL.createObjectURL(new Blob([buffers[index]], { type: "image/jpeg" }));
      pictures.set(key, url);
      for (const button of rows.querySelectorAll(".dk-item")) {
        if (button.dataset.key === key) button.querySelector(".dk-blank, img").replaceWith(make("img", { src: url, alt: "" }));
      }
    });
  };
  const marked = () => {
    for (const button of rows.querySelectorAll(".dk-item")) {
      button.classList.toggle("dk-open", button.dataset.key === model.get("opened"));
    }
  };
  model.on("msg:custom", received);
  model.on("change:items", draw);
  model.on("change:notice", draw);
  model.on("change:opened", marked);
  model.on("change:progress", drawProgress);
  const unmark = markRestarted(model, root);
  options(); draw(); drawProgress();
  return () => {
    unmark();
    sight.disconnect();
    model.off("msg:custom", received);
    model.off("change:items", draw);
    model.off("change:notice", draw);
    model.off("change:opened", marked);
    model.off("change:progress", drawProgress);
    for (const url of pictures.values()) URL.revokeObjectURL(url);
  };
}

export default { render };
