// Plots of the shown runs. Runs are told apart by colour and by shape.

const N_COLORS = 8;
const WIDE = { label: 178, width: 640, right: 64, row: 26, head: 8, letters: 26 };
const SLIM = { label: 132, width: 360, right: 52, row: 26, head: 8, letters: 19 };

// Sizes in units of a drawing, which are about a pixel each.
const sizes = () => (isNarrow() ? SLIM : WIDE);

// The colour (and shape) of a run: its place among those shown.
function colorOf(run) {
  return Math.max(0, state.runs.indexOf(run)) % N_COLORS;
}

function point(x, y, color, isFilled, title) {
  const r = 4.6;
  const shapes = [
    `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
    `M${x - 4} ${y - 4}h8v8h-8z`,
    `M${x} ${y - 5.4}l5.2 9.2h-10.4z`,
    `M${x} ${y - 5.8}l5.8 5.8l-5.8 5.8l-5.8-5.8z`,
  ];
  return svg(
    "path",
    { d: shapes[color % shapes.length], class: `point${isFilled ? "" : " open"}`, "data-color": color },
    svg("title", {}, title),
  );
}

function text(x, y, words, className, anchor = "start") {
  return svg("text", { x, y, class: className, "text-anchor": anchor }, words);
}

function runKey(runs) {
  return h(
    "p",
    { class: "run-key" },
    runs.map((run) => {
      const mark = svg(
        "svg",
        { viewBox: "0 0 14 14", width: 14, height: 14, "aria-hidden": "true" },
        point(7, 7, colorOf(run), true, ""),
      );
      return h("span", {}, mark, " ", manifest.runs[run].letter, " ", foreign(manifest.runs[run].name));
    }),
  );
}

function drawForest() {
  const runs = state.runs.filter((run) => run !== 0);
  const made = manifest.sections.map((section) => forest(section, runs)).filter(Boolean);
  byId("forest-section").hidden = !made.length;
  byId("forest").replaceChildren(...(made.length ? [runKey(runs), h("div", { class: "grid" }, made)] : []));
}

function forest(section, runs) {
  const rows = section.rows.filter(
    (row) => row.direction !== "neither" && runs.some((run) => row.cells[run]?.difference?.low != null),
  );
  if (!rows.length || !runs.length) return null;
  const size = sizes();
  const lane = 13,
    gap = 14;
  const height = size.head + rows.length * (runs.length * lane + gap);
  const middle = (size.label + size.width - size.right) / 2;
  const half = middle - size.label - 8;
  const drawing = svg(
    "svg",
    {
      viewBox: `0 0 ${size.width} ${height}`,
      role: "img",
      "aria-label": `Differences from run A, ${section.title}`,
    },
    svg("line", { x1: middle, x2: middle, y1: 0, y2: height, class: "zero" }),
  );
  let y = size.head;
  for (const row of rows) {
    const sign = row.direction === "lower" ? -1 : 1;
    const shown = runs
      .map((run) => [run, row.cells[run]?.difference])
      .filter(([, found]) => found && found.low != null);
    const widest = Math.max(...shown.flatMap(([, found]) => [Math.abs(found.low), Math.abs(found.high)]));
    const at = (value) => middle + ((sign * value) / (widest || 1)) * half;
    const center = y + (runs.length * lane) / 2;
    drawing.append(
      text(0, center + 4, `${oneLine(row.label, size.letters)} ${row.arrow}`, "plot-label"),
      text(size.width, center + 4, `±${Number((widest * row.scale).toPrecision(2))}`, "plot-scale", "end"),
      svg("line", { x1: size.label, x2: size.width - size.right, y1: center, y2: center, class: "rule" }),
    );
    for (const [run, found] of shown) {
      const line = y + runs.indexOf(run) * lane + lane / 2;
      drawing.append(
        svg("line", {
          x1: at(found.low),
          x2: at(found.high),
          y1: line,
          y2: line,
          class: "whisker",
          "data-color": colorOf(run),
        }),
        point(
          at(found.value),
          line,
          colorOf(run),
          found.verdict !== "unclear",
          `${manifest.runs[run].letter}: ${found.text} (${found.interval}), ${found.p}`,
        ),
      );
    }
    y += runs.length * lane + gap;
  }
  return h(
    "figure",
    {},
    h("figcaption", {}, foreign(section.title)),
    drawing,
    h("p", { class: "ends", "aria-hidden": "true" }, h("span", {}, "◂ worse"), h("span", {}, "better ▸")),
  );
}

function drawCategories() {
  const made = manifest.categories.map(categoryPlot).filter(Boolean);
  byId("categories-section").hidden = !made.length;
  byId("categories").replaceChildren(...made);
  if (made.length) byId("categories").before(...replaceKey());
}

function replaceKey() {
  document.querySelector("#categories-section > .run-key")?.remove();
  return [runKey(state.runs)];
}

function categoryPlot(plot) {
  const size = sizes();
  const rows = plot.rows.filter((row) => state.runs.some((run) => row.cells[run]?.value != null));
  if (!rows.length) return null;
  const cells = rows
    .flatMap((row) => state.runs.map((run) => row.cells[run]))
    .filter((cell) => cell?.value != null);
  const ends = cells.flatMap((cell) => [cell.value, cell.low ?? cell.value, cell.high ?? cell.value]);
  const ticks = niceTicks(Math.min(...ends), Math.max(...ends));
  const [low, high] = [ticks[0], ticks[ticks.length - 1]];
  const left = size.label,
    right = size.width - 16;
  const at = (value) => left + ((value - low) / (high - low || 1)) * (right - left);
  const lane = 11;
  const rowHeight = Math.max(size.row, state.runs.length * lane + 10);
  const height = rows.length * rowHeight + 24;
  const drawing = svg("svg", {
    viewBox: `0 0 ${size.width} ${height}`,
    role: "img",
    "aria-label": `${plot.name} by category, ${plot.title}`,
  });
  for (const tick of ticks) {
    drawing.append(
      svg("line", { x1: at(tick), x2: at(tick), y1: 0, y2: height - 20, class: "rule" }),
      text(at(tick), height - 5, String(tick), "plot-scale", "middle"),
    );
  }
  rows.forEach((row, i) => {
    const center = i * rowHeight + rowHeight / 2;
    drawing.append(text(0, center + 4, oneLine(row.label, size.letters), "plot-label"));
    state.runs.forEach((run, j) => {
      const cell = row.cells[run];
      if (cell?.value == null) return;
      const y = center + (j - (state.runs.length - 1) / 2) * lane;
      if (cell.low != null)
        drawing.append(
          svg("line", {
            x1: at(cell.low),
            x2: at(cell.high),
            y1: y,
            y2: y,
            class: "whisker",
            "data-color": colorOf(run),
          }),
        );
      drawing.append(
        point(
          at(cell.value),
          y,
          colorOf(run),
          true,
          `${manifest.runs[run].letter}: ${cell.text} (${cell.interval})`,
        ),
      );
    });
  });
  return h(
    "figure",
    {},
    h(
      "figcaption",
      {},
      foreign(plot.title),
      " ",
      h("span", { class: "muted" }, `${plot.name} ${plot.arrow}`),
    ),
    drawing,
  );
}

// Round numbers around a range, three to seven of them.
function niceTicks(low, high) {
  const span = high - low || Math.abs(high) || 1;
  const raw = span / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= raw);
  const ticks = [];
  for (let i = Math.floor(low / step + 1e-9); i * step < high + step * 0.999; i += 1)
    ticks.push(Number((i * step).toPrecision(10)));
  return ticks;
}
