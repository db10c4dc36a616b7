-- The whole register, the daily checks, the alerts and the outbox of one server.
--
-- Every table has site_id: a site is the isolation boundary, and every primary and unique key starts with it.
-- Ids are UUIDs: v7 made here, any version made by clients, v5 where the id is derived so that a thing can exist only once.
-- No default reads a clock: every time is bound by the program in whole milliseconds, UTC.
-- Words (states, kinds, roles) are text; the closed lists are the enums of src/domain.
-- Nothing that has history is deleted: rows end (ended_at, to_date), they do not vanish.

-- One scheme with its own time zone and its own default times.
create table site (
    id uuid not null primary key,
    name text not null,
    timezone text not null,
    latitude double precision not null,
    longitude double precision not null,
    -- The site's own check.* and ladder.*, as JSON; a key that is absent has its default, an unknown one is passed over.
    settings text not null,
    -- The last local date that plan_day has filled; null before the first plan.
    planned_through date,
    version bigint not null,
    created_at timestamptz not null
);

-- 街道 · 社区 · 小区 · 楼栋: a tree, with its closure so that "here and below" is one join.
create table place (
    site_id uuid not null,
    id uuid not null,
    kind text not null,
    name text not null,
    parent_id uuid,
    walk_order bigint not null,
    -- A compound in trial mode tells only L0, L1 and L4 until this date (exclusive).
    trial_until date,
    ended_at timestamptz,
    version bigint not null,
    created_at timestamptz not null,
    primary key (site_id, id)
);

create table place_closure (
    site_id uuid not null,
    ancestor_id uuid not null,
    descendant_id uuid not null,
    depth bigint not null,
    primary key (site_id, ancestor_id, descendant_id)
);
create index place_closure_up on place_closure (site_id, descendant_id, depth);

-- 网格: a second grouping of buildings beside the tree.
create table grid (
    site_id uuid not null,
    id uuid not null,
    name text not null,
    ended_at timestamptz,
    version bigint not null,
    created_at timestamptz not null,
    primary key (site_id, id)
);

-- Which buildings a grid held on which days (to_date exclusive).
create table grid_place (
    site_id uuid not null,
    grid_id uuid not null,
    place_id uuid not null,
    from_date date not null,
    to_date date,
    primary key (site_id, grid_id, place_id, from_date)
);
create index grid_place_by_place on grid_place (site_id, place_id);

-- 党员, volunteers, social workers, operators: everybody who acts.
create table member (
    site_id uuid not null,
    id uuid not null,
    name text not null,
    -- How texts address the person: 王师傅.
    called text not null,
    phone text not null,
    locale text not null,
    -- Argon2id; null for members who never type a password.
    password_hash text,
    ended_at timestamptz,
    version bigint not null,
    created_at timestamptz not null,
    primary key (site_id, id)
);
create unique index member_phone on member (site_id, phone) where ended_at is null;

-- role × scope × time. A grant is ended by its to_date (exclusive), never deleted.
create table role_grant (
    site_id uuid not null,
    id uuid not null,
    member_id uuid not null,
    role text not null,
    place_id uuid,
    grid_id uuid,
    from_date date not null,
    to_date date,
    version bigint not null,
    created_at timestamptz not null,
    primary key (site_id, id)
);
create index role_grant_by_member on role_grant (site_id, member_id);
create index role_grant_by_place on role_grant (site_id, place_id, role);
create index role_grant_by_grid on role_grant (site_id, grid_id, role);

-- Cookies of browsers and bearer tokens of programs. Only the SHA-256 of the token is kept.
create table session (
    site_id uuid not null,
    id uuid not null,
    member_id uuid not null,
    kind text not null,
    token_hash bytea not null,
    label text not null,
    created_at timestamptz not null,
    -- The last time that the member typed the password: silencing acts ask for a recent one.
    authenticated_at timestamptz,
    -- When a code of the second factor was typed, where there is one.
    second_factor_at timestamptz,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    primary key (site_id, id)
);
create unique index session_token on session (token_hash);

-- A way in without a password: a link that is used once. A new one ends those before it; only the SHA-256 of the token is kept.
create table invitation (
    site_id uuid not null,
    id uuid not null,
    member_id uuid not null,
    token_hash bytea not null,
    invited_by uuid not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    -- The sign-in that it opened: the same browser may ask once more if the answer got lost.
    used_at timestamptz,
    session_id uuid,
    ended_at timestamptz,
    primary key (site_id, id)
);
create unique index invitation_token on invitation (token_hash);
create index invitation_by_member on invitation (site_id, member_id);

-- The second factor of a member: a secret sealed with the key file, in force once its first code was typed.
create table second_factor (
    site_id uuid not null,
    member_id uuid not null,
    secret_sealed bytea not null,
    confirmed_at timestamptz,
    -- The time step of the last code that was taken: no code counts twice.
    last_step bigint not null,
    created_at timestamptz not null,
    primary key (site_id, member_id)
);

-- One-time codes for the day on which the phone is lost, as a keyed hash.
create table recovery_code (
    site_id uuid not null,
    member_id uuid not null,
    code_hash bytea not null,
    used_at timestamptz,
    created_at timestamptz not null,
    primary key (site_id, member_id, code_hash)
);

-- The ordered list of ways to reach a member.
create table member_channel (
    site_id uuid not null,
    id uuid not null,
    member_id uuid not null,
    position bigint not null,
    channel text not null,
    address text not null,
    -- A secret of this channel (webhook signing key), sealed with the key file; null where none is needed.
    secret_sealed bytea,
    verified_at timestamptz,
    disabled_at timestamptz,
    disabled_why text,
    version bigint not null,
    created_at timestamptz not null,
    primary key (site_id, id)
);
create index member_channel_by_member on member_channel (site_id, member_id, position);

-- 户: what one window and one door belong to.
create table home (
    site_id uuid not null,
    id uuid not null,
    building_id uuid not null,
    unit text not null,
    floor bigint,
    room text not null,
    -- Which window, seen from the ground: 左二窗.
    window_hint text not null,
    walk_order bigint not null,
    -- The person who keeps a key: a member, or a neighbour with a phone.
    key_holder_member_id uuid,
    key_holder_name text,
    key_holder_phone text,
    ended_at timestamptz,
    version bigint not null,
    created_at timestamptz not null,
    primary key (site_id, id)
);
create index home_by_building on home (site_id, building_id, walk_order);
create unique index home_door on home (site_id, building_id, unit, room) where ended_at is null;

create table senior (
    site_id uuid not null,
    id uuid not null,
    home_id uuid not null,
    name text not null,
    -- How messages name the person: 张奶奶.
    called text not null,
    phone text,
    birth_year bigint,
    -- JSON array of category words.
    categories text not null,
    risk_band text not null,
    hearing_hint text not null,
    -- real, or canary: a canary is in no statistic.
    purpose text not null,
    ended_at timestamptz,
    ended_why text,
    version bigint not null,
    created_at timestamptz not null,
    primary key (site_id, id)
);
create index senior_by_home on senior (site_id, home_id);

-- Where a senior lived on which days (to_date exclusive): the numbers of an old day belong to the old building. The open row is
-- senior.home_id.
create table senior_residence (
    site_id uuid not null,
    id uuid not null,
    senior_id uuid not null,
    home_id uuid not null,
    from_date date not null,
    to_date date,
    created_at timestamptz not null,
    primary key (site_id, id)
);
create index senior_residence_by_senior on senior_residence (site_id, senior_id, from_date);
create index senior_residence_by_home on senior_residence (site_id, home_id);

-- The risk band of a senior on which days (to_date exclusive). The open row is senior.risk_band.
create table senior_risk_band (
    site_id uuid not null,
    id uuid not null,
    senior_id uuid not null,
    risk_band text not null,
    from_date date not null,
    to_date date,
    created_at timestamptz not null,
    primary key (site_id, id)
);
create index senior_risk_band_by_senior on senior_risk_band (site_id, senior_id, from_date);

create table contact (
    site_id uuid not null,
    id uuid not null,
    senior_id uuid not null,
    position bigint not null,
    name text not null,
    relation text not null,
    phone text not null,
    minutes_away bigint,
    -- Agreed at enrolment to be called automatically; used by later channels.
    agreed_automatic boolean not null,
    ended_at timestamptz,
    version bigint not null,
    created_at timestamptz not null,
    primary key (site_id, id)
);
create index contact_by_senior on contact (site_id, senior_id, position);

create table consent (
    site_id uuid not null,
    id uuid not null,
    senior_id uuid not null,
    scope text not null,
    given_at timestamptz not null,
    given_how text not null,
    witness text,
    withdrawn_at timestamptz,
    version bigint not null,
    created_at timestamptz not null,
    primary key (site_id, id)
);
create index consent_by_senior on consent (site_id, senior_id, scope);

-- 结对: one primary and one backup in force per senior (guarded in the store under the senior's lock).
create table pairing (
    site_id uuid not null,
    id uuid not null,
    senior_id uuid not null,
    member_id uuid not null,
    kind text not null,
    from_date date not null,
    to_date date,
    version bigint not null,
    created_at timestamptz not null,
    primary key (site_id, id)
);
create index pairing_by_senior on pairing (site_id, senior_id);
create index pairing_by_member on pairing (site_id, member_id);

-- 看窗值班: who walks under which windows. scope_kind is building or senior.
create table duty (
    site_id uuid not null,
    id uuid not null,
    member_id uuid not null,
    slot text not null,
    -- Bit 0 is Monday.
    weekdays bigint not null,
    from_date date not null,
    to_date date,
    version bigint not null,
    created_at timestamptz not null,
    primary key (site_id, id)
);
create index duty_by_member on duty (site_id, member_id);

create table duty_scope (
    site_id uuid not null,
    duty_id uuid not null,
    scope_kind text not null,
    scope_id uuid not null,
    primary key (site_id, duty_id, scope_kind, scope_id)
);
create index duty_scope_by_scope on duty_scope (site_id, scope_id);

-- 请假 · 替班
create table leave_of_absence (
    site_id uuid not null,
    id uuid not null,
    member_id uuid not null,
    from_date date not null,
    -- First day back.
    return_date date not null,
    substitute_id uuid,
    cancelled_at timestamptz,
    version bigint not null,
    created_at timestamptz not null,
    primary key (site_id, id)
);
create index leave_by_member on leave_of_absence (site_id, member_id);

-- 窗帘约定: rows are never changed, only ended; an edit ends one and begins the next. What an edit leaves of an old row (its
-- other weekdays, the days after the new one) goes on in a row of its own, which names the row that it continues.
create table agreement (
    site_id uuid not null,
    id uuid not null,
    senior_id uuid not null,
    slot text not null,
    weekdays bigint not null,
    expected_sign text not null,
    -- Local wall-clock times; null follows the site's default.
    window_opens time,
    deadline time,
    grace_seconds bigint,
    unobserved_delay_seconds bigint,
    sensor_policy text not null,
    require_change boolean not null,
    from_date date not null,
    to_date date,
    ended_why text,
    replaced_by_id uuid,
    continues_id uuid,
    content_hash bytea not null,
    created_by uuid,
    created_at timestamptz not null,
    primary key (site_id, id)
);
create index agreement_by_senior on agreement (site_id, senior_id, slot, from_date);

-- 不在家登记: a pause with a return date. It excuses a check only if confirmed before that check's cutoff.
create table absence (
    site_id uuid not null,
    id uuid not null,
    senior_id uuid not null,
    kind text not null,
    from_date date not null,
    -- First day back: an ordinary check again.
    return_date date not null,
    reported_by text not null,
    entered_by uuid,
    confirmed_at timestamptz,
    confirmed_by uuid,
    cancelled_at timestamptz,
    -- When somebody was asked whether she comes back on that date, and who made sure of it.
    return_asked_at timestamptz,
    return_confirmed_at timestamptz,
    return_confirmed_by uuid,
    content_hash bytea not null,
    version bigint not null,
    created_at timestamptz not null,
    primary key (site_id, id)
);
create index absence_by_senior on absence (site_id, senior_id, return_date);
create index absence_by_return on absence (site_id, return_date);

-- One observation, append-only; a correction is a new row that names the one it replaces.
create table signal (
    site_id uuid not null,
    id uuid not null,
    senior_id uuid not null,
    kind text not null,
    observed_at timestamptz not null,
    received_at timestamptz not null,
    observed_by uuid,
    entered_by uuid,
    device_id uuid,
    -- member, sheet or device.
    source text not null,
    -- Class A, B or C of a sensor's evidence; null for people.
    evidence text,
    -- accepted, clock_suspect, too_old or quarantined.
    standing text not null,
    replaces_id uuid,
    reason text,
    note text,
    content_hash bytea not null,
    primary key (site_id, id)
);
create index signal_by_senior on signal (site_id, senior_id, observed_at);
create index signal_by_replaced on signal (site_id, replaces_id) where replaces_id is not null;

-- One check per senior, local date and slot, planned ahead so that silence is an overdue row. (CHECK is a reserved word.)
create table daily_check (
    site_id uuid not null,
    id uuid not null,
    senior_id uuid not null,
    agreement_id uuid not null,
    local_date date not null,
    slot text not null,
    state text not null,
    -- Copied from the agreement, so that history keeps what was agreed that day.
    expected_sign text not null,
    sensor_policy text not null,
    counts_from timestamptz not null,
    window_opens_at timestamptz not null,
    deadline_at timestamptz not null,
    cutoff_at timestamptz not null,
    -- End of the local day: later sightings do not belong to this check.
    day_ends_at timestamptz not null,
    unobserved_delay_seconds bigint not null,
    received_late boolean not null,
    -- The missed trigger has been raised: it is raised at most once, for ever.
    triggered boolean not null,
    -- The one time that the watch asks for; null when nothing more will happen by itself.
    next_action_at timestamptz,
    decided_at timestamptz,
    primary key (site_id, id)
);
create unique index daily_check_day on daily_check (site_id, senior_id, local_date, slot);
create index daily_check_due on daily_check (next_action_at) where next_action_at is not null;
-- Without it SQLite reads a site's whole history at every tick, to find the few that are due.
create index daily_check_due_of_site on daily_check (site_id, next_action_at) where next_action_at is not null;
create index daily_check_round on daily_check (site_id, local_date, slot, state);

-- The open case: at most one unresolved per senior.
create table alert (
    site_id uuid not null,
    id uuid not null,
    senior_id uuid not null,
    state text not null,
    -- missed or help: which ladder runs.
    ladder text not null,
    cause text not null,
    epoch bigint not null,
    level bigint not null,
    trial boolean not null,
    drill boolean not null,
    opened_at timestamptz not null,
    epoch_at timestamptz not null,
    claimed_by uuid,
    claim_until timestamptz,
    -- Who sent the claimant; null if she took it herself.
    assigned_by uuid,
    emergency_at timestamptz,
    -- Somebody looked after opening and the sign was still missing: L2 need not wait for a first look.
    looked_at timestamptz,
    -- A sensor showed the sign late: a call may do, so the alert stands lower on the list.
    sensor_noted_at timestamptz,
    resolved_at timestamptz,
    resolved_by uuid,
    resolved_by_signal uuid,
    contact_proof text,
    proof_by text,
    proof_at timestamptz,
    safe boolean,
    outcome text,
    outcome_note text,
    reviewed_at timestamptz,
    reviewed_by uuid,
    outage_from timestamptz,
    outage_to timestamptz,
    next_action_at timestamptz,
    version bigint not null,
    primary key (site_id, id)
);
create unique index alert_unresolved on alert (site_id, senior_id) where resolved_at is null;
create index alert_by_senior on alert (site_id, senior_id, opened_at);
create index alert_due on alert (next_action_at) where next_action_at is not null;
create index alert_due_of_site on alert (site_id, next_action_at) where next_action_at is not null;
create index alert_list on alert (site_id, opened_at, id);

-- Why someone must go. The id is derived, so a trigger of a kind exists once per check, for ever.
create table alert_trigger (
    site_id uuid not null,
    id uuid not null,
    alert_id uuid not null,
    senior_id uuid not null,
    check_id uuid,
    kind text not null,
    cause text not null,
    local_date date not null,
    slot text,
    -- Only a sign observed from here on proves anything about this trigger.
    proof_from timestamptz not null,
    note text,
    raised_by uuid,
    at timestamptz not null,
    primary key (site_id, id)
);
create index alert_trigger_by_alert on alert_trigger (site_id, alert_id);

-- The ladder as copied when the epoch began; fenced by (epoch, step).
create table ladder_step (
    site_id uuid not null,
    alert_id uuid not null,
    epoch bigint not null,
    step bigint not null,
    level bigint not null,
    act text not null,
    due_at timestamptz not null,
    -- If a claim lives when due_at comes, the step waits at least until here.
    due_if_claimed_at timestamptz not null,
    -- If nobody has looked yet, the step waits at most until here.
    due_if_unseen_at timestamptz not null,
    held boolean not null,
    state text not null,
    fired_at timestamptz,
    told bigint not null,
    primary key (site_id, alert_id, epoch, step)
);

create table alert_event (
    site_id uuid not null,
    id uuid not null,
    alert_id uuid not null,
    at timestamptz not null,
    kind text not null,
    actor_id uuid,
    -- Arguments for the sentence of this kind, JSON.
    detail text not null,
    primary key (site_id, id)
);
create index alert_event_by_alert on alert_event (site_id, alert_id, at, id);

-- What one person must be told about one thing: key and arguments, written with the alert.
create table notice (
    site_id uuid not null,
    id uuid not null,
    alert_id uuid,
    epoch bigint not null,
    step bigint not null,
    level bigint not null,
    recipient_id uuid not null,
    key text not null,
    arguments text not null,
    -- alert, stand_down, reminder or report.
    class text not null,
    -- pending, sealed, delivered, cancelled or failed.
    state text not null,
    message_id uuid,
    -- How many of the recipient's channels have been used up.
    channels_tried bigint not null,
    not_before timestamptz not null,
    created_at timestamptz not null,
    primary key (site_id, id)
);
create index notice_pending on notice (not_before) where state = 'pending';
create index notice_failed on notice (site_id, created_at) where state = 'failed';
create index notice_by_alert on notice (site_id, alert_id, epoch, step) where alert_id is not null;
create index notice_by_message on notice (site_id, message_id) where message_id is not null;

-- One sealed text to one person over one channel. The body never changes after sealing.
create table message (
    site_id uuid not null,
    id uuid not null,
    recipient_id uuid not null,
    channel_id uuid,
    channel text not null,
    -- The host that receives it: messages to a slow one wait among themselves, others do not.
    endpoint text not null,
    -- 0 calls for help, 1 alerts, 2 stand-downs, 3 reminders, 4 reports: which goes first when much is due.
    priority bigint not null,
    body bytea not null,
    locale text not null,
    -- The same over all attempts, so that a receiver can drop a repeat.
    dedupe_key text not null,
    -- A short number for people on the phone and for providers with short ids.
    call_no bigint not null,
    -- ready, leased, sent or failed.
    state text not null,
    attempts bigint not null,
    next_at timestamptz not null,
    leased_by uuid,
    lease_until timestamptz,
    -- A try of unknown outcome came before: the repeat is marked.
    repeated boolean not null,
    sent_at timestamptz,
    last_error text,
    sealed_at timestamptz not null,
    primary key (site_id, id)
);
create unique index message_dedupe on message (site_id, dedupe_key);
create index message_due on message (next_at) where state in ('ready', 'leased');
create index message_by_recipient on message (site_id, recipient_id, sealed_at);
create index message_list on message (site_id, sealed_at, id);

create table message_attempt (
    site_id uuid not null,
    id uuid not null,
    message_id uuid not null,
    at timestamptz not null,
    outcome text not null,
    detail text not null,
    primary key (site_id, id)
);
create index message_attempt_by_message on message_attempt (site_id, message_id, at);

-- Receivers that asked for a pause: nothing is sent to that address before, whoever the message is for.
create table endpoint_pause (
    channel text not null,
    address text not null,
    paused_until timestamptz not null,
    primary key (channel, address)
);

-- The record of domain.md §7.
create table visit (
    site_id uuid not null,
    id uuid not null,
    senior_id uuid not null,
    alert_id uuid,
    kind text not null,
    method text not null,
    started_at timestamptz not null,
    ended_at timestamptz,
    result text not null,
    contact_with text,
    -- JSON objects and arrays with the closed words of src/domain/visit.rs.
    visitors text not null,
    conditions text not null,
    safety text not null,
    dossier text,
    family_visits_last_month bigint,
    note text,
    next_due date,
    entered_by uuid not null,
    received_at timestamptz not null,
    content_hash bytea not null,
    replaces_id uuid,
    -- What became of the alert that the record was to close.
    resolve_result text,
    primary key (site_id, id)
);
create index visit_by_senior on visit (site_id, senior_id, started_at);

-- A danger found in a home, something that a senior needs, or a question left open; all run through stages.
create table finding (
    site_id uuid not null,
    id uuid not null,
    -- Null: no visit found it, the days did.
    visit_id uuid,
    senior_id uuid not null,
    -- hazard, need, circumstance or agreement.
    kind text not null,
    item text not null,
    service_class text,
    note text,
    state text not null,
    created_at timestamptz not null,
    closed_at timestamptz,
    closed_by uuid,
    version bigint not null,
    primary key (site_id, id)
);
create index finding_by_senior on finding (site_id, senior_id, state);

create table device (
    site_id uuid not null,
    id uuid not null,
    -- The MQTT name: user name and topic part of native devices, friendly name of others.
    name text not null,
    -- native, zigbee2mqtt or gateway.
    ecosystem text not null,
    -- Of a gateway: the topic below which it publishes.
    base_topic text,
    senior_id uuid,
    gateway_id uuid,
    role text not null,
    -- true: the device's "closed" means that the curtain is closed.
    polarity_normal boolean not null,
    calibrated_at timestamptz,
    -- What a device without an own report interval is expected to keep, seconds.
    expected_interval_seconds bigint not null,
    installed_by uuid,
    revoked_at timestamptz,
    -- State, kept current by the ingest.
    status text not null,
    last_seen_at timestamptz,
    online_since timestamptz,
    silent_after timestamptz,
    battery_percent bigint,
    battery_millivolt bigint,
    -- Low readings in a row, since when the cells count as low, and when somebody was told of it.
    battery_low_reports bigint not null,
    battery_low_since timestamptz,
    battery_told_at timestamptz,
    -- Names the key of the last genuine message: what is said to the device is signed with it.
    kid bigint,
    tampered_at timestamptz,
    firmware text,
    level text,
    level_since timestamptz,
    -- An opening that has not lasted long enough yet: when, and the name of its event.
    opening_since timestamptz,
    opening_key text,
    boot_n bigint,
    boot_id bigint,
    bd bigint,
    seq_high bigint,
    seq_window bigint not null,
    lost_events bigint not null,
    clock_suspect boolean not null,
    -- Payloads handed in lately by this and other instances, as JSON.
    recent_payloads text not null,
    -- The moment at which an opening has lasted long enough to count.
    settle_at timestamptz,
    version bigint not null,
    created_at timestamptz not null,
    primary key (site_id, id)
);
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
    site_id uuid not null,
    device_id uuid not null,
    kid bigint not null,
    password_hash bytea not null,
    key_sealed bytea,
    valid_from timestamptz not null,
    valid_to timestamptz,
    primary key (site_id, device_id, kid)
);
create index device_credential_by_device on device_credential (device_id);

-- Messages kept for a person to look at: poison, unknown topics, over the limit. A sample of 1 kB at most.
create table quarantined_message (
    id uuid not null primary key,
    site_id uuid,
    device_id uuid,
    topic text not null,
    -- A word of a closed list, and what the reader of the bytes said.
    reason text not null,
    why text not null,
    sample bytea not null,
    size_bytes bigint not null,
    received_at timestamptz not null,
    -- When the operators heard of its device.
    told_at timestamptz
);
create index quarantined_by_time on quarantined_message (received_at);
create index quarantined_by_site on quarantined_message (site_id, received_at);
create index quarantined_by_device on quarantined_message (device_id, received_at);
create index quarantined_untold on quarantined_message (site_id) where told_at is null;

-- Who did what to which object: no personal values, only field names and an HMAC of what was written.
create table audit (
    seq bigint generated always as identity primary key,
    site_id uuid not null,
    id uuid not null,
    at timestamptz not null,
    actor_id uuid,
    act text not null,
    object_kind text not null,
    object_id uuid,
    fields text not null,
    value_hmac bytea
);
create index audit_by_site on audit (site_id, seq);
create index audit_by_object on audit (site_id, object_id);

-- The salt per person (senior, member, contact) of the HMACs above: erased with the person.
create table person_salt (
    site_id uuid not null,
    person_id uuid not null,
    salt bytea not null,
    primary key (site_id, person_id)
);

-- What changed, for open screens and programs that follow.
create table change_feed (
    seq bigint generated always as identity primary key,
    site_id uuid not null,
    at timestamptz not null,
    kind text not null,
    object_id uuid not null,
    senior_id uuid
);
create index change_feed_by_site on change_feed (site_id, seq);

-- The first answer to an Idempotency-Key: the same request gets the same answer, another one a conflict.
create table idempotency (
    site_id uuid not null,
    member_id uuid not null,
    key text not null,
    content_hash bytea not null,
    status bigint not null,
    answer text not null,
    at timestamptz not null,
    primary key (site_id, member_id, key)
);
create index idempotency_old on idempotency (site_id, at);

-- One row per running server: from it a restart knows how long nobody watched.
create table server_life (
    id uuid not null primary key,
    started_at timestamptz not null,
    alive_at timestamptz not null,
    -- The last moment at which it could hear sensors; null once it could not.
    hears_at timestamptz,
    stopped_at timestamptz
);
create index server_life_alive on server_life (alive_at);

-- The last good pass of each job, for the heartbeat and the health page.
create table job_pass (
    job text not null primary key,
    at timestamptz not null,
    detail text not null
);

-- Numbers handed out one by one (call_no).
create table counter (
    name text not null primary key,
    value bigint not null
);
