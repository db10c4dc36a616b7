// The page of an alert, and every form that says how somebody was reached: one question after the other, and only answers that
// fit together.
(function () {
  "use strict";

  function valueOf(form, name) {
    var field = form.querySelector('[name$="' + name + '"]:checked, select[name$="' + name + '"]');
    return field ? field.value : "";
  }

  // What is hidden is not sent.
  function show(element, isShown) {
    element.hidden = !isShown;
    element.querySelectorAll("input, select, textarea").forEach(function (input) { input.disabled = !isShown; });
  }

  function fit(form) {
    if (form.dataset.off !== undefined) { return; }
    var outcome = valueOf(form, "outcome");
    var isUnsafe = valueOf(form, "safe") === "false";
    form.querySelectorAll("[data-only-safe]").forEach(function (choice) {
      var input = choice.querySelector("input");
      if (isUnsafe) { input.checked = false; }
      show(choice, !isUnsafe);
    });
    form.querySelectorAll("[data-when]").forEach(function (field) { show(field, field.dataset.when.split(" ").indexOf(outcome) >= 0); });
    form.querySelectorAll("[data-proof-is]").forEach(function (field) { show(field, field.dataset.proofIs === valueOf(form, "contact_proof")); });
    form.querySelectorAll('textarea[name$="note"]').forEach(function (note) {
      if (note.closest("[data-resolve]") === form) { note.required = outcome === "other"; }
    });
  }

  document.querySelectorAll("[data-resolve]").forEach(function (form) {
    form.addEventListener("change", function () { fit(form); });
    fit(form);
  });

  // 见到人了 / 联系上了 answer the first question.
  document.querySelectorAll("[data-proof]").forEach(function (button) {
    button.addEventListener("click", function () {
      var radio = document.querySelector('#met [name="contact_proof"][value="' + button.dataset.proof + '"]');
      if (radio) { radio.checked = true; }
    });
  });

  // What has happened stays true by itself: the server says that there is something new (server-sent events), and the part of the page
  // that shows it is fetched again. Where no event comes, it is fetched now and then.
  var news = document.getElementById("news");
  if (news) {
    var timer = null;
    var fetchNews = function () {
      timer = null;
      fetch("/alerts/" + news.dataset.alert + "/news", { headers: { Accept: "text/html" }, credentials: "same-origin", redirect: "manual" }).then(function (answer) {
        return answer.ok ? answer.text() : Promise.reject(new Error(String(answer.status)));
      }).then(function (html) { news.innerHTML = html; }).catch(function () { /* What stands there is true, and a little old. */ });
    };
    var soon = function () { if (!timer && !document.hidden) { timer = setTimeout(fetchNews, 300); } };
    var source = new EventSource("/api/v1/events");
    ["alert", "delivery"].forEach(function (kind) {
      source.addEventListener(kind, function (event) { if (JSON.parse(event.data).object_id === news.dataset.alert) { soon(); } });
    });
    source.addEventListener("reload", soon);
    document.addEventListener("visibilitychange", soon);
    setInterval(soon, 60000);
  }

  // A call to 120, 110 or 119: the phone dials, and the others hear of it at the same time.
  var emergency = document.getElementById("emergency");
  if (emergency) {
    emergency.querySelectorAll("[data-service]").forEach(function (link) {
      link.addEventListener("click", function () {
        var said = emergency.querySelector(".said");
        var service = link.dataset.service;
        link.dataset.key = link.dataset.key || window.chenlian.uuid();
        window.chenlian.call("POST", emergency.dataset.path, { service: service }, { "Idempotency-Key": link.dataset.key }).then(function (answer) {
          said.textContent = answer.ok ? chenlian.fill(emergency.dataset.sayNoted, { service: service }) : (answer.body.detail || emergency.dataset.sayNotNoted);
        }, function () { said.textContent = emergency.dataset.sayNotNoted; });
      });
    });
  }
})();
