// All trials: sorted and filtered as indices; only the rows of one page are in the document.
(() => {
  const table = document.getElementById("all");
  if (!table) return;
  const { data, state, el } = L;
  const PAGE = 50, PRINTED = 300;
  const count = data.number.length;
  const numeric = data.columns.length;
  const heads = [...table.tHead.rows[0].cells];
  const texts = data.label.map((label, i) => (data.number[i] + " " + L.word(label) + " " + L.word(data.why[i]) + " " + L.word(data.types[i])).toLowerCase());
  // The columns of the table: trial, candidate, state, one for each measurement, reason.
  const keys = [
    (i) => data.number[i], (i) => L.word(data.label[i]).toLowerCase(), (i) => data.kind[i],
    ...data.columns.map((_, c) => (i) => data.values[c][i]), (i) => L.word(data.why[i]).toLowerCase() || null,
  ];
  // Cells of hidden columns stay in the document, so that columns keep their index.
  const extra = document.getElementById("more"), boxes = [...document.querySelectorAll("input[name=column]")];
  const hiddenNow = () => new Set(boxes.filter((box) => !box.checked).map((box) => Number(box.value)));
  let away = hiddenNow();
  function settle() {
    away = hiddenNow();
    data.columns.forEach((_, c) => { heads[c + 3].hidden = away.has(c); });
  }
  if (extra) extra.hidden = false;
  settle();

  let sorted = { column: 0, down: false }, page = 0, order = [], only = false;

  const box = document.querySelector(".filters"), find = document.getElementById("find"), shown = document.getElementById("shown");
  const chips = [...box.querySelectorAll("input[name=kind]")], chosenOnly = document.getElementById("only");
  const pager = document.getElementById("pager"), where = document.getElementById("where");
  const back = document.getElementById("back"), next = document.getElementById("next");
  box.hidden = false;

  function arrange() {
    const wanted = new Set(chips.filter((chip) => chip.checked).map((chip) => Number(chip.value)));
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    order = [];
    for (let i = 0; i < count; i++) {
      if (wanted.has(data.kind[i]) && (!only || L.selected(i)) && words.every((word) => texts[i].includes(word))) order.push(i);
    }
    const key = keys[sorted.column], sign = sorted.down ? -1 : 1;
    order.sort((a, b) => {
      const x = key(a), y = key(b);
      if (x === null || y === null) return (x === null) - (y === null) || a - b; // missing values stay last
      return (x < y ? -sign : x > y ? sign : 0) || a - b;
    });
    shown.textContent = order.length === count ? "" : order.length + " of " + count + " shown";
  }

  function row(i) {
    const kind = data.kinds[data.kind[i]], chosen = i === state.chosen;
    const number = el("button", { type: "button", "aria-label": "Show trial " + data.number[i] }, String(data.number[i]));
    const cells = data.columns.map((_, c) => {
      const cell = el("td", { class: "num" }, data.texts[c][i] ?? "–");
      cell.hidden = away.has(c);
      if (data.spreads[c][i]) cell.title = "95 % interval " + data.spreads[c][i];
      return cell;
    });
    const found = el("tr", { "data-i": i }, el("td", { class: "num" }, number), el("th", { scope: "row" }, L.named(i)),
      el("td", {}, el("span", { class: "state " + kind }, kind)), ...cells, el("td", { class: "why" }, el("bdi", {}, L.word(data.why[i]))));
    if (chosen) { found.className = "picked-row"; found.setAttribute("aria-current", "true"); }
    return found;
  }

  function fill() {
    const size = state.printing ? PRINTED : PAGE, pages = Math.max(1, Math.ceil(order.length / size));
    page = Math.min(page, pages - 1);
    table.tBodies[0].replaceChildren(...order.slice(page * size, (page + 1) * size).map(row));
    pager.hidden = pages < 2;
    back.disabled = page === 0;
    next.disabled = page === pages - 1;
    where.textContent = order.length ? (page * size + 1) + " to " + Math.min(order.length, (page + 1) * size) + " of " + order.length : "none";
  }
  const again = () => { page = 0; arrange(); fill(); };

  heads.forEach((head, column) => {
    const button = el("button", { type: "button" }, head.textContent);
    head.replaceChildren(button);
    head.setAttribute("aria-sort", column ? "none" : "ascending");
    button.addEventListener("click", () => {
      sorted = { column, down: sorted.column === column && !sorted.down };
      heads.forEach((other, at) => other.setAttribute("aria-sort", at !== column ? "none" : sorted.down ? "descending" : "ascending"));
      again();
    });
  });
  find.addEventListener("input", again);
  chips.forEach((chip) => chip.addEventListener("change", again));
  chosenOnly.addEventListener("change", () => { only = chosenOnly.checked; again(); });
  boxes.forEach((box) => box.addEventListener("change", () => { settle(); fill(); }));
  back.addEventListener("click", () => { page -= 1; fill(); });
  next.addEventListener("click", () => { page += 1; fill(); });
  table.tBodies[0].addEventListener("click", (event) => {
    const line = event.target.closest("tr");
    if (!line) return;
    if (!getSelection().isCollapsed) return; // text is being marked, to be copied
    L.choose(Number(line.dataset.i));
    L.reveal(true);
  });

  L.on("chosen", fill);
  L.on("print", fill);
  L.on("selection", () => {
    chosenOnly.parentElement.hidden = !state.selection;
    chosenOnly.checked = only = Boolean(state.selection);
    again();
  });
  // Brings a trial's row into the page, whatever is filtered.
  L.row = (i) => {
    if (!order.includes(i)) {
      find.value = ""; only = chosenOnly.checked = false;
      chips.forEach((chip) => { chip.checked = true; });
      arrange();
    }
    page = Math.floor(order.indexOf(i) / PAGE);
    fill();
    const line = table.querySelector("tr.picked-row");
    line?.scrollIntoView({ block: "center" });
    line?.querySelector("button").focus({ preventScroll: true });
  };
  again();
})();
