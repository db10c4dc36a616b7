//! A message in the templates that a provider has approved: which template, and its few arguments. Counts, a place and a link; no
//! name of a senior (domain.md §5).

use serde::{Deserialize, Serialize};

use super::Composed;
use crate::domain::notice::NoticeClass;
use crate::words;

words! {
    /// The templates that an installation registers with its providers.
    pub enum Template {
        /// A call for help.
        Help = "help",
        /// Somebody has not been heard from.
        Alert = "alert",
        /// Nobody needs to go any more.
        StandDown = "stand_down",
        /// Reminders and reports: something to read.
        Notice = "notice",
        /// Every message of a drill.
        Drill = "drill",
        /// The code that verifies an address.
        Code = "code",
        /// To a contact: her senior has not been heard from.
        Contact = "contact",
        /// To a contact: all is well.
        ContactWell = "contact_well",
        /// To a contact: somebody sees to it.
        ContactHandled = "contact_handled"
    }
}

impl Template {
    pub fn is_for_contacts(self) -> bool {
        matches!(self, Self::Contact | Self::ContactWell | Self::ContactHandled)
    }
}

/// Of one variable, as providers allow it: a longer value would be refused and with it the message.
const VALUE_CHARS_MAX: usize = 35;

/// The arguments of a template; a provider takes those that the template names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    pub template: Template,
    /// 王师傅
    pub called: String,
    /// 3号楼, or 3号楼等2处.
    pub place: String,
    /// Households.
    pub count: usize,
    /// What follows the host of the link: templates hold the host themselves, because providers approve it with them.
    pub link: String,
    /// For [`Template::Code`] only.
    pub code: Option<String>,
}

impl Brief {
    /// What is stored of a message that a provider's template will say.
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and a number are JSON")
    }

    /// The same where the reader may have seen it before: the place says so, which stands in every template that has room for a word.
    pub fn marked(&self, mark: &str) -> Vec<(&'static str, String)> {
        Self { place: format!("{mark}{}", self.place), ..self.clone() }.values()
    }

    /// The variables that a provider's template may use, in the order in which templates number them. That of a code has one only,
    /// because providers allow it no second one.
    pub fn values(&self) -> Vec<(&'static str, String)> {
        let cut = |text: &str| text.chars().take(VALUE_CHARS_MAX).collect();
        match self.template {
            Template::Code => vec![("code", self.code.clone().unwrap_or_default())],
            // No name and no place: a family knows whom it is about, and nobody else shall (domain.md §9).
            Template::Contact => vec![("link", self.link.clone())],
            Template::ContactWell | Template::ContactHandled => Vec::new(),
            Template::Help | Template::Alert | Template::StandDown | Template::Notice | Template::Drill => vec![
                ("called", cut(&self.called)),
                ("place", cut(&self.place)),
                ("count", self.count.to_string()),
                ("link", self.link.clone()),
            ],
        }
    }
}

/// Which template says what a composed message says.
pub fn template(class: NoticeClass, drill: bool, composed: &Composed) -> Template {
    if let Some(of_contact) = composed.sentences.first().and_then(|sentence| of_contact(&sentence.key)) {
        return of_contact;
    }
    let help = composed.sentences.iter().any(|sentence| sentence.key.starts_with("notice.help_"));
    match class {
        _ if drill => Template::Drill,
        NoticeClass::Alert if help => Template::Help,
        NoticeClass::Alert => Template::Alert,
        NoticeClass::StandDown => Template::StandDown,
        NoticeClass::Reminder | NoticeClass::Report => Template::Notice,
    }
}

/// The template of what a contact reads.
pub fn of_contact(key: &str) -> Option<Template> {
    match key {
        "notice.contact" | "notice.help_contact" => Some(Template::Contact),
        "notice.contact_well" => Some(Template::ContactWell),
        "notice.contact_handled" => Some(Template::ContactHandled),
        _ => None,
    }
}

/// Where somebody reads on whose message has no link of its own.
const READ_ON: &str = "alerts";

/// What follows the host of a link.
pub fn path(link: Option<&str>) -> String {
    let path = link.and_then(|link| link.splitn(4, '/').nth(3)).filter(|path| !path.is_empty());
    path.unwrap_or(READ_ON).to_owned()
}

/// The buildings of a message, each once, in the order in which they are read.
pub fn places(composed: &Composed) -> Vec<&str> {
    let mut places: Vec<&str> = Vec::new();
    for sentence in &composed.sentences {
        let named = sentence.arguments.get("building").map(String::as_str);
        let listed = sentence.units.iter().map(|unit| unit.building.as_str());
        for place in named.into_iter().chain(listed).filter(|place| !place.is_empty()) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}

/// Households that a message is about.
pub fn households(composed: &Composed) -> usize {
    composed.sentences.iter().map(|sentence| sentence.count).sum::<usize>() + composed.more
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::{Item, compose};
    use crate::domain::notice::arguments;

    fn item(key: &str, building: &str) -> Item {
        let arguments = arguments([("building", building), ("unit", "1"), ("senior", "张奶奶"), ("cause", "not_open")]);
        Item { alert_id: Some(uuid::Uuid::new_v4()), key: key.to_owned(), arguments }
    }

    #[test]
    fn a_template_gets_each_building_once_and_all_households() {
        let composed =
            compose(&[item("notice.alert_call", "3号楼"), item("notice.alert_call", "3号楼"), item("notice.alert_look", "5号楼")]);
        assert_eq!(places(&composed), ["3号楼", "5号楼"]);
        assert_eq!(households(&composed), 3);
        assert_eq!(template(NoticeClass::Alert, false, &composed), Template::Alert);
        assert_eq!(template(NoticeClass::Alert, true, &composed), Template::Drill);
        assert_eq!(template(NoticeClass::Report, false, &composed), Template::Notice);
        assert_eq!(template(NoticeClass::Alert, false, &compose(&[item("notice.help_call", "3号楼")])), Template::Help);
    }

    #[test]
    fn a_contact_reads_a_link_and_nothing_about_anybody() {
        for (key, class, expected, values) in [
            ("notice.contact", NoticeClass::Alert, Template::Contact, vec![("link", "f/k".to_owned())]),
            ("notice.help_contact", NoticeClass::Alert, Template::Contact, vec![("link", "f/k".to_owned())]),
            ("notice.contact_well", NoticeClass::StandDown, Template::ContactWell, vec![]),
            ("notice.contact_handled", NoticeClass::StandDown, Template::ContactHandled, vec![]),
        ] {
            let template = template(class, false, &compose(&[item(key, "3号楼")]));
            let (called, place) = ("李女士".to_owned(), "3号楼".to_owned());
            let brief = Brief { template, called, place, count: 1, link: "f/k".to_owned(), code: None };
            assert_eq!((template, brief.values()), (expected, values), "{key}");
        }
    }

    #[test]
    fn a_template_holds_the_host_and_the_message_what_follows() {
        assert_eq!(path(Some("https://chenlian.example/c/abc")), "c/abc");
        assert_eq!(path(Some("https://chenlian.example")), "alerts");
        assert_eq!(path(None), "alerts");
    }

    #[test]
    fn a_long_name_does_not_cost_the_message() {
        let place = "楼".repeat(60);
        let brief = Brief { template: Template::Alert, called: "王".to_owned(), place, count: 2, link: "c/k".to_owned(), code: None };
        let lengths: Vec<usize> = brief.values().iter().map(|(_, value)| value.chars().count()).collect();
        assert_eq!(lengths, [1, VALUE_CHARS_MAX, 1, 3]);
    }
}
