-- Channels that need an account of the installation, what providers report, and how a signed request stays the same.

-- One row per word of the enum Channel, written at each start. A channel carries messages only where `configured` and not in fault.
create table channel_account (
    channel text not null primary key,
    configured boolean not null,
    -- The provider refuses the account or its settings: nothing leaves by it until a test message has passed or the server starts anew.
    fault_at timestamptz,
    fault_why text
);
-- Works without an account, also before the first start has written the rest.
insert into channel_account (channel, configured) values ('webhook', true);

-- The time that the signed requests of a message carry, so that a repeat is the same request byte for byte; null before the first attempt.
alter table message add column signed_at timestamptz;
-- The provider's number of what it accepted.
alter table message add column provider_id text;
create index message_by_provider on message (channel, provider_id) where provider_id is not null;
-- The hash of the key in the link by which the reader says that she is going; null where the message asks nobody to go.
alter table message add column claim_hash bytea;
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
    at timestamptz not null,
    -- When consequences were drawn.
    handled_at timestamptz,
    primary key (channel, reference, state)
);
create index message_receipt_open on message_receipt (at) where handled_at is null;

-- The code that verifies an address: the last one sent, until it is typed or runs out.
create table channel_code (
    site_id uuid not null,
    channel_id uuid not null,
    code_sealed bytea not null,
    sent_at timestamptz not null,
    expires_at timestamptz not null,
    tries_left bigint not null,
    primary key (site_id, channel_id)
);

-- A group chat of the people around one place, told by its robot how many households wait in which building.
create table group_chat (
    site_id uuid not null,
    id uuid not null,
    place_id uuid not null,
    name text not null,
    channel text not null,
    -- The robot's key, sealed with the key file.
    key_sealed bytea not null,
    -- What it was last told: JSON, [["3号楼",2]].
    posted text not null,
    posted_at timestamptz,
    -- Since when that is no longer so; null while it is.
    changed_at timestamptz,
    -- The next try, and who makes it until when.
    next_at timestamptz,
    lease_until timestamptz,
    attempts bigint not null,
    -- A post of unknown outcome came before: the repeat is marked.
    repeated boolean not null,
    last_error text,
    disabled_at timestamptz,
    disabled_why text,
    ended_at timestamptz,
    version bigint not null,
    created_at timestamptz not null,
    primary key (site_id, id)
);
