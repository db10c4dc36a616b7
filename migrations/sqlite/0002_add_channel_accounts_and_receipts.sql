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

-- A group chat of the people around one place, told by its robot how many households wait in which building.
create table group_chat (
    site_id blob not null,
    id blob not null,
    place_id blob not null,
    name text not null,
    channel text not null,
    -- The robot's key, sealed with the key file.
    key_sealed blob not null,
    -- What it was last told: JSON, [["3号楼",2]].
    posted text not null,
    posted_at text,
    -- Since when that is no longer so; null while it is.
    changed_at text,
    -- The next try, and who makes it until when.
    next_at text,
    lease_until text,
    attempts integer not null,
    -- A post of unknown outcome came before: the repeat is marked.
    repeated integer not null,
    last_error text,
    disabled_at text,
    disabled_why text,
    ended_at text,
    version integer not null,
    created_at text not null,
    primary key (site_id, id)
) strict;
