//! All decisions, and nothing else: no clock, no I/O, no async, no randomness. `now` is always an argument.
//!
//! Read in this order: `words` and `refusal` are the vocabulary; `rules` the times a site can change; `day` turns an
//! agreement into instants; `signal` and `check` decide what one morning means; `alert`, `ladder` and `roster` decide who
//! must go; `evidence` judges what a sensor proves; `case` puts them together as `(view, event, now) → commands` for one senior; `notice` says who is told what.

pub mod words;

pub mod absence;
pub mod access;
pub mod agreement;
pub mod alert;
pub mod case;
pub mod check;
pub mod day;
pub mod device;
pub mod evidence;
pub mod group_post;
pub mod health;
pub mod id;
pub mod import;
pub mod ladder;
pub mod message;
pub mod misfit;
pub mod misread;
pub mod moment;
pub mod notice;
pub mod outcome;
pub mod phone;
pub mod place;
pub mod quarantine;
pub mod reach;
pub mod refusal;
pub mod register;
pub mod roster;
pub mod rules;
pub mod search;
pub mod second_factor;
pub mod signal;
pub mod silence;
pub mod statistics;
pub mod unheard;
pub mod visit;
