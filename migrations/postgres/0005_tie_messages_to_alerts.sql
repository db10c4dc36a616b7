-- Which alerts a message was about, also after its notices have moved on to the next channel; and which message a report was of.

create table message_alert (
    site_id uuid not null,
    alert_id uuid not null,
    message_id uuid not null,
    primary key (site_id, alert_id, message_id)
);
create index message_alert_by_message on message_alert (site_id, message_id);
insert into message_alert (site_id, alert_id, message_id)
select distinct site_id, alert_id, message_id from notice where alert_id is not null and message_id is not null;

-- Null until its message is known.
alter table message_receipt add column site_id uuid;
alter table message_receipt add column message_id uuid;
create index message_receipt_by_message on message_receipt (site_id, message_id) where message_id is not null;
