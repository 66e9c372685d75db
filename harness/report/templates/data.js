// The page's data: unpacked block by block, when it is first looked at.

const manifest = JSON.parse(byId("manifest").textContent);
const RUNS = manifest.runs.map((_, run) => run);
const KEPT_BLOCKS = 1500; // unpacked blocks that stay in memory

const unpacked = new Map();

async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

// A block's value; null where the page has no such block.
function block(name) {
  if (unpacked.has(name)) {
    const found = unpacked.get(name);
    unpacked.delete(name);
    unpacked.set(name, found); // the newest stands last
    return found;
  }
  const element = byId(`block-${name}`);
  const value = element ? inflate(element.textContent) : Promise.resolve(null);
  unpacked.set(name, value);
  if (unpacked.size > KEPT_BLOCKS) unpacked.delete(unpacked.keys().next().value);
  return value;
}

// All items stand in one row, benchmark after benchmark; `bench` and `local` find them in their benchmark.
const starts = [];
let n = 0;
for (const benchmark of manifest.benchmarks) {
  starts.push(n);
  n += benchmark.n;
}
const benchOf = new Uint16Array(n);
manifest.benchmarks.forEach((benchmark, b) => benchOf.fill(b, starts[b], starts[b] + benchmark.n));
const splitOf = new Uint16Array(n);
const kindOf = new Int8Array(n);
const idOf = new Array(n);
const picturesOf = new Array(n);
const scoreOf = {}; // by run: Float32Array, NaN without a score
const statusOf = {}; // by run: Int8Array, -1 where the run does not have the item

async function loadIndex() {
  await Promise.all(
    manifest.benchmarks.map(async (_, b) => {
      const index = await block(`index-${b}`);
      const at = starts[b];
      splitOf.set(index.split, at);
      kindOf.set(index.kind, at);
      index.id.forEach((id, i) => {
        idOf[at + i] = id;
      });
      index.pictures.forEach((pictures, i) => {
        picturesOf[at + i] = pictures;
      });
    }),
  );
}

async function loadScores(runs) {
  await Promise.all(
    runs
      .filter((run) => !scoreOf[run])
      .map(async (run) => {
        const scores = new Float32Array(n).fill(NaN);
        const statuses = new Int8Array(n).fill(-1);
        await Promise.all(
          manifest.benchmarks.map(async (benchmark, b) => {
            if (!benchmark.runs.includes(run)) return;
            const found = await block(`scores-${b}-${run}`);
            found.score.forEach((score, i) => {
              if (score !== null) scores[starts[b] + i] = score;
            });
            statuses.set(found.status, starts[b]);
          }),
        );
        scoreOf[run] = scores;
        statusOf[run] = statuses;
      }),
  );
}

// Where an item's texts lie: the name of its chunk, and its place in it.
function place(kind, item, run) {
  const b = benchOf[item];
  const local = item - starts[b];
  const chunk = Math.floor(local / manifest.perBlock);
  const of = run === undefined ? "" : `-${run}`;
  return { name: `${kind}-${b}${of}-${chunk}`, at: local % manifest.perBlock };
}

async function column(kind, item, run) {
  const { name, at } = place(kind, item, run);
  const chunk = await block(name);
  if (!chunk) return null;
  return Object.fromEntries(Object.entries(chunk).map(([key, values]) => [key, values[at]]));
}

const texts = (item) => column("texts", item);
const answers = (item, run) => column("answers", item, run);

async function judged(item, run) {
  return manifest.benchmarks[benchOf[item]].judged.includes(run)
    ? (await column("judged", item, run)).judged
    : [];
}

const pictureLines = new Map();

// A picture by its number; null where it is not in the page.
function picture(number) {
  if (number === undefined || number < 0) return null;
  const name = Math.floor(number / manifest.picturesPerBlock);
  if (!pictureLines.has(name)) {
    pictureLines.set(name, byId(`block-pictures-${name}`).textContent.split("\n"));
    if (pictureLines.size > 64) pictureLines.delete(pictureLines.keys().next().value);
  }
  const [width, height, encoded] = pictureLines.get(name)[number % manifest.picturesPerBlock].split(",");
  const isDrawn = Math.max(width, height) <= 128; // shown larger than it is, with sharp edges
  return { width, height, isDrawn, url: `data:image/webp;base64,${encoded}` };
}

function kind(item) {
  return manifest.benchmarks[benchOf[item]].kinds[kindOf[item]];
}

// How good an answer is, so that right against wrong, or the whole of a scale, is a difference of 1.
function goodness(item, run) {
  const score = scoreOf[run][item];
  const scale = kind(item);
  return scale ? (scale.direction === "lower" ? -score : score) / scale.top : NaN;
}

// A stored JSON text; null where it is not JSON (a number that JSON does not have).
function parsed(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}
