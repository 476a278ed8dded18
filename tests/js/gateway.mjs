// The script opens pages of strangers at a gateway in Chromium, and tells what they could do.
//
//   node gateway.mjs <program of the browser> <URL of a page below /ipfs/CID/> <folder for pictures, or nothing>
//
// The page has a script, a style, an image of its own folder, and an image of another CID.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [program, site, pictures] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox"] });
const context = await browser.newContext();
const page = await context.newPage();
const blocked = [];
page.on("requestfailed", (request) => request.failure().errorText === "csp" && blocked.push(request.url()));
await page.goto(`${site}page.html`, { waitUntil: "load" });
const seen = await page.evaluate(() => ({
  title: document.title,
  origin: window.origin,
  own: document.querySelector("#own").naturalWidth,
  other: document.querySelector("#other").naturalWidth,
  color: getComputedStyle(document.querySelector("h1")).color,
}));
assert.equal(seen.title, "written by hand", "the script did not run");
assert.equal(seen.origin, "null", "the origin is opaque");
assert.equal(seen.own, 1, "the image of the same folder was loaded");
assert.equal(seen.other, 0, "the image of another CID was not loaded");
assert.equal(seen.color, "rgb(1, 2, 3)", "the style of the same folder was loaded");
assert.ok(blocked.includes("http://elsewhere.invalid/x.gif"), "an image of another host was not asked for");
// A page of the gateway can register no service worker, and read no cookie.
const registered = await page.evaluate(async () => {
  try { await navigator.serviceWorker.register("script.js"); return "registered"; } catch (error) { return error.name; }
});
assert.notEqual(registered, "registered");
assert.equal(await page.evaluate(() => { try { return document.cookie; } catch (error) { return error.name; } }), "SecurityError");
// The listing fits small screens, and its links lead to the files.
for (const colorScheme of ["light", "dark"]) for (const width of [1280, 390]) {
  const small = await browser.newContext({ viewport: { width, height: 800 }, colorScheme });
  const listing = await small.newPage();
  await listing.goto(site);
  const wide = await listing.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `the listing is ${wide} px too wide at ${width} px`);
  if (pictures) await listing.screenshot({ path: `${pictures}/gateway-${colorScheme}-${width}.png` });
  await listing.click("text=page.html");
  assert.equal(listing.url(), `${site}page.html`);
  await small.close();
}
// A download from the listing works.
const shop = await browser.newContext();
const listing = await shop.newPage();
await listing.goto(site);
const [download] = await Promise.all([listing.waitForEvent("download"), listing.click("text=Download as CAR")]);
assert.match(download.suggestedFilename(), /\.car$/);
await browser.close();
console.log("all passed");
