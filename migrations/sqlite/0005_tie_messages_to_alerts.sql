-- Which alerts a message was about, also after its notices have moved on to the next channel; and which message a report was of.

create table message_alert (
    site_id blob not null,
    alert_id blob not null,
    message_id blob not null,
    primary key (site_id, alert_id, message_id)
) strict;
create index message_alert_by_message on message_alert (site_id, message_id);
insert into message_alert (site_id, alert_id, message_id)
select distinct site_id, alert_id, message_id from notice where alert_id is not null and message_id is not null;

-- Null until its message is known.
alter table message_receipt add column site_id blob;
alter table message_receipt add column message_id blob;
create index message_receipt_by_message on message_receipt (site_id, message_id) where message_id is not null;
