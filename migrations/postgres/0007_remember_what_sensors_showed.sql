-- What a sensor saw happen, a word of a closed list; null for people, and for what was stored before this was kept.
alter table signal add column deed text;
-- What is remembered of a device beside its level, as JSON; null if there is nothing.
alter table device add column memory text;
-- When it said last that it had lost events.
alter table device add column lost_at timestamptz;
