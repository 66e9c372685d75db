// One sample: its picture and question, the answers of the shown runs side by side, and who judged what.

let detailOf = 0;

async function drawDetail() {
  const mine = ++detailOf;
  const item = state.item;
  const detail = byId("detail");
  if (item < 0) {
    detail.replaceChildren(
      h(
        "p",
        { class: "empty" },
        shownItems.length ? "Choose a sample from the list." : "No sample passes these filters.",
      ),
    );
    return;
  }
  const runs = state.runs.filter((run) => statusOf[run][item] >= 0);
  const [shared, ...own] = await Promise.all([
    texts(item),
    ...runs.map(async (run) => ({ ...(await answers(item, run)), judged: await judged(item, run) })),
  ]);
  if (mine !== detailOf) return;
  const reference = parsed(shared.reference);
  const cards = runs.map((run, i) => runCard(item, run, own[i], reference));
  detail.replaceChildren(
    ...[
      heading(item),
      h(
        "div",
        { class: "asked" },
        pictures(item, shared.pictures),
        h(
          "div",
          { class: "question-box" },
          h(
            "h2",
            {},
            folded(shared.question, (text) => foreign(text, "span")),
          ),
          expected(reference),
        ),
      ),
      own.some((one) => objectsOf(parsed(one.details))) ? legend() : null,
      h("div", { class: "answers" }, cards),
      reference && Object.keys(reference).length
        ? h("details", { class: "raw" }, h("summary", {}, "What the scorer compares with"), tree(reference))
        : null,
    ].filter(Boolean),
  );
  detail.scrollTop = 0;
}

function heading(item) {
  const benchmark = manifest.benchmarks[benchOf[item]];
  const position = shownItems.indexOf(item);
  return h(
    "header",
    { class: "detail-head" },
    h("button", { type: "button", class: "plain narrow", onclick: closeDetail }, "‹ List"),
    h("p", { class: "origin" }, origin(item)),
    benchmark.control
      ? h(
          "span",
          { class: "tag" },
          {
            blind: "asked with a grey picture",
            shuffled: "asked with another picture",
            text_only: "asked without a picture",
          }[benchmark.control],
        )
      : null,
    h(
      "span",
      { class: "steps" },
      h(
        "span",
        { class: "muted" },
        position < 0
          ? "not among those found"
          : `${(position + 1).toLocaleString("en")} of ${shownItems.length.toLocaleString("en")}`,
      ),
      h(
        "button",
        { type: "button", class: "step", "aria-label": "Previous sample", onclick: () => step(-1) },
        "↑",
      ),
      h(
        "button",
        { type: "button", class: "step", "aria-label": "Next sample", onclick: () => step(1) },
        "↓",
      ),
      h(
        "button",
        {
          type: "button",
          class: "step",
          "aria-label": "Copy a link to this sample",
          title: "Copy a link",
          onclick: copyLink,
        },
        linkIcon(),
      ),
    ),
  );
}

function linkIcon() {
  return svg(
    "svg",
    { viewBox: "0 0 16 16", "aria-hidden": "true" },
    svg("path", {
      d: "M6.8 9.2a2.6 2.6 0 0 0 3.7 0l2.6-2.6a2.6 2.6 0 0 0-3.7-3.7l-1.1 1.1M9.2 6.8a2.6 2.6 0 0 0-3.7 0l-2.6 2.6a2.6 2.6 0 0 0 3.7 3.7l1.1-1.1",
    }),
  );
}

function pictures(item, names) {
  if (!names?.length) return null;
  const numbers = picturesOf[item] || [];
  return h(
    "div",
    { class: "pictures" },
    names.map((name, i) => figure(name, picture(numbers[i]))),
  );
}

function figure(name, shown) {
  const caption = h("figcaption", {}, foreign(name));
  if (!shown) {
    return h("figure", { class: "picture absent" }, h("span", {}, "picture not in this page"), caption);
  }
  const image = () =>
    h("img", {
      src: shown.url,
      alt: `the picture ${name}`,
      width: shown.width,
      height: shown.height,
      class: shown.isDrawn ? "drawn" : "",
    });
  const open = () => enlarge(image());
  const button = h("button", { type: "button", "aria-label": "Enlarge the picture", onclick: open }, image());
  return h("figure", { class: "picture" }, button, caption);
}

function enlarge(image) {
  const dialog = byId("zoom");
  dialog.querySelector("img")?.remove();
  dialog.append(image);
  dialog.showModal();
}

// What a right answer is, in the words of the benchmark.
const EXPECTED = {
  label: "right answer",
  gt_answer: "right answer",
  answer: "right answer",
  output: "baseline's answer",
  truth: "in the picture",
  objects: "in the picture",
};

function expected(reference) {
  const key = Object.keys(EXPECTED).find((name) => reference && reference[name] != null);
  if (!key) return null;
  const value = reference[key];
  const text = Array.isArray(value) ? value.join(", ") : String(value);
  return h(
    "p",
    { class: "expected" },
    h("span", { class: "label" }, EXPECTED[key]),
    " ",
    folded(text, foreign, 400),
  );
}
