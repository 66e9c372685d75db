// Making elements. Texts of models, judges and files only ever become text nodes.

const SVG = "http://www.w3.org/2000/svg";
const MINUS = "\u2212";
const LONG = 1600; // characters of a text that are shown at first

// What would be invisible, or would reorder what stands around it, apart from line breaks, tabs, joiners
// and variation selectors, which texts need.
const INVISIBLE = new RegExp(
  [
    "[\\0-\\x08\\x0b-\\x1f\\x7f-\\x9f\\xad\\u061c\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f]",
    "[\\ufeff\\ufff9-\\ufffb\\u{e0000}-\\u{e007f}]",
    "\\p{Surrogate}", // half of a pair
  ].join("|"),
  "gu",
);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) if (child != null) element.append(child);
  return element;
}

function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function byId(id) {
  return document.getElementById(id);
}

function codePoint(character) {
  return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

// A text as nodes: what is invisible in it stands there by its code point.
function nodes(text) {
  const made = [];
  let from = 0;
  for (const match of text.matchAll(INVISIBLE)) {
    if (match.index > from) made.push(document.createTextNode(text.slice(from, match.index)));
    made.push(h("span", { class: "code-point" }, codePoint(match[0])));
    from = match.index + match[0].length;
  }
  if (from < text.length) made.push(document.createTextNode(text.slice(from)));
  return made;
}

// A foreign text, set apart so that its direction does not change its surroundings.
function foreign(text, tag = "bdi") {
  return h(tag, { dir: "auto", class: "foreign" }, nodes(String(text)));
}

function oneLine(text, limit = 220) {
  const line = text
    .slice(0, 4 * limit)
    .replace(/\s+/g, " ")
    .trim();
  return line.length > limit || text.length > 4 * limit ? `${line.slice(0, limit)}…` : line;
}

// A text that may be very long: its beginning, and a button that shows the rest.
function folded(text, render, limit = LONG) {
  if (text.length <= 1.25 * limit) return render(text);
  const whole = h("div", { class: "folded" });
  const show = (isOpen) => {
    const button = h(
      "button",
      { type: "button", class: "plain more", "aria-expanded": String(isOpen), onclick: () => show(!isOpen) },
      isOpen ? "Show less" : `Show all ${text.length.toLocaleString("en")} characters`,
    );
    whole.replaceChildren(render(isOpen ? text : `${text.slice(0, limit)}…`), button);
  };
  show(false);
  return whole;
}

function badge(run) {
  return h(
    "span",
    { class: "badge", "data-run": run, title: manifest.runs[run].name, "data-color": colorOf(run) },
    manifest.runs[run].letter,
  );
}

let toastTimer = 0;
function toast(text) {
  byId("toast").replaceChildren(text);
  byId("toast").classList.add("visible");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => byId("toast").classList.remove("visible"), 1800);
}
