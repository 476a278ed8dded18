// The script of a relay's live status page: it fetches status.json again and again and shows the
// figures.
//
// Almost all shown text comes from strangers (agents, addresses, topic names), so it enters the
// page only as text nodes and properties and never as markup. A value that is missing in an answer
// is shown as "–".

const POLL_MS = 2_000;
const ANSWER_MS_MAX = 8_000;
const RETRY_MS_MAX = 30_000;
/** The time after which an answer counts as missing, until it arrives. */
const LATE_MS = 5_000;
/**
 * The age after which the figures are marked as old, even without an error (the tab may have
 * slept).
 */
const OLD_MS = 10_000;
/** The time over which the traffic rate is averaged. */
const RATE_MS = 10_000;
/**
 * The largest number of rows in a table. The relay lists no more, and a longer table makes the page
 * slow.
 */
const ROWS_MAX = 500;
const SAMPLES_MAX = 720;
const NONE = "–";

const byId = (id) => document.getElementById(id);

// ---- Texts ----

const known = (value) => typeof value === "number" && Number.isFinite(value);

function count(value) {
  return known(value) ? value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 }) : NONE;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

function bytes(value) {
  if (!known(value)) return NONE;
  let unit = 0;
  for (; value >= 1023.5 && unit < UNITS.length - 1; unit += 1) value /= 1024;
  const whole = unit === 0 ? value >= 10 || Number.isInteger(value) : value >= 99.95;
  return `${value.toFixed(whole ? 0 : 1)} ${UNITS[unit]}`;
}

const perSecond = (format) => (value) => (known(value) ? `${format(value)}/s` : NONE);
const byteRate = perSecond(bytes);
const countRate = perSecond(count);

function duration(milliseconds) {
  if (!known(milliseconds)) return NONE;
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const units = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([size]) => seconds >= size);
  if (first < 0) return "0 s";
  const [size, name] = units[first];
  const [smaller, smallerName] = units[first + 1] ?? [size, name];
  const rest = Math.floor((seconds % size) / smaller);
  return `${Math.floor(seconds / size)} ${name}${rest ? ` ${rest} ${smallerName}` : ""}`;
}

function roundTrip(milliseconds) {
  return known(milliseconds) ? `${milliseconds.toFixed(milliseconds < 9.95 ? 1 : 0)} ms` : NONE;
}

/** The local time of day, with the date when it is not today's. */
function clock(at) {
  if (!known(at) || Number.isNaN(new Date(at).getTime())) return NONE;
  const date = new Date(at);
  const time = date.toLocaleTimeString("en-GB");
  return date.toDateString() === new Date().toDateString() ? time : `${date.toLocaleDateString("en-CA")} ${time}`;
}

/** Characters that are invisible, or that reverse the direction of the text after them. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/**
 * Cleans a text of a stranger: bounded length, no invisible characters. The agent of a browser can
 * be long.
 */
function plain(value, lengthMax = 500) {
  if (typeof value !== "string" || value === "") return NONE;
  const text = value.slice(0, lengthMax).replace(UNSEEN, "\ufffd");
  return value.length > lengthMax ? `${text}…` : text;
}

/**
 * Shortens an id. Ids of one key type begin with the same characters, so more of the end is kept.
 */
function short(id) {
  const text = plain(id);
  return text.length > 18 ? `${text.slice(0, 6)}…${text.slice(-8)}` : text;
}

// ---- Elements ----

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function makeSvg(tag, attributes = {}, text = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  return node;
}

/** Sets the text only when it changed, so that selections and screen readers are not disturbed. */
function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function objects(list, lengthMax) {
  return Array.isArray(list) ? list.filter((item) => item && typeof item === "object").slice(0, lengthMax) : [];
}

// ---- Copying ----

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

/**
 * Copies by selection, because a page over plain HTTP has no access to the clipboard interface.
 */
function copySelected(text) {
  const before = document.activeElement;
  const area = make("textarea", { value: text, className: "unseen", readOnly: true });
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  before?.focus({ preventScroll: true });
  return copied;
}

let sayingEnds = 0;

function say(text) {
  put(byId("said"), text);
  byId("said").classList.add("shown");
  clearTimeout(sayingEnds);
  sayingEnds = setTimeout(() => byId("said").classList.remove("shown"), 2_000);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = button.dataset.copy;
  const name = text.length > 40 ? `${plain(text.slice(0, 18))}…${plain(text.slice(-8))}` : plain(text);
  say((await copy(text)) ? `Copied ${name}` : "The browser did not let this page copy");
});

// ---- Tables ----

/** Compares two values; unknown values come last in both directions. */
function compare(left, right, direction) {
  const unknown = (value) => value === null || value === undefined || Number.isNaN(value);
  if (unknown(left) || unknown(right)) return unknown(left) - unknown(right);
  return left === right ? 0 : (left < right ? -1 : 1) * direction;
}

/**
 * A table whose rows are kept and updated in place. A column has a `label`, a `kind` (classes:
 * "id", "text", "text ends" for text that is shortened at its beginning, or "number"), `text(row)` to show, `value(row)` to sort by, and `full(row)`: the
 * whole text, which an id copies and a shortened text shows as its title.
 */
class Table {
  constructor(place, { columns, keyOf, sort, nothing, wanted = () => true }) {
    Object.assign(this, { columns, keyOf, sort, nothing, wanted, rows: [], lines: new Map() });
    this.body = make("tbody");
    this.headings = columns.map((column) => this.makeHeading(column));
    const table = make("table", {}, make("thead", {}, make("tr", {}, ...this.headings)), this.body);
    this.frame = make("div", { className: "card scroll", tabIndex: 0, role: "region" }, table);
    for (const node of [table, this.frame]) node.setAttribute("aria-labelledby", place.querySelector("h2").id);
    this.empty = make("p", { className: "nothing" });
    place.append(this.frame, this.empty);
  }

  makeHeading(column) {
    const button = make("button", { type: "button" }, column.label);
    button.addEventListener("click", () => this.sortBy(column));
    return make("th", { scope: "col", className: column.kind }, button);
  }

  sortBy({ label, kind }) {
    const first = kind === "number" ? -1 : 1;
    this.sort = { by: label, direction: this.sort.by === label ? -this.sort.direction : first };
    this.show(this.rows);
  }

  /** Shows those of the rows that match the filter, and returns their number. */
  show(rows) {
    this.rows = rows;
    const { by, direction } = this.sort;
    const sorted = direction > 0 ? "ascending" : "descending";
    this.columns.forEach(({ label }, index) => (this.headings[index].ariaSort = label === by ? sorted : "none"));
    const { value } = this.columns.find(({ label }) => label === by);
    const wanted = rows.filter(this.wanted).sort((a, b) =>
      compare(value(a), value(b), direction) || compare(this.keyOf(a), this.keyOf(b), 1));
    this.place(wanted);
    this.frame.hidden = wanted.length === 0;
    this.empty.hidden = wanted.length > 0;
    put(this.empty, this.nothing(rows.length));
    return wanted.length;
  }

  place(rows) {
    const lines = new Map();
    for (const row of rows) {
      let key = this.keyOf(row);
      while (lines.has(key)) key += "+";
      lines.set(key, this.fill(this.lines.get(key) ?? make("tr", {}, ...this.columns.map(makeCell)), row));
    }
    for (const [key, line] of this.lines) if (!lines.has(key)) line.remove();
    this.lines = lines;
    const focused = document.activeElement;
    let next = this.body.firstChild;
    for (const line of lines.values()) {
      if (line === next) next = next.nextSibling;
      else this.body.insertBefore(line, next);
    }
    if (focused !== document.activeElement && this.body.contains(focused)) focused.focus({ preventScroll: true });
  }

  fill(line, row) {
    this.columns.forEach((column, index) => fillCell(line.children[index], column, row));
    return line;
  }
}

function makeCell(column, index) {
  const cell = index === 0 ? make("th", { scope: "row" }) : make("td");
  cell.className = column.kind;
  if (column.kind === "id") cell.append(make("button", { type: "button" }));
  // The cell is laid out from right to left, and its text is not.
  if (column.kind === "text ends") cell.append(make("bdi", { dir: "ltr" }));
  return cell;
}

function fillCell(cell, column, row) {
  const text = column.text(row);
  const node = cell.firstElementChild ?? cell;
  put(node, text);
  cell.classList.toggle("none", text === NONE || text === "no");
  if (!column.full) return;
  const full = column.full(row);
  const title = text === NONE ? "" : plain(full, 1_000);
  if (node.title !== title) node.title = title;
  if (column.kind === "id" && node.dataset.copy !== full) {
    node.dataset.copy = full;
    node.ariaLabel = `Copy ${text}`;
  }
}

const idColumn = (label, field) => {
  const full = (row) => String(row[field]);
  return { label, kind: "id", value: full, text: (row) => short(row[field]), full };
};
const numberColumn = (label, number, format = count) => {
  const value = (row) => (known(number(row)) ? number(row) : null);
  return { label, kind: "number", value, text: (row) => format(value(row)) };
};
const textColumn = (label, field, show = plain) => {
  const full = (row) => row[field];
  return { label, kind: "text", value: full, text: (row) => show(row[field]), full };
};

/** The relay's clock at the last answer; ages are computed with it, not with the local clock. */
let relayNow = 0;
const age = (at) => (known(at) && known(relayNow) ? relayNow - at : null);

const TRANSPORTS = new Map([["websocket", "WebSocket"], ["tcp", "TCP"], ["quic", "QUIC"], ["webrtc", "WebRTC"]]);
const transportName = (transport) => TRANSPORTS.get(transport) ?? plain(transport);

const filterWords = () => byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);

function peerWanted(peer) {
  const text = [peer.id, peer.agent, peer.transport, peer.address].join("\n").toLowerCase();
  return filterWords().every((word) => text.includes(word));
}

const peers = new Table(byId("peers"), {
  columns: [
    idColumn("Peer", "id"),
    textColumn("Agent", "agent"),
    textColumn("Transport", "transport", transportName),
    textColumn("Address", "address"),
    numberColumn("Connected", (peer) => age(peer.connectedAt), duration),
    numberColumn("Round trip", (peer) => peer.rttMs, roundTrip),
    textColumn("Reserved", "reserved", (reserved) => ({ true: "yes", false: "no" })[reserved] ?? NONE),
    numberColumn("Received", (peer) => peer.receivedBytes, bytes),
    numberColumn("Sent", (peer) => peer.sentBytes, bytes),
  ],
  keyOf: (peer) => String(peer.id),
  sort: { by: "Connected", direction: 1 },
  nothing: (all) => (all ? `No peer matches “${plain(byId("filter").value)}”.` : "Nobody is connected."),
  wanted: peerWanted,
});

const openCircuits = new Table(byId("open-circuits"), {
  columns: [
    idColumn("From", "from"),
    idColumn("To", "to"),
    numberColumn("Open for", (circuit) => age(circuit.openedAt), duration),
  ],
  keyOf: (circuit) => `${circuit.from} ${circuit.to} ${circuit.openedAt}`,
  sort: { by: "Open for", direction: 1 },
  nothing: () => "No circuit is open.",
});

const topics = new Table(byId("topics"), {
  columns: [
    // Names of one program begin alike, and differ at their end: the room and its topic.
    { ...textColumn("Topic", "name", (name) => (name === "" ? "“”" : plain(name))), kind: "text ends" },
    numberColumn("Subscribers", (topic) => topic.subscribers),
    numberColumn("Messages", (topic) => topic.messages),
    numberColumn("Bytes", (topic) => topic.bytes, bytes),
    numberColumn("Dropped", (topic) => topic.dropped),
  ],
  keyOf: (topic) => String(topic.name),
  sort: { by: "Messages", direction: -1 },
  nothing: () => "Nobody has subscribed to a topic.",
});

// ---- Charts ----

const MINUTE_MS = 60_000;
/**
 * The time spans of a chart. The shortest span that holds all samples is drawn, so that a young
 * chart is not a dot in an empty hour.
 */
const SPANS_MS = [2, 5, 10, 15, 20, 30, 45, 60].map((minutes) => minutes * MINUTE_MS);

/**
 * Converts samples to points with rates in place of counters. A counter that decreased (a restart)
 * or a gap between samples gives no rate, and `follows` is false then: no line is drawn across.
 */
function pointsOf(history) {
  const holeMs = 3_000 * (known(history?.intervalSeconds) ? history.intervalSeconds : 5);
  const samples = objects(history?.samples, SAMPLES_MAX).filter((sample) => known(sample.at));
  return samples.map((sample, index) => {
    const before = samples[index - 1];
    const gapMs = before ? sample.at - before.at : 0;
    const follows = gapMs > 0 && gapMs <= holeMs;
    const rate = (name) => {
      const more = follows ? sample[name] - before[name] : NaN;
      return more >= 0 ? (more * 1000) / gapMs : null;
    };
    return { ...sample, follows, received: rate("receivedBytes"), sent: rate("sentBytes"), messages: rate("messages") };
  });
}

/** The smallest of 1, 2, 5, 10, 20, … that is not below `least`. */
function decimalStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least);
}
const countStep = (most) => decimalStep(Math.max(most, 4) / 4);
const messageStep = (most) => decimalStep(Math.max(most, 1) / 4);
const byteStep = (most) => 2 ** Math.ceil(Math.log2(Math.max(most, 1024) / 3));

/** The time that all charts show in their legends; `null` shows the latest values. */
let readAt = null;
let points = [];

function read(at) {
  readAt = at;
  for (const chart of charts) chart.read();
}

class Chart {
  /**
   * A series has a `label`, the `field` of a point, and a `className` that sets its colour; `below`
   * draws it downwards.
   */
  constructor({ title, series, format, step }) {
    Object.assign(this, { series, format, step });
    this.svg = makeSvg("svg", { tabindex: 0, role: "slider", "aria-label": `${title}, over time` });
    this.when = make("span", { className: "soft" });
    this.values = series.map(() => make("b"));
    const legend = series.map(({ label, className }, index) =>
      make("li", { className }, make("i"), `${label} `, this.values[index]));
    this.figure = make("figure", { className: "card chart" },
      make("figcaption", {}, make("h3", {}, title), this.when), make("ul", {}, ...legend), this.svg);
    this.listen();
  }

  listen() {
    const point = (event) => {
      const nearest = this.nearest(event.clientX - this.svg.getBoundingClientRect().left);
      if (nearest) read(nearest.at);
    };
    this.svg.addEventListener("pointermove", point);
    this.svg.addEventListener("pointerdown", point);
    this.svg.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && read(null));
    this.svg.addEventListener("blur", () => read(null));
    this.svg.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const last = points.length - 1;
    const from = readAt === null ? last : points.findIndex((point) => point.at === readAt);
    const to = {
      ArrowLeft: from - 1, ArrowDown: from - 1, ArrowRight: from + 1, ArrowUp: from + 1,
      PageDown: from - 12, PageUp: from + 12, Home: 0, End: last, Escape: null,
    }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    read(to === null ? null : points[Math.min(last, Math.max(0, to))].at);
  }

  nearest(x) {
    if (!this.x) return null;
    const distance = (point) => Math.abs(this.x(point.at) - x);
    return points.reduce((best, point) => (best && distance(best) <= distance(point) ? best : point), null);
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.svg;
    if (!width) return;
    const parts = points.length ? [...this.drawScales(width, height), ...this.series.flatMap((one) => this.drawSeries(one))] : [];
    this.cursor = makeSvg("g", { class: "cursor" });
    const empty = makeSvg("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "Nothing yet");
    this.svg.replaceChildren(...(points.length ? parts : [empty]), this.cursor);
    this.read();
  }

  /** Sets the functions `x` and `y`, and draws the grid lines and labels. */
  drawScales(width, height) {
    const most = Math.max(0, ...points.flatMap((point) => this.series.map(({ field }) => point[field])).filter(known));
    const step = this.step(most);
    const steps = Math.max(1, Math.ceil(most / step), Math.ceil(1 / step));
    const lowest = this.series.some(({ below }) => below) ? -steps : 0;
    const ticks = Array.from({ length: steps - lowest + 1 }, (_, index) => (lowest + index) * step);
    const label = (tick) => this.format(Math.abs(tick)).replace(".0 ", " ");
    const left = 10 + 6.3 * Math.max(...ticks.map((tick) => label(tick).length));
    const [top, bottom, right] = [8, height - 20, width - 6];
    this.y = (value) => bottom - ((value / step - lowest) / (steps - lowest)) * (bottom - top);
    this.zero = this.y(0);
    this.edges = { left, right, top, bottom };
    const lines = ticks.flatMap((tick) => [
      makeSvg("path", { class: tick === 0 ? "zero" : "grid", d: `M${left},${this.y(tick)}H${right}` }),
      makeSvg("text", { x: left - 6, y: this.y(tick) + 4, "text-anchor": "end" }, label(tick)),
    ]);
    return [...lines, ...this.drawTimes()];
  }

  drawTimes() {
    const { left, right, bottom } = this.edges;
    const last = points.at(-1).at;
    const span = SPANS_MS.find((ms) => ms >= last - points[0].at) ?? last - points[0].at;
    this.x = (at) => right - ((last - at) / span) * (right - left);
    const apart = [1, 2, 5, 10, 15, 30, 60, 360].map((minutes) => minutes * MINUTE_MS)
      .find((ms) => ((right - left) * ms) / span >= 56) ?? span;
    const labels = [];
    for (let at = Math.ceil((last - span) / apart) * apart; at <= last; at += apart) {
      const x = this.x(at);
      if (x < left + 12 || x > right - 14) continue;
      labels.push(makeSvg("path", { class: "grid", d: `M${x},${bottom}v4` }));
      const time = new Date(at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
      labels.push(makeSvg("text", { x, y: bottom + 16, "text-anchor": "middle" }, time));
    }
    return labels;
  }

  drawSeries({ field, className, below, filled }) {
    const runs = [];
    let before = null;
    for (const point of points) {
      const value = point[field];
      const place = known(value) ? [this.x(point.at), this.y(below ? -value : value)].map((n) => n.toFixed(1)) : null;
      if (place && before && point.follows) runs.at(-1).push(place);
      else if (place) runs.push([place]);
      before = place;
    }
    // The command "h0" makes a single point visible as a dot.
    const line = runs.map((run) => `M${run.join("L")}h0`).join("");
    const area = runs.map((run) => `M${run[0][0]},${this.zero}L${run.join("L")}V${this.zero}Z`).join("");
    const paths = [makeSvg("path", { class: `line ${className}`, d: line })];
    if (filled) paths.unshift(makeSvg("path", { class: `area ${className}`, d: area }));
    return paths;
  }

  /** Writes the values at the selected time into the legend, and marks them in the drawing. */
  read() {
    const point = points.find(({ at }) => at === readAt) ?? points.at(-1);
    const texts = this.series.map(({ field }) => this.format(point?.[field]));
    texts.forEach((text, index) => put(this.values[index], text));
    put(this.when, point ? clock(point.at) : "");
    this.describe(point, texts);
    this.mark(readAt === null ? null : point);
  }

  /**
   * Tells screen readers only values that the user selected: while the chart has the focus, new
   * values are not announced.
   */
  describe(point, texts) {
    if (readAt === null && document.activeElement === this.svg) return;
    const said = this.series.map(({ label }, index) => `${label} ${texts[index]}`).join(", ");
    this.svg.setAttribute("aria-valuemin", 0);
    this.svg.setAttribute("aria-valuemax", Math.max(0, points.length - 1));
    this.svg.setAttribute("aria-valuenow", Math.max(0, points.indexOf(point)));
    this.svg.setAttribute("aria-valuetext", point ? `${clock(point.at)}: ${said}` : "nothing yet");
  }

  mark(point) {
    if (!this.cursor) return;
    if (!point) return this.cursor.replaceChildren();
    const x = this.x(point.at);
    const dots = this.series.filter(({ field }) => known(point[field])).map(({ field, below, className }) =>
      makeSvg("circle", { class: className, cx: x, cy: this.y(below ? -point[field] : point[field]), r: 3.5 }));
    const line = makeSvg("path", { d: `M${x},${this.edges.top}V${this.edges.bottom}` });
    this.cursor.replaceChildren(line, ...dots);
  }
}

const charts = [
  new Chart({
    title: "Traffic", format: byteRate, step: byteStep,
    series: [
      { label: "in", field: "received", className: "a", filled: true },
      { label: "out", field: "sent", className: "b", filled: true, below: true },
    ],
  }),
  new Chart({
    title: "Held and open", format: count, step: countStep,
    series: [
      { label: "connections", field: "connections", className: "c" },
      { label: "reservations", field: "reservations", className: "a" },
      { label: "circuits", field: "circuits", className: "b" },
    ],
  }),
  new Chart({
    title: "Gossip messages", format: countRate, step: messageStep,
    series: [{ label: "messages", field: "messages", className: "c", filled: true }],
  }),
];

byId("charts").append(...charts.map((chart) => chart.figure));
new ResizeObserver(() => charts.forEach((chart) => chart.draw())).observe(byId("charts"));
document.addEventListener("pointerdown", (event) => {
  if (readAt !== null && !event.target.closest(".chart svg")) read(null);
});

function showHistory(history) {
  const fresh = pointsOf(history);
  const same = fresh.length === points.length && fresh.at(-1)?.at === points.at(-1)?.at;
  points = fresh;
  const covered = points.length > 1 ? `the last ${duration(points.at(-1).at - points[0].at)}` : "";
  put(byId("charts-covered"), covered);
  if (!same || !charts[0].cursor) for (const chart of charts) chart.draw();
}

// ---- Figures ----

/** The counters in the answers of the last RATE_MS, oldest first. */
let heard = [];

/** The bytes per second, in and out; `null` when there are fewer than two answers. */
function rates(status) {
  const latest = { at: status.now, in: status.traffic?.receivedBytes, out: status.traffic?.sentBytes };
  heard = heard.filter((one) => latest.at - one.at <= RATE_MS && latest.at > one.at && latest.in >= one.in && latest.out >= one.out);
  heard.push(latest);
  const seconds = (latest.at - heard[0].at) / 1000;
  if (seconds > 0) return { in: (latest.in - heard[0].in) / seconds, out: (latest.out - heard[0].out) / seconds };
  const sampled = points.at(-1);
  const recent = sampled && Math.abs(latest.at - sampled.at) <= RATE_MS;
  return { in: recent ? sampled.received : null, out: recent ? sampled.sent : null };
}

function showBounded(id, value, limit) {
  put(byId(id), count(value));
  put(byId(`${id}-bound`), known(limit) ? `of ${count(limit)}` : "");
  const meter = byId(`${id}-meter`);
  meter.hidden = !(known(value) && limit > 0);
  if (!meter.hidden) Object.assign(meter, { max: limit, high: 0.9 * limit, optimum: 0, value });
}

function showFigures(status) {
  const { limits = {}, reservations = {}, circuits = {}, traffic = {} } = status;
  showBounded("connections", status.connections, limits.connections);
  showBounded("held", reservations.held, limits.reservations);
  showBounded("circuits", circuits.open, limits.circuits);
  const refused = Object.values(reservations.refused ?? {}).reduce((sum, one) => sum + one, 0);
  put(byId("held-more"), `${count(reservations.accepted)} accepted, ${count(reservations.renewed)} renewed, ${count(refused)} refused`);
  put(byId("circuits-more"), `${count(circuits.opened)} opened, ${count(circuits.refused)} refused`);
  const rate = rates(status);
  put(byId("rate-in"), byteRate(rate.in));
  put(byId("rate-out"), byteRate(rate.out));
  put(byId("traffic-more"), `${bytes(traffic.receivedBytes)} in, ${bytes(traffic.sentBytes)} out in all`);
}

/** Shows the number of connections by transport, as long as the list holds all connections. */
function showTransports(list) {
  const times = new Map();
  for (const { transport } of list) times.set(transport, (times.get(transport) ?? 0) + 1);
  const parts = [...times].sort((a, b) => b[1] - a[1]).map(([transport, number]) => `${count(number)} ${transportName(transport)}`);
  put(byId("connections-more"), list.length < ROWS_MAX ? parts.join(", ") : "");
}

const REFUSALS = new Map([
  ["full", ["Full", "All places were taken."]],
  ["address", ["Address", "Its network address held as many places as one may."]],
  ["not-allowed", ["Not allowed", "The relay is closed, and the peer was neither named nor showed a token."]],
  ["too-often", ["Too often", "The peer asked again too soon."]],
]);

function showRefused(refused) {
  const some = Object.entries(refused ?? {}).filter(([, times]) => times > 0);
  byId("refused").hidden = some.length === 0;
  const rows = some.map(([reason, times]) => {
    const [name, meaning] = REFUSALS.get(reason) ?? [plain(reason), NONE];
    return make("tr", {}, make("th", { scope: "row" }, name), make("td", { className: "number" }, count(times)), make("td", {}, meaning));
  });
  byId("refused-rows").replaceChildren(...rows);
}

// ---- How to connect ----

function showAddresses(place, list, nothing) {
  const addresses = (Array.isArray(list) ? list : []).filter((one) => typeof one === "string").slice(0, ROWS_MAX);
  const text = addresses.join("\n");
  if (place.dataset.shown === text) return;
  place.dataset.shown = text;
  const lines = addresses.map((address) => {
    const button = make("button", { type: "button", ariaLabel: `Copy ${plain(address)}` }, "Copy");
    button.dataset.copy = address;
    return make("li", {}, make("code", {}, plain(address, 1_000)), button);
  });
  place.replaceChildren(...(lines.length ? lines : [make("li", { className: "soft" }, nothing)]));
}

function showConnect({ addresses, limits = {}, peerId }) {
  byId("own").hidden = typeof peerId !== "string";
  put(byId("peer-id"), plain(peerId));
  byId("peer-id-copy").dataset.copy = String(peerId);
  showAddresses(byId("browsers"), addresses?.browsers, "No address that browsers can use.");
  showAddresses(byId("programs"), addresses?.programs, "No address for programs.");
  const carries = known(limits.circuitBytes) ? bytes(limits.circuitBytes).replace(".0 ", " ") : "any number of bytes";
  const lasts = known(limits.circuitSeconds) ? duration(limits.circuitSeconds * 1000) : "any time";
  put(byId("terms"), `A reservation is held for ${duration(limits.reservationSeconds * 1000)} and can be renewed. A circuit may carry ${carries} and last ${lasts}.`);
}

// ---- Updating the page ----

let firstVersion = null;

function showLists(status) {
  const list = objects(status.peers, ROWS_MAX);
  showTransports(list);
  const wanted = peers.show(list);
  const listed = list.length < ROWS_MAX ? count(list.length) : `the first ${count(list.length)}`;
  put(byId("peers-count"), filterWords().length ? `${count(wanted)} of ${listed}` : listed);
  const circuits = openCircuits.show(objects(status.openCircuits, ROWS_MAX));
  put(byId("open-circuits-count"), status.circuits?.open > circuits ? `${count(circuits)} of ${count(status.circuits.open)}` : count(circuits));
  const named = topics.show(objects(status.topics, ROWS_MAX));
  put(byId("topics-count"), named < ROWS_MAX ? count(named) : `the first ${count(named)}`);
}

function show(status) {
  relayNow = status.now;
  // Reloads the page when the relay's version changes, because another version has another page.
  firstVersion ??= status.version;
  if (status.version !== firstVersion) location.reload();
  put(byId("name"), plain(status.name));
  put(byId("version"), plain(status.version));
  put(byId("up"), `up ${duration(age(status.startedAt))}`);
  put(byId("as-of"), `As of ${clock(status.now)} by the relay's clock.`);
  byId("main").hidden = false;
  showConnect(status);
  showHistory(status.history);
  showFigures(status);
  showRefused(status.reservations?.refused);
  showLists(status);
}

// ---- Requests ----

let latest = null;
let answeredAt = null;
/** The time of the first request that has no answer; `null` while the relay answers. */
let unansweredAt = null;
/** The reason why the last request failed. */
let trouble = null;
let failures = 0;
let asking = false;
let nextAt = 0;
let timer = 0;

async function fetchStatus() {
  const signal = AbortSignal.timeout(ANSWER_MS_MAX);
  const response = await fetch("status.json", { cache: "no-store", signal }).catch((error) => {
    throw new Error(error.name === "TimeoutError" ? `no answer within ${duration(ANSWER_MS_MAX)}` : "no connection");
  });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  const status = await response.json().catch((error) => {
    throw new Error(error.name === "SyntaxError" ? "the answer is not JSON" : "the answer broke off");
  });
  if (!status || typeof status !== "object" || !known(status.now)) throw new Error("the answer is not a relay's status");
  return status;
}

async function ask() {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  unansweredAt ??= Date.now();
  try {
    latest = await fetchStatus();
    answeredAt = Date.now();
    [unansweredAt, trouble, failures] = [null, null, 0];
  } catch (error) {
    trouble = error.message;
    failures += 1;
  }
  asking = false;
  const wait = failures ? Math.min(POLL_MS * 2 ** (failures - 1), RETRY_MS_MAX) : POLL_MS;
  nextAt = Date.now() + wait;
  if (!document.hidden) timer = setTimeout(ask, wait);
  if (!failures) show(latest);
  showState();
}

function showState() {
  const now = Date.now();
  const silent = unansweredAt !== null && (trouble !== null || now - unansweredAt > LATE_MS);
  const old = answeredAt !== null && now - answeredAt > OLD_MS;
  document.body.classList.toggle("silent", silent);
  document.body.classList.toggle("answering", !silent && answeredAt !== null);
  document.body.classList.toggle("stale", silent || old);
  const answers = answeredAt === null ? "Asking the relay" : "Answering";
  put(byId("state"), silent ? `Not answering since ${clock(unansweredAt)}` : answers);
  byId("up").hidden = silent;
  byId("trouble").hidden = !silent;
  if (silent) put(byId("trouble-text"), troubleText(now));
  const name = latest ? plain(latest.name) : "Peerwork relay";
  document.title = silent ? `Not answering: ${name}` : name;
}

function troubleText(now) {
  const why = trouble === null ? "" : ` (${trouble})`;
  const next = asking ? "Asking." : `Next try in ${duration(nextAt - now + 999)}.`;
  const shown = answeredAt === null ? "" : ` What is shown is from ${clock(answeredAt)}, ${duration(now - answeredAt)} ago.`;
  return `No answer since ${clock(unansweredAt)}${why}.${shown} ${next}`;
}

byId("ask").addEventListener("click", ask);
byId("filter").addEventListener("input", () => {
  // The number of peers is announced to screen readers while the user filters, and not when peers
  // come and go.
  byId("peers-count").ariaLive = "polite";
  if (latest) showLists(latest);
});
byId("filter").addEventListener("blur", () => (byId("peers-count").ariaLive = "off"));
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : ask()));
setInterval(showState, 1_000);
ask();
