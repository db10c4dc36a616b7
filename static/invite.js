// The link of an invitation is shown once, as it came from the server; nothing of it is kept in this browser.
(function () {
  "use strict";
  var form = document.getElementById("invite");
  function find(id) { return document.getElementById(id); }
  form.addEventListener("chenlian:done", function (event) {
    var until = new Intl.DateTimeFormat(form.dataset.locale, { timeZone: form.dataset.zone, dateStyle: "medium", timeStyle: "short" });
    find("invite-qr").src = event.detail.qr;
    find("invite-link").textContent = event.detail.link;
    find("invite-until").textContent = find("invite-until").dataset.say.replace("%{when}", until.format(new Date(event.detail.expires_at)));
    find("invite-code").hidden = false;
    form.querySelector("button").textContent = form.dataset.sayAgain;
    form.querySelector("button").className = "";
  });
  find("invite-copy").addEventListener("click", function () {
    navigator.clipboard.writeText(find("invite-link").textContent).then(function () { find("invite-copy").textContent = form.dataset.sayCopied; });
  });
})();
