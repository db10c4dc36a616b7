//! What a filter of a page sends in the address: an empty field asks for everything.

use serde::de::{DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::frame::Frame;
use crate::app::App;
use crate::domain::access::Capability;
use crate::http::caller::Caller;
use crate::store::board::{self, BoardPlace};
use crate::store::{Result, Tx};

/// For `#[serde(default, deserialize_with = "blank")]`.
pub fn blank<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() { Ok(None) } else { T::deserialize(text.into_deserializer()).map(Some) }
}

/// A place among which the reader chooses, with the names above it.
pub struct Choice {
    pub id: Uuid,
    pub name: String,
    pub is_chosen: bool,
}

/// The places of a filter, each below the one that it belongs to, and what the whole is called that is shown.
pub fn choices(places: &[BoardPlace], chosen: Option<Uuid>) -> Vec<Choice> {
    let mut choices = Vec::with_capacity(places.len());
    let known: std::collections::HashSet<Uuid> = places.iter().map(|place| place.id).collect();
    let is_top = |place: &&BoardPlace| place.parent_id.is_none_or(|parent| !known.contains(&parent));
    let mut open: Vec<(&BoardPlace, String)> = places.iter().filter(is_top).map(|place| (place, String::new())).collect();
    open.reverse();
    while let Some((place, above)) = open.pop() {
        let name = if above.is_empty() { place.name.clone() } else { format!("{above} · {}", place.name) };
        choices.push(Choice { id: place.id, name: name.clone(), is_chosen: chosen == Some(place.id) });
        let below: Vec<&BoardPlace> = places.iter().filter(|below| below.parent_id == Some(place.id)).collect();
        open.extend(below.into_iter().rev().map(|below| (below, name.clone())));
    }
    choices
}

/// The places of the reader, once it is sure that she may read about the chosen one.
pub async fn places(tx: &mut Tx, caller: &Caller, chosen: Option<Uuid>, need: Capability) -> Result<Vec<BoardPlace>> {
    if let Some(place) = chosen {
        caller.place(tx, place, need).await?;
    }
    board::places(tx, &caller.who()).await
}

/// The same in a transaction of its own.
pub async fn read_places(app: &App, caller: &Caller, chosen: Option<Uuid>, need: Capability) -> Result<Vec<BoardPlace>> {
    let caller = caller.clone();
    app.read(move |mut tx| async move { places(&mut tx, &caller, chosen, need).await.map(|places| (tx, places)) }).await
}

/// How the chosen place is called.
pub fn title(frame: &Frame, choices: &[Choice]) -> String {
    let chosen = choices.iter().find(|choice| choice.is_chosen);
    chosen.map_or_else(|| frame.say("board.everywhere").to_string(), |choice| choice.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::place::PlaceKind;

    #[test]
    fn each_place_stands_below_the_one_that_it_belongs_to() {
        let id = Uuid::from_u128;
        let place = |n, name: &str, parent: Option<u128>| BoardPlace {
            id: id(n),
            kind: PlaceKind::Building,
            name: name.to_owned(),
            parent_id: parent.map(id),
        };
        // The parent of the first is out of scope.
        let places =
            [place(1, "a", Some(9)), place(4, "b2", Some(2)), place(2, "b", None), place(3, "b1", Some(2)), place(5, "b11", Some(3))];
        let listed = choices(&places, Some(id(3)));
        let names: Vec<&str> = listed.iter().map(|choice| choice.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "b · b2", "b · b1", "b · b1 · b11"]);
        assert!(listed[3].is_chosen);
    }
}
