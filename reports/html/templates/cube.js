// Three objectives in a rotating box, drawn on a canvas, so that it needs no graphics driver and can be printed.
(() => {
  const canvas = document.getElementById("cube");
  if (!canvas) return;
  const { data, state } = L;
  const [up, right, deep] = data.run.objectives; // metric up, size to the right, latency to the back
  const limits = data.cube;
  let turn = -0.6, tilt = 0.42, zoom = 1, marks = [], axes = [];

  function axis(column, at) {
    const values = { near: [], all: [] };
    for (let i = 0; i < data.role.length; i++) {
      const v = L.value(column, i);
      if (data.role[i] < 0 || v === null) continue;
      values.all.push(v);
      if (["front", "feasible", "baseline"].includes(L.role(i))) values.near.push(v);
    }
    const used = values.near.length > 1 ? values.near : values.all;
    for (const limit of limits[at]) used.push(limit.value);
    let low = Infinity, high = -Infinity;
    for (const v of used) { if (v < low) low = v; if (v > high) high = v; }
    const log = low > 0 && high > 6 * low && column !== up;
    const scale = log ? Math.log10 : (v) => v;
    let a = scale(low), b = scale(high);
    const pad = (b - a) * 0.06 || Math.abs(b) * 0.05 || 1;
    a -= pad; b += pad;
    return { column, log, place: (v) => (scale(v) - a) / (b - a) * 2 - 1, title: data.columns[column].axis, low: log ? 10 ** a : a, high: log ? 10 ** b : b };
  }

  function project(x, y, z, size) {
    const c = Math.cos(turn), s = Math.sin(turn), ct = Math.cos(tilt), st = Math.sin(tilt);
    const X = x * c - y * s, Y = x * s + y * c;
    const Z = z * ct + Y * st, depth = Y * ct - z * st; // seen from above: distant points are higher
    const scale = size.scale * zoom / (1 + depth * 0.12);
    return { x: size.w / 2 + X * scale, y: size.h * 0.47 - Z * scale, depth };
  }

  function draw() {
    const c = L.colors(), ratio = devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
    if (!w || !h) return;
    canvas.width = w * ratio; canvas.height = h * ratio;
    const g = canvas.getContext("2d");
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, w, h);
    const size = { w, h, scale: Math.min(w * 0.3, h * 0.3) };
    const at = (x, y, z) => project(x, y, z, size);
    const line = (p, q, color, width = 1, dash = []) => { g.strokeStyle = color; g.lineWidth = width; g.setLineDash(dash); g.beginPath(); g.moveTo(p.x, p.y); g.lineTo(q.x, q.y); g.stroke(); g.setLineDash([]); };

    // The floor with its grid and the two back walls.
    const backX = Math.sin(turn) > 0 ? 1 : -1, backY = Math.cos(turn) > 0 ? 1 : -1;
    for (const t of [-1, -0.5, 0, 0.5, 1]) {
      line(at(t, -1, -1), at(t, 1, -1), c.grid); line(at(-1, t, -1), at(1, t, -1), c.grid);
      line(at(t, backY, -1), at(t, backY, 1), c.grid); line(at(-1, backY, t), at(1, backY, t), c.grid);
      line(at(backX, t, -1), at(backX, t, 1), c.grid); line(at(backX, -1, t), at(backX, 1, t), c.grid);
    }
    const font = getComputedStyle(document.body).fontFamily;
    g.fillStyle = c.soft; g.font = "12px " + font; g.textAlign = "center"; g.textBaseline = "middle";
    const label = (text, x, y, z) => { const p = at(x, y, z), wide = g.measureText(text).width / 2 + 4; g.fillText(text, Math.min(Math.max(p.x, wide), w - wide), Math.min(p.y, h - 9)); };
    label(axes[1].title, 0, -backY * 1.22, -1.12); label(axes[2].title, -backX * 1.22, 0, -1.12);
    const corner = at(-backX * 1.04, backY, 1.12);
    g.fillText(axes[0].title, Math.min(Math.max(corner.x, g.measureText(axes[0].title).width / 2 + 4), w - g.measureText(axes[0].title).width / 2 - 4), corner.y);
    g.fillStyle = c.faint; g.font = "11px " + font;
    const ends = (ax) => [ax.low, ax.high].map((v) => Math.abs(v) >= 1000 ? (v / 1000).toPrecision(3) + "k" : v.toPrecision(3));
    const [lowX, highX] = ends(axes[1]), [lowY, highY] = ends(axes[2]), [lowZ, highZ] = ends(axes[0]);
    label(lowX, -1, -backY * 1.14, -1.04); label(highX, 1, -backY * 1.14, -1.04);
    label(lowY, -backX * 1.14, -1, -1.04); label(highY, -backX * 1.14, 1, -1.04);
    label(lowZ, -backX * 1.12, backY * 1.04, -0.95); label(highZ, -backX * 1.12, backY * 1.04, 0.95);

    // Budgets, as dashed frames across the box.
    limits.forEach((found, which) => found.forEach((limit) => {
      const p = axes[which].place(limit.value);
      if (!(p > -1 && p < 1)) return;
      const frame = which === 0 ? [[-1, -1, p], [1, -1, p], [1, 1, p], [-1, 1, p]] : which === 1 ? [[p, -1, -1], [p, 1, -1], [p, 1, 1], [p, -1, 1]] : [[-1, p, -1], [1, p, -1], [1, p, 1], [-1, p, 1]];
      g.globalAlpha = 0.45;
      frame.forEach((from, k) => line(at(...from), at(...frame[(k + 1) % 4]), c.ink, 1, [4, 4]));
      g.globalAlpha = 1;
    }));

    marks = [];
    for (let i = 0; i < data.role.length; i++) {
      if (!L.visible(i)) continue;
      const v = [L.value(right, i), L.value(deep, i), L.value(up, i)];
      if (v.includes(null) || (axes[1].log && v[0] <= 0) || (axes[2].log && v[1] <= 0)) continue;
      const p = [axes[1].place(v[0]), axes[2].place(v[1]), axes[0].place(v[2])];
      if (p.every((x) => x >= -1.02 && x <= 1.02)) marks.push({ i, p, ...at(...p) });
    }
    const placed = new Map(marks.map((mark) => [mark.i, mark]));
    g.globalAlpha = 0.55;
    const joined = data.run.front.filter((i) => placed.has(i));
    joined.forEach((i, k) => {
      const mark = placed.get(i), foot = at(mark.p[0], mark.p[1], -1);
      line(mark, foot, c.line, 1);
      if (k) line(placed.get(joined[k - 1]), mark, c.accent, 1.5);
    });
    g.globalAlpha = 1;
    marks.sort((a, b) => b.depth - a.depth);
    for (const mark of marks) {
      const role = L.role(mark.i), r = { front: 6, baseline: 6, feasible: 3.6, infeasible: 3, stopped: 2.4 }[role];
      g.globalAlpha = (L.selected(mark.i) ? 1 : 0.12) * { front: 1, baseline: 1, feasible: 0.6, infeasible: 0.5, stopped: 0.35 }[role];
      g.fillStyle = role === "baseline" ? c.ink : role === "front" ? c.accent : role === "feasible" ? c.low : c.faint;
      g.strokeStyle = role === "infeasible" || role === "stopped" ? c.faint : c.bg; g.lineWidth = 1;
      g.beginPath();
      if (role === "infeasible") { g.moveTo(mark.x - r, mark.y - r); g.lineTo(mark.x + r, mark.y + r); g.moveTo(mark.x - r, mark.y + r); g.lineTo(mark.x + r, mark.y - r); g.stroke(); continue; }
      if (role === "baseline") { g.moveTo(mark.x, mark.y - r); g.lineTo(mark.x + r, mark.y); g.lineTo(mark.x, mark.y + r); g.lineTo(mark.x - r, mark.y); g.closePath(); }
      else g.arc(mark.x, mark.y, r, 0, 7);
      if (role !== "stopped") g.fill();
      g.stroke();
    }
    g.globalAlpha = 1;
    const chosen = placed.get(state.chosen);
    if (chosen) { g.strokeStyle = c.warn; g.lineWidth = 2.5; g.beginPath(); g.arc(chosen.x, chosen.y, 10, 0, 7); g.stroke(); }
  }

  function nearest(event) {
    const box = canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    let best = null, least = 14;
    for (const mark of marks) {
      const far = Math.hypot(mark.x - x, mark.y - y) - (L.role(mark.i) === "front" ? 3 : 0);
      if (far <= least) { least = far; best = mark.i; }
    }
    return best;
  }

  let held = null, moved = false, asked = false;
  const soon = () => { if (!asked) { asked = true; requestAnimationFrame(() => { asked = false; draw(); }); } };
  canvas.addEventListener("pointerdown", (event) => { held = event; moved = false; canvas.setPointerCapture(event.pointerId); L.hint(null); });
  canvas.addEventListener("pointermove", (event) => {
    if (!held) { const i = nearest(event); canvas.style.cursor = i === null ? "grab" : "pointer"; L.hint(i, event.clientX, event.clientY); return; }
    const dx = event.clientX - held.clientX, dy = event.clientY - held.clientY;
    if (Math.hypot(dx, dy) > 4) moved = true;
    if (!moved) return;
    turn -= dx * 0.008; tilt = Math.min(1.45, Math.max(-0.1, tilt + dy * 0.008)); held = event;
    soon();
  });
  canvas.addEventListener("pointerup", (event) => { if (held && !moved) { const i = nearest(event); if (i !== null) L.choose(i); } held = null; });
  canvas.addEventListener("pointercancel", () => { held = null; });
  canvas.addEventListener("pointerleave", () => L.hint(null));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0.12, 0], ArrowRight: [-0.12, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
    if (step) { turn += step[0]; tilt = Math.min(1.45, Math.max(-0.1, tilt + step[1])); }
    else if (event.key === "+" || event.key === "-") zoom = Math.min(3, Math.max(0.6, zoom * (event.key === "+" ? 1.15 : 1 / 1.15)));
    else return;
    event.preventDefault();
    soon();
  });

  axes = [axis(up, 0), axis(right, 1), axis(deep, 2)];
  L.whenNear(canvas, () => {
    draw();
    for (const name of ["theme", "hidden", "chosen", "selection", "resize", "print"]) L.on(name, draw);
  });
})();
