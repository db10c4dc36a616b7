// Pop-ups on this computer: switched on and off here, each step with a sentence when it fails. A sign-out switches them off first, because
// the next one at this computer is not to read her messages.
(function () {
  "use strict";

  // A push service that does not answer by then is not reached from here.
  var PATIENCE_MS = 12000;
  // The service worker looks here as well.
  var PUSH = "push-1";
  var PUSH_NOTE = "/push-endpoint";

  var place = document.getElementById("push");
  var supported = "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;

  function within(promise, ms) {
    return Promise.race([promise, new Promise(function (_, refuse) { setTimeout(function () { refuse(new Error("too slow")); }, ms); })]);
  }

  async function subscription() {
    var worker = supported && await navigator.serviceWorker.getRegistration("/");
    return worker ? worker.pushManager.getSubscription() : null;
  }

  async function switchOff() {
    var current = await subscription();
    if (!current) { return true; }
    var answer = { ok: false };
    try { answer = await window.chenlian.call("POST", "/api/v1/web-push/unsubscribe", { endpoint: current.endpoint }, {}, PATIENCE_MS); } catch (_) { /* The browser's half is done in any case. */ }
    await current.unsubscribe();
    await (await caches.open(PUSH)).delete(PUSH_NOTE);
    return answer.ok;
  }

  // What leaves with a sign-out; static/leave.js calls it.
  window.chenlianPush = { leave: function () { return within(switchOff(), PATIENCE_MS).catch(function () {}); } };
  if (!place) { return; }

  var on = document.getElementById("push-on");
  var off = document.getElementById("push-off");
  var said = place.querySelector(".problem");
  var state = document.getElementById("push-state");

  function say(name) {
    var text = name ? place.dataset["say" + name] : "";
    said.textContent = text;
    said.hidden = !text;
    return false;
  }

  function bytes(text) {
    return Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), function (letter) { return letter.charCodeAt(0); });
  }

  function isSame(buffer, key) {
    if (!buffer) { return false; }
    var one = new Uint8Array(buffer);
    var other = bytes(key);
    return one.length === other.length && one.every(function (byte, index) { return byte === other[index]; });
  }

  async function digest(text) {
    var hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    return Array.from(new Uint8Array(hash), function (byte) { return byte.toString(16).padStart(2, "0"); }).join("");
  }

  // On, if the browser has a subscription, the server knows it as hers, and it was made with the key of now.
  async function isOn() {
    var current = await subscription();
    if (!current || !isSame(current.options.applicationServerKey, place.dataset.key)) { return false; }
    return place.dataset.known.split(" ").includes(await digest(current.endpoint));
  }

  async function paint() {
    if (!window.isSecureContext) { on.hidden = true; say("Insecure"); return; }
    if (!supported) { on.hidden = true; say("Unsupported"); return; }
    var isSwitchedOn = await isOn();
    on.hidden = isSwitchedOn;
    off.hidden = !isSwitchedOn;
    state.hidden = !isSwitchedOn;
    if (!isSwitchedOn && Notification.permission === "denied") { say("Denied"); }
  }

  async function switchOn() {
    var permission = await Notification.requestPermission();
    if (permission !== "granted") { return say(permission === "denied" ? "Denied" : "Dismissed"); }
    var worker;
    try {
      await navigator.serviceWorker.register("/sw.js");
      worker = await within(navigator.serviceWorker.ready, PATIENCE_MS);
    } catch (_) { return say("NoWorker"); }
    var fresh;
    try {
      fresh = await worker.pushManager.getSubscription();
      if (fresh && !isSame(fresh.options.applicationServerKey, place.dataset.key)) { await fresh.unsubscribe(); fresh = null; }
      fresh = fresh || await within(worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(place.dataset.key) }), PATIENCE_MS);
    } catch (_) { return say("Unreached"); }
    var answer;
    try {
      answer = await window.chenlian.call("POST", "/api/v1/web-push/subscriptions", fresh.toJSON(), { "Idempotency-Key": window.chenlian.uuid() });
    } catch (_) { answer = { ok: false, body: { detail: window.chenlian.say("Offline") } }; }
    if (!answer.ok) {
      // What the server does not know must not seem to be on.
      await fresh.unsubscribe();
      said.textContent = (answer.body.errors && answer.body.errors[0] && answer.body.errors[0].detail) || answer.body.detail;
      said.hidden = false;
      return false;
    }
    await (await caches.open(PUSH)).put(PUSH_NOTE, new Response(fresh.endpoint));
    return true;
  }

  async function press(button, act) {
    if (button.getAttribute("aria-busy") === "true") { return; }
    say("");
    button.setAttribute("aria-busy", "true");
    try {
      if (await act()) { location.reload(); }
    } catch (_) { say("Unreached"); } finally { button.removeAttribute("aria-busy"); }
  }

  on.addEventListener("click", function () { press(on, switchOn); });
  off.addEventListener("click", function () { press(off, async function () { await switchOff(); return true; }); });
  paint();
})();
