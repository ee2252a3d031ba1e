// The details of the selected trial.
(() => {
  const box = document.getElementById("detail");
  if (!box) return;
  const { data, state, el } = L;
  const both = (pair, words) => el("td", { class: "num" }, pair[0], pair[1] ? el("small", {}, words + pair[1]) : "");

  function command(text) {
    return el("div", { class: "command" }, el("code", { dir: "ltr" }, ...text.split(/(?= --)/).flatMap((part) => (part[0] === " " ? [" ", el("span", { class: "option" }, part.slice(1))] : [part]))), el("button", { type: "button", class: "copy" }, "copy"));
  }

  function list(pairs) {
    return el("dl", { class: "list" }, ...pairs.map(([name, ...rest]) => el("div", {}, el("dt", {}, name), el("dd", {}, ...rest))));
  }

  function steps(i) {
    return el("ol", { class: "steps" }, ...data.steps[i].map((at) => {
      const [name, stage, knobs, meaning, label] = data.recipe[at];
      const values = knobs.map(([knob, value, help]) => el("span", { class: help.endsWith("(default)") ? "knob default" : "knob", title: help }, knob + " ", el("b", {}, el("bdi", {}, value))));
      const said = meaning ? el("span", { class: "step-words" }, el("bdi", {}, meaning)) : "";
      return el("li", {}, el("code", { title: label }, el("bdi", {}, name)), " ", el("small", { class: "muted" }, stage), said, ...values);
    }));
  }

  function layers(i) {
    const found = data.layers[i], parts = new Map(data.parts[i].map(([layer, text]) => [L.word(layer), L.word(text)]));
    const heading = (...heads) => el("thead", {}, el("tr", {}, ...heads.map((head, at) => el("th", at && head !== "requested" ? { scope: "col", class: "num" } : { scope: "col" }, head))));
    const framed = (table) => el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Layers, scrollable" }, table);
    if (!found && parts.size) {
      const lines = [...parts].map(([layer, text]) => el("tr", {}, el("th", { scope: "row" }, el("bdi", {}, layer)), el("td", {}, text)));
      return framed(el("table", {}, el("caption", {}, "Requested of each layer; export this trial to inspect its file"), heading("layer", "requested"), el("tbody", {}, ...lines)));
    }
    if (!found) return el("p", { class: "note" }, data.file[i] ? "Layers are shown for the Pareto front only; export this trial to inspect its file." : "This trial has no file.");
    if (!found.rows.length) return el("p", { class: "note" }, found.problem || "No operator of this file holds weights.");
    const sum = (at) => found.rows.reduce((total, row) => total + (row[at][0] || 0), 0);
    const share = (before, after) => (before ? (after / before * 100).toFixed(0) + " %" : "–");
    const rows = found.rows.map(([name, what, precision, zeros, clusters, was, is, wasPacked, isPacked]) => el("tr", {},
      el("th", { scope: "row" }, el("bdi", {}, name), el("small", {}, what)), ...(parts.size ? [el("td", {}, parts.get(name) ?? "–")] : []), both(precision, "requested "), both(zeros, "requested at least "), both(clusters, "requested at most "),
      el("td", { class: "num" }, was[1] || "–"), el("td", { class: "num" }, is[1]), el("td", { class: "num" }, share(was[0], is[0])),
      el("td", { class: "num" }, wasPacked[1] || "–"), el("td", { class: "num" }, isPacked[1])));
    const heads = ["layer", ...(parts.size ? ["requested"] : []), "precision", "sparsity", "distinct per channel", "bytes, baseline", "bytes", "share", "compressed, baseline", "compressed"];
    const table = el("table", {}, el("caption", {}, "Weights of each layer: verified in the finished file (small text: requested)"),
      heading(...heads),
      el("tbody", {}, ...rows));
    const bytes = el("p", { class: "note" }, "All weights: " + share(sum(5), sum(6)) + " of the baseline's bytes, " + share(sum(7), sum(8)) + " compressed (each tensor separately).");
    return el("div", {}, framed(table), sum(5) ? bytes : "");
  }

  function show() {
    const i = state.chosen;
    if (i === null) { box.replaceChildren(el("p", { class: "lead" }, "Select a mark or a row.")); return; }
    const number = data.number[i], kind = data.kinds[data.kind[i]], why = L.word(data.why[i]);
    const names = Object.entries(data.run.picks).filter(([, at]) => at === i).map(([name]) => el("span", { class: "tag" + (name === "best" ? " accent" : "") }, name));
    const head = el("h3", { class: "who" }, el("a", { href: "#trial-" + number, title: "Permanent link to this trial" }, "Trial " + number), el("span", { class: "state " + kind }, kind), ...names);
    const numbers = list(L.numbers(i).map(([title, text, spread]) => [title, el("b", {}, text), spread ? el("small", {}, spread) : ""]));
    const seconds = data.seconds[i].map(([name, text]) => [L.word(name), L.word(text)]);
    const times = list([["proposed by", L.word(data.origin[i])], ["finished after", L.word(data.since[i])], ...seconds]);
    const checks = data.checks[i].map((at) => el("li", {}, el("bdi", {}, L.word(at))));
    const notes = data.notes[i].map((at) => el("li", {}, el("bdi", {}, L.word(at))));
    const path = data.run.path, record = path + "/trials/" + String(number).padStart(4, "0") + "/trial.json";
    const commands = [el("h4", {}, "Export"), command("litetuner export " + path + " --trial " + number + " --out trial-" + number),
      el("h4", {}, "Reproduce"), command("litetuner rebuild " + record)];
    const inTable = L.row && !state.fromTable ? el("p", { class: "note" }, el("button", { type: "button", class: "plain-button", onclick: () => L.row(i) }, "Show in the table")) : "";
    box.replaceChildren(head, el("p", { class: "recipe" }, L.named(i)),
      why ? el("p", { class: "lead warn" }, el("bdi", {}, why)) : "",
      el("div", { class: "columns" },
        el("div", {}, el("h4", {}, "Steps"), steps(i), notes.length ? el("ul", { class: "plain" }, ...notes) : "", inTable),
        el("div", {}, el("h4", {}, "Measured"), numbers),
        el("div", {}, el("h4", {}, "Stages and time"), times, checks.length ? el("h4", {}, "Requested and verified") : "", checks.length ? el("ul", { class: "plain" }, ...checks) : "", ...(data.file[i] ? commands : []))),
      layers(i));
    if (state.fromTable) head.append(el("button", { type: "button", class: "plain-button", onclick: () => L.row(i) }, "Back to the table"));
  }

  // The details are above the table and below the charts: scroll to them, with a way back.
  L.reveal = (fromTable = false) => {
    if (state.fromTable !== fromTable) { state.fromTable = fromTable; show(); }
    document.getElementById("trial").scrollIntoView();
    box.focus({ preventScroll: true });
  };
  L.on("chosen", show);
  show();
})();
