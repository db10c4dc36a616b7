-- Channels that need an account of the installation, what providers report, and how a signed request stays the same.

-- One row per word of the enum Channel, written at each start. A channel carries messages only where `configured` and not in fault.
create table channel_account (
    channel text not null primary key,
    configured integer not null,
    -- The provider refuses the account or its settings: nothing leaves by it until a test message has passed or the server starts anew.
    fault_at text,
    fault_why text
) strict;
-- Works without an account, also before the first start has written the rest.
insert into channel_account (channel, configured) values ('webhook', 1);

-- The time that the signed requests of a message carry, so that a repeat is the same request byte for byte; null before the first attempt.
alter table message add column signed_at text;
-- The provider's number of what it accepted.
alter table message add column provider_id text;
create index message_by_provider on message (channel, provider_id) where provider_id is not null;
-- The hash of the key in the link by which the reader says that she is going; null where the message asks nobody to go.
alter table message add column claim_hash blob;
create unique index message_by_claim on message (claim_hash) where claim_hash is not null;
create index message_by_call_no on message (call_no);

-- What a provider reported of a message; it may come before the answer that names the number, twice, and in any order.
create table message_receipt (
    channel text not null,
    -- The provider's number, or our own short one where it gives that back.
    reference text not null,
    -- delivered, heard, unanswered or failed.
    state text not null,
    detail text not null,
    at text not null,
    -- When consequences were drawn.
    handled_at text,
    primary key (channel, reference, state)
) strict;
create index message_receipt_open on message_receipt (at) where handled_at is null;

-- The code that verifies an address: the last one sent, until it is typed or runs out.
create table channel_code (
    site_id blob not null,
    channel_id blob not null,
    code_sealed blob not null,
    sent_at text not null,
    expires_at text not null,
    tries_left integer not null,
    primary key (site_id, channel_id)
) strict;
