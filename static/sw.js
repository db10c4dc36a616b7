// Keeps the round for the hours without a network. Only the pages named here are kept, because they are what is needed under a
// window; everything else is asked for each time. Names leave the phone with the sign-in.
"use strict";

var PAGES = "pages-1";
var FILES = "files-1";
var KEPT = ["/round", "/offline"];
// Outdoors a network that is there may still not answer: then the kept page is better than a white one.
var PATIENCE_MS = 4000;

self.addEventListener("install", function (event) {
  event.waitUntil(keepOffline().then(function () { return self.skipWaiting(); }));
});

self.addEventListener("activate", function (event) {
  event.waitUntil((async function () {
    for (var name of await caches.keys()) { if (name !== PAGES && name !== FILES) { await caches.delete(name); } }
    await self.clients.claim();
  })());
});

async function keepOffline() {
  var pages = await caches.open(PAGES);
  var answer = await fetch("/offline", { headers: { Accept: "text/html" } });
  var html = await answer.clone().text();
  await pages.put("/offline", answer);
  var files = html.match(/\/static\/[^"]+/g) || [];
  await keepFiles(files);
}

async function keepFiles(files) {
  var cache = await caches.open(FILES);
  for (var file of files) {
    if (!(await cache.match(file))) { await cache.add(file); }
  }
}

self.addEventListener("message", function (event) {
  var keep = event.data && event.data.keep;
  if (!keep) { return; }
  event.waitUntil((async function () {
    var files = keep.map(function (address) { return new URL(address, location.origin).pathname; });
    await keepFiles(files.filter(function (path) { return path.startsWith("/static/"); }));
    var pages = await caches.open(PAGES);
    if (!(await pages.match("/round"))) { await page(new Request("/round", { headers: { Accept: "text/html" }, credentials: "same-origin" })); }
    // Files of older pages go, so that the phone does not fill up.
    var cache = await caches.open(FILES);
    var offline = (await (await pages.match("/offline")).text()).match(/\/static\/[^"]+/g) || [];
    for (var request of await cache.keys()) {
      var path = new URL(request.url).pathname;
      if (!files.includes(path) && !offline.includes(path)) { await cache.delete(request); }
    }
  })());
});

self.addEventListener("fetch", function (event) {
  var url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin) { return; }
  if (url.pathname.startsWith("/static/")) { event.respondWith(file(event.request)); return; }
  if (event.request.mode === "navigate") { event.respondWith(page(event.request)); }
});

async function file(request) {
  var kept = await caches.match(request.url);
  return kept || fetch(request);
}

async function page(request) {
  var pages = await caches.open(PAGES);
  var path = new URL(request.url).pathname;
  try {
    var answer = await Promise.race([fetch(request), after(PATIENCE_MS)]);
    // The sign-in has ended, wherever and however: the names go, what was not sent stays.
    if (new URL(answer.url || request.url).pathname === "/sign-in") { await pages.delete("/round"); }
    else if (answer.ok && !answer.redirected && KEPT.includes(path) && !new URL(request.url).search) { await pages.put(path, answer.clone()); }
    return answer;
  } catch (_) {
    var kept = (path === "/" || path === "/round") && await pages.match("/round");
    return kept || await pages.match("/offline");
  }
}

function after(ms) {
  return new Promise(function (_, reject) { setTimeout(reject, ms); });
}
