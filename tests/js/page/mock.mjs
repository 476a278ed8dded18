// A mock relay serves the status page and a status.json that changes over time. `GET
// /mock?scenario=NAME` changes the scenario.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
const PAGE = new URL("../../../crates/peerwork-api/src/front/page", import.meta.url).pathname;
const CSP = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'";
const B58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
let seed = 7;
const rnd = () => ((seed = (seed * 1664525 + 1013904223) >>> 0) / 2 ** 32);
const pick = (a) => a[Math.floor(rnd() * a.length)];
const id = (p = "12D3KooW", n = 52) => p + Array.from({ length: n - p.length }, () => pick(B58)).join("");
const RELAY = id("16Uiu2HA", 53);
const started = Date.now() - 93_784_000;
const AGENTS = ["js-libp2p/3.3.11 browser/Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36", "js-libp2p/3.3.11 node/v22.3.0", "peerwork/0.1.0", "rust-libp2p/0.46.0", null, "go-libp2p/0.38"];
export const HOSTILE = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\u202egnol`;
function peer(i, now) {
  const transport = pick(["websocket", "websocket", "tcp", "quic", "webrtc", "circuit"]);
  return { id: id(), agent: pick(AGENTS), transport, address: rnd() < 0.1 ? null : `/ip4/203.0.113.${i % 256}/tcp/${1024 + i}${transport === "websocket" ? "/ws" : ""}`, connectedAt: now - Math.floor(rnd() ** 3 * 9e7), rttMs: rnd() < 0.15 ? null : rnd() ** 2 * 300, reserved: rnd() < 0.4, receivedBytes: Math.floor(rnd() ** 5 * 3e9), sentBytes: Math.floor(rnd() ** 5 * 3e9) };
}
export const state = { scenario: "many", asked: 0 };
let peers = [], history = [], traffic = { r: 0, s: 0, m: 0 }, last = 0;
function build(scenario) {
  const now = Date.now();
  seed = 7;
  const n = { none: 0, few: 3, hostile: 4, many: 120, full: 500 }[scenario] ?? 120;
  peers = Array.from({ length: n }, (_, i) => peer(i, now));
  if (scenario === "hostile") {
    peers[0].agent = HOSTILE; peers[1].agent = "x".repeat(5000) + "\n\u0000"; peers[2].id = `"><b>id</b>`; peers[2].address = "javascript:alert(1)";
    peers[3].agent = "Z̷̢͉̐a̸͙̓l̵̡͐g̷̗͝o̴̤͛".repeat(20); peers[3].transport = "<i>carrier pigeon</i>"; peers[3].rttMs = "12"; peers[3].receivedBytes = null; delete peers[3].sentBytes;
  }
  traffic = { r: 3.1e9, s: 3.2e9, m: 5000 };
  history = [];
  if (scenario === "none") { traffic = { r: 0, s: 0, m: 0 }; for (let i = 20; i >= 0; i--) history.push({ at: now - i * 5000, connections: 0, reservations: 0, circuits: 0, receivedBytes: 0, sentBytes: 0, messages: 0 }); return; }
  const m = scenario === "few" ? 70 : 720;
  for (let i = m - 1; i >= 0; i--) {
    const t = (m - i) / m, wave = 1 + Math.sin(t * 9) * 0.5 + rnd() * 0.7;
    step(5, n, wave);
    if (scenario === "many" && i === 400) traffic = { r: 0, s: 0, m: 0 };
    if (scenario === "many" && i > 200 && i < 230) continue;
    history.push(sample(now - i * 5000, n, wave));
  }
}
function step(seconds, n, wave) { const d = seconds * n * 16e3 * wave * (rnd() < 0.03 ? 3 : 1); traffic.r += Math.floor(d); traffic.s += Math.floor(d * 0.97); traffic.m += Math.floor(seconds * n * 0.4 * wave); }
const sample = (at, n, wave) => ({ at, connections: Math.round(n * (0.7 + 0.3 * wave / 2)), reservations: Math.round(n * 0.3 * (0.8 + wave / 5)), circuits: Math.round(n * 0.15 * wave), receivedBytes: traffic.r, sentBytes: traffic.s, messages: traffic.m });
function status() {
  const now = Date.now(), n = peers.length, s = state.scenario;
  if (last && n) step((now - last) / 1000, n, 1 + rnd() * 0.4);
  last = now;
  if (now - (history.at(-1)?.at ?? 0) >= 5000) { history.push(n ? sample(now, n, 1) : { ...history.at(-1), at: now }); history = history.slice(-720); }
  for (const p of peers) if (rnd() < 0.3 && typeof p.receivedBytes === "number") { p.receivedBytes += Math.floor(rnd() * 90000); p.sentBytes += Math.floor(rnd() * 90000); }
  const circuits = Array.from({ length: Math.floor(n / 6) }, (_, i) => ({ from: peers[i].id, to: peers[n - 1 - i].id, openedAt: now - (state.age ??= 1000) - i * 9000 }));
  const topics = n ? [{ name: "room", subscribers: 3, messages: 10, bytes: 1000, dropped: 0 }, { name: "peerwork/main/directory/1", subscribers: n, messages: traffic.m, bytes: traffic.m * 340, dropped: 12 }] : [];
  if (s === "hostile") topics.push({ name: "</table><h1>own</h1>".repeat(40), subscribers: 1, messages: 2, bytes: 3, dropped: 99 }, { name: "", subscribers: 0, messages: 0, bytes: 0, dropped: 0 }, { name: "مرحبا \u202e غرفة", subscribers: 1, messages: 1, bytes: 9, dropped: 0 });
  if (s === "many" || s === "full") for (const part of ["presence", "topic/news", "state/board"]) for (const room of ["garden", "kitchen"]) topics.push({ name: `peerwork/room/a-house-with-a-long-name/${room}/${part}`, subscribers: 2, messages: 5, bytes: 900, dropped: 0 });
  if (s === "many" || s === "full") for (let i = 0; i < 30; i++) topics.push({ name: `chat/${i}`, subscribers: i % 7, messages: i * 31, bytes: i * 31 * 800, dropped: i % 5 ? 0 : i });
  const held = peers.filter((p) => p.reserved).length;
  return { name: "peerwork relay", version: state.version ?? "0.1.0", peerId: RELAY, startedAt: started, now,
    addresses: { browsers: s === "none" ? [] : [`/ip4/192.0.2.1/tcp/9090/ws/p2p/${RELAY}`, `/dns4/relay.example.org/tcp/443/tls/ws/p2p/${RELAY}`], programs: [`/ip4/192.0.2.1/tcp/9091/p2p/${RELAY}`, `/ip4/192.0.2.1/udp/9091/quic-v1/p2p/${RELAY}`] },
    limits: { reservations: s === "full" ? Math.round(held * 1.05) : 100, reservationSeconds: 3600, circuitBytes: s === "few" ? null : 52428800, circuitSeconds: s === "few" ? null : 600, circuits: 8192, connections: 8192 },
    connections: s === "full" ? 3127 : n, traffic: { receivedBytes: traffic.r, sentBytes: traffic.s },
    reservations: { held, accepted: held * 3, renewed: held * 11, refused: n > 100 ? { full: 41, address: 7, "not-allowed": 0, "too-often": 1234 } : { full: 0, address: 0, "not-allowed": 0, "too-often": 0 } },
    circuits: { open: s === "full" ? 812 : circuits.length, opened: n * 13, refused: n > 100 ? 19 : 0 }, peers, openCircuits: circuits, topics, history: { intervalSeconds: 5, samples: history } };
}
export function set(scenario) { if (!["down", "500", "garbage", "slow"].includes(scenario)) build(scenario); state.scenario = scenario; last = 0; }
set("many");
export const server = createServer((request, response) => {
  const url = new URL(request.url, "http://x");
  const head = { "content-security-policy": CSP, "x-content-type-options": "nosniff", "cache-control": "no-store" };
  const file = { "/": ["index.html", "text/html"], "/page.css": ["page.css", "text/css"], "/page.js": ["page.js", "text/javascript"] }[url.pathname];
  if (url.pathname === "/mock") { set(url.searchParams.get("scenario")); return response.end("ok"); }
  if (file) { response.writeHead(200, { ...head, "content-type": `${file[1]}; charset=utf-8` }); return response.end(readFileSync(`${PAGE}/${file[0]}`)); }
  if (url.pathname !== "/status.json") { response.writeHead(url.pathname === "/favicon.ico" ? 204 : 404, head); return response.end(); }
  state.asked += 1;
  if (state.scenario === "down") return request.socket.destroy();
  if (state.scenario === "slow") return;
  response.writeHead(state.scenario === "500" ? 500 : 200, { ...head, "content-type": "application/json" });
  response.end(state.scenario === "garbage" ? "<html>" : JSON.stringify(state.change ? state.change(status()) : status()));
});
