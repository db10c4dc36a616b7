-- The whole register, the daily checks, the alerts and the outbox of one server.
--
-- Every table has site_id: a site is the isolation boundary, and every primary and unique key starts with it.
-- Ids are UUIDs: v7 made here, any version made by clients, v5 where the id is derived so that a thing can exist only once.
-- No default reads a clock: every time is bound by the program in whole milliseconds, UTC.
-- Words (states, kinds, roles) are text; the closed lists are the enums of src/domain.
-- Nothing that has history is deleted: rows end (ended_at, to_date), they do not vanish.

-- One scheme with its own time zone and its own default times.
create table site (
    id blob not null primary key,
    name text not null,
    timezone text not null,
    latitude real not null,
    longitude real not null,
    -- The site's own check.* and ladder.*, as JSON; a key that is absent has its default, an unknown one is passed over.
    settings text not null,
    -- The last local date that plan_day has filled; null before the first plan.
    planned_through text,
    version integer not null,
    created_at text not null
) strict;

-- 街道 · 社区 · 小区 · 楼栋: a tree, with its closure so that "here and below" is one join.
create table place (
    site_id blob not null,
    id blob not null,
    kind text not null,
    name text not null,
    parent_id blob,
    walk_order integer not null,
    -- A compound in trial mode tells only L0, L1 and L4 until this date (exclusive).
    trial_until text,
    ended_at text,
    version integer not null,
    created_at text not null,
    primary key (site_id, id)
) strict;

create table place_closure (
    site_id blob not null,
    ancestor_id blob not null,
    descendant_id blob not null,
    depth integer not null,
    primary key (site_id, ancestor_id, descendant_id)
) strict;
create index place_closure_up on place_closure (site_id, descendant_id, depth);

-- 网格: a second grouping of buildings beside the tree.
create table grid (
    site_id blob not null,
    id blob not null,
    name text not null,
    ended_at text,
    version integer not null,
    created_at text not null,
    primary key (site_id, id)
) strict;

-- Which buildings a grid held on which days (to_date exclusive).
create table grid_place (
    site_id blob not null,
    grid_id blob not null,
    place_id blob not null,
    from_date text not null,
    to_date text,
    primary key (site_id, grid_id, place_id, from_date)
) strict;
create index grid_place_by_place on grid_place (site_id, place_id);

-- 党员, volunteers, social workers, operators: everybody who acts.
create table member (
    site_id blob not null,
    id blob not null,
    name text not null,
    -- How texts address the person: 王师傅.
    called text not null,
    phone text not null,
    locale text not null,
    -- Argon2id; null for members who never type a password.
    password_hash text,
    ended_at text,
    version integer not null,
    created_at text not null,
    primary key (site_id, id)
) strict;
create unique index member_phone on member (site_id, phone) where ended_at is null;

-- role × scope × time. A grant is ended by its to_date (exclusive), never deleted.
create table role_grant (
    site_id blob not null,
    id blob not null,
    member_id blob not null,
    role text not null,
    place_id blob,
    grid_id blob,
    from_date text not null,
    to_date text,
    version integer not null,
    created_at text not null,
    primary key (site_id, id)
) strict;
create index role_grant_by_member on role_grant (site_id, member_id);
create index role_grant_by_place on role_grant (site_id, place_id, role);
create index role_grant_by_grid on role_grant (site_id, grid_id, role);

-- Cookies of browsers and bearer tokens of programs. Only the SHA-256 of the token is kept.
create table session (
    site_id blob not null,
    id blob not null,
    member_id blob not null,
    kind text not null,
    token_hash blob not null,
    label text not null,
    created_at text not null,
    -- The last time that the member typed the password: silencing acts ask for a recent one.
    authenticated_at text,
    -- When a code of the second factor was typed, where there is one.
    second_factor_at text,
    expires_at text not null,
    revoked_at text,
    primary key (site_id, id)
) strict;
create unique index session_token on session (token_hash);

-- A way in without a password: a link that is used once. A new one ends those before it; only the SHA-256 of the token is kept.
create table invitation (
    site_id blob not null,
    id blob not null,
    member_id blob not null,
    token_hash blob not null,
    invited_by blob not null,
    created_at text not null,
    expires_at text not null,
    -- The sign-in that it opened: the same browser may ask once more if the answer got lost.
    used_at text,
    session_id blob,
    ended_at text,
    primary key (site_id, id)
) strict;
create unique index invitation_token on invitation (token_hash);
create index invitation_by_member on invitation (site_id, member_id);

-- The second factor of a member: a secret sealed with the key file, in force once its first code was typed.
create table second_factor (
    site_id blob not null,
    member_id blob not null,
    secret_sealed blob not null,
    confirmed_at text,
    -- The time step of the last code that was taken: no code counts twice.
    last_step integer not null,
    created_at text not null,
    primary key (site_id, member_id)
) strict;

-- One-time codes for the day on which the phone is lost, as a keyed hash.
create table recovery_code (
    site_id blob not null,
    member_id blob not null,
    code_hash blob not null,
    used_at text,
    created_at text not null,
    primary key (site_id, member_id, code_hash)
) strict;

-- The ordered list of ways to reach a member.
create table member_channel (
    site_id blob not null,
    id blob not null,
    member_id blob not null,
    position integer not null,
    channel text not null,
    address text not null,
    -- A secret of this channel (webhook signing key), sealed with the key file; null where none is needed.
    secret_sealed blob,
    verified_at text,
    disabled_at text,
    disabled_why text,
    version integer not null,
    created_at text not null,
    primary key (site_id, id)
) strict;
create index member_channel_by_member on member_channel (site_id, member_id, position);

-- 户: what one window and one door belong to.
create table home (
    site_id blob not null,
    id blob not null,
    building_id blob not null,
    unit text not null,
    floor integer,
    room text not null,
    -- Which window, seen from the ground: 左二窗.
    window_hint text not null,
    walk_order integer not null,
    -- The person who keeps a key: a member, or a neighbour with a phone.
    key_holder_member_id blob,
    key_holder_name text,
    key_holder_phone text,
    ended_at text,
    version integer not null,
    created_at text not null,
    primary key (site_id, id)
) strict;
create index home_by_building on home (site_id, building_id, walk_order);
create unique index home_door on home (site_id, building_id, unit, room) where ended_at is null;

create table senior (
    site_id blob not null,
    id blob not null,
    home_id blob not null,
    name text not null,
    -- How messages name the person: 张奶奶.
    called text not null,
    phone text,
    birth_year integer,
    -- JSON array of category words.
    categories text not null,
    risk_band text not null,
    hearing_hint text not null,
    -- real, or canary: a canary is in no statistic.
    purpose text not null,
    ended_at text,
    ended_why text,
    version integer not null,
    created_at text not null,
    primary key (site_id, id)
) strict;
create index senior_by_home on senior (site_id, home_id);

-- Where a senior lived on which days (to_date exclusive): the numbers of an old day belong to the old building. The open row is
-- senior.home_id.
create table senior_residence (
    site_id blob not null,
    id blob not null,
    senior_id blob not null,
    home_id blob not null,
    from_date text not null,
    to_date text,
    created_at text not null,
    primary key (site_id, id)
) strict;
create index senior_residence_by_senior on senior_residence (site_id, senior_id, from_date);
create index senior_residence_by_home on senior_residence (site_id, home_id);

-- The risk band of a senior on which days (to_date exclusive). The open row is senior.risk_band.
create table senior_risk_band (
    site_id blob not null,
    id blob not null,
    senior_id blob not null,
    risk_band text not null,
    from_date text not null,
    to_date text,
    created_at text not null,
    primary key (site_id, id)
) strict;
create index senior_risk_band_by_senior on senior_risk_band (site_id, senior_id, from_date);

create table contact (
    site_id blob not null,
    id blob not null,
    senior_id blob not null,
    position integer not null,
    name text not null,
    relation text not null,
    phone text not null,
    minutes_away integer,
    -- Agreed at enrolment to be called automatically; used by later channels.
    agreed_automatic integer not null,
    ended_at text,
    version integer not null,
    created_at text not null,
    primary key (site_id, id)
) strict;
create index contact_by_senior on contact (site_id, senior_id, position);

create table consent (
    site_id blob not null,
    id blob not null,
    senior_id blob not null,
    scope text not null,
    given_at text not null,
    given_how text not null,
    witness text,
    withdrawn_at text,
    version integer not null,
    created_at text not null,
    primary key (site_id, id)
) strict;
create index consent_by_senior on consent (site_id, senior_id, scope);

-- 结对: one primary and one backup in force per senior (guarded in the store under the senior's lock).
create table pairing (
    site_id blob not null,
    id blob not null,
    senior_id blob not null,
    member_id blob not null,
    kind text not null,
    from_date text not null,
    to_date text,
    version integer not null,
    created_at text not null,
    primary key (site_id, id)
) strict;
create index pairing_by_senior on pairing (site_id, senior_id);
create index pairing_by_member on pairing (site_id, member_id);

-- 看窗值班: who walks under which windows. scope_kind is building or senior.
create table duty (
    site_id blob not null,
    id blob not null,
    member_id blob not null,
    slot text not null,
    -- Bit 0 is Monday.
    weekdays integer not null,
    from_date text not null,
    to_date text,
    version integer not null,
    created_at text not null,
    primary key (site_id, id)
) strict;
create index duty_by_member on duty (site_id, member_id);

create table duty_scope (
    site_id blob not null,
    duty_id blob not null,
    scope_kind text not null,
    scope_id blob not null,
    primary key (site_id, duty_id, scope_kind, scope_id)
) strict;
create index duty_scope_by_scope on duty_scope (site_id, scope_id);

-- 请假 · 替班
create table leave_of_absence (
    site_id blob not null,
    id blob not null,
    member_id blob not null,
    from_date text not null,
    -- First day back.
    return_date text not null,
    substitute_id blob,
    cancelled_at text,
    version integer not null,
    created_at text not null,
    primary key (site_id, id)
) strict;
create index leave_by_member on leave_of_absence (site_id, member_id);

-- 窗帘约定: rows are never changed, only ended; an edit ends one and begins the next. What an edit leaves of an old row (its
-- other weekdays, the days after the new one) goes on in a row of its own, which names the row that it continues.
create table agreement (
    site_id blob not null,
    id blob not null,
    senior_id blob not null,
    slot text not null,
    weekdays integer not null,
    expected_sign text not null,
    -- Local wall-clock times; null follows the site's default.
    window_opens text,
    deadline text,
    grace_seconds integer,
    unobserved_delay_seconds integer,
    sensor_policy text not null,
    require_change integer not null,
    from_date text not null,
    to_date text,
    ended_why text,
    replaced_by_id blob,
    continues_id blob,
    content_hash blob not null,
    created_by blob,
    created_at text not null,
    primary key (site_id, id)
) strict;
create index agreement_by_senior on agreement (site_id, senior_id, slot, from_date);

-- 不在家登记: a pause with a return date. It excuses a check only if confirmed before that check's cutoff.
create table absence (
    site_id blob not null,
    id blob not null,
    senior_id blob not null,
    kind text not null,
    from_date text not null,
    -- First day back: an ordinary check again.
    return_date text not null,
    reported_by text not null,
    entered_by blob,
    confirmed_at text,
    confirmed_by blob,
    cancelled_at text,
    -- When somebody was asked whether she comes back on that date, and who made sure of it.
    return_asked_at text,
    return_confirmed_at text,
    return_confirmed_by blob,
    content_hash blob not null,
    version integer not null,
    created_at text not null,
    primary key (site_id, id)
) strict;
create index absence_by_senior on absence (site_id, senior_id, return_date);
create index absence_by_return on absence (site_id, return_date);

-- One observation, append-only; a correction is a new row that names the one it replaces.
create table signal (
    site_id blob not null,
    id blob not null,
    senior_id blob not null,
    kind text not null,
    observed_at text not null,
    received_at text not null,
    observed_by blob,
    entered_by blob,
    device_id blob,
    -- member, sheet or device.
    source text not null,
    -- Class A, B or C of a sensor's evidence; null for people.
    evidence text,
    -- accepted, clock_suspect, too_old or quarantined.
    standing text not null,
    replaces_id blob,
    reason text,
    note text,
    content_hash blob not null,
    primary key (site_id, id)
) strict;
create index signal_by_senior on signal (site_id, senior_id, observed_at);
create index signal_by_replaced on signal (site_id, replaces_id) where replaces_id is not null;

-- One check per senior, local date and slot, planned ahead so that silence is an overdue row. (CHECK is a reserved word.)
create table daily_check (
    site_id blob not null,
    id blob not null,
    senior_id blob not null,
    agreement_id blob not null,
    local_date text not null,
    slot text not null,
    state text not null,
    -- Copied from the agreement, so that history keeps what was agreed that day.
    expected_sign text not null,
    sensor_policy text not null,
    counts_from text not null,
    window_opens_at text not null,
    deadline_at text not null,
    cutoff_at text not null,
    -- End of the local day: later sightings do not belong to this check.
    day_ends_at text not null,
    unobserved_delay_seconds integer not null,
    received_late integer not null,
    -- The missed trigger has been raised: it is raised at most once, for ever.
    triggered integer not null,
    -- The one time that the watch asks for; null when nothing more will happen by itself.
    next_action_at text,
    decided_at text,
    primary key (site_id, id)
) strict;
create unique index daily_check_day on daily_check (site_id, senior_id, local_date, slot);
create index daily_check_due on daily_check (next_action_at) where next_action_at is not null;
-- Without it SQLite reads a site's whole history at every tick, to find the few that are due.
create index daily_check_due_of_site on daily_check (site_id, next_action_at) where next_action_at is not null;
create index daily_check_round on daily_check (site_id, local_date, slot, state);

-- The open case: at most one unresolved per senior.
create table alert (
    site_id blob not null,
    id blob not null,
    senior_id blob not null,
    state text not null,
    -- missed or help: which ladder runs.
    ladder text not null,
    cause text not null,
    epoch integer not null,
    level integer not null,
    trial integer not null,
    drill integer not null,
    opened_at text not null,
    epoch_at text not null,
    claimed_by blob,
    claim_until text,
    -- Who sent the claimant; null if she took it herself.
    assigned_by blob,
    emergency_at text,
    -- Somebody looked after opening and the sign was still missing: L2 need not wait for a first look.
    looked_at text,
    -- A sensor showed the sign late: a call may do, so the alert stands lower on the list.
    sensor_noted_at text,
    resolved_at text,
    resolved_by blob,
    resolved_by_signal blob,
    contact_proof text,
    proof_by text,
    proof_at text,
    safe integer,
    outcome text,
    outcome_note text,
    reviewed_at text,
    reviewed_by blob,
    outage_from text,
    outage_to text,
    next_action_at text,
    version integer not null,
    primary key (site_id, id)
) strict;
create unique index alert_unresolved on alert (site_id, senior_id) where resolved_at is null;
create index alert_by_senior on alert (site_id, senior_id, opened_at);
create index alert_due on alert (next_action_at) where next_action_at is not null;
create index alert_due_of_site on alert (site_id, next_action_at) where next_action_at is not null;
create index alert_list on alert (site_id, opened_at, id);

-- Why someone must go. The id is derived, so a trigger of a kind exists once per check, for ever.
create table alert_trigger (
    site_id blob not null,
    id blob not null,
    alert_id blob not null,
    senior_id blob not null,
    check_id blob,
    kind text not null,
    cause text not null,
    local_date text not null,
    slot text,
    -- Only a sign observed from here on proves anything about this trigger.
    proof_from text not null,
    note text,
    raised_by blob,
    at text not null,
    primary key (site_id, id)
) strict;
create index alert_trigger_by_alert on alert_trigger (site_id, alert_id);

-- The ladder as copied when the epoch began; fenced by (epoch, step).
create table ladder_step (
    site_id blob not null,
    alert_id blob not null,
    epoch integer not null,
    step integer not null,
    level integer not null,
    act text not null,
    due_at text not null,
    -- If a claim lives when due_at comes, the step waits at least until here.
    due_if_claimed_at text not null,
    -- If nobody has looked yet, the step waits at most until here.
    due_if_unseen_at text not null,
    held integer not null,
    state text not null,
    fired_at text,
    told integer not null,
    primary key (site_id, alert_id, epoch, step)
) strict;

create table alert_event (
    site_id blob not null,
    id blob not null,
    alert_id blob not null,
    at text not null,
    kind text not null,
    actor_id blob,
    -- Arguments for the sentence of this kind, JSON.
    detail text not null,
    primary key (site_id, id)
) strict;
create index alert_event_by_alert on alert_event (site_id, alert_id, at, id);

-- What one person must be told about one thing: key and arguments, written with the alert.
create table notice (
    site_id blob not null,
    id blob not null,
    alert_id blob,
    epoch integer not null,
    step integer not null,
    level integer not null,
    recipient_id blob not null,
    key text not null,
    arguments text not null,
    -- alert, stand_down, reminder or report.
    class text not null,
    -- pending, sealed, delivered, cancelled or failed.
    state text not null,
    message_id blob,
    -- How many of the recipient's channels have been used up.
    channels_tried integer not null,
    not_before text not null,
    created_at text not null,
    primary key (site_id, id)
) strict;
create index notice_pending on notice (not_before) where state = 'pending';
create index notice_failed on notice (site_id, created_at) where state = 'failed';
create index notice_by_alert on notice (site_id, alert_id, epoch, step) where alert_id is not null;
create index notice_by_message on notice (site_id, message_id) where message_id is not null;

-- One sealed text to one person over one channel. The body never changes after sealing.
create table message (
    site_id blob not null,
    id blob not null,
    recipient_id blob not null,
    channel_id blob,
    channel text not null,
    -- The host that receives it: messages to a slow one wait among themselves, others do not.
    endpoint text not null,
    -- 0 calls for help, 1 alerts, 2 stand-downs, 3 reminders, 4 reports: which goes first when much is due.
    priority integer not null,
    body blob not null,
    locale text not null,
    -- The same over all attempts, so that a receiver can drop a repeat.
    dedupe_key text not null,
    -- A short number for people on the phone and for providers with short ids.
    call_no integer not null,
    -- ready, leased, sent or failed.
    state text not null,
    attempts integer not null,
    next_at text not null,
    leased_by blob,
    lease_until text,
    -- A try of unknown outcome came before: the repeat is marked.
    repeated integer not null,
    sent_at text,
    last_error text,
    sealed_at text not null,
    primary key (site_id, id)
) strict;
create unique index message_dedupe on message (site_id, dedupe_key);
create index message_due on message (next_at) where state in ('ready', 'leased');
create index message_by_recipient on message (site_id, recipient_id, sealed_at);
create index message_list on message (site_id, sealed_at, id);

create table message_attempt (
    site_id blob not null,
    id blob not null,
    message_id blob not null,
    at text not null,
    outcome text not null,
    detail text not null,
    primary key (site_id, id)
) strict;
create index message_attempt_by_message on message_attempt (site_id, message_id, at);

-- Receivers that asked for a pause: nothing is sent to that address before, whoever the message is for.
create table endpoint_pause (
    channel text not null,
    address text not null,
    paused_until text not null,
    primary key (channel, address)
) strict;

-- The record of domain.md §7.
create table visit (
    site_id blob not null,
    id blob not null,
    senior_id blob not null,
    alert_id blob,
    kind text not null,
    method text not null,
    started_at text not null,
    ended_at text,
    result text not null,
    contact_with text,
    -- JSON objects and arrays with the closed words of src/domain/visit.rs.
    visitors text not null,
    conditions text not null,
    safety text not null,
    dossier text,
    family_visits_last_month integer,
    note text,
    next_due text,
    entered_by blob not null,
    received_at text not null,
    content_hash blob not null,
    replaces_id blob,
    -- What became of the alert that the record was to close.
    resolve_result text,
    primary key (site_id, id)
) strict;
create index visit_by_senior on visit (site_id, senior_id, started_at);

-- A danger found in a home, something that a senior needs, or a question left open; all run through stages.
create table finding (
    site_id blob not null,
    id blob not null,
    -- Null: no visit found it, the days did.
    visit_id blob,
    senior_id blob not null,
    -- hazard, need, circumstance or agreement.
    kind text not null,
    item text not null,
    service_class text,
    note text,
    state text not null,
    created_at text not null,
    closed_at text,
    closed_by blob,
    version integer not null,
    primary key (site_id, id)
) strict;
create index finding_by_senior on finding (site_id, senior_id, state);

create table device (
    site_id blob not null,
    id blob not null,
    -- The MQTT name: user name and topic part of native devices, friendly name of others.
    name text not null,
    -- native, zigbee2mqtt or gateway.
    ecosystem text not null,
    -- Of a gateway: the topic below which it publishes.
    base_topic text,
    senior_id blob,
    gateway_id blob,
    role text not null,
    -- true: the device's "closed" means that the curtain is closed.
    polarity_normal integer not null,
    calibrated_at text,
    -- What a device without an own report interval is expected to keep, seconds.
    expected_interval_seconds integer not null,
    installed_by blob,
    revoked_at text,
    -- State, kept current by the ingest.
    status text not null,
    last_seen_at text,
    online_since text,
    silent_after text,
    battery_percent integer,
    battery_millivolt integer,
    -- Low readings in a row, since when the cells count as low, and when somebody was told of it.
    battery_low_reports integer not null,
    battery_low_since text,
    battery_told_at text,
    -- Names the key of the last genuine message: what is said to the device is signed with it.
    kid integer,
    tampered_at text,
    firmware text,
    level text,
    level_since text,
    -- An opening that has not lasted long enough yet: when, and the name of its event.
    opening_since text,
    opening_key text,
    boot_n integer,
    boot_id integer,
    bd integer,
    seq_high integer,
    seq_window integer not null,
    lost_events integer not null,
    clock_suspect integer not null,
    -- Payloads handed in lately by this and other instances, as JSON.
    recent_payloads text not null,
    -- The moment at which an opening has lasted long enough to count.
    settle_at text,
    version integer not null,
    created_at text not null,
    primary key (site_id, id)
) strict;
create unique index device_name on device (name) where revoked_at is null and gateway_id is null;
create unique index device_behind_gateway on device (gateway_id, name) where revoked_at is null and gateway_id is not null;
-- Messages name devices by id alone; ids are unique over sites.
create unique index device_by_id on device (id);
create index device_by_senior on device (site_id, senior_id);
create index device_settling on device (settle_at) where settle_at is not null;
create index device_revoked on device (revoked_at) where revoked_at is not null;
create index device_falling_silent on device (silent_after) where silent_after is not null;

-- Passwords are hashed, message keys are sealed with the key file; two kids are valid while one is rotated out.
create table device_credential (
    site_id blob not null,
    device_id blob not null,
    kid integer not null,
    password_hash blob not null,
    key_sealed blob,
    valid_from text not null,
    valid_to text,
    primary key (site_id, device_id, kid)
) strict;
create index device_credential_by_device on device_credential (device_id);

-- Messages kept for a person to look at: poison, unknown topics, over the limit. A sample of 1 kB at most.
create table quarantined_message (
    id blob not null primary key,
    site_id blob,
    device_id blob,
    topic text not null,
    -- A word of a closed list, and what the reader of the bytes said.
    reason text not null,
    why text not null,
    sample blob not null,
    size_bytes integer not null,
    received_at text not null,
    -- When the operators heard of its device.
    told_at text
) strict;
create index quarantined_by_time on quarantined_message (received_at);
create index quarantined_by_site on quarantined_message (site_id, received_at);
create index quarantined_by_device on quarantined_message (device_id, received_at);
create index quarantined_untold on quarantined_message (site_id) where told_at is null;

-- Who did what to which object: no personal values, only field names and an HMAC of what was written.
create table audit (
    seq integer not null primary key autoincrement,
    site_id blob not null,
    id blob not null,
    at text not null,
    actor_id blob,
    act text not null,
    object_kind text not null,
    object_id blob,
    fields text not null,
    value_hmac blob
) strict;
create index audit_by_site on audit (site_id, seq);
create index audit_by_object on audit (site_id, object_id);

-- The salt per person (senior, member, contact) of the HMACs above: erased with the person.
create table person_salt (
    site_id blob not null,
    person_id blob not null,
    salt blob not null,
    primary key (site_id, person_id)
) strict;

-- What changed, for open screens and programs that follow.
create table change_feed (
    seq integer not null primary key autoincrement,
    site_id blob not null,
    at text not null,
    kind text not null,
    object_id blob not null,
    senior_id blob
) strict;
create index change_feed_by_site on change_feed (site_id, seq);

-- The first answer to an Idempotency-Key: the same request gets the same answer, another one a conflict.
create table idempotency (
    site_id blob not null,
    member_id blob not null,
    key text not null,
    content_hash blob not null,
    status integer not null,
    answer text not null,
    at text not null,
    primary key (site_id, member_id, key)
) strict;
create index idempotency_old on idempotency (site_id, at);

-- One row per running server: from it a restart knows how long nobody watched.
create table server_life (
    id blob not null primary key,
    started_at text not null,
    alive_at text not null,
    -- The last moment at which it could hear sensors; null once it could not.
    hears_at text,
    stopped_at text
) strict;
create index server_life_alive on server_life (alive_at);

-- The last good pass of each job, for the heartbeat and the health page.
create table job_pass (
    job text not null primary key,
    at text not null,
    detail text not null
) strict;

-- Numbers handed out one by one (call_no).
create table counter (
    name text not null primary key,
    value integer not null
) strict;
