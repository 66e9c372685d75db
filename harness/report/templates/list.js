// The list: only the rows in view exist, all of one height, so that 20,000 samples scroll like twenty.

const ROW_HEIGHT = 84; // as in the style
const EXTRA_ROWS = 6; // above and below the view

const rowOf = new Map(); // position in the list: its element

function drawList() {
  const list = byId("list");
  const rows = byId("rows");
  rows.style.height = `${shownItems.length * ROW_HEIGHT}px`;
  const first = Math.max(0, Math.floor(list.scrollTop / ROW_HEIGHT) - EXTRA_ROWS);
  const last = Math.min(
    shownItems.length,
    Math.ceil((list.scrollTop + list.clientHeight) / ROW_HEIGHT) + EXTRA_ROWS,
  );
  for (const [position, row] of rowOf) {
    if (position < first || position >= last) {
      row.remove();
      rowOf.delete(position);
    }
  }
  for (let position = first; position < last; position += 1) {
    if (rowOf.has(position)) continue;
    const row = makeRow(position);
    rowOf.set(position, row);
    rows.append(row);
  }
}

let drawing = false;
function drawSoon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    drawList();
  });
}

// After the items or the runs changed: every row is another one.
function redrawList() {
  for (const row of rowOf.values()) row.remove();
  rowOf.clear();
  byId("rows").style.height = `${shownItems.length * ROW_HEIGHT}px`;
  drawList();
}

function makeRow(position) {
  const item = shownItems[position];
  const question = h("span", { class: "question" });
  const row = h(
    "div",
    {
      class: "row",
      id: `row-${position}`,
      role: "option",
      "aria-selected": String(item === state.item),
      "aria-setsize": shownItems.length,
      "aria-posinset": position + 1,
      onclick: () => choose(item),
    },
    thumbnail(item, "thumb"),
    h(
      "span",
      { class: "lines" },
      h("span", { class: "origin" }, origin(item)),
      question,
      h(
        "span",
        { class: "chips" },
        state.runs.filter((run) => statusOf[run][item] >= 0).map((run) => chip(item, run)),
      ),
    ),
  );
  row.style.top = `${position * ROW_HEIGHT}px`;
  texts(item).then((shared) => question.replaceChildren(foreign(oneLine(shared.question))));
  return row;
}

// Benchmark, category and id.
function origin(item) {
  const benchmark = manifest.benchmarks[benchOf[item]];
  const split = benchmark.splits[splitOf[item]];
  return [
    foreign(benchmark.title),
    split ? [" · ", foreign(split)] : [],
    " · ",
    foreign(oneLine(idOf[item], 80)),
  ];
}

function thumbnail(item, className) {
  const number = (picturesOf[item] || [])[0];
  if (number === undefined) return h("span", { class: `${className} none`, "aria-hidden": "true" });
  const shown = picture(number);
  if (!shown) return h("span", { class: `${className} absent`, "aria-hidden": "true" });
  return h("img", {
    class: `${className}${shown.isDrawn ? " drawn" : ""}`,
    src: shown.url,
    alt: "",
    width: shown.width,
    height: shown.height,
    decoding: "async",
  });
}

// A run's badge with its score of an item, in words, signs and colours.
function chip(item, run) {
  const told = scoreText(item, run);
  return h("span", { class: `chip ${told.tone}` }, badge(run), told.short);
}

function scoreText(item, run) {
  const status = manifest.statuses[statusOf[run][item]];
  if (status === undefined) return { tone: "none", short: "–", long: "not asked" };
  const score = scoreOf[run][item];
  const scale = kind(item);
  if (score !== score || !scale) {
    const words = status.replace("_", " ");
    const isFailure = !["scored", "withheld"].includes(status);
    return { tone: isFailure ? "failed" : "none", short: isFailure ? `! ${words}` : "–", long: words };
  }
  if (scale.form === "hit") {
    const wrong = scale.label === "right" ? "wrong" : `not ${scale.label}`;
    return score
      ? { tone: "good", short: "✓", long: `✓ ${scale.label}` }
      : { tone: "bad", short: "✗", long: `✗ ${wrong}` };
  }
  const text = trimmed(score);
  if (scale.form === "count")
    return {
      tone: score ? "bad" : "good",
      short: score ? `✗ ${text}` : "✓ 0",
      long: `${score ? "✗" : "✓"} ${text} ${scale.label}`,
    };
  return { tone: "none", short: text, long: `${text} ${scale.label}` };
}

function trimmed(number) {
  return String(Number(number.toFixed(2))).replace("-", MINUS);
}

function scrollTo(position) {
  const list = byId("list");
  const top = position * ROW_HEIGHT;
  const isNear =
    top > list.scrollTop - 2 * ROW_HEIGHT && top < list.scrollTop + list.clientHeight + ROW_HEIGHT;
  if (!isNear)
    list.scrollTop = top - (list.clientHeight - ROW_HEIGHT) / 2; // far away: into the middle
  else if (top < list.scrollTop) list.scrollTop = top;
  else if (top + ROW_HEIGHT > list.scrollTop + list.clientHeight)
    list.scrollTop = top + ROW_HEIGHT - list.clientHeight;
}

function markSelected(position) {
  for (const [at, row] of rowOf) row.setAttribute("aria-selected", String(at === position));
  if (position >= 0) byId("list").setAttribute("aria-activedescendant", `row-${position}`);
  else byId("list").removeAttribute("aria-activedescendant");
}
