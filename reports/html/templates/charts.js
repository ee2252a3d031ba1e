// The plotly charts: one for each pair of objectives, linked, and those that only draw lines.
(() => {
  const { data, state } = L;
  const figures = data.figures;
  const names = Object.keys(figures).filter((id) => document.getElementById(id));
  const drawn = new Set();
  let mode = "select";

  // Colors depend on the reader's theme, so the page sets them; a figure only says what each trace is.
  const looks = {
    line: (c) => ({ line: { color: c.accent }, opacity: 0.7 }),
    area: (c) => ({ line: { color: c.accent, width: 2 }, fillcolor: c.accent + "1c" }),
    stopped: (c) => ({ marker: { symbol: "circle-open", size: 5, color: c.faint, opacity: 0.35, line: { width: 1 } } }),
    infeasible: (c) => ({ marker: { symbol: "x-thin", size: 7, color: c.faint, opacity: 0.6, line: { width: 1.2, color: c.faint } } }),
    feasible: (c) => ({ marker: { symbol: "circle", size: 7, color: c.accent, opacity: 0.65, line: { width: 1, color: c.bg } } }),
    front: (c) => ({ marker: { symbol: "circle", size: 12, color: c.accent, opacity: 1, line: { width: 1.5, color: c.bg } } }),
    names: (c) => ({ marker: { size: 15, opacity: 0 }, textfont: { size: 11, color: c.soft } }),
    baseline: (c) => ({ marker: { symbol: "diamond", size: 12, opacity: 1, color: c.ink, line: { width: 1.5, color: c.bg } } }),
  };

  function merge(into, from) {
    for (const [key, value] of Object.entries(from)) {
      const nested = value && typeof value === "object" && !Array.isArray(value);
      if (nested) into[key] = merge(Object.assign({}, into[key]), value);
      else if (!(key === "color" && Array.isArray(into[key]))) into[key] = value;
    }
    return into;
  }

  function traces(figure) {
    if (!figure.pair) return figure.data;
    const { x, y, color, log, steps, front, names: named } = figure.pair;
    const own = front && new Set(front); // this target's front instead of the first one's
    const roleOf = (i) => (own && ["front", "feasible"].includes(L.role(i)) ? (own.has(i) ? "front" : "feasible") : L.role(i));
    const found = [];
    if (steps.length > 1) {
      const line = { x: steps.map((s) => s[0]), y: steps.map((s) => s[1]), mode: "lines", line: { shape: "hv", width: 1.5 } };
      found.push(Object.assign({ type: "scatter", meta: { role: "line" }, hoverinfo: "skip" }, line));
    }
    data.roles.forEach((role) => {
      const points = [];
      for (let i = 0; i < data.role.length; i++) {
        if (data.role[i] >= 0 && roleOf(i) === role && L.value(x, i) > 0 && L.value(y, i) !== null) points.push(i);
      }
      if (!points.length) return;
      const marker = {};
      if (color >= 0 && (role === "feasible" || role === "front")) {
        marker.coloraxis = "coloraxis";
        marker.color = points.map((i) => { const v = L.value(color, i); return log && v ? Math.log10(v) : v; });
      }
      found.push({
        type: "scatter", mode: "markers", meta: { role }, customdata: points, hoverinfo: "none", marker,
        x: points.map((i) => L.value(x, i)), y: points.map((i) => L.value(y, i)),
        selectedpoints: chosenPoints(points), selected: {}, unselected: { marker: { opacity: 0.1 } },
      });
    });
    const places = (named || []).filter(([i]) => L.value(x, i) > 0 && L.value(y, i) !== null);
    if (places.length) {
      const axis = figure.layout.xaxis, [low, high] = axis.range;
      const share = (i) => ((axis.type === "log" ? Math.log10(L.value(x, i)) : L.value(x, i)) - low) / (high - low);
      const side = (i) => (figure.pair.down ? "bottom " : "top ") + (share(i) < 0.15 ? "right" : share(i) > 0.85 ? "left" : "center");
      found.push({ // invisible marks keep the names away from the visible ones
        type: "scatter", mode: "markers+text", meta: { role: "names" }, hoverinfo: "skip", cliponaxis: false, marker: {}, text: places.map((p) => p[1]),
        textposition: places.map(([i]) => side(i)), x: places.map(([i]) => L.value(x, i)), y: places.map(([i]) => L.value(y, i)),
      });
    }
    return found;
  }

  const chosenPoints = (points) => (state.selection ? points.flatMap((i, at) => (state.selection.has(i) ? [at] : [])) : null);

  // The selected trial's ring lies over the chart, so that moving it redraws nothing. (Plotly's shapes with a size in pixels
  // are wrong on logarithmic axes, and a separate trace redraws all points.)
  function ring(id) {
    const plot = document.getElementById(id), { x, y } = figures[id].pair, i = state.chosen;
    const mark = plot.querySelector(":scope > .ring") || plot.appendChild(L.el("i", { class: "ring", "aria-hidden": "true" }));
    const layout = plot._fullLayout;
    mark.hidden = !layout || i === null || !L.visible(i) || !(L.value(x, i) > 0) || L.value(y, i) === null;
    if (mark.hidden) return;
    const across = layout.xaxis.d2p(L.value(x, i)), down = layout.yaxis.d2p(L.value(y, i));
    mark.hidden = across < 0 || down < 0 || across > layout.xaxis._length || down > layout.yaxis._length;
    mark.style.left = layout.xaxis._offset + across + "px";
    mark.style.top = layout.yaxis._offset + down + "px";
    mark.dataset.trial = data.number[i];
  }

  function dressed(id) {
    const c = L.colors();
    const figure = figures[id];
    const small = L.narrow() && !state.printing;
    const font = { family: getComputedStyle(document.body).fontFamily, size: 12, color: c.soft };
    const shown = JSON.parse(JSON.stringify(traces(figure)));
    for (const trace of shown) {
      merge(trace, looks[trace.meta.role](c));
      const many = trace.customdata && ["stopped", "infeasible"].includes(trace.meta.role) ? Math.sqrt(100 / trace.customdata.length) : 1;
      if (trace.marker) trace.marker.opacity *= Math.min(1, Math.max(0.3, many)); // many points must not hide the front
      if (trace.marker && many < 1) trace.marker.size *= Math.max(0.6, Math.sqrt(many));
      trace.visible = !state.hidden.has(trace.meta.role);
    }
    const layout = merge(JSON.parse(JSON.stringify(figure.layout)), {
      font, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest", showlegend: false,
      dragmode: small || !figure.pair ? false : mode, selectdirection: "any", uirevision: id,
      margin: { l: 58, r: 8, t: (figure.layout.annotations || []).some((note) => note.xref === "x") ? 26 : 12, b: small && figure.pair ? 118 : 52 },
      hoverlabel: { align: "left", bgcolor: c.panel, bordercolor: c.line, font: { family: font.family, size: 12.5, color: c.ink } },
      newselection: { line: { color: c.warn, width: 1, dash: "dot" } }, activeselection: { fillcolor: c.warn, opacity: 0.05 },
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
    for (const shape of layout.shapes || []) merge(shape, { line: { color: c.ink, width: 1, dash: "4px,4px" }, opacity: 0.55, layer: "below" });
    for (const note of layout.annotations || []) merge(note, { font: { size: 11, color: c.soft } });
    return { data: shown, layout };
  }

  const MARK = 7; // pixels from the middle of a front's mark to its edge
  const config = { displaylogo: false, responsive: true, displayModeBar: false, doubleClick: "reset+autosize" };

  function draw(id) {
    const figure = dressed(id), plot = document.getElementById(id);
    if (drawn.has(id)) Plotly.purge(id);
    const done = Plotly.newPlot(id, figure.data, figure.layout, config);
    drawn.add(id);
    done.then(() => { if (!performance.getEntriesByName("first-plot").length) performance.mark("first-plot"); });
    if (figures[id].pair) { link(id, plot); ring(id); }
  }

  function link(id, plot) {
    const of = (event) => event.points.map((point) => point.customdata).filter((i) => i !== undefined);
    plot.on("plotly_click", (event) => { const i = foremost(id, plot, event.event) ?? of(event)[0]; if (i !== undefined) L.choose(i); });
    plot.on("plotly_hover", (event) => { const i = foremost(id, plot, event.event) ?? of(event)[0]; if (i !== undefined) L.hint(i, event.event.clientX, event.event.clientY); });
    plot.on("plotly_unhover", () => L.hint(null));
    plot.on("plotly_selected", (event) => { if (event) L.select(event.points.length ? new Set(of(event)) : null); });
    plot.on("plotly_afterplot", () => ring(id));
    plot.on("plotly_deselect", () => L.select(null));
  }

  // The front's mark under the pointer, if any: plotly prefers the smaller of two overlapping marks.
  function foremost(id, plot, event) {
    const { x, y, front } = figures[id].pair, layout = plot._fullLayout, area = plot.querySelector(".nsewdrag");
    if (!layout || !area || event?.clientX === undefined) return undefined;
    const box = area.getBoundingClientRect();
    const away = (i) => Math.hypot(layout.xaxis.d2p(L.value(x, i)) - event.clientX + box.left, layout.yaxis.d2p(L.value(y, i)) - event.clientY + box.top);
    const marks = (front || data.run.front).filter((i) => L.visible(i) && away(i) <= MARK);
    return marks.sort((a, b) => away(a) - away(b))[0];
  }

  const pairs = () => names.filter((id) => figures[id].pair && drawn.has(id));

  function paint() {
    for (const id of drawn) {
      const figure = dressed(id);
      Plotly.react(id, figure.data, figure.layout, config);
    }
  }

  L.on("theme", paint);
  L.on("hidden", paint);
  // Plotly.react keeps the old color bar when its direction changes, so the charts are created again.
  L.on("print", () => [...drawn].forEach(draw));
  L.on("narrow", () => [...drawn].forEach(draw));
  L.on("chosen", () => pairs().forEach(ring));
  L.on("selection", () => {
    for (const id of pairs()) {
      const plot = document.getElementById(id);
      const at = plot.data.flatMap((trace, index) => (trace.customdata ? [index] : []));
      // After a selection frame, plotly recomputes its own selection and fades other points: create the chart again.
      if (!state.selection && plot.layout.selections?.length) draw(id);
      else Plotly.restyle(id, { selectedpoints: at.map((index) => chosenPoints(plot.data[index].customdata)) }, at);
    }
  });

  document.querySelectorAll(".drag input").forEach((input) => {
    input.addEventListener("change", () => {
      mode = input.value;
      for (const id of pairs()) Plotly.relayout(id, { dragmode: mode });
    });
  });

  // Arrow keys move along the front; Enter opens the details.
  for (const id of names.filter((name) => figures[name].pair)) {
    document.getElementById(id).addEventListener("keydown", (event) => {
      if (event.key === "Enter") { L.reveal(); return; }
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const { x, front } = figures[id].pair;
      const line = [...(front || data.run.front)].filter((i) => L.value(x, i) !== null).sort((a, b) => L.value(x, a) - L.value(x, b));
      if (line.length) L.choose(line[(Math.max(line.indexOf(state.chosen), step < 0 ? 0 : -1) + step + line.length) % line.length]);
    });
  }

  // The first chart is drawn at once, the others when they come near the screen.
  names.forEach((id, at) => (at < 1 ? draw(id) : L.whenNear(document.getElementById(id), () => draw(id))));
})();
