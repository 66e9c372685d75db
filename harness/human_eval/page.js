"use strict";
// Everything from outside (texts, pictures, files that are opened) goes into text nodes and image sources only.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { tasks, rubric } = data;
  const known = new Map(tasks.map((task, index) => [task.id, index]));
  const spelled = new Map(rubric.options.flatMap((option) =>
    [[option.value.toLowerCase(), option.value], [option.label.toLowerCase(), option.value]]));
  const STORE = "plumbline human_eval " + data.sheet;
  const THEME = "plumbline human_eval theme";
  const HEADER = ["sheet", "id", "verdict", "comment", "annotator"];
  // As harness/human_eval/cells.py guards and unguards.
  const FORMULA = /^'*(?:\s*[=+\-@＝＋－＠]|[\t\r\n])/;

  const at = (id) => document.getElementById(id);
  const state = { annotator: "", position: 0, entries: {}, started: false };

  function make(kind, text, className) {
    const element = document.createElement(kind);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  }

  function tell(text, isWarning = false) {
    at("message").textContent = text;
    at("message").classList.toggle("warn", isWarning);
  }

  // ---- what is kept in the browser

  function load() {
    try {
      const kept = JSON.parse(localStorage.getItem(STORE));
      if (!kept) return;
      state.annotator = String(kept.annotator || "");
      state.position = Math.min(tasks.length - 1, Math.max(0, Number(kept.position) || 0));
      state.started = Boolean(kept.started);
      for (const [id, entry] of Object.entries(kept.entries || {})) {
        if (known.has(id)) state.entries[id] = { verdict: String(entry.verdict), comment: String(entry.comment) };
      }
    } catch (error) {
      tell("This browser keeps nothing here: save a file before you close the page.", true);
    }
  }

  function save() {
    try {
      localStorage.setItem(STORE, JSON.stringify(state));
      return true;
    } catch (error) {
      tell("This browser keeps nothing here: save a file before you close the page.", true);
      return false;
    }
  }

  const entryOf = (task) => state.entries[task.id] || { verdict: "", comment: "" };
  const isDone = (task) => entryOf(task).verdict !== "";
  const nDone = () => tasks.filter(isDone).length;

  function change(task, part) {
    state.entries[task.id] = { ...entryOf(task), ...part };
    save();
  }

  // ---- what is shown

  function build() {
    document.title = `${data.title}: ${rubric.title}`;
    at("title").textContent = rubric.title;
    const isRating = rubric.sides.length === 1;
    at("options").classList.toggle("rating", isRating);
    for (const option of rubric.options) {
      const button = make("button", undefined, option.tone);
      button.dataset.value = option.value;
      button.title = option.meaning;
      if (isRating) button.append(make("b", option.label), make("small", option.meaning));
      else button.append(make("span", option.label), make("kbd", option.keys[0].toUpperCase()));
      button.addEventListener("click", () => decide(option.value));
      at("options").append(button);
    }
    tasks.forEach((task, index) => {
      const button = make("button", String(index + 1));
      button.setAttribute("aria-label", `Task ${index + 1}`);
      button.addEventListener("click", () => go(index));
      at("strip").append(button);
    });
    explain();
  }

  function explain() {
    at("about-title").textContent = rubric.title;
    at("about-task").replaceChildren(...rubric.task.map((text) => make("p", text)));
    const row = (keys, text) => {
      const cell = make("td");
      keys.forEach((key) => cell.append(make("kbd", key), " "));
      const line = make("tr");
      line.append(cell, make("td", text));
      return line;
    };
    at("about-options").replaceChildren(
      ...rubric.options.map((option) => row(option.keys.map((key) => key.toUpperCase()), option.meaning)));
    at("about-keys").replaceChildren(
      row(["←", "→"], "previous, next"), row(["N"], "next without a verdict"), row(["⌫"], "take the verdict back"),
      row(["C"], "comment (Esc leaves it)"), row(["Z"], "enlarge the picture"), row(["S"], "save a file"),
      row(["D"], "light or dark"), row(["?"], "this help"));
  }

  function help() {
    at("about").showModal();
    at("about").scrollTop = 0; // the focus on the button below may have scrolled it
  }

  function show() {
    const task = tasks[state.position];
    const { verdict, comment } = entryOf(task);
    at("number").textContent = `Task ${state.position + 1} of ${tasks.length}`;
    at("question").textContent = task.question;
    at("reference").textContent = task.reference;
    at("reference-box").hidden = !task.reference;
    at("picture-names").textContent = task.pictureNames ? `Picture: ${task.pictureNames}` : "";
    at("pictures").replaceChildren(...task.pictures.map(picture));
    at("pictures").hidden = !task.pictures.length;
    document.querySelector("main").classList.toggle("plain", !task.pictures.length);
    at("responses").replaceChildren(...task.responses.map((text, index) => response(text, rubric.sides[index], verdict)));
    at("comment").value = comment;
    for (const button of at("options").children) {
      const isChosen = button.dataset.value === verdict;
      button.classList.toggle("chosen", isChosen);
      button.setAttribute("aria-pressed", String(isChosen));
    }
    tasks.forEach((each, index) => {
      const button = at("strip").children[index];
      button.classList.toggle("done", isDone(each));
      button.classList.toggle("here", index === state.position);
    });
    at("count").textContent = `${nDone()} of ${tasks.length} done`;
    at("bar").style.width = `${100 * nDone() / tasks.length}%`;
  }

  function picture(index) {
    const image = make("img");
    image.src = data.pictures[index];
    image.alt = "The picture that the question is about";
    image.tabIndex = 0;
    image.addEventListener("click", () => zoom(image));
    return image;
  }

  function response(text, side, verdict) {
    const card = make("article", undefined, "response");
    card.classList.toggle("chosen", side !== "" && side === verdict);
    card.append(make("h2", `Response ${side}`.trim()));
    card.append(text ? make("p", text) : make("p", "The response is empty.", "empty"));
    return card;
  }

  function zoom(image) {
    at("zoomed").src = image.src;
    at("zoom").showModal();
  }

  // ---- what the annotator does

  function go(position) {
    state.position = Math.min(tasks.length - 1, Math.max(0, position));
    save();
    show();
    document.querySelector("main").scrollTop = 0;
  }

  function nextOpen(from) {
    for (let step = 1; step <= tasks.length; step += 1) {
      const index = (from + step) % tasks.length;
      if (!isDone(tasks[index])) return index;
    }
    return -1;
  }

  function decide(value) {
    const number = state.position + 1;
    change(tasks[state.position], { verdict: value });
    const { label, meaning } = rubric.options.find((option) => option.value === value);
    const open = nextOpen(state.position);
    if (open < 0) {
      show();
      tell(`All ${tasks.length} are done. Press “Save file” (S) and hand in the file.`);
    } else {
      go(state.position + 1 < tasks.length ? state.position + 1 : open);
      tell(`Task ${number}: ${label === value ? `${label}, ${meaning.toLowerCase()}` : label}`);
    }
  }

  function takeBack() {
    change(tasks[state.position], { verdict: "" });
    show();
    tell(`Task ${state.position + 1} has no verdict now`);
  }

  function toggleTheme() {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try { localStorage.setItem(THEME, theme); } catch (error) { /* it lasts until the page is closed */ }
  }

  function startTheme() {
    let theme = null;
    try { theme = localStorage.getItem(THEME); } catch (error) { /* the system's choice, then */ }
    const dark = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    document.documentElement.dataset.theme = theme === "dark" || theme === "light" ? theme : dark;
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (at("about").open) return;
    if (at("zoom").open) {
      at("zoom").close();
      event.preventDefault();
      return;
    }
    if (event.target.matches("input, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const key = event.key.toLowerCase();
    const option = rubric.options.find((each) => each.keys.includes(key));
    const first = at("pictures").querySelector("img");
    const actions = {
      arrowleft: () => go(state.position - 1),
      arrowright: () => go(state.position + 1),
      n: () => { const open = nextOpen(state.position); if (open >= 0) go(open); },
      backspace: takeBack,
      delete: takeBack,
      c: () => at("comment").focus(),
      z: () => { if (first) zoom(first); },
      s: () => download("json"),
      d: toggleTheme,
      "?": help,
    };
    const action = option ? () => decide(option.value) : actions[key];
    if (!action || (option && event.repeat)) return;
    event.preventDefault();
    action();
  }

  // ---- files

  const guarded = (text) => (FORMULA.test(text) ? "'" + text : text);
  const unguarded = (cell) => (cell.startsWith("'") && FORMULA.test(cell.slice(1)) ? cell.slice(1) : cell);
  const quoted = (text) => `"${guarded(text).replaceAll('"', '""')}"`;

  function asJson() {
    const verdicts = tasks.map((task) => ({ id: task.id, ...entryOf(task) }));
    return JSON.stringify({ sheet: data.sheet, annotator: state.annotator, verdicts }, null, 1) + "\n";
  }

  function asCsv() {
    const rows = tasks.map((task) =>
      [data.sheet, task.id, entryOf(task).verdict, entryOf(task).comment, state.annotator]);
    return "\ufeff" + [HEADER, ...rows].map((row) => row.map(quoted).join(",") + "\r\n").join("");
  }

  function download(kind) {
    const [content, type] = kind === "json" ? [asJson(), "application/json"] : [asCsv(), "text/csv"];
    const who = state.annotator.trim().replace(/[^\p{L}\p{N}]+/gu, "_").replace(/^_+|_+$/g, "").slice(0, 40);
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([content], { type: `${type};charset=utf-8` }));
    link.download = ["verdicts", data.sheet, who].filter(Boolean).join("_") + "." + kind;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    const missing = tasks.length - nDone();
    tell(missing ? `Saved; ${missing} of ${tasks.length} have no verdict yet` : `Saved as ${link.download}`);
  }

  function parseCsv(text) {
    const rows = [[]];
    let cell = "";
    let inQuotes = false;
    const endCell = () => { rows.at(-1).push(cell); cell = ""; };
    for (let i = 0; i < text.length; i += 1) {
      const c = text[i];
      if (inQuotes) {
        if (c !== '"') cell += c;
        else if (text[i + 1] === '"') { cell += '"'; i += 1; } else inQuotes = false;
      } else if (c === '"') inQuotes = true;
      else if (c === ",") endCell();
      else if (c === "\n") { endCell(); rows.push([]); } else if (c !== "\r") cell += c;
    }
    if (cell || rows.at(-1).length) endCell();
    return rows.filter((row) => row.length > 1);
  }

  function fromCsv(text) {
    const [header, ...rows] = parseCsv(text.replace(/^\ufeff/, ""));
    const column = (name) => {
      const index = (header || []).indexOf(name);
      if (index < 0) throw new Error(`it has no column “${name}”`);
      return index;
    };
    const [sheet, id, verdict, comment, annotator] = HEADER.map(column);
    const verdicts = rows.map((row) => ({ id: row[id], verdict: row[verdict], comment: unguarded(row[comment] || "") }));
    const names = rows.map((row) => unguarded(row[annotator] || "")).filter(Boolean);
    if (rows.some((row) => row[sheet] !== data.sheet)) throw new Error("it belongs to another sheet");
    return { sheet: data.sheet, annotator: names[0] || "", verdicts };
  }

  async function open(file) {
    try {
      const text = await file.text();
      const found = file.name.toLowerCase().endsWith(".csv") ? fromCsv(text) : JSON.parse(text);
      if (found.sheet !== data.sheet) throw new Error("it belongs to another sheet");
      const entries = found.verdicts.map(({ id, verdict, comment }) => {
        const value = verdict === "" ? "" : spelled.get(String(verdict).trim().toLowerCase());
        if (!known.has(id) || value === undefined) throw new Error(`it has a verdict that does not fit (${id}: ${verdict})`);
        return [id, { verdict: value, comment: String(comment || "") }];
      }).filter(([, entry]) => entry.verdict || entry.comment);
      const replaced = entries.filter(([id, entry]) =>
        state.entries[id] && state.entries[id].verdict && state.entries[id].verdict !== entry.verdict).length;
      Object.assign(state.entries, Object.fromEntries(entries));
      state.annotator = String(found.annotator || state.annotator);
      at("annotator").value = state.annotator;
      if (save()) tell(`Opened ${entries.length} verdicts${replaced ? `, ${replaced} of them in place of others` : ""}`);
      const first = nextOpen(tasks.length - 1);
      go(first < 0 ? state.position : first);
    } catch (error) {
      tell(`${file.name} cannot be used: ${error.message}`, true);
    }
  }

  // ---- start

  startTheme();
  load();
  build();
  show();
  at("annotator").value = state.annotator;
  at("annotator").addEventListener("input", () => { state.annotator = at("annotator").value; save(); });
  at("comment").addEventListener("input", () => change(tasks[state.position], { comment: at("comment").value }));
  at("previous").addEventListener("click", () => go(state.position - 1));
  at("next").addEventListener("click", () => go(state.position + 1));
  at("export-json").addEventListener("click", () => download("json"));
  at("export-csv").addEventListener("click", () => download("csv"));
  at("import").addEventListener("click", () => at("file").click());
  at("file").addEventListener("change", () => {
    if (at("file").files.length) open(at("file").files[0]);
    at("file").value = "";
  });
  at("theme").addEventListener("click", toggleTheme);
  at("help").addEventListener("click", help);
  at("zoom").addEventListener("click", () => at("zoom").close());
  at("about").addEventListener("close", () => { state.started = true; save(); });
  document.addEventListener("keydown", onKey);
  if (!state.started) help();
})();
