-- Devices of every ecosystem behind a gateway, each by its part of a message, with what the register knows of it.

-- The part of its topic's messages that is this device; empty: all of them.
alter table device add column component text not null default '';
-- What its messages do not say, as JSON: which way round, what its buttons are for.
alter table device add column settings text not null default '{}';
-- By which Zigbee2MQTT knows it whatever it is called.
alter table device add column hardware_address text;
-- What its last press was numbered by: the same again is a repeat.
alter table device add column last_press text;
drop index device_behind_gateway;
create unique index device_behind_gateway on device (gateway_id, name, component) where revoked_at is null and gateway_id is not null;

-- What home automation is told of devices that are not entered yet: a proposal of how to read each topic.
create table device_announcement (
    site_id uuid not null,
    gateway_id uuid not null,
    -- Where the device reports.
    topic text not null,
    role text not null,
    settings text not null,
    announced_at timestamptz not null,
    primary key (site_id, gateway_id, topic)
);
create index device_announcement_by_age on device_announcement (site_id, gateway_id, announced_at);

-- The addresses that Zigbee2MQTT gives with the names of its devices, so that one has its own from the moment it is entered.
create table device_address (
    site_id uuid not null,
    gateway_id uuid not null,
    name text not null,
    hardware_address text not null,
    seen_at timestamptz not null,
    primary key (site_id, gateway_id, name)
);
