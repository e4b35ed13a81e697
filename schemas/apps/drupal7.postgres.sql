-- Tables of Drupal 7, as PostgreSQL has them: what the preset `drupal7` shares, and what must stay local.
-- For tests. A name in braces gets the site's prefix, as in Drupal's own queries.

-- People. 0 is anonymous and 1 the administrator, each site's own; `picture` is the number of a local file.
CREATE TABLE {users} (
    uid BIGINT NOT NULL DEFAULT 0 CHECK (uid >= 0),
    name VARCHAR(60) NOT NULL DEFAULT '',
    pass VARCHAR(128) NOT NULL DEFAULT '',
    mail VARCHAR(254),
    theme VARCHAR(255) NOT NULL DEFAULT '',
    signature VARCHAR(255) NOT NULL DEFAULT '',
    signature_format VARCHAR(255),
    created INTEGER NOT NULL DEFAULT 0,
    access INTEGER NOT NULL DEFAULT 0,
    login INTEGER NOT NULL DEFAULT 0,
    status SMALLINT NOT NULL DEFAULT 0,
    timezone VARCHAR(32),
    language VARCHAR(12) NOT NULL DEFAULT '',
    picture INTEGER NOT NULL DEFAULT 0,
    init VARCHAR(254),
    data BYTEA,
    PRIMARY KEY (uid),
    UNIQUE (name)
);
CREATE INDEX {users}_access ON {users} (access);
CREATE INDEX {users}_mail ON {users} (mail);

CREATE TABLE {sessions} (
    uid BIGINT NOT NULL CHECK (uid >= 0),
    sid VARCHAR(128) NOT NULL,
    ssid VARCHAR(128) NOT NULL DEFAULT '',
    hostname VARCHAR(128) NOT NULL DEFAULT '',
    timestamp INTEGER NOT NULL DEFAULT 0,
    cache INTEGER NOT NULL DEFAULT 0,
    session BYTEA,
    PRIMARY KEY (sid, ssid)
);
CREATE INDEX {sessions}_timestamp ON {sessions} (timestamp);
CREATE INDEX {sessions}_uid ON {sessions} (uid);

CREATE TABLE {role} (
    rid SERIAL,
    name VARCHAR(64) NOT NULL DEFAULT '',
    weight INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (rid),
    UNIQUE (name)
);

CREATE TABLE {users_roles} (
    uid BIGINT NOT NULL DEFAULT 0 CHECK (uid >= 0),
    rid BIGINT NOT NULL DEFAULT 0 CHECK (rid >= 0),
    PRIMARY KEY (uid, rid)
);

-- Identities at outside services.
CREATE TABLE {authmap} (
    aid SERIAL,
    uid INTEGER NOT NULL DEFAULT 0,
    authname VARCHAR(128) NOT NULL DEFAULT '',
    module VARCHAR(128) NOT NULL DEFAULT '',
    PRIMARY KEY (aid),
    UNIQUE (authname)
);

-- Names as they are shown.
CREATE TABLE {realname} (
    uid BIGINT NOT NULL CHECK (uid >= 0),
    realname VARCHAR(255) NOT NULL DEFAULT '',
    PRIMARY KEY (uid)
);

-- The fields that profiles have: each site's own list.
CREATE TABLE {profile_field} (
    fid SERIAL,
    title VARCHAR(255),
    name VARCHAR(128) NOT NULL DEFAULT '',
    PRIMARY KEY (fid),
    UNIQUE (name)
);

CREATE TABLE {profile_value} (
    fid BIGINT NOT NULL DEFAULT 0 CHECK (fid >= 0),
    uid BIGINT NOT NULL DEFAULT 0 CHECK (uid >= 0),
    value TEXT,
    PRIMARY KEY (uid, fid)
);

-- A field of people: its values, and its revisions.
CREATE TABLE {field_data_field_city} (
    entity_type VARCHAR(128) NOT NULL DEFAULT '',
    bundle VARCHAR(128) NOT NULL DEFAULT '',
    deleted SMALLINT NOT NULL DEFAULT 0,
    entity_id BIGINT NOT NULL CHECK (entity_id >= 0),
    revision_id BIGINT CHECK (revision_id >= 0),
    language VARCHAR(32) NOT NULL DEFAULT '',
    delta BIGINT NOT NULL CHECK (delta >= 0),
    field_city_value VARCHAR(255),
    field_city_format VARCHAR(255),
    PRIMARY KEY (entity_type, entity_id, deleted, delta, language)
);
CREATE INDEX {field_data_field_city}_bundle ON {field_data_field_city} (bundle);

CREATE TABLE {field_revision_field_city} (
    entity_type VARCHAR(128) NOT NULL DEFAULT '',
    bundle VARCHAR(128) NOT NULL DEFAULT '',
    deleted SMALLINT NOT NULL DEFAULT 0,
    entity_id BIGINT NOT NULL CHECK (entity_id >= 0),
    revision_id BIGINT NOT NULL CHECK (revision_id >= 0),
    language VARCHAR(32) NOT NULL DEFAULT '',
    delta BIGINT NOT NULL CHECK (delta >= 0),
    field_city_value VARCHAR(255),
    field_city_format VARCHAR(255),
    PRIMARY KEY (entity_type, entity_id, revision_id, deleted, delta, language)
);
CREATE INDEX {field_revision_field_city}_bundle ON {field_revision_field_city} (bundle);

-- A longer one.
CREATE TABLE {field_data_field_bio} (
    entity_type VARCHAR(128) NOT NULL DEFAULT '',
    bundle VARCHAR(128) NOT NULL DEFAULT '',
    deleted SMALLINT NOT NULL DEFAULT 0,
    entity_id BIGINT NOT NULL CHECK (entity_id >= 0),
    revision_id BIGINT CHECK (revision_id >= 0),
    language VARCHAR(32) NOT NULL DEFAULT '',
    delta BIGINT NOT NULL CHECK (delta >= 0),
    field_bio_value TEXT,
    field_bio_format VARCHAR(255),
    PRIMARY KEY (entity_type, entity_id, deleted, delta, language)
);
CREATE INDEX {field_data_field_bio}_bundle ON {field_data_field_bio} (bundle);

CREATE TABLE {field_revision_field_bio} (
    entity_type VARCHAR(128) NOT NULL DEFAULT '',
    bundle VARCHAR(128) NOT NULL DEFAULT '',
    deleted SMALLINT NOT NULL DEFAULT 0,
    entity_id BIGINT NOT NULL CHECK (entity_id >= 0),
    revision_id BIGINT NOT NULL CHECK (revision_id >= 0),
    language VARCHAR(32) NOT NULL DEFAULT '',
    delta BIGINT NOT NULL CHECK (delta >= 0),
    field_bio_value TEXT,
    field_bio_format VARCHAR(255),
    PRIMARY KEY (entity_type, entity_id, revision_id, deleted, delta, language)
);
CREATE INDEX {field_revision_field_bio}_bundle ON {field_revision_field_bio} (bundle);

-- A field of contents: not to be shared.
CREATE TABLE {field_data_body} (
    entity_type VARCHAR(128) NOT NULL DEFAULT '',
    bundle VARCHAR(128) NOT NULL DEFAULT '',
    deleted SMALLINT NOT NULL DEFAULT 0,
    entity_id BIGINT NOT NULL CHECK (entity_id >= 0),
    revision_id BIGINT CHECK (revision_id >= 0),
    language VARCHAR(32) NOT NULL DEFAULT '',
    delta BIGINT NOT NULL CHECK (delta >= 0),
    body_value TEXT,
    body_format VARCHAR(255),
    PRIMARY KEY (entity_type, entity_id, deleted, delta, language)
);
CREATE INDEX {field_data_body}_bundle ON {field_data_body} (bundle);

CREATE TABLE {field_revision_body} (
    entity_type VARCHAR(128) NOT NULL DEFAULT '',
    bundle VARCHAR(128) NOT NULL DEFAULT '',
    deleted SMALLINT NOT NULL DEFAULT 0,
    entity_id BIGINT NOT NULL CHECK (entity_id >= 0),
    revision_id BIGINT NOT NULL CHECK (revision_id >= 0),
    language VARCHAR(32) NOT NULL DEFAULT '',
    delta BIGINT NOT NULL CHECK (delta >= 0),
    body_value TEXT,
    body_format VARCHAR(255),
    PRIMARY KEY (entity_type, entity_id, revision_id, deleted, delta, language)
);
CREATE INDEX {field_revision_body}_bundle ON {field_revision_body} (bundle);

-- Fields of people and contents: local, and stale when a row comes from elsewhere.
CREATE TABLE {cache_field} (
    cid VARCHAR(255) NOT NULL DEFAULT '',
    data BYTEA,
    expire INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL DEFAULT 0,
    serialized SMALLINT NOT NULL DEFAULT 0,
    PRIMARY KEY (cid)
);

-- Gives out numbers, of people and of other things: local.
CREATE TABLE {sequences} (
    value SERIAL,
    PRIMARY KEY (value)
);

-- Failed logins: local.
CREATE TABLE {flood} (
    fid SERIAL,
    event VARCHAR(64) NOT NULL DEFAULT '',
    identifier VARCHAR(128) NOT NULL DEFAULT '',
    timestamp INTEGER NOT NULL DEFAULT 0,
    expiration INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (fid)
);
