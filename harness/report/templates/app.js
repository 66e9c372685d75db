// Views, addresses, keys, and what the controls do.

const MOST_SHOWN = 8; // runs side by side
const TITLES = {
  benchmark: "Benchmark",
  split: "Category",
  status: "Status of a run",
  agree: "Runs",
  change: "Score",
};
const WORDS = { differ: "differ in score", agree: "agree", better: "better", worse: "worse", equal: "equal" };

function setRuns(runs) {
  const known = [...new Set(runs)].filter((run) => Number.isInteger(run) && run >= 0 && run < RUNS.length);
  state.runs = (known.length ? known : RUNS.slice(0, manifest.shown))
    .slice(0, MOST_SHOWN)
    .sort((one, other) => one - other);
  if (state.runs.length < 2) Object.assign(state, { agree: "", change: "" });
  if (!state.runs.includes(state.a)) state.a = state.runs[0];
  if (!state.runs.includes(state.b) || (state.a === state.b && state.runs.length > 1))
    state.b = state.runs.find((run) => run !== state.a) ?? state.a;
}

// The address says everything: #benchmark/item?filters. What is as usual is left out.
function address(item = state.item) {
  const query = new URLSearchParams();
  for (const name of Object.keys(NO_FILTER)) if (state[name]) query.set(name, state[name]);
  if (state.sort !== "order") query.set("sort", state.sort);
  const usual = RUNS.slice(0, manifest.shown).join();
  if (state.runs.join() !== usual) query.set("runs", state.runs.join());
  if (RUNS.length > 1 && (state.a !== state.runs[0] || state.b !== (state.runs[1] ?? state.a)))
    query.set("ab", `${state.a},${state.b}`);
  const path =
    state.view === "overview"
      ? "overview"
      : item < 0
        ? "samples"
        : `${manifest.benchmarks[benchOf[item]].key}/${encodeURIComponent(idOf[item]).replaceAll("%2F", "/")}`;
  return `#${path}${query.size ? `?${query}` : ""}`;
}

function remember(isStep = false) {
  if (address() === location.hash) return;
  history[isStep ? "replaceState" : "pushState"](null, "", address());
}

function itemOf(path) {
  const b = manifest.benchmarks.findIndex((benchmark) => path.startsWith(`${benchmark.key}/`));
  if (b < 0) return -1;
  const id = path.slice(manifest.benchmarks[b].key.length + 1);
  const [from, to] = [starts[b], starts[b] + manifest.benchmarks[b].n];
  for (let item = from; item < to; item += 1) if (idOf[item] === id) return item;
  return -1;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function openAddress() {
  const [path, query] = location.hash.slice(1).split(/\?(.*)/s);
  const given = new URLSearchParams(query || "");
  Object.assign(state, NO_FILTER);
  for (const name of Object.keys(NO_FILTER)) state[name] = given.get(name) || "";
  state.sort = given.get("sort") in SORTS ? given.get("sort") : "order";
  [state.a, state.b] = (given.get("ab") || "0,1").split(",").map(Number);
  setRuns((given.get("runs") || "").split(",").filter(Boolean).map(Number));
  state.view = !path || path === "overview" ? "overview" : "samples";
  state.item = state.view === "samples" ? itemOf(decoded(path)) : -1;
  if (state.view === "samples" && path !== "samples" && state.item < 0)
    toast("There is no such sample in this page");
  byId("search").value = state.q;
  await refresh();
}

// After filters or runs changed: everything that depends on them.
async function refresh() {
  await loadScores(state.runs);
  drawRuns();
  showView();
  if (!(await applyFilters())) return;
  drawFacets();
  byId("found").replaceChildren(
    h("b", {}, shownItems.length.toLocaleString("en")),
    ` of ${n.toLocaleString("en")}`,
  );
  if (state.view === "samples" && state.item < 0 && shownItems.length && !isNarrow())
    state.item = shownItems[0];
  byId("list").scrollTop = 0;
  redrawList();
  showItem();
  document.body.dataset.ready = String(newest);
}

async function changed(values) {
  Object.assign(state, values);
  if ("benchmark" in values) state.split = "";
  if (state.item >= 0 && !isNarrow()) state.item = -1;
  await refresh();
  remember();
}

function showView() {
  for (const view of ["overview", "samples"]) {
    byId(view).hidden = state.view !== view;
    byId(`tab-${view}`).toggleAttribute("aria-current", state.view === view);
  }
  document.body.dataset.view = state.view;
  if (state.view === "overview") {
    drawForest();
    drawCategories();
  }
}

function drawRuns() {
  for (const cell of document.querySelectorAll("#overview [data-run]:not(.badge)"))
    cell.hidden = !state.runs.includes(Number(cell.dataset.run));
  for (const mark of document.querySelectorAll(".badge[data-run]"))
    mark.dataset.color = colorOf(Number(mark.dataset.run));
  for (const box of document.querySelectorAll("#runs-list input")) {
    box.checked = state.runs.includes(Number(box.value));
    box.disabled = box.checked ? state.runs.length === 1 : state.runs.length >= MOST_SHOWN;
  }
  byId("runs-count").replaceChildren(`${state.runs.length} of ${RUNS.length}`);
}

function drawFacets() {
  const bench = manifest.benchmarks.find((one) => one.key === state.benchmark);
  const groups = [
    group(
      "benchmark",
      manifest.benchmarks.map((one) => [one.key, one.title]),
    ),
    bench && bench.splits.length > 1
      ? group(
          "split",
          bench.splits.map((split) => [split, split || "(none)"]),
        )
      : null,
    group(
      "status",
      manifest.statuses
        .filter((status) => facetCounts.status.get(status) || state.status === status)
        .map((status) => [status, status.replace("_", " ")]),
    ),
    state.runs.length > 1
      ? group(
          "agree",
          ["differ", "agree"].map((name) => [name, WORDS[name]]),
        )
      : null,
    state.runs.length > 1
      ? group(
          "change",
          ["better", "worse", "equal"].map((name) => [name, WORDS[name]]),
          pair(),
        )
      : null,
  ];
  const focused = document.activeElement?.id;
  byId("facet-groups").replaceChildren(...groups.filter(Boolean));
  if (focused) byId(focused)?.focus();
  byId("sort").replaceChildren(
    ...Object.entries(SORTS).map(([name, words]) =>
      h(
        "option",
        { value: name, selected: state.sort === name },
        words.replace(/\bB\b/, manifest.runs[state.b].letter),
      ),
    ),
  );
}

function group(name, options, extra) {
  const option = ([value, words], place) => {
    const count = facetCounts[name].get(value) || 0;
    return h(
      "label",
      { class: `facet${count ? "" : " zero"}` },
      h("input", {
        type: "radio",
        name,
        id: `${name}-${place}`,
        value,
        checked: state[name] === value,
        onchange: () => changed({ [name]: value }),
      }),
      h("span", { class: "facet-name" }, foreign(words)),
      h("span", { class: "facet-count" }, count.toLocaleString("en")),
    );
  };
  return h(
    "fieldset",
    { class: "facet-group", "data-facet": name },
    h("legend", {}, TITLES[name]),
    extra,
    [["", "all"], ...options].map(option),
  );
}

// Which two runs "better" and "worse" are about.
function pair() {
  const picker = (name, words) =>
    h(
      "select",
      {
        id: `pick-${name}`,
        "aria-label": words,
        onchange: (event) => changed({ [name]: Number(event.target.value) }),
      },
      state.runs.map((run) =>
        h("option", { value: run, selected: state[name] === run }, manifest.runs[run].letter),
      ),
    );
  return h(
    "p",
    { class: "pair" },
    picker("b", "the run that is better or worse"),
    h("span", {}, " against "),
    picker("a", "the run that it is compared with"),
  );
}

const narrow = matchMedia("(max-width: 900px)");
const isNarrow = () => narrow.matches;

function choose(item, isStep = false) {
  state.item = item;
  showItem();
  remember(isStep);
}

function showItem() {
  const position = state.item < 0 ? -1 : shownItems.indexOf(state.item);
  if (position >= 0) scrollTo(position);
  drawList();
  markSelected(position);
  document.body.classList.toggle("reading", state.item >= 0);
  drawDetail();
}

function closeDetail() {
  choose(-1);
  byId("list").focus();
}

function step(by) {
  if (!shownItems.length) return;
  const position = shownItems.indexOf(state.item);
  const next = position < 0 ? 0 : Math.min(shownItems.length - 1, Math.max(0, position + by));
  choose(shownItems[next], true);
}

function show(view) {
  state.view = view;
  if (view === "samples" && state.item < 0 && shownItems.length && !isNarrow()) state.item = shownItems[0];
  showView();
  if (view === "samples") showItem();
  remember();
}

async function copyLink() {
  const link = location.href.replace(/#.*/, "") + address();
  try {
    await navigator.clipboard.writeText(link);
    toast("Link copied");
  } catch {
    toast("This browser does not let the page copy; the address bar has the link");
  }
}

const KEYS = {
  j: () => step(1),
  ArrowDown: () => step(1),
  k: () => step(-1),
  ArrowUp: () => step(-1),
  g: () => step(-Infinity),
  G: () => step(Infinity),
  "/": () => byId("search").focus(),
  d: () => state.runs.length > 1 && changed({ agree: state.agree === "differ" ? "" : "differ" }),
  r: resetFilters,
  o: () => show(state.view === "overview" ? "samples" : "overview"),
  c: copyLink,
  "?": () => byId("help").showModal(),
};

function resetFilters() {
  byId("search").value = "";
  return changed({ ...NO_FILTER, sort: "order" });
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const at = event.target;
  if (event.key === "Escape") {
    byId("runs-menu").open = false;
    document.body.classList.remove("filtering");
    if (at === byId("search")) byId("list").focus();
    else if (isNarrow() && state.item >= 0) closeDetail();
    return;
  }
  const isArrow = event.key.startsWith("Arrow");
  if (
    at.matches("input:not([type=checkbox], [type=radio]), select, textarea") ||
    (isArrow && at.matches("input"))
  )
    return;
  const isAboutSamples = isArrow || "jkgGdrc".includes(event.key);
  if (!(event.key in KEYS) || (isAboutSamples && state.view !== "samples")) return;
  event.preventDefault();
  if (event.key === "/" && state.view !== "samples") show("samples");
  KEYS[event.key]();
}

function listen() {
  let typing = 0;
  byId("search").addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => changed({ q: event.target.value }), 160);
  });
  byId("search").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    clearTimeout(typing);
    changed({ q: event.target.value }).then(() => byId("list").focus());
  });
  byId("sort").addEventListener("change", (event) => changed({ sort: event.target.value }));
  byId("reset").addEventListener("click", resetFilters);
  byId("list").addEventListener("scroll", drawSoon, { passive: true });
  addEventListener("resize", drawSoon);
  narrow.addEventListener("change", showView);
  byId("help-button").addEventListener("click", KEYS["?"]);
  byId("facets-open").addEventListener("click", () => document.body.classList.add("filtering"));
  byId("facets-close").addEventListener("click", () => document.body.classList.remove("filtering"));
  byId("runs-list").addEventListener("change", () => {
    const checked = [...document.querySelectorAll("#runs-list input:checked")].map((box) =>
      Number(box.value),
    );
    setRuns(checked);
    changed({});
  });
  for (const view of ["overview", "samples"]) {
    byId(`tab-${view}`).addEventListener("click", (event) => {
      event.preventDefault();
      show(view);
    });
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("#overview a[href^='#']");
    if (link && !event.ctrlKey && !event.metaKey && !link.hash.includes("runs=")) {
      event.preventDefault();
      location.hash = `${link.hash}&runs=${state.runs}`; // the runs that are shown stay
    }
    if (!byId("runs-menu").contains(event.target)) byId("runs-menu").open = false;
    if (event.target === byId("zoom") || event.target.closest("#zoom img")) byId("zoom").close();
  });
  document.addEventListener("keydown", onKey);
  addEventListener("popstate", openAddress);
}

loadIndex().then(() => {
  listen();
  return openAddress();
});

// For measurements.
window.plumbline = { changed };
