const figures = JSON.parse(document.getElementById("figures").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
for (const [id, figure] of Object.entries(figures)) {
  const ink = dark ? "#dddddd" : "#222222", line = dark ? "#444444" : "#dddddd";
  const axis = { gridcolor: line, zerolinecolor: line, color: ink };
  Object.assign(figure.layout, { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink } });
  Object.assign(figure.layout.xaxis, axis);
  Object.assign(figure.layout.yaxis, axis);
  Plotly.newPlot(id, figure.data, figure.layout, { responsive: true, displaylogo: false });
}
