// A senior's page: what was opened with a reason is shown in its place, and nowhere kept.
(function () {
  "use strict";
  var form = document.getElementById("reveal");
  if (!form) { return; }
  var place = document.getElementById("revealed");

  function element(name, text, className) {
    var made = document.createElement(name);
    made.textContent = text;
    if (className) { made.className = className; }
    return made;
  }

  function dial(name, phone) {
    var link = element("a", name + " " + phone, "button wide");
    link.href = "tel:" + phone;
    return link;
  }

  function fill(name, list, items, make) {
    list.textContent = "";
    items.forEach(function (item) { list.append(make(item)); });
    place.querySelector('[data-none="' + name + '"]').hidden = items.length > 0;
  }

  form.addEventListener("chenlian:done", function (event) {
    var answer = event.detail;
    fill("contacts", place.querySelector("[data-contacts]"), answer.contacts.filter(function (one) { return !one.ended_at; }), function (one) {
      var item = document.createElement("li");
      var away = one.minutes_away === null || one.minutes_away === undefined ? "" : " · " + chenlian.fill(place.dataset.sayMinutes, { n: one.minutes_away });
      item.append(element("span", one.relation + " " + one.name + away), dial(one.relation, one.phone));
      return item;
    });
    fill("consents", place.querySelector("[data-consents]"), answer.consents, function (one) {
      var scope = place.getAttribute("data-scope-" + one.scope) || one.scope;
      var witness = one.witness ? " · " + one.witness : "";
      return element("li", scope + " · " + one.given_how + witness + (one.withdrawn_at ? " · " + place.dataset.sayWithdrawn : ""));
    });
    var key = place.querySelector("[data-key]");
    var home = answer.home;
    key.textContent = home.key_holder_name || "";
    if (home.key_holder_phone) { key.append(" ", dial(home.key_holder_name || "", home.key_holder_phone)); }
    key.hidden = !home.key_holder_name;
    place.querySelector('[data-none="key"]').hidden = !key.hidden;
    form.hidden = true;
    place.hidden = false;
    place.focus();
  });
})();
