// Parallel coordinates: a line for each trial across its choices and its measurements; dragging along an axis selects.
(() => {
  const canvas = document.getElementById("lines");
  if (!canvas) return;
  const { data, state } = L;
  const TOP = 54, BOTTOM = 34, LEFT = 84, RIGHT = 76;
  const brushes = new Map();
  let axes = [], paths = new Map(), held = null;

  function scales() {
    const found = data.axes.map((axis) => ({
      title: axis.title, ticks: axis.ticks, at: (i) => (axis.values[i] === null ? null : axis.ticks.length < 2 ? 0.5 : axis.values[i] / (axis.ticks.length - 1)),
    }));
    for (const column of data.run.objectives) {
      const known = [...data.role.keys()].filter((i) => data.role[i] >= 0 && L.value(column, i) !== null).sort((a, b) => L.value(column, a) - L.value(column, b));
      if (!known.length) continue;
      // A few far values must not squeeze all the others: they are drawn at the end of the axis, and its mark says so.
      const kept = known.filter((i) => ["front", "feasible", "baseline"].includes(L.role(i))), cut = Math.floor(known.length * 0.04);
      const place = (i) => known.indexOf(i);
      const first = known[Math.min(cut, ...kept.map(place))], last = known[Math.max(known.length - 1 - cut, ...kept.map(place))];
      const low = L.value(column, first), high = L.value(column, last);
      const log = low > 0 && high > 6 * low;
      const scale = log ? Math.log : (v) => v;
      const text = (i) => data.texts[column][i] ?? L.value(column, i).toPrecision(4);
      const span = scale(high) - scale(low) || 1;
      const ticks = [(L.value(column, known[0]) < low ? "≤ " : "") + text(first), (L.value(column, known.at(-1)) > high ? "≥ " : "") + text(last)];
      found.push({ title: data.columns[column].title, ticks, at: (i) => { const v = L.value(column, i); return v === null ? null : Math.min(1, Math.max(0, (scale(v) - scale(low)) / span)); } });
    }
    return found;
  }

  const x = (k) => LEFT + (canvas.clientWidth - LEFT - RIGHT) * k / Math.max(1, axes.length - 1);
  const y = (share) => canvas.clientHeight - BOTTOM - (canvas.clientHeight - TOP - BOTTOM) * share;
  const nothing = () => canvas.clientHeight - 14; // position of a line without a value on an axis

  function draw() {
    const c = L.colors(), ratio = devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
    if (!w || !h || !axes.length) return;
    canvas.width = w * ratio; canvas.height = h * ratio;
    const g = canvas.getContext("2d"), font = getComputedStyle(document.body).fontFamily;
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    paths = new Map();
    for (let i = 0; i < data.role.length; i++) {
      if (L.visible(i)) paths.set(i, axes.map((axis) => { const share = axis.at(i); return share === null ? nothing() : y(share); }));
    }
    const stroke = (i, color, width, alpha) => {
      const path = paths.get(i);
      if (!path) return;
      g.strokeStyle = color; g.lineWidth = width; g.globalAlpha = alpha; g.beginPath();
      path.forEach((at, k) => {
        if (!k) { g.moveTo(x(0), at); return; }
        const middle = (x(k - 1) + x(k)) / 2;
        g.bezierCurveTo(middle, path[k - 1], middle, at, x(k), at);
      });
      g.stroke();
    };
    const many = Math.min(1, 60 / paths.size), tone = { stopped: 0.03 + many * 0.24, infeasible: 0.03 + many * 0.37, feasible: 0.25 + many * 0.35, front: 0.9, baseline: 0.9 };
    data.roles.forEach((role, r) => {
      for (const i of paths.keys()) {
        if (data.role[i] !== r) continue;
        const color = role === "front" ? c.accent : role === "baseline" ? c.ink : role === "feasible" ? c.accent : c.faint;
        stroke(i, color, role === "front" || role === "baseline" ? 1.8 : 1, L.selected(i) ? tone[role] : 0.03);
      }
    });
    if (state.chosen !== null) stroke(state.chosen, c.warn, 3, 1);
    g.globalAlpha = 1;
    axes.forEach((axis, k) => {
      g.strokeStyle = c.faint; g.lineWidth = 1; g.beginPath(); g.moveTo(x(k), y(0)); g.lineTo(x(k), y(1)); g.stroke();
      g.textAlign = k === 0 ? "left" : k === axes.length - 1 ? "right" : "center"; g.textBaseline = "bottom";
      g.font = "600 12px " + font; g.fillStyle = c.ink;
      const edge = k === 0 ? 8 : k === axes.length - 1 ? w - 6 : x(k);
      const room = (w - LEFT - RIGHT) / Math.max(1, axes.length - 1) * 1.02;
      fold(g, axis.title, room).forEach((text, at, all) => g.fillText(text, edge, TOP - 12 - (all.length - 1 - at) * 14));
      g.font = "11px " + font; g.textBaseline = "middle";
      axis.ticks.forEach((tick, at) => {
        const share = axis.ticks.length < 2 ? 0.5 : at / (axis.ticks.length - 1);
        const side = k === 0 ? -1 : 1, wide = g.measureText(tick).width;
        const left = side < 0 ? x(k) - 6 - wide : x(k) + 6;
        g.globalAlpha = 0.75; g.fillStyle = c.bg; g.fillRect(left - 2, y(share) - 7, wide + 4, 14);
        g.globalAlpha = 1; g.fillStyle = c.soft; g.textAlign = "left"; g.fillText(tick, left, y(share));
      });
      const brush = brushes.get(k);
      if (brush) { g.globalAlpha = 0.28; g.fillStyle = c.warn; g.fillRect(x(k) - 7, y(brush[1]), 14, y(brush[0]) - y(brush[1])); g.globalAlpha = 1; }
    });
  }

  function fold(g, text, room) {
    if (g.measureText(text).width <= room) return [text];
    const words = text.split(/(?<=[ ._/:])/), lines = [""];
    for (const part of words) {
      if (lines.at(-1) && g.measureText(lines.at(-1) + part).width > room) lines.push("");
      lines[lines.length - 1] += part;
    }
    return lines.slice(0, 3);
  }

  function where(event) {
    const box = canvas.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
    let k = 0;
    axes.forEach((_, at) => { if (Math.abs(x(at) - px) < Math.abs(x(k) - px)) k = at; });
    const share = (canvas.clientHeight - BOTTOM - py) / (canvas.clientHeight - TOP - BOTTOM);
    return { px, py, k, onAxis: Math.abs(x(k) - px) < 14, share: Math.min(1.02, Math.max(-0.02, share)) };
  }

  function nearest(px, py) {
    const room = x(1) - x(0), from = Math.min(axes.length - 2, Math.max(0, Math.floor((px - LEFT) / room)));
    const t = Math.min(1, Math.max(0, (px - x(from)) / room)), ease = t * t * (3 - 2 * t); // close to the drawn curve
    let best = null, least = 8;
    for (const [i, path] of paths) {
      const far = Math.abs(path[from] + (path[from + 1] - path[from]) * ease - py) + (L.selected(i) ? 0 : 4) - (L.role(i) === "front" ? 2 : 0);
      if (far < least) { least = far; best = i; }
    }
    return best;
  }

  function apply() {
    if (!brushes.size) { L.select(null); return; }
    const found = new Set();
    for (const i of paths.keys()) {
      const inside = [...brushes].every(([k, [low, high]]) => { const share = axes[k].at(i); return share !== null && share >= low && share <= high; });
      if (inside) found.add(i);
    }
    own = true; L.select(found); own = false;
  }
  let own = false;

  canvas.addEventListener("pointerdown", (event) => {
    const at = where(event);
    if (at.onAxis) { held = { k: at.k, from: at.share, to: at.share }; canvas.setPointerCapture(event.pointerId); }
  });
  canvas.addEventListener("pointermove", (event) => {
    const at = where(event);
    if (held) {
      held.to = at.share;
      brushes.set(held.k, [Math.min(held.from, held.to), Math.max(held.from, held.to)]);
      draw();
      return;
    }
    const i = axes.length > 1 ? nearest(at.px, at.py) : null;
    canvas.style.cursor = at.onAxis ? "ns-resize" : i === null ? "default" : "pointer";
    L.hint(at.onAxis ? null : i, event.clientX, event.clientY);
  });
  canvas.addEventListener("pointerup", (event) => {
    const at = where(event);
    if (!held) { const i = axes.length > 1 ? nearest(at.px, at.py) : null; if (i !== null) L.choose(i); return; }
    if (Math.abs(held.to - held.from) < 0.015) brushes.delete(held.k); // a click on the axis removes its range
    held = null;
    apply();
  });
  canvas.addEventListener("pointerleave", () => L.hint(null));

  axes = scales();
  canvas.style.minWidth = axes.length * 112 + "px"; // room for titles; the box around it scrolls
  L.whenNear(canvas, () => {
    draw();
    L.on("selection", () => { if (!own) brushes.clear(); draw(); });
    for (const name of ["theme", "hidden", "chosen", "resize", "print"]) L.on(name, draw);
  });
})();
