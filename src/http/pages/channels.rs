//! The part of a page that shows how one person is reached, hers or an administrator's: her channels in their order, her quiet hours,
//! and what each kind of channel asks for.

use uuid::Uuid;

use crate::domain::message::Channel;
use crate::domain::message::channel::{AddressKind, SecretKind};
use crate::store::register::channel::Channel as MemberChannel;
use crate::store::register::quiet_hours::{self, QuietHours};
use crate::store::register::{channel, channel_order};
use crate::store::{Result, Tx, channel_account};

/// A kind of channel that can be added here.
pub struct Kind {
    pub word: Channel,
    /// The word of what its address is; `None` if it has none.
    pub address: Option<&'static str>,
    pub secret: Option<&'static str>,
}

/// How one person is reached and when she is reminded.
pub struct Ways {
    pub channels: Vec<MemberChannel>,
    pub kinds: Vec<Kind>,
    pub quiet: QuietHours,
    /// Whether she has put her channels into an order of her own.
    pub own_order: bool,
}

impl Ways {
    pub async fn of(tx: &mut Tx, site_id: Uuid, member_id: Uuid) -> Result<Self> {
        Ok(Self {
            channels: channel::list(tx, site_id, member_id).await?,
            kinds: kinds(tx).await?,
            quiet: quiet_hours::get(tx, site_id, member_id).await?,
            own_order: channel_order::own_since(tx, site_id, member_id).await?.is_some(),
        })
    }

    /// The times in force, as a form shows them.
    pub fn quiet_from(&self) -> String {
        self.quiet.from.unwrap_or(self.quiet.site_from).format("%H:%M").to_string()
    }

    pub fn quiet_to(&self) -> String {
        self.quiet.to.unwrap_or(self.quiet.site_to).format("%H:%M").to_string()
    }

    /// The ids with this channel one place earlier.
    pub fn sooner(&self, id: &Uuid) -> Vec<Uuid> {
        let mut ids: Vec<Uuid> = self.channels.iter().map(|channel| channel.id).collect();
        if let Some(place) = ids.iter().position(|known| known == id).filter(|place| *place > 0) {
            ids.swap(place - 1, place);
        }
        ids
    }

    /// The ids with this channel one place later.
    pub fn later(&self, id: &Uuid) -> Vec<Uuid> {
        let mut ids: Vec<Uuid> = self.channels.iter().map(|channel| channel.id).collect();
        if let Some(place) = ids.iter().position(|known| known == id).filter(|place| place + 1 < ids.len()) {
            ids.swap(place, place + 1);
        }
        ids
    }
}

/// Those that this installation has set up, most usual first. A browser adds itself, by its own question.
async fn kinds(tx: &mut Tx) -> Result<Vec<Kind>> {
    let accounts = channel_account::configured(tx).await?;
    let mut words: Vec<Channel> = accounts.into_iter().map(|account| account.channel).filter(|word| *word != Channel::WebPush).collect();
    words.sort_by_key(|word| (matches!(word, Channel::Log | Channel::Webhook), *word));
    Ok(words.into_iter().map(|word| Kind { word, address: asks(word.address()), secret: secret(word.secret()) }).collect())
}

fn asks(kind: AddressKind) -> Option<&'static str> {
    match kind {
        AddressKind::Free => None,
        AddressKind::Url => Some("url"),
        AddressKind::Phone => Some("phone"),
        AddressKind::Email => Some("email"),
        AddressKind::Name | AddressKind::InPath => Some("name"),
    }
}

fn secret(kind: SecretKind) -> Option<&'static str> {
    match kind {
        SecretKind::SigningKey => Some("signing_key"),
        SecretKind::Token => Some("token"),
        SecretKind::None | SecretKind::Subscription => None,
    }
}
