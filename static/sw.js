// Keeps the round for the hours without a network, and shows pop-ups where somebody has asked for them. Only the pages named here are kept, because they are what is needed under a
// window; everything else is asked for each time. Names leave the phone with the sign-in.
"use strict";

var PAGES = "pages-1";
var FILES = "files-1";
var KEPT = ["/round", "/offline"];
// Where static/push.js notes which endpoint its reader switched on: a browser that changes it does not always say the old one.
var PUSH = "push-1";
var PUSH_NOTE = "/push-endpoint";
// Outdoors a network that is there may still not answer: then the kept page is better than a white one.
var PATIENCE_MS = 4000;

self.addEventListener("install", function (event) {
  event.waitUntil(keepOffline().then(function () { return self.skipWaiting(); }));
});

self.addEventListener("activate", function (event) {
  event.waitUntil((async function () {
    for (var name of await caches.keys()) { if (name !== PAGES && name !== FILES && name !== PUSH) { await caches.delete(name); } }
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

// ---- Pop-ups ----
//
// What comes is a note of the server, see src/notify/note.rs. Its `tag` names the message, so that a repeat replaces the first copy. A
// note that alerts are over takes them off what is shown; a pop-up that is left with none is replaced by it.

self.addEventListener("push", function (event) {
  var note = {};
  try { note = event.data.json(); } catch (_) { /* A browser must show something for each push. */ }
  event.waitUntil(show(note));
});

async function show(note) {
  var alerts = Array.isArray(note.alerts) ? note.alerts : [];
  var tag = note.is_over ? await takeOff(alerts) || note.tag : note.tag;
  await self.registration.showNotification(note.title || location.hostname, {
    body: note.body || "", tag: tag, timestamp: note.at ? note.at * 1000 : Date.now(),
    // What takes the place of an alert is news; a repeated alert is none.
    renotify: Boolean(note.is_over && tag),
    requireInteraction: note.level === "help" || note.level === "alert",
    data: { link: note.link || null, alerts: note.is_over ? [] : alerts }
  });
}

// The tag of a pop-up that is over now.
async function takeOff(over) {
  var ended = null;
  for (var shown of await self.registration.getNotifications()) {
    var before = shown.data && shown.data.alerts || [];
    var left = before.filter(function (alert) { return !over.includes(alert); });
    if (before.length === 0 || left.length === before.length) { continue; }
    // Not closed before its place is taken: a browser in a hurry carries out the closing last, and nothing is shown.
    if (left.length === 0 && ended === null) { ended = shown.tag; continue; }
    if (left.length === 0) { shown.close(); continue; }
    // The same pop-up, silently, with fewer alerts to wait for.
    await self.registration.showNotification(shown.title, {
      body: shown.body, tag: shown.tag, requireInteraction: shown.requireInteraction, silent: true, timestamp: shown.timestamp,
      data: Object.assign({}, shown.data, { alerts: left })
    });
  }
  return ended;
}

self.addEventListener("notificationclick", function (event) {
  event.notification.close();
  event.waitUntil(openLink(event.notification.data && event.notification.data.link));
});

// Only pages of ours, under the address by which this browser knows us. A page that is open already is shown; another one is not taken
// from under somebody's hands.
async function openLink(link) {
  var path = "/alerts";
  try { if (link) { path = new URL(link, location.origin).pathname; } } catch (_) { /* The list of alerts is right in any case. */ }
  for (var client of await self.clients.matchAll({ type: "window", includeUncontrolled: true })) {
    if (new URL(client.url).pathname === path && client.focus) { return client.focus(); }
  }
  return self.clients.openWindow(path);
}

// The browser or its push service has changed the subscription: the server is told, or the computer would fall silent unnoticed.
self.addEventListener("pushsubscriptionchange", function (event) { event.waitUntil(renew(event)); });

async function renew(event) {
  var notes = await caches.open(PUSH);
  var noted = await notes.match(PUSH_NOTE);
  var old = event.oldSubscription ? event.oldSubscription.endpoint : noted ? await noted.text() : "";
  if (!old) { return; }
  var subscription = event.newSubscription;
  if (!subscription) {
    var answer = await fetch("/api/v1/web-push", { credentials: "same-origin" });
    var key = answer.ok && (await answer.json()).public_key;
    if (!key) { return; }
    subscription = await self.registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  }
  var body = Object.assign(subscription.toJSON(), { replaces: old });
  var said = await fetch("/api/v1/web-push/subscriptions", {
    method: "POST", credentials: "same-origin", body: JSON.stringify(body),
    headers: { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() }
  });
  if (said.ok) { await notes.put(PUSH_NOTE, new Response(subscription.endpoint)); }
  // Nobody is signed in, or somebody else is: nothing may be shown here any more.
  else if (said.status < 500) { await subscription.unsubscribe(); await notes.delete(PUSH_NOTE); }
}
