//! The part of a page that shows how one person is reached, hers or an administrator's: what each kind of channel asks for.

use crate::domain::message::Channel;
use crate::domain::message::channel::{AddressKind, SecretKind};
use crate::store::{Result, Tx, channel_account};

/// A kind of channel that can be added here.
pub struct Kind {
    pub word: Channel,
    /// The word of what its address is; `None` if it has none.
    pub address: Option<&'static str>,
    pub secret: Option<&'static str>,
}

/// Those that this installation has set up, most usual first. A browser adds itself, by its own question.
pub async fn kinds(tx: &mut Tx) -> Result<Vec<Kind>> {
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
        AddressKind::Name => Some("name"),
    }
}

fn secret(kind: SecretKind) -> Option<&'static str> {
    match kind {
        SecretKind::SigningKey => Some("signing_key"),
        SecretKind::Token => Some("token"),
        SecretKind::None | SecretKind::Subscription => None,
    }
}
