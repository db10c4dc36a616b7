// Signing out: what has not been sent yet is said first. It is never thrown away; only names leave the phone.
(function () {
  "use strict";
  var form = document.getElementById("sign-out");
  var dialog = document.getElementById("unsent-here");
  var title = document.getElementById("unsent-here-title");
  var queue = window.chenlianQueue;

  // A browser that keeps nothing has nothing to lose.
  async function unsent() {
    try {
      var waiting = await queue.all("waiting");
      return waiting.filter(function (item) { return item.member === form.dataset.member; }).length;
    } catch (_) { return 0; }
  }

  function say(element, text, tone) { element.textContent = text; element.hidden = !text; if (tone) { element.className = "notice " + tone; } }

  async function leave() {
    if (form.getAttribute("aria-busy") === "true") { return; }
    form.setAttribute("aria-busy", "true");
    var problem = form.querySelector(".problem");
    say(problem, "");
    try {
      if (window.chenlianPush) { await window.chenlianPush.leave(); }
      var answer = await chenlian.call("DELETE", "/api/v1/sessions/current");
      // 401: she was signed out already.
      if (!answer.ok && answer.status !== 401) { say(problem, answer.body.detail || chenlian.say("Offline")); return; }
      try { await queue.leave(); } catch (_) { /* Nothing was kept. */ }
      location.assign("/sign-in");
    } catch (_) {
      say(problem, chenlian.say("Offline"));
    } finally {
      form.removeAttribute("aria-busy");
      if (dialog.open) { dialog.close(); }
    }
  }

  function count(waiting) { title.textContent = chenlian.fill(form.dataset.sayUnsent, { count: waiting }); }

  async function sendFirst(event) {
    var button = event.currentTarget;
    var said = dialog.querySelector(".notice");
    button.setAttribute("aria-busy", "true");
    try { await queue.send(form.dataset.member, true); } finally { button.removeAttribute("aria-busy"); }
    var left = await unsent();
    if (left === 0) { title.textContent = form.dataset.saySent; say(said, ""); button.hidden = true; return; }
    count(left);
    say(said, form.dataset.sayNotSent, "wait");
  }

  form.addEventListener("submit", async function (event) {
    event.preventDefault();
    var waiting = await unsent();
    if (waiting === 0) {
      if ((await chenlian.ask(form.dataset.sayFirst, false)) !== null) { await leave(); }
      return;
    }
    count(waiting);
    document.getElementById("send-first").hidden = false;
    say(dialog.querySelector(".notice"), "");
    dialog.showModal();
  });
  document.getElementById("send-first").addEventListener("click", sendFirst);
  document.getElementById("leave-anyway").addEventListener("click", leave);
})();
