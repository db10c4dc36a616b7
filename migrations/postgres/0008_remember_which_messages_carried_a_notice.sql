-- Which messages carried a notice, also those over channels that were left: one that was left for a pause may still carry it.

create table message_notice (
    site_id uuid not null,
    notice_id uuid not null,
    message_id uuid not null,
    primary key (site_id, notice_id, message_id)
);
create index message_notice_by_message on message_notice (site_id, message_id);
insert into message_notice (site_id, notice_id, message_id)
select site_id, id, message_id from notice where message_id is not null;

-- The same may have arrived before over another channel: the text says so.
alter table message add column after_doubt boolean not null default false;
