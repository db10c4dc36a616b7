-- Contacts who agreed at enrolment are told by message at L2, one after the other.

-- Who was told in which epoch of an alert, and what she answered.
create table contact_call (
    site_id uuid not null,
    alert_id uuid not null,
    epoch bigint not null,
    contact_id uuid not null,
    -- The step of the ladder that told her.
    step bigint not null,
    relation text not null,
    told_at timestamptz not null,
    -- going, reached or cannot; null before she has answered.
    answer text,
    -- How long she needs to the door, if she said so.
    minutes bigint,
    answered_at timestamptz,
    primary key (site_id, alert_id, epoch, contact_id)
);

-- member or contact: whom recipient_id names. A contact has no channels of her own: what is sent goes to the number of her entry.
alter table notice add column recipient_kind text not null default 'member';
alter table message add column recipient_kind text not null default 'member';
create index contact_by_phone on contact (phone);

-- Whether its templates for contacts are set, written at each start.
alter table channel_account add column tells_contacts boolean not null default false;
