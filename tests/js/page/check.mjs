// The script checks the status page of a relay in Chromium, with a mock relay.
//
//   node check.mjs <program of the browser>
import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { HOSTILE, server, set, state } from "./mock.mjs";

await new Promise((ok) => server.listen(0, "127.0.0.1", ok));
const url = `http://127.0.0.1:${server.address().port}/`;
const browser = await chromium.launch({ executablePath: process.argv[2], args: ["--no-sandbox"] });
let failed = 0;
async function check(name, scenario, story, options = {}) {
  if (process.env.ONLY && !name.includes(process.env.ONLY)) return;
  set(scenario); state.change = null; state.version = undefined;
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options.context });
  const page = await context.newPage();
  const noise = [];
  page.on("console", (message) => noise.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => noise.push(`error: ${error.message}`));
  page.on("request", (request) => request.url().startsWith(url) || noise.push(`foreign request: ${request.url()}`));
  if (options.before) await options.before(page);
  try {
    await page.goto(url);
    if (!options.noMain) await page.waitForSelector("#main:not([hidden])", { timeout: 10_000 });
    await story(page, (selector) => page.locator(selector).first().innerText());
    const meant = options.noise ?? /^$/;
    assert.deepEqual(noise.filter((line) => !meant.test(line)), []);
    console.log(`ok    ${name}`);
  } catch (error) { failed += 1; console.log(`FAIL  ${name}\n${error.stack}`); }
  await context.close();
}
const until = async (what, test, ms = 12_000) => {
  const end = Date.now() + ms;
  for (;;) { if (await test()) return; if (Date.now() > end) throw new Error(`waited for ${what}`); await new Promise((ok) => setTimeout(ok, 50)); }
};
const column = (page, id, index) => page.$$eval(`#${id} tbody tr`, (rows, at) => rows.map((row) => row.children[at].textContent), index);
const size = (text) => { const [n, unit] = text.split(" "); return n === "–" ? null : n * 1024 ** ["B", "KiB", "MiB", "GiB", "TiB"].indexOf(unit); };

await check("the values of the answer are shown", "many", async (page, text) => {
  const status = await (await fetch(`${url}status.json`)).json();
  assert.equal(await text("#name"), "peerwork relay");
  assert.equal(await text("#peer-id"), status.peerId);
  assert.equal(await text("#state"), "Answering");
  assert.match(await text("#up"), /^up 1 d 2 h$/);
  assert.equal(await text("#connections"), "120");
  assert.equal(await text("#connections-bound"), "of 8,192");
  assert.equal(await text("#held"), String(status.reservations.held));
  assert.equal(await page.$eval("#held-meter", (m) => m.value / m.max), status.reservations.held / 100);
  assert.equal(await text("#circuits"), String(status.circuits.open));
  assert.match(await text("#rate-in"), /^[\d.]+ [KM]iB\/s$/);
  assert.deepEqual(await page.$$eval("#browsers code", (all) => all.map((one) => one.textContent)), status.addresses.browsers);
  assert.deepEqual(await page.$$eval("#programs code", (all) => all.map((one) => one.textContent)), status.addresses.programs);
  assert.match(await text("#terms"), /held for 1 h .* carry 50 MiB and last 10 min\./);
  assert.deepEqual(await page.$$eval("#refused-rows tr", (all) => all.map((row) => row.innerText.split("\t").slice(0, 2).map((t) => t.trim()))), [["Full", "41"], ["Address", "7"], ["Too often", "1,234"]]);
  assert.equal((await column(page, "peers", 0)).length, 120);
  assert.equal((await column(page, "topics", 0))[0], "peerwork/main/directory/1");
});
await check("figures move by themselves, and rows are kept", "many", async (page, text) => {
  await page.evaluate(() => (document.querySelector("#peers tbody tr").marked = true));
  const before = [await text("#traffic-more"), state.asked];
  state.change = (status) => ({ ...status, connections: 77 });
  await until("the next answer", async () => (await text("#connections")) === "77");
  assert.equal(await page.evaluate(() => document.querySelector("#peers tbody tr").marked), true);
  assert.ok(state.asked > before[1]);
});
await check("rates are differences of two answers", "none", async (page, text) => {
  let bytes = 0, first = null;
  state.change = (status) => { first ??= status.now; bytes = (status.now - first) * 3; return { ...status, traffic: { receivedBytes: bytes * 1.024, sentBytes: bytes * 2.048 } }; };
  await until("a rate", async () => (await text("#rate-in")) === "3.0 KiB/s");
  assert.equal(await text("#rate-out"), "6.0 KiB/s");
  state.change = (status) => ({ ...status, traffic: { receivedBytes: 0, sentBytes: 0 }, history: { samples: [] } });
  await until("no rate after a restart", async () => (await text("#rate-in")) === "–");
});
await check("peers are sorted by any column, unknown last", "many", async (page) => {
  for (const [index, label, read] of [[7, "Received", size], [8, "Sent", size], [5, "Round trip", (t) => (t === "–" ? null : parseFloat(t))]]) {
    for (const direction of ["descending", "ascending"]) {
      await page.click(`#peers thead button:text-is("${label}")`);
      assert.equal(await page.getAttribute(`#peers thead th:nth-child(${index + 1})`, "aria-sort"), direction);
      assert.equal(await page.locator('#peers thead [aria-sort=ascending], #peers thead [aria-sort=descending]').count(), 1);
      const values = (await column(page, "peers", index)).map(read), knownOnes = values.filter((v) => v !== null);
      assert.deepEqual(values.slice(knownOnes.length).filter((v) => v !== null), []);
      const wanted = [...knownOnes].sort((a, b) => (direction === "ascending" ? a - b : b - a));
      assert.deepEqual(knownOnes, wanted);
    }
  }
  await page.click('#peers thead button:text-is("Agent")');
  const agents = (await column(page, "peers", 1)).filter((t) => t !== "–");
  assert.deepEqual(agents, [...agents].sort());
});
await check("the filter leaves what matches", "many", async (page, text) => {
  await page.fill("#filter", "WEBSOCKET rust");
  const rows = await page.$$eval("#peers tbody tr", (all) => all.map((row) => row.textContent));
  assert.ok(rows.length > 0 && rows.length < 60 && rows.every((row) => /WebSocket/.test(row) && /rust-libp2p/.test(row)));
  assert.equal(await text("#peers-count"), `${rows.length} of 120`);
  await page.fill("#filter", "nobody <b>");
  assert.equal(await text("#peers .nothing"), "No peer matches “nobody <b>”.");
  await page.fill("#filter", "");
  assert.equal((await column(page, "peers", 0)).length, 120);
});
await check("hostile text is shown as text", "hostile", async (page) => {
  const agents = await column(page, "peers", 1);
  assert.ok(agents.includes(HOSTILE.replace("\u202e", "\ufffd")));
  assert.ok((await column(page, "peers", 0)).includes(`"><b>id</b>`));
  assert.ok(agents.every((agent) => agent.length <= 501));
  const kinds = await page.$$eval("main *", (all) => [...new Set(all.map((one) => one.localName))].sort());
  for (const kind of ["img", "script", "h1"]) assert.ok(!kinds.includes(kind), kind);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.equal(await page.locator("main a").count(), 1);
  const peers = await column(page, "peers", 5);
  assert.ok(peers.includes("–"), "a round trip that is no number");
  assert.ok((await column(page, "topics", 0)).includes("“”"));
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false);
});
for (const [scenario, why, ms] of [["down", "no connection"], ["500", "HTTP 500"], ["garbage", "the answer is not JSON"], ["slow", "no answer within 8 s", 16_000]]) {
  await check(`an answer that fails (${scenario}) makes the page visibly stale, until the next`, "many", async (page, text) => {
    assert.equal(await page.locator("#trouble").isVisible(), false);
    const colour = () => page.$eval("#connections", (one) => getComputedStyle(one).color);
    const fresh = await colour();
    const peers = await column(page, "peers", 0);
    state.scenario = scenario;
    await until("the state", async () => /^Not answering since \d\d:\d\d:\d\d$/.test(await text("#state")), ms);
    await until("the reason", async () => (await text("#trouble-text")).includes(`(${why})`), ms);
    assert.match(await text("#trouble-text"), /^No answer since \d\d:\d\d:\d\d \(.*\)\. What is shown is from \d\d:\d\d:\d\d, \d+ s ago\. (Next try in \d+ s|Asking)\.$/);
    assert.match(await page.title(), /^Not answering/);
    assert.notEqual(await colour(), fresh);
    assert.match(await page.$eval("main", (one) => getComputedStyle(one).filter), /grayscale/);
    assert.deepEqual((await column(page, "peers", 0)).sort(), peers.sort(), "what was shown stays");
    state.scenario = "many";
    if (scenario === "slow") server.closeAllConnections();
    await until("no question under way", async () => /Next try/.test(await text("#trouble-text")));
    await page.click("#ask");
    await until("the answer", async () => (await text("#state")) === "Answering");
    assert.equal(await page.locator("#trouble").isVisible(), false);
    assert.equal(await colour(), fresh);
  }, { noise: /Failed to load resource/ });
}
await check("a relay that does not answer is asked less and less", "many", async (page) => {
  state.scenario = "down";
  const times = [];
  // Chromium itself repeats a request at once when its connection closes before the response.
  const repeated = () => Date.now() - (times.at(-1) ?? 0) < 1000;
  for (let asked = state.asked; times.length < 4; ) await until("a question", () => { if (state.asked === asked) return false; asked = state.asked; if (!repeated()) times.push(Date.now()); return true; });
  const waits = times.slice(1).map((time, index) => (time - times[index]) / 1000);
  // A busy machine asks later, never earlier.
  assert.ok([2, 4, 8].every((seconds, index) => waits[index] > seconds - 0.3 && waits[index] < seconds + 1.9), waits.join());
}, { noise: /Failed to load resource/ });
await check("a relay that never answered shows no figures", "down", async (page, text) => {
  await until("the state", async () => (await text("#state")).startsWith("Not answering since"));
  assert.equal(await page.locator("main").isVisible(), false);
  assert.doesNotMatch(await text("#trouble-text"), /What is shown/);
}, { noMain: true, noise: /Failed to load resource/ });
await check("nothing is asked while the tab is hidden", "few", async (page) => {
  const hide = (hidden) => page.evaluate((value) => { Object.defineProperty(document, "hidden", { value, configurable: true }); document.dispatchEvent(new Event("visibilitychange")); }, hidden);
  await hide(true);
  await page.waitForTimeout(300);
  const asked = state.asked;
  await page.waitForTimeout(4500);
  assert.equal(state.asked, asked);
  await hide(false);
  await until("a question", () => state.asked > asked);
});
await check("what is missing is a dash, never a number", "many", async (page, text) => {
  state.change = (status) => ({ name: "peerwork relay", now: status.now, peers: [{ id: "a" }, null, 7], topics: [{ name: "t" }], openCircuits: [{ from: "a", to: "b" }, { from: "a", to: "b" }], limits: { circuitBytes: null } });
  await until("the answer", async () => (await text("#connections")) === "–");
  for (const id of ["held", "circuits", "rate-in", "rate-out"]) assert.equal(await text(`#${id}`), "–", id);
  assert.equal(await page.locator("#connections-meter").isVisible(), false);
  assert.deepEqual(await page.$$eval("#peers tbody tr", (all) => all.map((row) => [...row.children].map((one) => one.textContent).join())), ["a,–,–,–,–,–,–,–,–"]);
  assert.equal((await column(page, "open-circuits", 0)).length, 2);
  assert.equal(await page.locator("text=/NaN|undefined|null|Infinity|Invalid/").count(), 0);
});
await check("empty lists say so; no limit is said", "none", async (page, text) => {
  assert.equal(await text("#peers .nothing"), "Nobody is connected.");
  assert.equal(await text("#open-circuits .nothing"), "No circuit is open.");
  assert.equal(await text("#topics .nothing"), "Nobody has subscribed to a topic.");
  assert.equal(await text("#browsers"), "No address that browsers can use.");
  assert.equal(await page.locator("#refused").isVisible(), false);
  state.change = (status) => ({ ...status, history: { intervalSeconds: 5, samples: [] }, limits: { ...status.limits, circuitBytes: null, circuitSeconds: null } });
  await until("the terms", async () => /carry any number of bytes and last any time/.test(await text("#terms")));
  await until("empty charts", async () => (await page.locator(".chart svg text").allTextContents()).join() === "Nothing yet,Nothing yet,Nothing yet");
});
await check("charts: gaps, hover in all, keys, end of reading", "many", async (page) => {
  const runs = (index, selector) => page.locator(".chart").nth(index).locator(selector).first().getAttribute("d").then((d) => d.split("M").length - 1);
  assert.equal(await runs(0, "path.line.a"), 3, "a restart and a hole split the rate in three");
  assert.equal(await runs(1, "path.line.a"), 2, "the hole splits what is held in two");
  const when = () => page.$$eval(".chart figcaption span", (all) => all.map((one) => one.textContent));
  const latest = await when();
  const box = await page.locator(".chart svg").nth(1).boundingBox();
  await page.mouse.move(box.x + box.width * 0.7, box.y + 50);
  const read = await when();
  assert.ok(read[0] !== latest[0] && new Set(read).size === 1, read.join());
  assert.equal(await page.locator(".cursor path").count(), 3);
  await page.mouse.move(5, 5);
  assert.equal(await page.locator(".cursor path").count(), 0);
  const svg = page.locator(".chart svg").first();
  await svg.focus();
  await page.keyboard.press("Home");
  assert.equal(await svg.getAttribute("aria-valuenow"), "0");
  await page.keyboard.press("PageUp");
  assert.equal(await svg.getAttribute("aria-valuenow"), "12");
  assert.match(await svg.getAttribute("aria-valuetext"), /^[\d: -]+: in [\d.]+ [KM]iB\/s, out [\d.]+ [KM]iB\/s$/);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator(".cursor path").count(), 0);
});
await check("a tap reads a chart, a tap elsewhere ends it", "many", async (page) => {
  await page.locator(".chart svg").first().scrollIntoViewIfNeeded();
  await page.locator(".chart svg").first().tap({ position: { x: 200, y: 60 } });
  assert.equal(await page.locator(".cursor path").count(), 3);
  await page.tap("#charts-title");
  assert.equal(await page.locator(".cursor path").count(), 0);
}, { context: { hasTouch: true, isMobile: true, viewport: { width: 390, height: 844 } } });
for (const secure of [true, false]) {
  await check(`ids and addresses are copied in full (${secure ? "clipboard" : "plain http"})`, "many", async (page, text) => {
    const pasted = async (selector) => {
      const want = await page.locator(selector).first().getAttribute("data-copy");
      await page.locator(selector).first().click();
      await until("word of it", async () => (await text("#said")).startsWith("Copied"));
      await page.waitForTimeout(100);
      await page.fill("#filter", ""); await page.focus("#filter"); await page.keyboard.press("Control+V");
      assert.equal(await page.inputValue("#filter"), want);
      await page.fill("#filter", "");
      return want;
    };
    assert.match(await pasted("#peer-id-copy"), /^16Uiu2HA/);
    assert.match(await pasted("#browsers button"), /^\/ip4\/192\.0\.2\.1\/tcp\/9090\/ws\/p2p\/16U/);
    assert.match(await pasted("#peers tbody button"), /^12D3KooW.{44}$/);
  }, { context: { permissions: ["clipboard-read", "clipboard-write"] }, before: (page) => secure || page.addInitScript(() => Object.defineProperty(navigator, "clipboard", { value: undefined })) });
}
await check("without JavaScript it names /status.json", "few", async (page, text) => {
  assert.match(await text("noscript"), /status\.json/);
  assert.equal(await page.locator("main").isVisible(), false);
}, { context: { javaScriptEnabled: false }, noMain: true });
await check("five hundred peers are bounded, and cheap to renew", "full", async (page, text) => {
  assert.equal(await text("#peers-count"), "the first 500");
  assert.equal(await text("#open-circuits-count"), "83 of 812");
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Performance.enable");
  const busy = async () => (await cdp.send("Performance.getMetrics")).metrics.find((m) => m.name === "TaskDuration").value;
  const [before, asked] = [await busy(), state.asked];
  await page.waitForTimeout(8000);
  console.log(`      ${(((await busy()) - before) / (state.asked - asked) * 1000).toFixed(0)} ms of the main thread for each answer`);
});
await check("another version of the relay brings another page, once", "few", async (page) => {
  let loads = 0;
  page.on("load", () => (loads += 1));
  state.version = "0.2.0";
  await until("a reload", () => loads === 1);
  await page.waitForTimeout(5000);
  assert.equal(loads, 1);
});
/** The first and the last visible character of each topic's name. */
const visibleTopics = (page) => page.$$eval("#topics tbody th", (cells) => cells.map((cell) => {
  const [text, box] = [document.createTreeWalker(cell, NodeFilter.SHOW_TEXT).nextNode(), cell.getBoundingClientRect()];
  const range = document.createRange();
  const seen = [...text.data].flatMap((_, at) => {
    range.setStart(text, at); range.setEnd(text, at + 1);
    const { left, right } = range.getBoundingClientRect();
    return left >= box.left - 1 && right <= box.right + 1 ? [at] : [];
  });
  return { name: text.data, seen: text.data.slice(seen[0], seen.at(-1) + 1), shortened: cell.scrollWidth > cell.clientWidth };
}));
for (const width of [320, 390]) {
  await check(`rooms and topics can be told apart at ${width}`, "many", async (page) => {
    const all = await visibleTopics(page);
    const long = all.filter(({ name }) => name.startsWith("peerwork/room/"));
    assert.equal(long.length, 6);
    for (const { name, seen, shortened } of long) {
      assert.ok(shortened && seen !== name, `${name} does not fit`);
      assert.ok(name.endsWith(seen), `the end of ${name} is shown, not ${seen}`);
      assert.ok(seen.length >= "kitchen/topic/news".length, `${seen} is too short`);
    }
    assert.equal(new Set(long.map(({ seen }) => seen)).size, long.length);
    // Short names stand at the left edge, whole.
    for (const { name, seen } of all.filter(({ name }) => name.startsWith("chat/"))) assert.equal(seen, name);
    if (process.env.PICTURES) {
      await page.locator("#topics tbody tr").last().scrollIntoViewIfNeeded();
      await page.locator("#topics").screenshot({ path: `${process.env.PICTURES}/topics-${width}.png` });
    }
  }, { context: { viewport: { width, height: 800 }, isMobile: true, hasTouch: true } });
}
for (const width of [320, 390, 820, 1280, 1920]) {
  await check(`nothing overflows at ${width}`, "many", async (page) => {
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0);
    if (width >= 1280) assert.equal(await page.$eval("#peers .scroll", (one) => one.scrollWidth - one.clientWidth), 0, "the peers fit");
  }, { context: { viewport: { width, height: 800 } } });
}
await browser.close(); server.close(); server.closeAllConnections();
console.log(failed ? `${failed} failed` : "all passed");
process.exitCode = failed ? 1 : 0;
