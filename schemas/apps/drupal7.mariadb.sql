-- Tables of Drupal 7, as MariaDB has them: what the preset `drupal7` shares, and what must stay local.
-- For tests. A name in braces gets the site's prefix, as in Drupal's own queries.

-- People. 0 is anonymous and 1 the administrator, each site's own; `picture` is the number of a local file.
CREATE TABLE {users} (
    uid INT UNSIGNED NOT NULL DEFAULT 0,
    name VARCHAR(60) NOT NULL DEFAULT '',
    pass VARCHAR(128) NOT NULL DEFAULT '',
    mail VARCHAR(254),
    theme VARCHAR(255) NOT NULL DEFAULT '',
    signature VARCHAR(255) NOT NULL DEFAULT '',
    signature_format VARCHAR(255),
    created INT NOT NULL DEFAULT 0,
    access INT NOT NULL DEFAULT 0,
    login INT NOT NULL DEFAULT 0,
    status TINYINT NOT NULL DEFAULT 0,
    timezone VARCHAR(32),
    language VARCHAR(12) NOT NULL DEFAULT '',
    picture INT NOT NULL DEFAULT 0,
    init VARCHAR(254),
    data LONGBLOB,
    PRIMARY KEY (uid),
    UNIQUE KEY name (name),
    KEY access (access),
    KEY mail (mail)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE {sessions} (
    uid INT UNSIGNED NOT NULL,
    sid VARCHAR(128) NOT NULL,
    ssid VARCHAR(128) NOT NULL DEFAULT '',
    hostname VARCHAR(128) NOT NULL DEFAULT '',
    timestamp INT NOT NULL DEFAULT 0,
    cache INT NOT NULL DEFAULT 0,
    session LONGBLOB,
    PRIMARY KEY (sid, ssid),
    KEY timestamp (timestamp),
    KEY uid (uid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE {role} (
    rid INT UNSIGNED NOT NULL AUTO_INCREMENT,
    name VARCHAR(64) NOT NULL DEFAULT '',
    weight INT NOT NULL DEFAULT 0,
    PRIMARY KEY (rid),
    UNIQUE KEY name (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE {users_roles} (
    uid INT UNSIGNED NOT NULL DEFAULT 0,
    rid INT UNSIGNED NOT NULL DEFAULT 0,
    PRIMARY KEY (uid, rid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- Identities at outside services.
CREATE TABLE {authmap} (
    aid INT UNSIGNED NOT NULL AUTO_INCREMENT,
    uid INT NOT NULL DEFAULT 0,
    authname VARCHAR(128) NOT NULL DEFAULT '',
    module VARCHAR(128) NOT NULL DEFAULT '',
    PRIMARY KEY (aid),
    UNIQUE KEY authname (authname)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- Names as they are shown.
CREATE TABLE {realname} (
    uid INT UNSIGNED NOT NULL,
    realname VARCHAR(255) NOT NULL DEFAULT '',
    PRIMARY KEY (uid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- The fields that profiles have: each site's own list.
CREATE TABLE {profile_field} (
    fid INT UNSIGNED NOT NULL AUTO_INCREMENT,
    title VARCHAR(255),
    name VARCHAR(128) NOT NULL DEFAULT '',
    PRIMARY KEY (fid),
    UNIQUE KEY name (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE {profile_value} (
    fid INT UNSIGNED NOT NULL DEFAULT 0,
    uid INT UNSIGNED NOT NULL DEFAULT 0,
    value LONGTEXT,
    PRIMARY KEY (uid, fid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- A field of people: its values, and its revisions.
CREATE TABLE {field_data_field_city} (
    entity_type VARCHAR(128) NOT NULL DEFAULT '',
    bundle VARCHAR(128) NOT NULL DEFAULT '',
    deleted TINYINT NOT NULL DEFAULT 0,
    entity_id INT UNSIGNED NOT NULL,
    revision_id INT UNSIGNED,
    language VARCHAR(32) NOT NULL DEFAULT '',
    delta INT UNSIGNED NOT NULL,
    field_city_value VARCHAR(255),
    field_city_format VARCHAR(255),
    PRIMARY KEY (entity_type, entity_id, deleted, delta, language),
    KEY bundle (bundle)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE {field_revision_field_city} (
    entity_type VARCHAR(128) NOT NULL DEFAULT '',
    bundle VARCHAR(128) NOT NULL DEFAULT '',
    deleted TINYINT NOT NULL DEFAULT 0,
    entity_id INT UNSIGNED NOT NULL,
    revision_id INT UNSIGNED NOT NULL,
    language VARCHAR(32) NOT NULL DEFAULT '',
    delta INT UNSIGNED NOT NULL,
    field_city_value VARCHAR(255),
    field_city_format VARCHAR(255),
    PRIMARY KEY (entity_type, entity_id, revision_id, deleted, delta, language),
    KEY bundle (bundle)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- A longer one.
CREATE TABLE {field_data_field_bio} (
    entity_type VARCHAR(128) NOT NULL DEFAULT '',
    bundle VARCHAR(128) NOT NULL DEFAULT '',
    deleted TINYINT NOT NULL DEFAULT 0,
    entity_id INT UNSIGNED NOT NULL,
    revision_id INT UNSIGNED,
    language VARCHAR(32) NOT NULL DEFAULT '',
    delta INT UNSIGNED NOT NULL,
    field_bio_value LONGTEXT,
    field_bio_format VARCHAR(255),
    PRIMARY KEY (entity_type, entity_id, deleted, delta, language),
    KEY bundle (bundle)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE {field_revision_field_bio} (
    entity_type VARCHAR(128) NOT NULL DEFAULT '',
    bundle VARCHAR(128) NOT NULL DEFAULT '',
    deleted TINYINT NOT NULL DEFAULT 0,
    entity_id INT UNSIGNED NOT NULL,
    revision_id INT UNSIGNED NOT NULL,
    language VARCHAR(32) NOT NULL DEFAULT '',
    delta INT UNSIGNED NOT NULL,
    field_bio_value LONGTEXT,
    field_bio_format VARCHAR(255),
    PRIMARY KEY (entity_type, entity_id, revision_id, deleted, delta, language),
    KEY bundle (bundle)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- A field of contents: not to be shared.
CREATE TABLE {field_data_body} (
    entity_type VARCHAR(128) NOT NULL DEFAULT '',
    bundle VARCHAR(128) NOT NULL DEFAULT '',
    deleted TINYINT NOT NULL DEFAULT 0,
    entity_id INT UNSIGNED NOT NULL,
    revision_id INT UNSIGNED,
    language VARCHAR(32) NOT NULL DEFAULT '',
    delta INT UNSIGNED NOT NULL,
    body_value LONGTEXT,
    body_format VARCHAR(255),
    PRIMARY KEY (entity_type, entity_id, deleted, delta, language),
    KEY bundle (bundle)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

CREATE TABLE {field_revision_body} (
    entity_type VARCHAR(128) NOT NULL DEFAULT '',
    bundle VARCHAR(128) NOT NULL DEFAULT '',
    deleted TINYINT NOT NULL DEFAULT 0,
    entity_id INT UNSIGNED NOT NULL,
    revision_id INT UNSIGNED NOT NULL,
    language VARCHAR(32) NOT NULL DEFAULT '',
    delta INT UNSIGNED NOT NULL,
    body_value LONGTEXT,
    body_format VARCHAR(255),
    PRIMARY KEY (entity_type, entity_id, revision_id, deleted, delta, language),
    KEY bundle (bundle)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- Fields of people and contents: local, and stale when a row comes from elsewhere.
CREATE TABLE {cache_field} (
    cid VARCHAR(255) NOT NULL DEFAULT '',
    data LONGBLOB,
    expire INT NOT NULL DEFAULT 0,
    created INT NOT NULL DEFAULT 0,
    serialized SMALLINT NOT NULL DEFAULT 0,
    PRIMARY KEY (cid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- Gives out numbers, of people and of other things: local.
CREATE TABLE {sequences} (
    value INT UNSIGNED NOT NULL AUTO_INCREMENT,
    PRIMARY KEY (value)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

-- Failed logins: local.
CREATE TABLE {flood} (
    fid INT UNSIGNED NOT NULL AUTO_INCREMENT,
    event VARCHAR(64) NOT NULL DEFAULT '',
    identifier VARCHAR(128) NOT NULL DEFAULT '',
    timestamp INT NOT NULL DEFAULT 0,
    expiration INT NOT NULL DEFAULT 0,
    PRIMARY KEY (fid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
