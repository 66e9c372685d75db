// What the runs answered to one sample, what the scorer saw in it, and what the judge wrote.

function runCard(item, run, own, reference) {
  const told = scoreText(item, run);
  const details = parsed(own.details);
  const change = run === state.a ? NaN : goodness(item, run) - goodness(item, state.a);
  return h(
    "section",
    { class: "run-card", "data-color": colorOf(run), "aria-label": `Run ${manifest.runs[run].letter}` },
    h(
      "header",
      {},
      badge(run),
      h("span", { class: "run-name" }, foreign(manifest.runs[run].name)),
      Math.abs(change) > EPSILON
        ? h(
            "span",
            {
              class: change > 0 ? "better" : "worse",
              title: `${change > 0 ? "better" : "worse"} than run ${manifest.runs[state.a].letter}`,
            },
            change > 0 ? "▲" : "▼",
          )
        : null,
      h("span", { class: `score ${told.tone}` }, told.long),
    ),
    details?.reason ? h("p", { class: "reason" }, foreign(details.reason)) : null,
    details?.flag ? h("p", { class: "reason" }, foreign(details.flag)) : null,
    details?.reason && !(own.answers || []).some(Boolean) ? null : answerList(own, details, reference),
    unplaced(own, details),
    judgeList(own.judged),
    details && Object.keys(details).length
      ? h("details", { class: "raw" }, h("summary", {}, "What the scorer saw"), tree(details))
      : own.details && !details
        ? h(
            "details",
            { class: "raw" },
            h("summary", {}, "What the scorer saw"),
            folded(own.details, foreign),
          )
        : null,
  );
}

// One answer; or the turns of a conversation; or the passes of a question whose options move.
function answerList(own, details, reference) {
  const given = own.answers || [];
  if (!given.length) return h("p", { class: "answer empty" }, "no answer");
  const passes = reference && Array.isArray(reference.passes) ? reference.passes : null;
  const turns = reference && Array.isArray(reference.turns) ? reference.turns : null;
  return h(
    "div",
    { class: passes ? "passes" : "turns" },
    given.map((text, i) => {
      const body = text
        ? folded(text, (part) => marked(part, objectsOf(details)))
        : h("span", { class: "muted" }, "empty");
      const cut = own.cut.includes(i)
        ? h("span", { class: "tag", title: "the answer reached its limit of tokens" }, "cut off")
        : null;
      if (passes && passes[i]) return passBox(passes[i], body, cut, details?.letters?.[i]);
      const asked =
        turns && given.length > 1 && i > 0 && typeof turns[i] === "string"
          ? h("p", { class: "turn" }, folded(turns[i], foreign, 400))
          : null;
      const number =
        given.length > 1 ? h("span", { class: "label" }, turns ? `turn ${i + 1}` : `answer ${i + 1}`) : null;
      return h("div", { class: "answer" }, number, asked, h("div", { class: "said" }, body, cut));
    }),
  );
}

function passBox(pass, body, cut, letter) {
  const [, , , options, right] = pass;
  const isHit = letter != null && letter === right;
  return h(
    "div",
    { class: "answer pass" },
    h(
      "div",
      { class: "said" },
      h("span", { class: isHit ? "good" : "bad", title: isHit ? "right" : "wrong" }, isHit ? "✓ " : "✗ "),
      body,
      cut,
      letter != null && !body.textContent.trim().startsWith(letter)
        ? [h("span", { class: "muted" }, " read as "), foreign(String(letter))]
        : [],
    ),
    h(
      "ul",
      { class: "options" },
      Object.entries(options || {}).map(([name, text]) =>
        h(
          "li",
          { class: name === right ? "right" : "" },
          h("b", {}, foreign(name)),
          " ",
          foreign(String(text)),
          name === right ? " ✓" : null,
        ),
      ),
    ),
  );
}

function judgeList(replies) {
  if (!replies || !replies.length) return null;
  return h(
    "div",
    { class: "judge" },
    replies.map((reply) =>
      h(
        "div",
        { class: "reply" },
        h(
          "p",
          { class: "label" },
          "judge · ",
          foreign(reply.model || "unknown"),
          reply.prompt ? [" · ", foreign(reply.prompt)] : [],
          replies.length > 1 ? [" · ", foreign(reply.request)] : [],
          reply.status === "ok" ? [] : [" · ", h("b", { class: "failed" }, reply.status.replace("_", " "))],
        ),
        reply.raw ? h("div", { class: "said" }, folded(reply.raw, foreign, 600)) : null,
        reply.error ? h("p", { class: "reason" }, foreign(reply.error)) : null,
      ),
    ),
  );
}

// A JSON value as nested lists.
function tree(value) {
  if (value === null || typeof value !== "object")
    return typeof value === "string"
      ? folded(value, foreign, 400)
      : h("span", { class: "literal" }, String(value));
  if (Array.isArray(value) && value.every((one) => one === null || typeof one !== "object"))
    return foreign(value.map((one) => String(one)).join(", "));
  return h(
    "dl",
    { class: "tree" },
    Object.entries(value).flatMap(([key, inner]) => [h("dt", {}, nodes(key)), h("dd", {}, tree(inner))]),
  );
}
