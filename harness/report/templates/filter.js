// Which samples are shown, and in which order.

const NO_FILTER = { benchmark: "", split: "", status: "", agree: "", change: "", q: "" };
const EPSILON = 1e-6;
const state = { ...NO_FILTER, runs: [], a: 0, b: 0, sort: "order", item: -1, view: "overview" };

const SORTS = {
  order: "benchmark order",
  differ: "runs differ most",
  gain: "B gains most",
  loss: "B loses most",
  worst: "lowest score of B",
};

// Each facet tells an item's values under it; an item passes if the chosen value is among them.
const FACETS = {
  benchmark: (item) => [manifest.benchmarks[benchOf[item]].key],
  split: (item) => [manifest.benchmarks[benchOf[item]].splits[splitOf[item]]],
  status: (item) => statusesOf(item),
  agree: (item) => agreement(item),
  change: (item) => changeOf(item),
};

function statusesOf(item) {
  const found = [];
  for (const run of state.runs) {
    const status = manifest.statuses[statusOf[run][item]];
    if (status && !found.includes(status)) found.push(status);
  }
  return found;
}

// By how much the shown runs' scores of an item differ; NaN where fewer than two have one.
function spread(item) {
  let low = Infinity,
    high = -Infinity,
    count = 0;
  for (const run of state.runs) {
    const good = goodness(item, run);
    if (good !== good) continue;
    count += 1;
    low = Math.min(low, good);
    high = Math.max(high, good);
  }
  return count > 1 ? high - low : NaN;
}

function agreement(item) {
  const found = spread(item);
  return found !== found ? [] : [found > EPSILON ? "differ" : "agree"];
}

function change(item) {
  return goodness(item, state.b) - goodness(item, state.a);
}

function changeOf(item) {
  const found = change(item);
  if (found !== found) return [];
  return [found > EPSILON ? "better" : found < -EPSILON ? "worse" : "equal"];
}

// Texts in lower case to search in, by item; they hold the answers of the shown runs.
let haystack = { of: "", texts: [] };

async function fillHaystack() {
  const of = state.runs.join();
  if (haystack.of !== of) haystack = { of, texts: new Array(n) };
  const mine = haystack.texts;
  for (let b = 0; b < manifest.benchmarks.length; b += 1) {
    const { n: count, runs } = manifest.benchmarks[b];
    for (let from = 0; from < count; from += manifest.perBlock) {
      const first = starts[b] + from;
      if (mine[first] !== undefined) continue;
      const shown = state.runs.filter((run) => runs.includes(run));
      const [shared, ...own] = await Promise.all([
        block(place("texts", first).name),
        ...shown.map((run) => block(place("answers", first, run).name)),
      ]);
      shared.question.forEach((question, i) => {
        const said = own.map((chunk) => (chunk.answers[i] || []).join("\n"));
        mine[first + i] = [idOf[first + i], question, ...said].join("\n").toLowerCase();
      });
    }
  }
  return mine;
}

let shownItems = new Uint32Array(0);
let facetCounts = {};
let newest = 0;

// Applies the filters. Resolves to false if a newer call has overtaken this one.
async function applyFilters() {
  const mine = ++newest;
  const wanted = state.q.trim().toLowerCase();
  const found = wanted ? await fillHaystack() : null;
  if (mine !== newest) return false;
  const names = Object.keys(FACETS);
  const passed = new Uint32Array(n);
  const counts = Object.fromEntries(names.map((name) => [name, new Map([["", 0]])]));
  let count = 0;
  for (let item = 0; item < n; item += 1) {
    if (!state.runs.some((run) => statusOf[run][item] >= 0)) continue;
    if (found && !found[item].includes(wanted)) continue;
    let missed = "",
      nMissed = 0;
    const values = names.map((name) => {
      const values = FACETS[name](item);
      if (state[name] && !values.includes(state[name])) {
        missed = name;
        nMissed += 1;
      }
      return values;
    });
    if (nMissed > 1) continue;
    names.forEach((name, f) => {
      if (nMissed && missed !== name) return; // an option's count is what choosing it would show
      const tally = counts[name];
      tally.set("", tally.get("") + 1);
      for (const value of values[f]) tally.set(value, (tally.get(value) || 0) + 1);
    });
    if (!nMissed) passed[count++] = item;
  }
  facetCounts = counts;
  shownItems = sorted(passed.slice(0, count));
  return true;
}

function sorted(items) {
  const keys = {
    differ: (item) => -spread(item),
    gain: (item) => -change(item),
    loss: change,
    worst: (item) => goodness(item, state.b),
  };
  const key = keys[state.sort];
  if (!key) return items;
  const values = new Float64Array(n);
  for (const item of items) {
    const value = key(item);
    values[item] = value === value ? value : Infinity; // without a score: last
  }
  return items.sort((one, other) => values[one] - values[other] || one - other);
}
