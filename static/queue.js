// What was tapped and has not arrived yet: in this browser's database, so that neither a closed page nor an empty battery loses
// it. It holds ids, kinds and times, and no name. Everything is sent in its order, each under an id of its own, so that sending
// it twice counts once.
(function () {
  "use strict";

  var STORES = ["waiting", "sent", "refused"];
  // Corrections need the id of what was sent; after a day there is nothing left to correct from here.
  var SENT_KEPT_MS = 24 * 3600 * 1000;
  var BATCH_MAX = 100;
  // A network that swallows a request answers never: it is given up, and sent again. The ids make the repeat harmless.
  var PATIENCE_MS = 15000;

  function open() {
    return new Promise(function (resolve, reject) {
      var asked = indexedDB.open("chenlian", 1);
      asked.onupgradeneeded = function () {
        STORES.forEach(function (name) { asked.result.createObjectStore(name, { keyPath: "no", autoIncrement: true }); });
      };
      asked.onsuccess = function () { resolve(asked.result); };
      asked.onerror = function () { reject(asked.error); };
    });
  }

  // Runs `work` in one transaction; what it stored is on the disk when this resolves.
  async function within(mode, work) {
    var database = await open();
    return new Promise(function (resolve, reject) {
      var transaction = database.transaction(STORES, mode, { durability: "strict" });
      var result;
      transaction.oncomplete = function () { database.close(); resolve(result && result.result !== undefined ? result.result : result); };
      transaction.onerror = transaction.onabort = function () { database.close(); reject(transaction.error); };
      result = work(function (name) { return transaction.objectStore(name); });
    });
  }

  function all(name) { return within("readonly", function (store) { return store(name).getAll(); }); }
  function add(item) { return within("readwrite", function (store) { return store("waiting").add(item); }); }
  function remove(name, no) { return within("readwrite", function (store) { store(name).delete(no); }); }

  function move(items, outcomes) {
    return within("readwrite", function (store) {
      items.forEach(function (item, index) {
        var outcome = outcomes[index];
        if (!outcome) { return; }
        var copy = Object.assign({}, item, { detail: outcome.detail });
        delete copy.no;
        store("waiting").delete(item.no);
        store(outcome.ok ? "sent" : "refused").add(copy);
      });
    });
  }

  async function forgetOld() {
    var old = (await all("sent")).filter(function (item) { return Date.now() - Date.parse(item.at) > SENT_KEPT_MS; });
    for (var item of old) { await remove("sent", item.no); }
  }

  // Sends what may go now; `everything`: also what could still be taken back. Resolves to "done", "offline" or "signed-out".
  async function send(member, everything) {
    for (;;) {
      var ready = (await all("waiting")).filter(function (item) { return item.member === member; });
      // In order: what waits for its ten seconds holds back what comes after it.
      var held = everything ? -1 : ready.findIndex(function (item) { return item.holdUntil > Date.now(); });
      if (held >= 0) { ready = ready.slice(0, held); }
      if (!ready.length) { return "done"; }
      var first = ready.findIndex(function (item) { return item.absence; });
      var batch = first === 0 ? ready.slice(0, 1) : ready.slice(0, Math.min(first < 0 ? ready.length : first, BATCH_MAX));
      var answer;
      try { answer = await (batch[0].absence ? sendAbsence(batch[0]) : sendSignals(batch)); } catch (_) { return "offline"; }
      if (answer === "signed-out" || answer === "offline") { return answer; }
      await move(batch, answer);
    }
  }

  async function sendSignals(batch) {
    var signals = batch.map(function (item) {
      var signal = { id: item.id, senior_id: item.senior, kind: item.kind, observed_at: item.at };
      if (item.replaces) { signal.replaces = item.replaces; signal.reason = item.reason; }
      return signal;
    });
    var answer = await chenlian.call("POST", "/api/v1/signals", { signals: signals }, { "Idempotency-Key": chenlian.uuid() }, PATIENCE_MS);
    if (answer.status === 401) { return "signed-out"; }
    // Not a word about the single ones: they stay, and are sent again.
    if (!answer.ok) { return "offline"; }
    return answer.body.results.map(function (result) {
      return { ok: result.status === "stored" || result.status === "known", detail: result.detail };
    });
  }

  async function sendAbsence(item) {
    var body = Object.assign({ id: item.id }, item.absence);
    var answer = await chenlian.call("POST", "/api/v1/seniors/" + item.senior + "/absences", body, { "Idempotency-Key": item.id }, PATIENCE_MS);
    if (answer.status === 401) { return "signed-out"; }
    if (answer.status >= 500 || answer.status === 429 || answer.status === 408) { return "offline"; }
    var field = (answer.body.errors || [])[0];
    return [{ ok: answer.ok, detail: field ? field.detail : answer.body.detail }];
  }

  // With the sign-in the names leave the phone, and what is on the server already. What was not sent stays: it holds ids only, and
  // goes when the same member signs in here again.
  async function leave() {
    if (window.caches) {
      for (var name of await caches.keys()) {
        var cache = await caches.open(name);
        for (var request of await cache.keys()) {
          var path = new URL(request.url).pathname;
          if (!path.startsWith("/static/") && path !== "/offline") { await cache.delete(request); }
        }
      }
    }
    await within("readwrite", function (store) { store("sent").clear(); });
  }

  window.chenlianQueue = { all: all, add: add, remove: remove, send: send, forgetOld: forgetOld, leave: leave };
})();
