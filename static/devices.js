// Sensors: what a new one must be given is shown once, and while one is paired its last message is looked for every two seconds.
(function () {
  "use strict";
  function find(id) { return document.getElementById(id); }
  var EVERY_MS = 2000;
  // Somebody who left the page open does not ask all night.
  var ASKS_MAX = 900;

  document.addEventListener("chenlian:done", function (event) {
    if (event.target.id !== "device-new") { return; }
    var given = event.detail.credentials;
    find("device-next").href = "/admin/devices/" + event.detail.id;
    if (!given) { location.assign(find("device-next").href); return; }
    find("device-user").textContent = given.mqtt_user;
    find("device-password").textContent = given.mqtt_password;
    find("device-key").textContent = given.key_hex || "";
    if (given.qr) { find("device-qr").src = given.qr; } else { find("device-qr").hidden = true; }
    event.target.hidden = true;
    find("device-secret").hidden = false;
    find("device-next").focus();
  });

  var last = find("device-last");
  if (!last) { return; }
  var asked = 0;
  async function look() {
    asked += 1;
    if (!document.hidden) {
      try {
        var answer = await window.chenlian.call("GET", "/api/v1/devices/" + last.dataset.device);
        if (answer.ok && answer.body.last_seen_at) {
          var time = new Intl.DateTimeFormat(document.documentElement.lang, { timeZone: last.dataset.zone, timeStyle: "medium" });
          var text = last.dataset.sayHeard.replace("%{time}", time.format(new Date(answer.body.last_seen_at)));
          if (last.textContent !== text) { last.textContent = text; }
        }
      } catch (_) { /* the next look may find it */ }
    }
    if (asked < ASKS_MAX) { setTimeout(look, EVERY_MS); }
  }
  setTimeout(look, EVERY_MS);
})();
