-- Tables of Drupal 6, as PostgreSQL has them: what the preset `drupal6` shares, and what must stay local.
-- For tests. A name in braces gets the site's prefix, as in Drupal's own queries.

-- People. 0 is anonymous and 1 the administrator, each site's own; `picture` is the path of a local file.
CREATE TABLE {users} (
    uid SERIAL,
    name VARCHAR(60) NOT NULL DEFAULT '',
    pass VARCHAR(32) NOT NULL DEFAULT '',
    mail VARCHAR(64) NOT NULL DEFAULT '',
    mode SMALLINT NOT NULL DEFAULT 0,
    sort SMALLINT NOT NULL DEFAULT 0,
    threshold SMALLINT NOT NULL DEFAULT 0,
    theme VARCHAR(255) NOT NULL DEFAULT '',
    signature VARCHAR(255) NOT NULL DEFAULT '',
    signature_format SMALLINT NOT NULL DEFAULT 0,
    created INTEGER NOT NULL DEFAULT 0,
    access INTEGER NOT NULL DEFAULT 0,
    login INTEGER NOT NULL DEFAULT 0,
    status SMALLINT NOT NULL DEFAULT 0,
    timezone VARCHAR(8),
    language VARCHAR(12) NOT NULL DEFAULT '',
    picture VARCHAR(255) NOT NULL DEFAULT '',
    init VARCHAR(64) NOT NULL DEFAULT '',
    data TEXT,
    PRIMARY KEY (uid),
    UNIQUE (name)
);
CREATE INDEX {users}_access ON {users} (access);
CREATE INDEX {users}_mail ON {users} (mail);

CREATE TABLE {sessions} (
    uid BIGINT NOT NULL CHECK (uid >= 0),
    sid VARCHAR(64) NOT NULL DEFAULT '',
    hostname VARCHAR(128) NOT NULL DEFAULT '',
    timestamp INTEGER NOT NULL DEFAULT 0,
    cache INTEGER NOT NULL DEFAULT 0,
    session TEXT,
    PRIMARY KEY (sid)
);
CREATE INDEX {sessions}_timestamp ON {sessions} (timestamp);
CREATE INDEX {sessions}_uid ON {sessions} (uid);

CREATE TABLE {role} (
    rid SERIAL,
    name VARCHAR(64) NOT NULL DEFAULT '',
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

-- The fields that profiles have: each site's own list.
CREATE TABLE {profile_fields} (
    fid SERIAL,
    title VARCHAR(255),
    name VARCHAR(128) NOT NULL DEFAULT '',
    PRIMARY KEY (fid),
    UNIQUE (name)
);

CREATE TABLE {profile_values} (
    fid BIGINT NOT NULL DEFAULT 0 CHECK (fid >= 0),
    uid BIGINT NOT NULL DEFAULT 0 CHECK (uid >= 0),
    value TEXT,
    PRIMARY KEY (uid, fid)
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
