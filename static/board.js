// The board stays true by itself. The server says what kind of thing changed (server-sent events); the part of the page that shows
// it is then fetched again as HTML. However many changes come, one fetch of a part runs at a time, and the next waits at least
// PAUSE and three times as long as the last one took. Without events the parts are fetched every POLL; when even that fails, the
// page says at which minute its numbers stopped, and goes on trying.
(function () {
  "use strict";

  var PAUSE = 500;           // after a change, before it is fetched
  var PAUSE_CARE = 20000;    // the slow part
  var SAFETY = 60000;        // fetched at least this often, for the minutes and for what no event tells
  var SAFETY_CARE = 300000;
  var POLL = 10000;          // without events
  var RECONNECT = 5000;      // after the stream was refused
  var ANSWER_MAX = 20000;    // a fetch that takes longer has failed
  var NAMES_MAX = 3;         // read out of many new alerts

  var board = document.getElementById("board");
  var title = document.title;
  var source = null;
  var live = false;
  var dead = false;
  var signedOut = false;
  var sound = null;
  var unread = 0;
  var known = alertIds(document.getElementById("board-now"));

  function say(name, values) {
    var text = board.dataset["say" + name] || "";
    Object.keys(values || {}).forEach(function (key) { text = text.replace("%{" + key + "}", values[key]); });
    return text;
  }

  // ---- One part of the page ----

  function Part(name, pause, safety) {
    this.name = name;
    this.place = document.getElementById("board-" + name);
    this.pause = pause;
    this.safety = safety;
    this.timer = null;
    this.running = false;
    this.again = false;
    this.took = 0;
    this.at = Date.now();
  }

  // Soon, but together with whatever else happens until then.
  Part.prototype.soon = function () {
    if (this.running) { this.again = true; return; }
    if (this.timer) { return; }
    this.timer = setTimeout(this.fetch.bind(this), Math.max(this.pause, this.took * 3));
  };

  Part.prototype.fetch = async function () {
    clearTimeout(this.timer);
    this.timer = null;
    // Somebody is in the middle of an answer in this part: nothing is taken from under her hands.
    if (this.running || this.place.querySelector("form[aria-busy='true']")) { this.again = this.running; if (!this.running) { this.soon(); } return; }
    this.running = true;
    var began = Date.now();
    var stop = new AbortController();
    var bell = setTimeout(function () { stop.abort(); }, ANSWER_MAX);
    try {
      var response = await fetch("/board/" + this.name + location.search, { headers: { Accept: "text/html" }, credentials: "same-origin", redirect: "manual", signal: stop.signal });
      if (response.type === "opaqueredirect" || response.status === 401) { signedOut = true; throw new Error("signed out"); }
      if (!response.ok) { throw new Error(String(response.status)); }
      var html = await response.text();
      signedOut = false;
      this.put(html);
      this.at = Date.now();
      alive();
    } catch (_) {
      lost();
    } finally {
      clearTimeout(bell);
      this.took = Date.now() - began;
      this.running = false;
    }
    if (this.again) { this.again = false; this.soon(); }
  };

  // The new part keeps what the reader has: her row, what she unfolded, and what the server said to a form.
  Part.prototype.put = function (html) {
    var focused = document.activeElement && this.place.contains(document.activeElement) ? document.activeElement : null;
    var row = focused && focused.closest("[data-key]");
    var key = row && row.dataset.key;
    var control = focused && (focused.closest("form") ? focused.closest("form").dataset.act : focused.tagName === "SUMMARY" ? "summary" : "link");
    var details = focused && focused.closest("details");
    var open = Array.from(this.place.querySelectorAll("details[open]")).map(function (element) { return element.id; });
    var told = Array.from(this.place.querySelectorAll(".board-row .problem:not([hidden])")).map(function (element) {
      return { key: element.closest("[data-key]").dataset.key, act: element.closest("form").dataset.act, text: element.textContent };
    });
    this.place.innerHTML = html;
    open.forEach(function (id) { var element = id && document.getElementById(id); if (element) { element.open = true; } });
    told.forEach(function (said) {
      var form = find(this.place, said.key, said.act);
      if (!form) { return; }
      var problem = document.createElement("p");
      problem.className = "problem";
      problem.textContent = said.text;
      form.append(problem);
    }, this);
    var back = key ? find(this.place, key, control) : control === "summary" && details && details.id ? document.querySelector("#" + details.id + " > summary") : null;
    if (back) { (back.tagName === "FORM" ? back.querySelector("button") : back).focus({ preventScroll: true }); }
    if (this.name === "now") { news(this.place); }
  };

  function find(place, key, control) {
    var row = place.querySelector("[data-key='" + key + "']");
    if (!row) { return null; }
    return row.querySelector("form[data-act='" + control + "']") || row.querySelector(".row-link");
  }

  var now = new Part("now", PAUSE, SAFETY);
  var care = new Part("care", PAUSE_CARE, SAFETY_CARE);

  // ---- The line ----

  function stoppedAt() {
    var part = now.place.querySelector("[data-at]");
    return part ? part.dataset.at : "";
  }

  function show() {
    var line = document.getElementById("board-line");
    var state = dead ? "dead" : live ? "live" : "polling";
    var said = dead ? say(signedOut ? "SignedOut" : "Dead", { time: stoppedAt() }) : say(live ? "Live" : "Polling", { time: stoppedAt() });
    line.dataset.line = state;
    line.querySelector("span").textContent = dead ? stoppedAt() : said;
    var notice = document.getElementById("board-dead");
    if (notice.hidden === dead || (dead && notice.dataset.said !== said)) {
      notice.hidden = !dead;
      notice.textContent = dead ? said : "";
      notice.dataset.said = said;
      if (dead && signedOut) {
        var way = document.createElement("a");
        way.href = "/sign-in?next=" + encodeURIComponent(location.pathname + location.search);
        way.textContent = say("SignIn");
        notice.append(" ", way);
      }
    }
    board.toggleAttribute("data-dead", dead);
  }

  function alive() { dead = false; show(); }
  function lost() { dead = true; show(); }

  function listen() {
    if (source) { source.close(); }
    source = new EventSource("/api/v1/events");
    source.onopen = function () {
      var wasDown = !live;
      live = true;
      // What happened while the line was down is not told again to a page that asks anew.
      if (wasDown) { now.fetch(); care.soon(); }
      show();
    };
    source.onerror = function () {
      live = false;
      show();
      // A refusal ends the stream for good, a broken line does not: the browser comes back by itself.
      if (source.readyState === EventSource.CLOSED) { setTimeout(listen, RECONNECT); }
      now.fetch();
    };
    board.dataset.kindsNow.split(" ").forEach(function (kind) { source.addEventListener(kind, function () { now.soon(); }); });
    board.dataset.kindsCare.split(" ").forEach(function (kind) { source.addEventListener(kind, function () { now.soon(); care.soon(); }); });
    source.addEventListener("reload", function () { now.soon(); care.soon(); });
  }

  setInterval(function () {
    var late = live && !dead ? now.safety : POLL;
    if (Date.now() - now.at >= late) { now.fetch(); }
    if (!dead && Date.now() - care.at >= care.safety) { care.fetch(); }
  }, 2000);

  document.addEventListener("visibilitychange", function () {
    if (!document.hidden) { read(); now.fetch(); }
  });
  window.addEventListener("online", function () { now.fetch(); });
  window.addEventListener("offline", function () { lost(); });

  // An act of this page is seen at once, also before its event comes.
  document.addEventListener("chenlian:done", function () { setTimeout(function () { now.fetch(); }, 50); });

  // ---- What is new ----

  function alertIds(place) {
    return Array.from(place.querySelectorAll("[data-alert]")).map(function (row) { return row.dataset.alert; });
  }

  function news(place) {
    var ids = alertIds(place);
    var fresh = ids.filter(function (id) { return known.indexOf(id) < 0; });
    known = ids;
    if (fresh.length === 0) { return; }
    var rows = fresh.map(function (id) { return place.querySelector("[data-alert='" + id + "']"); });
    rows.forEach(function (row) { row.classList.add("fresh"); });
    var names = rows.slice(0, NAMES_MAX).map(function (row) { return row.querySelector(".row-link").textContent; });
    document.getElementById("board-news").textContent = say("New", { count: fresh.length, who: names.join(" · ") + (rows.length > NAMES_MAX ? " …" : "") });
    unread += fresh.length;
    document.title = "(" + unread + ") " + title;
    ring(rows.some(function (row) { return row.hasAttribute("data-urgent"); }) ? 3 : 1);
  }

  function read() {
    unread = 0;
    document.title = title;
  }
  ["pointerdown", "keydown"].forEach(function (kind) { document.addEventListener(kind, read); });

  // ---- The sound: two tones, made here; browsers want a touch first ----

  function ring(times) {
    if (!sound) { return; }
    for (var time = 0; time < times; time += 1) {
      [660, 880].forEach(function (pitch, step) {
        var from = sound.currentTime + time * 0.9 + step * 0.28;
        var tone = sound.createOscillator();
        var volume = sound.createGain();
        tone.type = "sine";
        tone.frequency.value = pitch;
        volume.gain.setValueAtTime(0.0001, from);
        volume.gain.exponentialRampToValueAtTime(0.4, from + 0.03);
        volume.gain.exponentialRampToValueAtTime(0.0001, from + 0.26);
        tone.connect(volume).connect(sound.destination);
        tone.start(from);
        tone.stop(from + 0.28);
      });
    }
  }

  var button = document.getElementById("board-sound");
  button.addEventListener("click", async function () {
    var words = button.querySelector("span");
    if (sound) {
      sound.close();
      sound = null;
    } else {
      try {
        var opened = new (window.AudioContext || window.webkitAudioContext)();
        await opened.resume();
        sound = opened;
        ring(1);
      } catch (_) {
        words.textContent = say("SoundFailed");
        return;
      }
    }
    button.setAttribute("aria-pressed", String(Boolean(sound)));
    words.textContent = say(sound ? "SoundOn" : "SoundOff");
  });

  // ---- Keys and filter ----

  function move(step) {
    var rows = Array.from(board.querySelectorAll("[data-key] .row-link")).filter(function (link) { return link.offsetParent !== null; });
    if (rows.length === 0) { return; }
    var here = document.activeElement && document.activeElement.closest("[data-key]");
    var index = here ? rows.indexOf(here.querySelector(".row-link")) : -1;
    var next = index < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, index + step));
    rows[next].focus();
  }

  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) { return; }
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) { return; }
    var inRow = event.target.closest("[data-key]");
    switch (event.key) {
      case "j": move(1); break;
      case "k": move(-1); break;
      // The arrows scroll, unless a row has been taken.
      case "ArrowDown": if (!inRow) { return; } move(1); break;
      case "ArrowUp": if (!inRow) { return; } move(-1); break;
      case "s": button.click(); break;
      case "/": document.getElementById("board-place").focus(); break;
      case "?": document.getElementById("board-help").showModal(); break;
      default: return;
    }
    event.preventDefault();
  });

  document.getElementById("board-place").addEventListener("change", function () {
    location.assign(this.value ? "/board?place=" + encodeURIComponent(this.value) : "/board");
  });

  listen();
})();
