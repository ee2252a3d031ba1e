"use strict";
(function () {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const names = Object.keys(figures).filter((id) => document.getElementById(id));
  const narrow = () => innerWidth < 700;
  const hidden = new Set(); // roles that the reader has switched off
  let printing = false;

  function theme() {
    const style = getComputedStyle(document.documentElement);
    const found = {};
    for (const name of ["bg", "panel", "ink", "soft", "faint", "line", "accent", "grid", "low", "high"]) {
      found[name] = style.getPropertyValue("--" + name).trim();
    }
    if (printing) Object.assign(found, { bg: "#fff", panel: "#fff", ink: "#000", soft: "#333", faint: "#666", line: "#ccc", accent: "#1f4fb0", grid: "#e6e6e6", low: "#bcd0f7", high: "#0b2a6b" });
    return found;
  }

  // Colours belong to the reader's theme, so the page sets them; the figure only says what each trace is.
  const looks = {
    line: (c) => ({ line: { color: c.accent }, opacity: 0.7 }),
    stopped: (c) => ({ marker: { symbol: "circle-open", size: 5, color: c.faint, line: { width: 1 } }, opacity: 0.3 }),
    infeasible: (c) => ({ marker: { symbol: "x-thin", size: 7, color: c.faint, line: { width: 1.2, color: c.faint } }, opacity: 0.55 }),
    feasible: (c) => ({ marker: { symbol: "circle", size: 7, line: { width: 1, color: c.bg }, opacity: 0.6 } }),
    front: (c) => ({ marker: { symbol: "circle", size: 12, line: { width: 1.5, color: c.bg } } }),
    baseline: (c) => ({ marker: { symbol: "diamond", size: 12, color: c.ink, line: { width: 1.5, color: c.bg } } }),
  };

  function merge(into, from) {
    for (const [key, value] of Object.entries(from)) {
      const nested = value && typeof value === "object" && !Array.isArray(value);
      if (nested) into[key] = merge(Object.assign({}, into[key]), value);
      else if (!(key === "color" && Array.isArray(into[key]))) into[key] = value;
    }
    return into;
  }

  function dressed(id) {
    const c = theme();
    const figure = JSON.parse(JSON.stringify(figures[id]));
    const small = narrow() && !printing;
    const font = { family: getComputedStyle(document.body).fontFamily, size: 12, color: c.soft };
    for (const trace of figure.data) {
      merge(trace, looks[trace.meta.role](c));
      trace.visible = !hidden.has(trace.meta.role);
    }
    const layout = merge(figure.layout, {
      font, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest", dragmode: small ? false : "zoom", showlegend: false,
      margin: { l: 58, r: 8, t: 12, b: small ? 118 : 52 },
      hoverlabel: { align: "left", bgcolor: c.panel, bordercolor: c.line, font: { family: font.family, size: 12.5, color: c.ink } },
    });
    for (const name of ["xaxis", "yaxis"]) {
      merge(layout[name], { gridcolor: c.grid, linecolor: c.line, zeroline: false, ticks: "", title: { font: { size: 12.5, color: c.soft }, standoff: 10 }, tickfont: { color: c.faint }, automargin: true });
    }
    if (layout.coloraxis) {
      layout.coloraxis.colorscale = [[0, c.low], [1, c.high]];
      const flat = { orientation: "h", x: 0.5, y: -0.2, yanchor: "top", len: 1, title: { side: "top" } };
      const tall = { len: 0.92, x: 1.01, title: { side: "top" } };
      merge(layout.coloraxis.colorbar, merge({ thickness: 8, outlinewidth: 0, tickfont: { size: 11, color: c.faint }, title: { font: { size: 11.5, color: c.soft } } }, small ? flat : tall));
    }
    for (const shape of layout.shapes) merge(shape, { line: { color: c.ink, width: 1, dash: "4px,4px" }, opacity: 0.55, layer: "below" });
    for (const note of layout.annotations) merge(note, { font: { size: 11, color: c.soft } });
    return { data: figure.data, layout };
  }

  const config = { displaylogo: false, responsive: true, displayModeBar: false };

  function paint() {
    for (const id of names) {
      const figure = dressed(id);
      Plotly.react(id, figure.data, figure.layout, config);
    }
  }

  // A colour bar that changes its direction is left behind by react, so the charts are then made anew.
  function rebuild() {
    for (const id of names) {
      const figure = dressed(id);
      Plotly.purge(id);
      Plotly.newPlot(id, figure.data, figure.layout, config);
      document.getElementById(id).on("plotly_click", (event) => pick(event.points[0].customdata));
    }
  }

  function sortable(table) {
    const heads = Array.from(table.tHead.rows[0].cells);
    const body = table.tBodies[0];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      if (!head.hasAttribute("aria-sort")) head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const numeric = head.classList.contains("num");
        const keyed = Array.from(body.rows, (row, at) => {
          const cell = row.cells[column];
          const value = numeric ? ("v" in cell.dataset ? Number(cell.dataset.v) : parseFloat(cell.textContent)) : cell.textContent.toLowerCase();
          return { row, at, value, empty: numeric ? Number.isNaN(value) : value === "" };
        });
        const sign = down ? -1 : 1;
        keyed.sort((a, b) => a.empty - b.empty || (a.empty ? 0 : a.value < b.value ? -sign : a.value > b.value ? sign : 0) || a.at - b.at);
        body.append(...keyed.map((item) => item.row)); // what was not measured stays last
      });
    });
  }

  function filters(table) {
    const box = document.querySelector(".filters");
    const find = document.getElementById("find");
    const chips = Array.from(box.querySelectorAll("input[type=checkbox]"));
    const shown = document.getElementById("shown");
    const rows = Array.from(table.tBodies[0].rows, (row) => ({ row, text: row.textContent.toLowerCase(), state: row.dataset.state }));
    function apply() {
      const wanted = new Set(chips.filter((chip) => chip.checked).map((chip) => chip.value));
      const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const item of rows) {
        const show = wanted.has(item.state) && words.every((word) => item.text.includes(word));
        item.row.hidden = !show;
        count += show;
      }
      shown.textContent = count === rows.length ? "" : count + " of " + rows.length + " shown";
    }
    find.addEventListener("input", apply);
    chips.forEach((chip) => chip.addEventListener("change", apply));
    box.hidden = false;
    return () => { find.value = ""; chips.forEach((chip) => { chip.checked = true; }); apply(); };
  }

  const all = document.getElementById("all");
  document.querySelectorAll("table.sortable").forEach(sortable);
  const showAll = all ? filters(all) : () => {};

  function pick(number) {
    const row = document.getElementById("t" + number);
    if (!row) return;
    if (row.hidden) showAll();
    document.querySelectorAll(".picked-row").forEach((other) => other.classList.remove("picked-row"));
    row.classList.add("picked-row");
    const link = document.createElement("a");
    link.href = "#t" + number;
    link.textContent = "trial " + number;
    document.getElementById("picked").replaceChildren("Chosen: ", link, " ", row.cells[1].textContent);
  }

  document.querySelectorAll(".legend button").forEach((button) => {
    button.addEventListener("click", () => {
      const off = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!off));
      if (off) hidden.add(button.dataset.role); else hidden.delete(button.dataset.role);
      paint();
    });
  });

  if (names.length) {
    rebuild();
    dark.addEventListener("change", paint);
    let wasNarrow = narrow();
    addEventListener("resize", () => { if (narrow() !== wasNarrow) { wasNarrow = narrow(); rebuild(); } });
    addEventListener("beforeprint", () => { printing = true; rebuild(); });
    addEventListener("afterprint", () => { printing = false; rebuild(); });
  }
})();
