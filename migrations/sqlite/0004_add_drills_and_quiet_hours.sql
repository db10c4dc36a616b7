-- When people want no reminders, in which order they are reached, and drills of the ladder.

-- Local times between which she is reminded of nothing; null: those of the site. Twice the same time: never.
alter table member add column quiet_from text;
alter table member add column quiet_to text;
-- When she put her channels into an order of her own; null: they follow the order of the site.
alter table member add column channels_ordered_at text;
-- Whoever has several put them into that order.
update member set channels_ordered_at = created_at
    where (select count(*) from member_channel c where c.site_id = member.site_id and c.member_id = member.id) > 1;

-- From then on it would be said as if it were still due; null: it stays true.
alter table notice add column useless_from text;
create index notice_useless on notice (useless_from) where state = 'pending' and useless_from is not null;

-- A drill: everybody whom an alert at this place would tell is told once that it is one.
create table drill (
    site_id blob not null,
    id blob not null,
    place_id blob not null,
    -- Null: the weekly one.
    started_by blob,
    started_at text not null,
    -- When the report is due, and when it was made.
    report_at text not null,
    reported_at text,
    stopped_at text,
    stopped_by blob,
    primary key (site_id, id)
) strict;
create index drill_by_start on drill (site_id, started_at, id);
create index drill_unreported on drill (report_at) where reported_at is null and stopped_at is null;

-- Who was told at which level, by which notice, and when she said that she has read it.
create table drill_person (
    site_id blob not null,
    drill_id blob not null,
    member_id blob not null,
    level integer not null,
    notice_id blob not null,
    confirmed_at text,
    primary key (site_id, drill_id, member_id)
) strict;
create unique index drill_person_by_notice on drill_person (site_id, notice_id);
create index drill_person_by_member on drill_person (site_id, member_id);
