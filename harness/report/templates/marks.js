// Objects in an answer, marked as the scorer found them: in the picture, or made up.

// The objects that a scorer found in an answer: as AMBER, or as Object HalBench and CHAIR write them; else null.
function objectsOf(details) {
  if (!details || !Array.isArray(details.mentions) || !Array.isArray(details.hallucinated)) return null;
  const word = (mention) => String(Array.isArray(mention) ? mention[0] : mention).toLowerCase();
  const bad = new Set(details.hallucinated.map(word));
  const good = new Set(details.mentions.map(word).filter((one) => !bad.has(one)));
  return bad.size + good.size ? { bad, good } : null;
}

function wordPattern(words) {
  const forms = [...words].sort((one, other) => other.length - one.length).map(inflected);
  return new RegExp(`(?<![\\p{L}\\p{N}])(?:${forms.join("|")})(?![\\p{L}\\p{N}])`, "giu");
}

// A noun as a scorer has it (singular, in lower case), and as it may stand in a text.
function inflected(word) {
  const plain = word.replace(/[.*+?^${}()|[\]\\\/-]/g, "\\$&").replace(/\s+/g, "[\\s-]+");
  if (/[^aeiou]y$/.test(word)) return `${plain.slice(0, -1)}(?:y|ies)`;
  if (/(?:fe|f)$/.test(word)) return `${plain.replace(/fe?$/, "")}(?:fe?|ves)s?`;
  if (/man$/.test(word)) return `${plain.slice(0, -2)}(?:an|en)`;
  return `${plain}(?:e?s)?`;
}

// An answer with its objects marked: those in the picture, and those made up.
function marked(text, objects) {
  if (!objects) return foreign(text);
  const whole = h("bdi", { dir: "auto", class: "foreign" });
  let from = 0;
  for (const match of text.matchAll(wordPattern([...objects.bad, ...objects.good]))) {
    const isBad = [...objects.bad].some((word) => wordPattern([word]).test(match[0]));
    whole.append(
      ...nodes(text.slice(from, match.index)),
      h(
        "mark",
        { class: isBad ? "made-up" : "grounded", title: isBad ? "not in the picture" : "in the picture" },
        nodes(match[0]),
      ),
    );
    from = match.index + match[0].length;
  }
  whole.append(...nodes(text.slice(from)));
  return whole;
}

// Objects that were counted and do not stand in the answer in a form that is known here.
function unplaced(own, details) {
  const objects = objectsOf(details);
  if (!objects) return null;
  const text = (own.answers || []).join("\n");
  const left = (words) => [...words].filter((word) => !wordPattern([word]).test(text));
  const bad = left(objects.bad),
    good = left(objects.good);
  if (!bad.length && !good.length) return null;
  return h(
    "p",
    { class: "unplaced" },
    h("span", { class: "label" }, "also counted "),
    bad.map((word) => [h("mark", { class: "made-up" }, nodes(word)), " "]),
    good.map((word) => [h("mark", { class: "grounded" }, nodes(word)), " "]),
  );
}

function legend() {
  return h(
    "p",
    { class: "legend" },
    h("mark", { class: "grounded" }, "in the picture"),
    " ",
    h("mark", { class: "made-up" }, "made up"),
    h("span", { class: "muted" }, " as the scorer found them"),
  );
}
