// The script logs in to an app at its own port of a relay, in Chromium.
//
//   node login.mjs <program of the browser> <URL of the app> <URL of another app> <key> [folder for pictures]
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [program, app, other, key, pictures] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox"] });
const noise = [];

async function open(options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  page.on("pageerror", (error) => noise.push(error.message));
  page.on("console", (message) => {
    // Chromium reports every answer with 401 or 403.
    if (message.type() === "error" && !/status of 40[13]/.test(message.text())) noise.push(message.text());
  });
  page.on("request", (request) => {
    if (![app, other].some((url) => request.url().replace(/^ws/, "http").startsWith(url))) noise.push(`foreign request: ${request.url()}`);
  });
  return page;
}

async function logIn(page, url, text = key) {
  await page.goto(url);
  await page.getByLabel("Key").fill(text);
  await page.getByRole("button", { name: "Log in" }).click();
}

const text = (page) => page.locator("body").innerText();
const socket = (page, url) => page.evaluate((url) => new Promise((done) => {
  const socket = new WebSocket(url);
  socket.onopen = () => { socket.close(); done("open"); };
  socket.onerror = () => done("error");
}), `${url.replace("http", "ws")}/websocket`);

// The page fits and reads well in each size and colour scheme.
for (const width of [320, 1280]) for (const colorScheme of ["light", "dark"]) {
  const page = await open({ viewport: { width, height: 640 }, colorScheme });
  const response = await page.goto(`${app}/headers`);
  assert.equal(response.status(), 401);
  const wide = () => page.evaluate(() => document.documentElement.scrollWidth);
  assert.equal(await wide(), width);
  assert.equal(await page.evaluate(() => document.activeElement.id), "key");
  if (pictures) await page.screenshot({ path: `${pictures}/login-${width}-${colorScheme}.png` });
  await logIn(page, `${app}/headers`, "pwk_wrong");
  await page.getByRole("alert").waitFor();
  assert.equal(await wide(), width);
  if (pictures) await page.screenshot({ path: `${pictures}/mistake-${width}-${colorScheme}.png` });
  await page.context().close();
}

const page = await open();
await logIn(page, `${app}/headers?x`);
await page.waitForURL(`${app}/headers?x`);
const seen = await text(page);
assert.match(seen, /^host: /m);
assert.doesNotMatch(seen, /peerwork-login|pwk_/);
assert.equal(await page.evaluate(() => document.cookie), "");
assert.equal(await page.evaluate(async () => (await fetch("/echo", { method: "POST", body: "own" })).text()), "own");
assert.equal(await socket(page, app), "open");
await page.reload();
assert.match(await text(page), /^host: /m);

// A page of another port of the same host has the same cookies, and can do nothing with them.
await logIn(page, `${other}/headers`);
await page.waitForURL(`${other}/headers`);
const answered = (kind) => page.waitForResponse((response) => response.url() === `${app}/echo?${kind}`);
const make = async (kind, init) => {
  const [response] = await Promise.all([answered(kind), page.evaluate(async ([url, init]) => {
    await fetch(url, { mode: "no-cors", credentials: "include", ...init });
  }, [`${app}/echo?${kind}`, init])]);
  return response.status();
};
assert.equal(await make("get", {}), 403);
assert.equal(await make("post", { method: "POST", body: "x" }), 403);
const loads = await page.evaluate((url) => new Promise((done) => {
  const frame = document.createElement("iframe");
  frame.onload = () => { try { done(frame.contentDocument !== null); } catch { done(false); } };
  frame.src = url;
  document.body.append(frame);
}), `${app}/echo?frame`);
assert.equal(loads, false);
assert.equal(await socket(page, app), "error");
noise.splice(0, noise.length, ...noise.filter((line) => !/WebSocket|frame/.test(line)));

// A link from there opens the app when the user says so.
await page.evaluate((url) => { location.href = url; }, `${app}/headers`);
await page.getByRole("link", { name: "Open the app" }).waitFor();
if (pictures) await page.screenshot({ path: `${pictures}/open.png` });
await page.getByRole("link", { name: "Open the app" }).click();
await page.getByText("host: ").waitFor();

// The login and a link with a key keep the fragment, also after a mistake.
const hash = await open();
await logIn(hash, `${app}/headers?a#/deep/link`, "pwk_wrong");
await hash.getByRole("alert").waitFor();
await hash.getByLabel("Key").fill(key);
await hash.getByRole("button", { name: "Log in" }).click();
await hash.waitForURL(`${app}/headers?a#/deep/link`);
await hash.goto(`${app}/headers?key=${key}#/linked`);
await hash.waitForURL(`${app}/headers#/linked`);
// A form that was sent without a login is sent again by a reload.
await hash.context().clearCookies();
await hash.evaluate(() => {
  document.body.innerHTML = "<form method=post action=/echo><input name=text value=kept></form>";
  document.forms[0].submit();
});
await hash.getByText("has not reached the app").waitFor();
if (pictures) await hash.screenshot({ path: `${pictures}/lost-form.png` });
await hash.getByLabel("Key").fill(key);
const [opened] = await Promise.all([hash.context().waitForEvent("page"), hash.getByRole("button", { name: "Log in" }).click()]);
await opened.waitForURL(`${app}/`);
await hash.reload();
assert.equal(await text(hash), "text=kept");

await page.goto(`${app}/.well-known/peerwork/logout`);
if (pictures) await page.screenshot({ path: `${pictures}/logout.png` });
await page.getByRole("button", { name: "Log out" }).click();
await page.getByLabel("Key").waitFor();
assert.equal((await page.goto(`${app}/headers`)).status(), 401);

// A link with a key logs in without typing, from the address bar and from a page of another origin. That
// page cannot make the browser open a path of the app as if the app's own page did.
await page.goto(`${app}/headers?key=${key}&y`);
await page.waitForURL(`${app}/headers?y`);
assert.match(await text(page), /^host: /m);
const led = await open();
await logIn(led, `${other}/headers`);
await led.waitForURL(`${other}/headers`);
await led.evaluate((url) => { location.href = url; }, `${app}/headers?key=${key}#/led`);
await led.getByRole("heading", { name: "Logged in" }).waitFor();
if (pictures) await led.screenshot({ path: `${pictures}/logged-in.png` });
await led.getByRole("link", { name: "Open the app" }).click();
await led.waitForURL(`${app}/headers#/led`);
assert.match(await text(led), /^host: /m);
assert.doesNotMatch(await text(led), /pwk_/);

assert.deepEqual(noise, []);
await browser.close();
console.log("all passed");
