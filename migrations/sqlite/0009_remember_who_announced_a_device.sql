-- A proposal goes when the topic that announced it is emptied, and several topics may announce the same one. Announcements are kept
-- by the gateways' brokers and come again with the next connection. The table before this one, device_announcement, stays for
-- instances of the version before; a later migration drops it.

create table device_announced (
    site_id blob not null,
    gateway_id blob not null,
    -- Where it was announced.
    announced_by text not null,
    -- Where the device reports.
    topic text not null,
    role text not null,
    settings text not null,
    announced_at text not null,
    primary key (site_id, gateway_id, announced_by, topic)
) strict;
create index device_announced_by_age on device_announced (site_id, gateway_id, announced_at);
