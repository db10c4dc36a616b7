-- Contacts who agreed at enrolment are told by message at L2, one after the other.

-- Who was told in which epoch of an alert, and what she answered.
create table contact_call (
    site_id blob not null,
    alert_id blob not null,
    epoch integer not null,
    contact_id blob not null,
    -- The step of the ladder that told her.
    step integer not null,
    relation text not null,
    told_at text not null,
    -- going, reached or cannot; null before she has answered.
    answer text,
    -- How long she needs to the door, if she said so.
    minutes integer,
    answered_at text,
    primary key (site_id, alert_id, epoch, contact_id)
) strict;

-- member or contact: whom recipient_id names. A contact has no channels of her own: what is sent goes to the number of her entry.
alter table notice add column recipient_kind text not null default 'member';
alter table message add column recipient_kind text not null default 'member';
create index contact_by_phone on contact (phone);

-- Whether its templates for contacts are set, written at each start.
alter table channel_account add column tells_contacts integer not null default 0;
