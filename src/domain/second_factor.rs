//! The second factor: a code of six digits that a phone makes every 30 seconds (RFC 6238). A code counts once, and only near its
//! time; a member who must have one is no administrator before she has typed one.

use chrono::{DateTime, Utc};
use totp_rs::{Algorithm, TOTP};

use super::access::Grant;
use super::place::Role;

/// Bytes of a secret, as RFC 4226 recommends.
pub const SECRET_BYTES: usize = 20;
/// Codes for the day on which the phone is lost.
pub const RECOVERY_CODES: usize = 8;
const DIGITS: usize = 6;
const STEP_SECONDS: u64 = 30;
/// A phone's clock may be this many steps away.
const SKEW_STEPS: i64 = 1;

/// The step whose code this is; `None`: a wrong code, one of another time, or one that was taken before.
pub fn step_of(secret: &[u8], code: &str, last_step: i64, now: DateTime<Utc>) -> Option<i64> {
    let typed: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let totp = maker(secret, String::new());
    let step_seconds = i64::try_from(STEP_SECONDS).ok()?;
    let here = now.timestamp().div_euclid(step_seconds);
    (here - SKEW_STEPS..=here + SKEW_STEPS).filter(|step| *step > last_step).find(|step| {
        let second = u64::try_from(step * step_seconds).unwrap_or_default();
        same(&totp.generate(second), &typed)
    })
}

/// The code of a moment: what the phone shows.
pub fn code_at(secret: &[u8], at: DateTime<Utc>) -> String {
    maker(secret, String::new()).generate(u64::try_from(at.timestamp()).unwrap_or_default())
}

/// What the phone reads from the picture: the secret with the account that it belongs to.
pub fn address(secret: &[u8], account: &str) -> String {
    // A colon divides issuer and account there.
    maker(secret, account.replace(':', " ")).get_url()
}

/// The secret for typing it by hand.
pub fn written(secret: &[u8]) -> String {
    maker(secret, String::new()).get_secret_base32()
}

fn maker(secret: &[u8], account: String) -> TOTP {
    TOTP::new_unchecked(Algorithm::SHA1, DIGITS, 0, STEP_SECONDS, secret.to_vec(), Some("Chenlian".to_owned()), account)
}

/// Compares without telling by its time how many digits were right.
fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}

/// A recovery code as it is compared: without the hyphens and in the case in which it was made.
pub fn recovery(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

/// What counts of a member's roles: where administrators must have a second factor, none of them is one without it.
pub fn in_force(grants: Vec<Grant>, is_required: bool, has_typed_a_code: bool) -> Vec<Grant> {
    if !is_required || has_typed_a_code {
        return grants;
    }
    grants.into_iter().filter(|grant| grant.role != Role::Administrator).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[test]
    fn the_codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, the last six of its eight digits.
        for (second, code) in [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924")] {
            assert_eq!(code_at(SECRET, at(second)), code);
            assert!(step_of(SECRET, code, 0, at(second)).is_some());
        }
    }

    #[test]
    fn a_code_counts_once_and_near_its_time() {
        let now = at(1_234_567_890);
        let code = code_at(SECRET, now);
        let step = step_of(SECRET, &format!(" {} {} ", &code[..3], &code[3..]), 0, now).unwrap();
        assert_eq!(step_of(SECRET, &code, step, now), None, "the same code once more");
        assert_eq!(step_of(SECRET, &code, 0, now + chrono::TimeDelta::seconds(29)), Some(step), "a slow phone");
        assert_eq!(step_of(SECRET, &code, 0, now + chrono::TimeDelta::seconds(90)), None);
        for wrong in ["", "000000", "12345", "1234567", "一二三四五六"] {
            assert_eq!(step_of(SECRET, wrong, 0, now), None, "{wrong}");
        }
    }

    #[test]
    fn without_her_code_an_administrator_is_none_where_the_setting_says_so() {
        let grant = |role| Grant { role, place_id: None, grid_id: None, whole_site: true };
        let both = || vec![grant(Role::Administrator), grant(Role::Volunteer)];
        assert_eq!(in_force(both(), false, false).len(), 2);
        assert_eq!(in_force(both(), true, true).len(), 2);
        assert_eq!(in_force(both(), true, false), vec![grant(Role::Volunteer)]);
    }

    #[test]
    fn the_address_names_the_account_and_a_recovery_code_is_read_as_people_write_it() {
        let address = address(SECRET, "13800138000: x");
        assert!(address.starts_with("otpauth://totp/Chenlian:13800138000") && address.contains("secret="), "{address}");
        assert_eq!(recovery(" abcd-efgh 23 "), "ABCDEFGH23");
    }
}
