
"use strict";
const byId = (id) => document.getElementById(id);
const svgNamespace = "http://www.w3.org/2000/svg";

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function drawing(name, attributes) {
  const made = document.createElementNS(svgNamespace, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** 12345.6 → "12.3 k" */
function short(number) {
  if (number === null || number === undefined) return "–";
  for (const [size, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (number >= size) return `${(number / size).toPrecision(3)} ${letter}`;
  }
  return Number.isInteger(number) ? String(number) : number.toFixed(1);
}

/** 67108864 → "64 MiB" */
function size(bytes) {
  for (const [unit, name] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) {
    if (bytes >= unit) return `${Number((bytes / unit).toPrecision(3))} ${name}`;
  }
  return `${bytes} B`;
}

/** Microseconds, for people. */
function duration(us) {
  if (us === null || us === undefined) return "–";
  if (us < 1) return "< 1 µs";
  if (us < 1000) return `${us} µs`;
  if (us < 1e6) return `${(us / 1000).toPrecision(3)} ms`;
  return `${(us / 1e6).toPrecision(3)} s`;
}

/** Seconds, for people. */
function span(seconds) {
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

function spark(values) {
  const svg = drawing("svg", { viewBox: "0 0 180 34", preserveAspectRatio: "none", role: "img" });
  svg.setAttribute("aria-label", "the last fifteen minutes");
  if (values.length < 2) return svg;
  const top = Math.max(...values, 1e-9);
  const points = values.map((value, index) =>
    `${(180 - values.length + 1 + index).toFixed(0)},${(32 - 30 * value / top).toFixed(1)}`);
  svg.append(drawing("polyline", {
    points: points.join(" "), fill: "none", stroke: "currentColor", "stroke-width": "1.5",
    "vector-effect": "non-scaling-stroke",
  }));
  return svg;
}

function tile(value, unit, label, history) {
  const made = element("div", undefined, "tile");
  const figure = element("b", value);
  if (unit) figure.append(element("small", ` ${unit}`));
  made.append(figure, element("span", label));
  if (history) made.append(spark(history));
  return made;
}

function fill(id, rows) {
  const table = byId(id);
  table.tBodies[0].replaceChildren(...rows.map((cells) => {
    const row = element("tr");
    row.append(...cells.map(([text, className]) => element("td", text, className)));
    return row;
  }));
}

function show(status) {
  byId("version").textContent = status.version;
  const count = status.problems.length;
  const state = byId("state");
  state.className = `pill ${status.ready && !count ? "good" : "bad"}`;
  state.textContent = !status.ready ? "not ready" : count ? `${count} to look at` : "all is well";
  document.title = `${status.ready && !count ? "" : "● "}tokencached`;
  byId("problems").replaceChildren(...status.problems.map((problem) => {
    const made = element("div", undefined, "problem");
    made.append(element("strong", problem.text));
    if (problem.remedy) made.append(element("div", problem.remedy));
    if (problem.since !== null) made.append(element("small", `for ${span(problem.since)}`));
    return made;
  }));

  const near = status.near_cache;
  const rate = (name) => status.rates.find((one) => one.name === name);
  const validate = status.latency.find((one) => one.command === "TOKEN.VALIDATE") || status.latency[0];
  const rates = status.rates.filter((one) => one.name !== "misses");
  byId("tiles").replaceChildren(
    ...rates.map((one) => tile(short(one.now), "/s", one.title, one.history)),
    tile(near.hit_ratio === null ? "–" : `${(100 * near.hit_ratio).toFixed(1)}`, "%",
      near.enabled ? (near.armed ? "answered from memory" : "answered from memory; not now") : "the near cache is off"),
    tile(validate ? duration(validate.p99) : "–", "", validate ? `p99 of ${validate.command}` : "p99"),
    tile(short(near.entries), "", `sessions in memory, ${size(near.bytes)} of ${size(near.max_bytes)}`));

  fill("nodes", status.nodes.map((node) => [
    [node.endpoint],
    [node.fault ? `${node.state}: ${node.fault}` : node.state, node.state === "ready" && !node.fault ? "good" : "bad"],
    [node.server || "–"], [duration(node.round_trip_us), "n"],
    [node.proof_age_ms === null ? "–" : `${span(Math.round(node.proof_age_ms / 1000))} ago`, "n"], [node.slots || "all"],
  ]));
  byId("informants").hidden = !status.informants.length;
  fill("informants", status.informants.map((one) => [
    [one.endpoint], [one.state, one.state === "ready" ? "good" : "bad"], [one.master || "–"],
  ]));
  fill("commands", status.latency.map((one) => [
    [one.command], [short(one.calls), "n"], [short(one.failed), one.failed ? "n bad" : "n"],
    [duration(one.p50), "n"], [duration(one.p99), "n"], [duration(one.p999), "n"],
  ]));

  byId("lately").hidden = !status.faults.length;
  fill("faults", status.faults.map((fault) => [
    [`${span(fault.last)} ago${fault.count > 1 && fault.since > fault.last ? `, since ${span(fault.since)} ago` : ""}`], [fault.place],
    [fault.remedy ? `${fault.text}: ${fault.remedy}` : fault.text, "wide"], [short(fault.count), "n"],
  ]));
  byId("warned").hidden = !status.warnings.length;
  byId("warnings").replaceChildren(...status.warnings.map((warning) => element("li", warning, "warning")));

  const tokens = Object.entries(status.tokens);
  const most = Math.max(1, ...tokens.map(([, number]) => number));
  byId("tokens").replaceChildren(...tokens.map(([name, number]) => {
    const row = element("li");
    const bar = drawing("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" });
    bar.append(drawing("rect", { width: 100 * number / most, height: 8, rx: 1, fill: "currentColor" }));
    row.append(element("span", name), bar, element("span", short(number)));
    return row;
  }));
  byId("foot").textContent =
    `up ${span(status.uptime)} · ${status.connections.resp} of ${status.connections.limit} connections of workers, ` +
    `${status.connections.http} over HTTP · rates: now, and the last fifteen minutes · read ${new Date(status.time * 1000).toLocaleTimeString()}`;
}

async function ask() {
  try {
    const answer = await fetch("/status.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    show(await answer.json());
  } catch (error) {
    const state = byId("state");
    state.className = "pill bad";
    state.textContent = "the daemon does not answer";
  }
  setTimeout(ask, 5000);
}
ask();
